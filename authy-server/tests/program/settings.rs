//! Settings as people write them: several addresses, what is in force, and the check of all of them.

use super::*;

fn status(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(folder, arguments);
    (output.status.code(), text(&output.stdout))
}

#[test]
fn every_address_is_served_and_one_that_is_taken_ends_the_start() {
    let folder = folder();
    let mut command = authy(folder.path(), &["--listen", "127.0.0.1:0, 127.0.0.2:0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let urls = lines.filter_map(|line| line.strip_prefix("listening on ").map(str::to_owned)).take(2);
    let server = ServerProgram { banner: urls.map(|url| format!("listening on {url}")).collect(), child };
    assert_eq!(server.banner.len(), 2);
    for line in &server.banner {
        let url = line.strip_prefix("listening on ").unwrap();
        assert!(server.curl(&[&format!("{url}/authy/status")]).contains("version"), "{url}");
    }
    let taken = server.url().strip_prefix("http://").unwrap();
    let error = fails(folder.path(), &["--listen", &format!("127.0.0.1:0,{taken}")]);
    assert!(error.contains(&format!("cannot listen on {taken} (AUTHY_LISTEN)")), "{error}");
}

#[test]
fn a_name_is_served_at_every_address_of_it() {
    let folder = folder();
    let server = ServerProgram::with(&mut authy(folder.path(), &["--listen", "localhost:0"]));
    let port = server.url().rsplit(':').next().unwrap();
    assert!(server.curl(&[&format!("http://localhost:{port}/authy/status")]).contains("version"));
}

#[test]
fn what_is_in_force_is_shown_as_it_is_computed() {
    let folder = folder();
    let arguments = ["config", "--listen", "127.0.0.1:9", "--hash-threads", "3"];
    let shown = succeeds(folder.path(), &arguments);
    for expected in [
        "AUTHY_ISSUER               the one that the database keeps; in a new database http://127.0.0.1:9    # computed",
        "AUTHY_HASH_THREADS         3    # a flag",
        "AUTHY_HASH_QUEUE           192    # computed",
        "AUTHY_MASTER_KEY           ./.authy/master.key    # computed",
        "AUTHY_SMTP_URL             files in ./.authy/mail    # computed",
        "AUTHY_ACCESS_TTL           15m    # default",
        "AUTHY_TLS_CA               (none)    # default",
    ] {
        assert!(shown.contains(expected), "{expected} is missing from\n{shown}");
    }
    let json: serde_json::Value = serde_json::from_str(&succeeds(folder.path(), &["config", "--json"])).unwrap();
    let issuer = json.as_array().unwrap().iter().find(|row| row["setting"] == "AUTHY_ISSUER").unwrap();
    let kept = "the one that the database keeps; in a new database http://127.0.0.1:8080";
    assert_eq!((&issuer["value"], &issuer["source"]), (&kept.into(), &"computed".into()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was left behind");
    // While a database can be asked, it is asked.
    let server =
        ServerProgram::with(&mut authy(folder.path(), &["--listen", "127.0.0.1:0", "--issuer", "https://a.example"]));
    let shown = succeeds(folder.path(), &["config"]);
    assert!(shown.contains("AUTHY_ISSUER               https://a.example    # the database\n"), "{shown}");
    drop(server);
}

#[test]
fn a_check_reports_everything_at_once_and_starts_nothing() {
    let folder = folder();
    assert_eq!(status(folder.path(), &["config", "check"]), (Some(0), "every setting can be used\n".to_owned()));
    assert_eq!(status(folder.path(), &["config", "check", "--json"]), (Some(0), "[]\n".to_owned()));
    let arguments = [
        "config",
        "check",
        "--webhook-url",
        "https://details.example/",
        "--require-https",
        "true",
        "--pwned-passwords",
        "/no/such/file",
        "--access-ttl",
        "25h",
        "--listen",
        "no-such-host.invalid:80",
    ];
    let (code, printed) = status(folder.path(), &arguments);
    assert_eq!(code, Some(1));
    for expected in [
        "a secret is required",
        "AUTHY_REQUIRE_HTTPS",
        "/no/such/file cannot be used",
        "AUTHY_ACCESS_TTL is longer than a day",
        "no-such-host.invalid:80 cannot be resolved",
    ] {
        assert!(printed.contains(expected), "{expected} is missing from\n{printed}");
    }
    // What cannot be read is reported in the same way.
    let (code, printed) = status(folder.path(), &["config", "check", "--json", "--access-ttl", "soon", "--log", "[["]);
    let found: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((code, found.as_array().unwrap().len()), (Some(1), 2), "{printed}");
    assert_eq!(found[0]["level"], "problem");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was left behind");
}

#[test]
fn quotes_around_a_value_are_named() {
    let folder = folder();
    let output = authy(folder.path(), &["config"]).env("AUTHY_MAIL_FROM", "'Shop <a@shop.example>'").output().unwrap();
    assert!(text(&output.stderr).contains("the quotes around it are a part of it"), "{}", text(&output.stderr));
}

#[test]
fn a_command_is_quiet_unless_a_log_is_asked_for() {
    let folder = folder();
    let server = ServerProgram::start(folder.path());
    let stderr = |arguments: &[&str]| {
        let output = run(folder.path(), arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    assert_eq!(stderr(&["role", "list"]), "");
    assert!(stderr(&["role", "list", "--log", "info"]).contains("breached passwords"));
    drop(server);
}

#[test]
fn a_server_with_compatibility_answers_old_clients() {
    let folder = folder();
    let server = ServerProgram::with(&mut authy(folder.path(), &["--listen", "127.0.0.1:0", "--compat", "poptape"]));
    // base64 of the password.
    let encoded = "dGFuZ2VyaW5lLWxpZ2h0aG91c2UtNDI=";
    let body = format!(
        r#"{{"username":"ada","email":"ada@example.org","password":"{encoded}","confirm_password":"{encoded}"}}"#
    );
    let json = ["-H", "content-type: application/json", "-d"];
    let answer = server.curl(&[&json[..], &[&body, &format!("{}/authy/user", server.url())]].concat());
    assert!(answer.contains("\"token\":"), "{answer}");
    let body = format!(r#"{{"username":"ada","password":"{PASSWORD}"}}"#);
    let answer = server.curl(&[&json[..], &[&body, &format!("{}/authy/login", server.url())]].concat());
    assert!(answer.contains("\"token\":"), "{answer}");
}
