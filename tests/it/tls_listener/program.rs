//! The program with a certificate: its banner, `health`, `doctor`, `config check`, and SIGHUP.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Output, Stdio},
};

use authy_tests::database;
use rustix::process::{Pid, Signal, kill_process};

use super::*;

const PROGRAM: &str = env!("CARGO_BIN_EXE_authy-server-program");

fn authy(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.env("AUTHY_TLS_CERT", folder.join("server.pem")).env("AUTHY_TLS_KEY", folder.join("server.key"));
    command.env("AUTHY_STOP_DELAY", "0s").env("AUTHY_ARGON2", "m=8,t=1,p=1");
    command
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// Whether `doctor` says with this mark that the certificate, made for so many days, has them left: or one less, since the days are
/// whole ones and a clock may be set back a little meanwhile.
fn expires(doctor: &str, mark: &str, days: u32) -> bool {
    let says =
        |days: u32| format!("{mark}  tls            the key is that of the certificate, which expires in {days} days");
    doctor.contains(&says(days)) || doctor.contains(&says(days - 1))
}

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_speaks_tls_and_reads_its_files_again_on_sighup() {
    // PostgreSQL's own user has to get in, where root runs the tests.
    let folder = database::folder();
    certify(folder.path());
    let log = folder.path().join("log");
    let mut command = authy(folder.path(), &["--listen", "127.0.0.1:0"]);
    command.stdout(Stdio::piped()).stderr(std::fs::File::create(&log).unwrap());
    let mut program = Program(command.spawn().unwrap());
    let lines = BufReader::new(program.0.stdout.take().unwrap()).lines();
    let url = lines.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("listening on ")?.to_owned()));
    let url = url.unwrap_or_else(|| panic!("{}", std::fs::read_to_string(&log).unwrap()));
    let address = url.strip_prefix("https://").expect("a URL of https").to_owned();

    let health = authy(folder.path(), &["health", "--listen", &address]).output().unwrap();
    assert_eq!(text(&health), format!("{address} answers\n"));
    let doctor = text(&authy(folder.path(), &["doctor", "--listen", &address]).output().unwrap());
    assert!(expires(&doctor, "warning", 2), "{doctor}");
    assert!(doctor.contains("ok       configuration"), "{doctor}");

    let logged = |part: &str| std::fs::read_to_string(&log).unwrap().contains(part);
    issue(folder.path(), "next", 40);
    std::fs::rename(folder.path().join("next.pem"), folder.path().join("server.pem")).unwrap();
    let check = authy(folder.path(), &["config", "check"]).output().unwrap();
    assert!(
        !check.status.success() && text(&check).contains("is not that of the first certificate"),
        "{}",
        text(&check)
    );
    kill_process(Pid::from_child(&program.0), Signal::HUP).unwrap();
    until("it is refused", || async { logged("the previous certificate stays in use") }).await;
    let health = authy(folder.path(), &["health", "--listen", &address]).output().unwrap();
    assert!(health.status.success(), "{}", text(&health));
    std::fs::rename(folder.path().join("next.key"), folder.path().join("server.key")).unwrap();
    kill_process(Pid::from_child(&program.0), Signal::HUP).unwrap();
    until("it is replaced", || async { logged("the TLS certificate was replaced") }).await;
    let doctor = text(&authy(folder.path(), &["doctor", "--listen", &address]).output().unwrap());
    assert!(expires(&doctor, "ok     ", 40), "{doctor}");
}

#[tokio::test]
async fn settings_of_tls_that_do_not_go_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let mut half = authy(folder.path(), &["--listen", "127.0.0.1:0"]);
    let half = half.env_remove("AUTHY_TLS_KEY").output().unwrap();
    assert!(!half.status.success() && text(&half).contains("set both, or none of them"), "{}", text(&half));
    let mut clients = authy(folder.path(), &["config", "check"]);
    clients.env("AUTHY_CLIENT_CA", folder.path().join("ca.pem"));
    assert!(clients.output().unwrap().status.success());
    let alone = clients.env_remove("AUTHY_TLS_CERT").env_remove("AUTHY_TLS_KEY").output().unwrap();
    assert!(text(&alone).contains("AUTHY_CLIENT_CA needs AUTHY_TLS_CERT"), "{}", text(&alone));
}
