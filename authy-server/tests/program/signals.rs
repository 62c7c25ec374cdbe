//! What signals do to the program, and what its listeners answer meanwhile.

use std::os::{fd::OwnedFd, unix::net::UnixDatagram};

use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

use super::*;

fn address(server: &ServerProgram) -> String {
    server.url().strip_prefix("http://").unwrap().to_owned()
}

#[test]
fn a_server_that_stops_is_not_ready_and_a_second_signal_ends_it_at_once() {
    let folder = folder();
    let mut command = authy(folder.path(), &["--listen", "127.0.0.1:0"]);
    let mut server = ServerProgram::with(command.env("AUTHY_STOP_DELAY", "1h"));
    let address = address(&server);
    assert_eq!(succeeds(folder.path(), &["health", "--listen", &address]), format!("{address} answers\n"));
    server.signal(Signal::TERM);
    let said = until("it is not ready", || {
        let output = run(folder.path(), &["health", "--listen", &address]);
        (!output.status.success()).then(|| text(&output.stderr))
    });
    assert!(said.contains("is not ready: running (the server is stopping)"), "{said}");
    assert!(server.log_in("nobody", "x").contains("invalid_credentials"), "it still answers");
    server.signal(Signal::TERM);
    assert!(server.ends().success());
}

#[test]
fn on_sighup_the_templates_of_mails_are_read_again() {
    let (folder, templates) = (folder(), folder());
    let (log, file) = (folder.path().join("log"), templates.path().join("validate.txt"));
    fs::write(&file, "Subject: First\n\n{{ link }}\n").unwrap();
    let arguments = ["--listen", "127.0.0.1:0", "--mail-templates", templates.path().to_str().unwrap()];
    let server = ServerProgram::with_log(&mut authy(folder.path(), &arguments), fs::File::create(&log).unwrap());
    let logged = |part: &str| fs::read_to_string(&log).unwrap().contains(part).then_some(());
    let mail_to = |name: &str| {
        server.sign_up(name);
        until("the mail is there", || {
            let mails = fs::read_dir(folder.path().join(".authy/mail")).ok()?;
            let mut mails = mails.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
            mails.find(|mail| mail.contains(&format!("To: {name}@example.org")))
        })
    };
    assert!(mail_to("ada").contains("Subject: First"));
    fs::write(&file, "Subject: Second\n\n{{ link }}\n").unwrap();
    server.signal(Signal::HUP);
    until("they are read again", || logged("the templates of mails were read again"));
    assert!(mail_to("bob").contains("Subject: Second"));
    fs::write(&file, "Subject: Third\n\n{{ password }}\n").unwrap();
    server.signal(Signal::HUP);
    until("they are refused", || logged("the templates of mails cannot be used"));
    assert!(mail_to("eve").contains("Subject: Second"));
}

/// Returns both sides of a new terminal: its screen, and what a program has as its standard input.
fn terminal() -> (OwnedFd, fs::File) {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    let path = ptsname(&screen, Vec::new()).unwrap().into_string().unwrap();
    let program_side = rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    (screen, program_side.into())
}

#[test]
fn at_a_terminal_sighup_reads_files_again_and_a_closed_terminal_ends_the_server() {
    let (folder, (screen, program_side)) = (folder(), terminal());
    let log = folder.path().join("log");
    // In a session of its own, whose terminal this is. The program replaces `setsid`, so the process is that of the server.
    let server = authy(folder.path(), &["--listen", "127.0.0.1:0"]);
    let mut command = Command::new("setsid");
    command.arg("--ctty").arg(server.get_program()).args(server.get_args()).current_dir(folder.path());
    for (name, value) in server.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdin(program_side);
    let mut server = ServerProgram::with_log(&mut command, fs::File::create(&log).unwrap());
    // It holds the side of the program as long as it lives.
    drop(command);
    server.signal(Signal::HUP);
    until("it has read the signal", || fs::read_to_string(&log).unwrap().contains("SIGHUP").then_some(()));
    assert!(server.curl(&[&format!("{}/authy/status", server.url())]).contains("version"));
    drop(screen);
    assert!(server.ends().success());
}

