//! `doctor`: what it finds with a server that runs, without one, and with services that are away.

use std::time::Instant;

use super::*;

/// The exit code of a diagnosis, and its findings as pairs of area and level.
fn diagnosis(command: &mut Command) -> (i32, serde_json::Value) {
    let output = command.output().unwrap();
    let printed = text(&output.stdout);
    let findings = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}{}", text(&output.stderr)));
    (output.status.code().unwrap(), findings)
}

fn of<'a>(findings: &'a serde_json::Value, area: &str) -> Vec<&'a serde_json::Value> {
    findings.as_array().unwrap().iter().filter(|finding| finding["area"] == area).collect()
}

#[test]
fn before_the_first_start_and_beside_a_server_everything_is_well() {
    let folder = folder();
    let (code, findings) = diagnosis(&mut authy(folder.path(), &["doctor", "--json"]));
    let worse: Vec<_> = findings.as_array().unwrap().iter().filter(|finding| finding["level"] != "ok").collect();
    // A container may have a low limit of open files.
    assert!(worse.iter().all(|finding| finding["area"] == "limits" || finding["area"] == "disk"), "{worse:?}");
    assert_eq!(code == 0, worse.is_empty());
    assert!(of(&findings, "database")[0]["message"].as_str().unwrap().contains("the first start"), "{findings}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was left behind");

    let server = ServerProgram::start(folder.path());
    let (_, findings) = diagnosis(&mut authy(folder.path(), &["doctor", "--json"]));
    for area in
        ["configuration", "compatibility", "url", "database", "clock", "schema", "keys", "broker", "mail", "webhook"]
    {
        let found = of(&findings, area);
        assert!(!found.is_empty() && found.iter().all(|finding| finding["level"] == "ok"), "{area}: {findings}");
    }
    assert!(of(&findings, "keys")[0]["message"].as_str().unwrap().contains("the next key replaces it after"));
    let printed = text(&authy(folder.path(), &["doctor"]).output().unwrap().stdout);
    assert!(printed.contains("ok       database       PostgreSQL "), "{printed}");
    drop(server);
}

