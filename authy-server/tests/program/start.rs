//! How the program starts: what it waits for, what it calls itself, and what it refuses.

use super::*;

/// The issuer that a server publishes.
fn issuer(server: &ServerProgram) -> String {
    let metadata = server.curl(&[&format!("{}/.well-known/oauth-authorization-server", server.url())]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    metadata["issuer"].as_str().unwrap().to_owned()
}

#[test]
fn the_issuer_stays_whatever_the_address_is_until_an_operator_replaces_it() {
    const NEW: &str = "https://auth.example.org";
    let folder = folder();
    let path = folder.path();
    let mut server = ServerProgram::start(path);
    let first = server.url().to_owned();
    assert_eq!(issuer(&server), first);
    server.signal(Signal::TERM);
    server.ends();
    let mut server = ServerProgram::start(path);
    assert!(server.url() != first && issuer(&server) == first, "{}", issuer(&server));
    server.signal(Signal::TERM);
    server.ends();

    let refused = fails(path, &["--listen", "127.0.0.1:0", "--issuer", NEW]);
    let way_out = format!("`authy-server issuer set {NEW}`");
    for part in [NEW, first.as_str(), way_out.as_str()] {
        assert!(refused.contains(part), "{part} is missing from {refused}");
    }
    assert_eq!(succeeds(path, &["issuer", "show"]).trim(), first);
    assert!(succeeds(path, &["issuer", "set", NEW]).contains("restart all of them"));
    assert_eq!(succeeds(path, &["issuer", "show", "--issuer", "ignored"]).trim(), NEW);
    let trail = succeeds(path, &["event", "list", "--kind", "issuer.changed"]);
    assert!(trail.contains(NEW) && trail.contains(&first), "{trail}");
    for flags in [&["--listen", "127.0.0.1:0", "--issuer", NEW][..], &["--listen", "127.0.0.1:0"]] {
        let mut server = ServerProgram::with(&mut authy(path, flags));
        assert_eq!(issuer(&server), NEW);
        server.signal(Signal::TERM);
        server.ends();
    }
}

#[test]
fn a_command_does_not_wait_for_ever_for_a_postgresql_that_is_frozen() {
    let folder = folder();
    let server = ServerProgram::start(folder.path());
    let pid_file = fs::read_to_string(folder.path().join(".authy/postgres/postmaster.pid")).unwrap();
    let postmaster = Pid::from_raw(pid_file.lines().next().unwrap().parse().unwrap()).unwrap();
    // Its socket takes connections all the same.
    kill_process(postmaster, Signal::STOP).unwrap();
    let mut command = authy(folder.path(), &["role", "list"]);
    command.env("AUTHY_START_TIMEOUT", "1s").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    kill_process(postmaster, Signal::CONT).unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("neither answers nor ends: no answer within"), "{said}");
    assert!(succeeds(folder.path(), &["role", "list"]).contains("superadmin"));
    drop(server);
}

#[test]
fn a_new_database_takes_the_public_url_as_its_issuer() {
    let folder = folder();
    let flags = ["--listen", "127.0.0.1:0", "--public-url", "https://auth.example.org/"];
    let server = ServerProgram::with(&mut authy(folder.path(), &flags));
    assert_eq!(issuer(&server), "https://auth.example.org");
}

#[test]
fn the_banner_has_the_address_to_open_and_there_is_a_page() {
    let folder = folder();
    let server = ServerProgram::start(folder.path());
    let port = server.url().rsplit(':').next().unwrap();
    assert_eq!(server.page_url(), format!("http://localhost:{port}"));
    let reference = format!("http://localhost:{port}/authy/docs");
    assert!(server.banner.contains(&format!("API reference at {reference}")), "{:?}", server.banner);
    assert!(server.curl(&[&reference]).contains("<h1>API reference</h1>"));
    let mails = server.banner.iter().find_map(|line| line.strip_prefix("mails are files in ")).unwrap();
    assert!(folder.path().join(mails).is_dir(), "{mails}");
    let page = server.curl(&["-L", &format!("http://localhost:{port}/")]);
    assert!(page.contains("<h1>Log in</h1>") && page.contains("<title>Log in – authy</title>"), "{page}");
    let next = server.curl(&[
        "-o",
        "/dev/null",
        "-w",
        "%{redirect_url}",
        &format!("{}/.well-known/change-password", server.page_url()),
    ]);
    assert_eq!(next, format!("http://localhost:{port}/authy/ui/account/password"));
}

