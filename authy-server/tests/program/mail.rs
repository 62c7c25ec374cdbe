//! Mails of the program: as files, and over TLS to the mail server of the tests.

use super::*;

#[test]
fn without_a_mail_server_mails_are_files_that_only_their_owner_can_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let server = ServerProgram::start(folder.path());
    server.sign_up("ada");
    let mails = folder.path().join(".authy/mail");
    let mail = until("the mail is there", || {
        let mut mails = fs::read_dir(&mails).unwrap().map(|entry| entry.unwrap().path());
        mails.find(|path| path.extension().is_some_and(|extension| extension == "eml"))
    });
    assert_eq!(fs::metadata(&mails).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(&mail).unwrap().permissions().mode() & 0o777, 0o600);
    // As it is in the file: the link can be copied from there.
    let (mail, link) = (fs::read_to_string(&mail).unwrap(), format!("\r\n{}/authy/ui/confirm/", server.page_url()));
    assert!(mail.contains("To: ada@example.org\r\n") && mail.contains("From: authy <authy@localhost>\r\n"), "{mail}");
    assert!(mail.contains(&link), "{mail}");
}

#[test]
fn an_invalid_mail_template_is_reported_and_nothing_starts() {
    let (templates, folder) = (folder(), folder());
    fs::write(templates.path().join("reset.html"), "{{ pasword }}").unwrap();
    let error =
        fails(folder.path(), &["--mail-templates", templates.path().to_str().unwrap(), "--reset-url", "/reset"]);
    for part in ["AUTHY_MAIL_TEMPLATES", "reset.html", "pasword", "user_agent", "AUTHY_RESET_URL", "{code}"] {
        assert!(error.contains(part), "{part} is missing from {error}");
    }
    let output = authy(folder.path(), &["--listen", "127.0.0.1:0"]).env("AUTHY_SMTP_URL", "smtp://localhost").output();
    let error = text(&output.unwrap().stderr);
    assert!(error.contains("set AUTHY_MAIL_FROM"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was left behind");
}

#[test]
fn mails_go_over_tls_to_a_server_whose_certificate_is_known_and_to_no_other() {
    for (scheme, query, option) in [("smtps", "", Some("--smtps")), ("smtp", "?tls=required", None)] {
        let folder = folder();
        let certificate = folder.path().join("mail.pem");
        let mut mailbox = SmtpProcess::start(&certificate, option);
        let url = |password: &str| format!("{scheme}://shop:{password}@localhost:{}{query}", mailbox.port);
        // Its certificate cannot be verified: neither a mail nor the password is sent.
        let log = folder.path().join("log");
        let start = |url: &str, roots: Option<&Path>| {
            let mut command = authy(folder.path(), &["--listen", "127.0.0.1:0", "--log", "trace"]);
            command.env("AUTHY_SMTP_URL", url).env("AUTHY_MAIL_FROM", "Shop <no-reply@shop.example>");
            if let Some(roots) = roots {
                command.env("AUTHY_TLS_CA", roots);
            }
            ServerProgram::with_log(&mut command, fs::File::create(&log).unwrap())
        };
        let said = |part: &str| {
            let log = fs::read_to_string(&log).unwrap();
            let leaked = ["hunter2", "aHVudGVyMg", "AHNob3AAaHVudGVyMg"].iter().any(|secret| log.contains(secret));
            assert!(!leaked, "the password is in the log");
            log.contains(part).then_some(())
        };
        let mut server = start(&url("hunter2"), None);
        server.sign_up("ada");
        until("it is refused", || said("the connection to the mail server failed"));
        server.signal(Signal::TERM);
        server.ends();
        let mut server = start(&url("hunter2-wrong"), Some(&certificate));
        succeeds(folder.path(), &["event", "sinks"]);
        server.sign_up("bob");
        until("the login is refused", || said("does not accept the login"));
        server.signal(Signal::TERM);
        server.ends();
        let server = start(&url("hunter2"), Some(&certificate));
        server.sign_up("eve");
        let mail = mailbox.next();
        assert_eq!((mail["tls"].as_bool(), mail["login"].as_str()), (Some(true), Some("shop")), "{mail}");
        assert!(mail["text"].as_str().unwrap().contains("Shop"), "{mail}");
        said("");
    }
}

#[test]
fn without_any_certificate_authority_it_is_said_what_to_install() {
    let (folder, empty) = (folder(), tempfile::NamedTempFile::new().unwrap());
    let mut command = authy(folder.path(), &["--listen", "127.0.0.1:0", "--mail-from", "no-reply@shop.example"]);
    command.env("AUTHY_SMTP_URL", "smtps://mail.invalid").env("SSL_CERT_FILE", empty.path()).env_remove("SSL_CERT_DIR");
    let output = command.output().unwrap();
    let error = text(&output.stderr);
    assert!(!output.status.success() && error.contains("install ca-certificates"), "{error}");
    assert!(error.contains("AUTHY_TLS_CA"), "{error}");
    let output = authy(folder.path(), &["config"]).env("AUTHY_TLS_CA", empty.path()).output().unwrap();
    let error = text(&output.stderr);
    assert!(error.contains("AUTHY_TLS_CA (from the environment)") && error.contains("PEM"), "{error}");
}

/// The mail server of the tests.
pub(super) struct SmtpProcess {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    pub(super) port: u64,
}

impl SmtpProcess {
    pub(super) fn start(certificate: &Path, option: Option<&str>) -> Self {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| project.join("target"), Into::into);
        let python = target.join("tools/python/bin/python");
        assert!(python.exists(), "{} is missing: `make tools` installs it", python.display());
        let mut command = Command::new(python);
        command.arg(project.join("tests/harness/smtp.py")).args(["--login", "shop", "hunter2"]);
        command.arg("--tls").arg(certificate).args(option);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut mailbox = Self { child, lines, port: 0 };
        mailbox.port = mailbox.next()["port"].as_u64().unwrap();
        mailbox
    }

    fn next(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }
}

impl Drop for SmtpProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