#[test]
fn services_that_are_away_are_problems_and_no_password_is_shown() {
    let folder = folder();
    // One that refuses connections, and one that accepts them and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap();
    let mut command = authy(folder.path(), &["doctor", "--json"]);
    command
        .env("AUTHY_DATABASE_URL", "postgresql://authy:hunter2@127.0.0.1:1/authy")
        .env("AUTHY_MASTER_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
        .env("AUTHY_AMQP_URL", format!("amqp://authy:hunter2@{silent}"))
        .env("AUTHY_SMTP_URL", format!("smtp://authy:hunter2@{silent}"))
        .env("AUTHY_MAIL_FROM", "a@shop.example")
        .env("AUTHY_WEBHOOK_URL", "http://127.0.0.1:1/")
        .env("AUTHY_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let begun = Instant::now();
    let (code, findings) = diagnosis(&mut command);
    // Each has ten seconds, and they are asked at the same time.
    assert!(begun.elapsed() < Duration::from_secs(19), "{:?}", begun.elapsed());
    assert_eq!(code, 2);
    for area in ["database", "broker", "mail", "webhook"] {
        let found = of(&findings, area);
        assert!(found.iter().any(|finding| finding["level"] == "problem"), "{area}: {findings}");
        assert!(found.iter().all(|finding| finding["level"] == "ok" || finding["remedy"].is_string()), "{findings}");
    }
    assert!(of(&findings, "url").iter().any(|finding| finding["level"] == "warning"), "{findings}");
    let printed = findings.to_string();
    assert!(
        !printed.contains("hunter2") && !printed.contains("MfKQ9r8G") && !printed.contains("AAECAwQF"),
        "{printed}"
    );
}

#[test]
fn a_mail_server_is_asked_as_far_as_the_login_over_starttls_and_over_tls() {
    for (scheme, query, option) in [("smtps", "", Some("--smtps")), ("smtp", "?tls=required", None)] {
        let folder = folder();
        let certificate = folder.path().join("mail.pem");
        let mailbox = mail::SmtpProcess::start(&certificate, option);
        let mail = |password: &str, roots: Option<&Path>| {
            let url = format!("{scheme}://shop:{password}@localhost:{}{query}", mailbox.port);
            let mut command = authy(folder.path(), &["doctor", "--json"]);
            command.env("AUTHY_SMTP_URL", url).env("AUTHY_MAIL_FROM", "a@shop.example");
            if let Some(roots) = roots {
                command.env("AUTHY_TLS_CA", roots);
            }
            let finding = of(&diagnosis(&mut command).1, "mail")[0].clone();
            assert!(!finding.to_string().contains(password), "{finding}");
            finding
        };
        assert_eq!(mail("hunter2", Some(&certificate))["level"], "ok");
        assert!(mail("hunter3", Some(&certificate))["message"].as_str().unwrap().contains("does not accept the login"));
        assert!(mail("hunter2", None)["message"].as_str().unwrap().contains("certificate"));
    }
}

#[test]
fn a_wrong_master_key_and_wrong_settings_are_found_without_a_start() {
    let folder = folder();
    let server = ServerProgram::start(folder.path());
    let mut command = authy(folder.path(), &["doctor", "--json"]);
    command.env("AUTHY_MASTER_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let (code, findings) = diagnosis(&mut command);
    let keys = of(&findings, "keys");
    assert_eq!((code, &keys[0]["level"]), (2, &"problem".into()), "{findings}");
    assert!(keys[0]["message"].as_str().unwrap().contains("does not decrypt"), "{findings}");
    drop(server);
    let (code, findings) = diagnosis(&mut authy(folder.path(), &["doctor", "--json", "--listen", "8080"]));
    assert_eq!(code, 2);
    assert!(findings[0]["message"].as_str().unwrap().contains("AUTHY_LISTEN"), "{findings}");
}

#[test]
fn settings_that_do_not_suit_old_clients_are_found() {
    let folder = folder();
    let compatibility = |arguments: &[&str], secret: &str| {
        let mut command = authy(folder.path(), &[&["doctor", "--json", "--compat", "poptape"], arguments].concat());
        if !secret.is_empty() {
            command.env("AUTHY_LEGACY_HS512_SECRET", secret);
        }
        command.env("AUTHY_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let (code, findings) = diagnosis(&mut command);
        let found = of(&findings, "compatibility").into_iter().cloned().collect::<Vec<_>>();
        assert!(!findings.to_string().contains("hunter2"), "{findings}");
        // The machine of the test may have warnings of its own.
        let worse = findings
            .as_array()
            .unwrap()
            .iter()
            .filter(|finding| !["ok", "note"].contains(&finding["level"].as_str().unwrap()));
        let worse: Vec<_> = worse.filter(|finding| finding["area"] != "limits" && finding["area"] != "disk").collect();
        let has_own =
            findings.as_array().unwrap().iter().any(|finding| finding["level"] != "ok" && finding["level"] != "note");
        assert_eq!(code == 0, !has_own, "{findings}");
        (found, worse.is_empty())
    };
    let with = |found: &[serde_json::Value], level: &str, setting: &str| {
        found.iter().filter(|found| found["level"] == level && found.to_string().contains(setting)).count()
    };
    // What the guide says. That old tokens are accepted, and that they are not, is said and is no warning.
    let suitable = ["--access-ttl", "4h", "--trusted-proxies", "10.0.0.1"];
    for secret in ["", "hunter2"] {
        let (fine, is_well) = compatibility(&suitable, secret);
        assert_eq!((fine.len(), with(&fine, "ok", "")), (2, 1), "{fine:?}");
        assert_eq!(with(&fine, "note", "AUTHY_LEGACY_HS512_SECRET"), 1, "{fine:?}");
        assert!(is_well, "{fine:?}");
    }
    let (wrong, _) = compatibility(
        &[
            "--signing-alg",
            "RS256",
            "--access-ttl",
            "1h",
            "--webhook-url",
            "http://127.0.0.1:1/",
            "--require-validated",
            "true",
        ],
        "hunter2",
    );
    for setting in [
        "AUTHY_ACCESS_TTL",
        "AUTHY_SIGNING_ALG",
        "AUTHY_TRUSTED_PROXIES",
        "AUTHY_WEBHOOK_ACCEPT",
        "AUTHY_WEBHOOK_GIVE_UP",
    ] {
        assert_eq!(with(&wrong, "warning", setting), 1, "{setting}: {wrong:?}");
    }
    assert_eq!(with(&wrong, "note", "AUTHY_REQUIRE_VALIDATED"), 1, "{wrong:?}");
    assert_eq!(wrong.len(), 7);
    let webhook = ["--webhook-url", "http://127.0.0.1:1/", "--webhook-accept", "201,500", "--webhook-give-up", "2d"];
    let (fine, _) = compatibility(&[&suitable[..], &webhook].concat(), "");
    assert_eq!((fine.len(), with(&fine, "ok", "")), (2, 1), "{fine:?}");
}