#[test]
fn the_pages_can_be_turned_off_and_have_the_looks_that_are_configured() {
    let (folder, looks) = (folder(), folder());
    fs::write(looks.path().join("en.toml"), "[login]\ntitle = \"Welcome back\"\n").unwrap();
    let looks_path = looks.path().to_str().unwrap();
    let flags = ["--listen", "127.0.0.1:0", "--ui-dir", looks_path, "--ui-name", "The shop", "--ui-color", "#8a3ffc"];
    let mut server = ServerProgram::with(&mut authy(folder.path(), &flags));
    let page = server.curl(&[&format!("{}/authy/ui/login", server.page_url())]);
    assert!(page.contains("<title>Welcome back – The shop</title>"), "{page}");
    let stylesheet = page.split('"').find(|part| part.ends_with("/app.css")).unwrap();
    let stylesheet = server.curl(&[&format!("{}{stylesheet}", server.page_url())]);
    assert!(stylesheet.contains("--accent:#8a3ffc"), "{stylesheet}");
    server.signal(Signal::TERM);
    server.ends();

    let mut server = ServerProgram::with(&mut authy(folder.path(), &["--listen", "127.0.0.1:0", "--ui", "false"]));
    for beginning in ["open ", "API reference at "] {
        assert!(!server.banner.iter().any(|line| line.starts_with(beginning)), "{:?}", server.banner);
    }
    assert!(server.curl(&[&format!("{}/authy/ui/login", server.url())]).contains("not_found"));
    server.signal(Signal::TERM);
    server.ends();

    fs::write(looks.path().join("login.html"), "{{ view.form }}\n{{ view.pasword }}").unwrap();
    let error = fails(folder.path(), &["--ui-dir", looks_path, "--ui-color", "red"]);
    for part in ["AUTHY_UI_DIR", "login.html", "line 2", "AUTHY_UI_COLOR", "#3355cc"] {
        assert!(error.contains(part), "{part} is missing from {error}");
    }
}

#[test]
fn an_address_that_stands_for_all_is_in_no_url() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let folder = folder();
        let server = ServerProgram::with(&mut authy(folder.path(), &["--listen", listen]));
        assert!(server.url().starts_with("http://localhost:"), "{}", server.url());
        assert_eq!(issuer(&server), server.url());
        server.sign_up("ada");
        let link = format!("\r\n{}/authy/ui/confirm/", server.url());
        let mails = folder.path().join(".authy/mail");
        until("the mail is there", || {
            let mut mails = fs::read_dir(&mails).ok()?.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
            mails.any(|mail| mail.contains(&link)).then_some(())
        });
    }
    let folder = folder();
    let server = |flags: &[&str]| {
        let mut command = authy(folder.path(), flags);
        command.env("AUTHY_SMTP_URL", "smtp://localhost").env("AUTHY_MAIL_FROM", "shop@shop.example");
        command
    };
    let refused = server(&["--listen", "0.0.0.0:0"]).output().unwrap();
    assert!(!refused.status.success() && text(&refused.stderr).contains("set AUTHY_PUBLIC_URL"), "{refused:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was left behind");
    ServerProgram::with(&mut server(&["--listen", "0.0.0.0:0", "--public-url", "https://auth.example.org"]));
}

#[test]
fn a_command_right_after_its_server_was_killed_starts_the_database_itself() {
    let folder = folder();
    for _ in 0..3 {
        let mut server = ServerProgram::start(folder.path());
        server.signal(Signal::KILL);
        server.ends();
        assert!(succeeds(folder.path(), &["role", "list"]).contains("superadmin"));
    }
}

/// A server whose database is not there.
fn without_database(folder: &Path, timeout: &str) -> Command {
    let mut command = authy(folder, &["--listen", "127.0.0.1:0", "--start-timeout", timeout]);
    command.env("AUTHY_DATABASE_URL", "postgresql://authy@127.0.0.1:1/authy");
    command.env("AUTHY_MASTER_KEY", &**authy_core::engine::MasterKeys::generate().unwrap().to_base64());
    command
}

#[test]
fn a_database_that_is_away_is_waited_for_and_the_log_says_so() {
    let folder = folder();
    let output = without_database(folder.path(), "1s").output().unwrap();
    let said = text(&output.stderr);
    assert!(!output.status.success());
    for part in ["waiting for the database", "127.0.0.1", "Connection refused", "AUTHY_START_TIMEOUT"] {
        assert!(said.contains(part), "{part} is missing from {said}");
    }
    assert_eq!(said.matches("waiting for the database").count(), 1, "{said}");
    let output = without_database(folder.path(), "1s").args(["role", "list"]).output().unwrap();
    assert!(!output.status.success() && text(&output.stderr).contains("waiting for the database"));

    // It can be stopped while it waits.
    let mut child = without_database(folder.path(), "1h").stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(log.any(|line| line.contains("waiting for the database")));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}