#[test]
fn on_sighup_the_looks_of_the_pages_are_read_again() {
    let (folder, looks) = (folder(), folder());
    let (log, file) = (folder.path().join("log"), looks.path().join("en.toml"));
    let title = |title: &str| fs::write(&file, format!("[login]\ntitle = \"{title}\"\n")).unwrap();
    title("First");
    let arguments = ["--listen", "127.0.0.1:0", "--ui-dir", looks.path().to_str().unwrap()];
    let server = ServerProgram::with_log(&mut authy(folder.path(), &arguments), fs::File::create(&log).unwrap());
    let logged = |part: &str| fs::read_to_string(&log).unwrap().contains(part).then_some(());
    let page = || server.curl(&[&format!("{}/authy/ui/login", server.url())]);
    assert!(page().contains("<h1>First</h1>"), "{}", page());
    title("Second");
    server.signal(Signal::HUP);
    until("they are read again", || logged("the looks of the pages were read again"));
    assert!(page().contains("<h1>Second</h1>"), "{}", page());
    title("Third");
    fs::write(looks.path().join("message.html"), "<p>\n{{ view.nothing }}\n").unwrap();
    server.signal(Signal::HUP);
    until("they are refused", || logged("the looks of the pages cannot be used"));
    let said = fs::read_to_string(&log).unwrap();
    assert!(said.contains("message.html") && said.contains("line 2"), "{said}");
    assert!(page().contains("<h1>Second</h1>"), "{}", page());
}

#[test]
fn health_asks_the_admin_listener() {
    let folder = folder();
    let server =
        ServerProgram::with(&mut authy(folder.path(), &["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]));
    let admin = server.banner.iter().find_map(|line| line.strip_prefix("admin listener on http://")).unwrap();
    assert!(server.banner.contains(&format!("administration at http://{admin}/authy/ui/admin")), "{:?}", server.banner);
    assert_eq!(succeeds(folder.path(), &["health", "--admin-listen", admin]), format!("{admin} answers\n"));
    let error = fails(folder.path(), &["health", "--listen", &address(&server)]);
    assert!(error.contains("answered 404"), "{error}");
    let error = fails(folder.path(), &["--listen", "127.0.0.1:0", "--admin-listen", admin]);
    assert!(error.contains("cannot listen on") && error.contains("AUTHY_ADMIN_LISTEN"), "{error}");
}

#[test]
fn the_admin_listener_may_have_a_name_and_several_addresses() {
    let folder = folder();
    let arguments = ["--listen", "127.0.0.1:0", "--admin-listen", "localhost:0,127.0.0.2:0"];
    let server = ServerProgram::with(&mut authy(folder.path(), &arguments));
    let admin: Vec<_> = server.banner.iter().filter_map(|line| line.strip_prefix("admin listener on ")).collect();
    // A name may have an IPv6 address, too.
    assert!(admin.len() >= 2, "{:?}", server.banner);
    for url in &admin {
        assert!(server.curl(&[&format!("{url}/readyz")]).contains("\"ready\":true"), "{url}");
    }
    let port = admin[0].rsplit(':').next().unwrap();
    let said = succeeds(folder.path(), &["health", "--admin-listen", &format!("localhost:{port}")]);
    assert!(said.contains("answers"), "{said}");
}

#[test]
fn systemd_is_told_about_the_start_the_stop_and_life_in_between() {
    let folder = folder();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let next = || {
        let mut message = [0; 64];
        let length = socket.recv(&mut message).unwrap();
        text(&message[..length]).trim().to_owned()
    };
    let mut command = authy(folder.path(), &["--listen", "127.0.0.1:0"]);
    let mut server = ServerProgram::with(command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000"));
    assert_eq!(next(), "READY=1");
    assert_eq!([next(), next()], ["WATCHDOG=1"; 2]);
    server.signal(Signal::TERM);
    while next() != "STOPPING=1" {}
    // As systemd does: a sign of life that nobody reads is waited for once the queue of the socket is full.
    let unread = socket.try_clone().unwrap();
    std::thread::spawn(move || while unread.recv(&mut [0; 64]).is_ok() {});
    assert!(server.ends().success());
}
