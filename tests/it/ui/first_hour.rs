//! The first hour of a new user: the program, started with nothing in an empty folder, and what leads on from what it prints.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use authy_tests::tools;
use rustix::process::{Pid, Signal, kill_process};

use super::{browser::run, *};

/// The program, which ends with its test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

/// The rest of the line that begins like this.
fn after<'a>(banner: &'a [String], beginning: &str) -> &'a str {
    let line = banner.iter().find_map(|line| line.strip_prefix(beginning));
    line.unwrap_or_else(|| panic!("no line begins with {beginning}: {banner:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_program_prints_and_its_links_lead_a_new_user_to_an_account_and_an_administrator_to_roles() {
    // PostgreSQL's own user has to get in, where root runs the tests.
    let folder = database::folder();
    let mut command = Command::new(env!("CARGO_BIN_EXE_authy-server-program"));
    command.current_dir(folder.path()).args(["--listen", "127.0.0.1:0"]).env("AUTHY_STOP_DELAY", "0s");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AUTHY_")) {
        if name != "AUTHY_PG_BIN" {
            command.env_remove(name);
        }
    }
    command.env("AUTHY_STOP_DELAY", "0s").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut program = Program(command.spawn().unwrap());
    let mut banner = Vec::new();
    for line in BufReader::new(program.0.stdout.take().unwrap()).lines() {
        banner.push(line.unwrap());
        if banner.last().is_some_and(|line| line.starts_with("listening on ")) {
            break;
        }
    }

    let (administrator, administrator_password) =
        after(&banner, "first administrator: ").split_once(", password (shown this once): ").unwrap();
    let open = after(&banner, "open ");
    let reference = after(&banner, "API reference at ");
    assert_eq!(reference, open.replace("/authy/ui", "/authy/docs"));
    let mails = folder.path().join(after(&banner, "mails are files in "));
    assert!(mails.is_dir(), "{}", mails.display());
    let shots = tools::target().join("screenshots/first-hour");
    std::fs::create_dir_all(&shots).unwrap();
    let task = serde_json::json!({
        "browser": tools::browser(), "open": open, "mails": mails, "shots": shots, "name": fresh_name("ada"),
        "password": PASSWORD, "administrator": administrator, "administrator_password": administrator_password,
    });
    let seen = run("first_hour.mjs", &task).await;
    assert_eq!(seen["problems"], serde_json::json!([]), "{seen:#}");
}
