//! What cannot be replayed is said before anything is sent, and quotes no secret.

use super::*;

#[tokio::test]
async fn a_server_that_is_away_is_named_at_once() {
    let app = TestApp::new().await;
    let requests = lines(&[log_in("ada", "hunter2"), json!({ "path": "/authy/status" })]);
    let away = "http://127.0.0.1:1";
    for (old, new, name) in [(away, &*app.url(), "old"), (&*app.url(), away, "new")] {
        let found = shadow(old, new, &requests, &[]).await;
        let expected = format!("the {name} server, {away}, cannot be reached");
        assert!(found.code == Some(1) && found.said.contains(&expected), "{found:?}");
        assert!(found.report.is_empty() && !found.said.contains("hunter2"), "{found:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_named_and_nothing_is_sent() {
    let receiver = Receiver::start(|_| Reaction::Status(200)).await;
    let url = format!("http://{}", receiver.address);
    let good = json!({ "path": "/authy/status" });
    let write = lines(&[json!({ "method": "POST", "path": "/authy/user" }), json!({ "path": "/logo.png" })]);
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("allow.txt");
    std::fs::write(&rules, "# mine\nGET /authy/user hunter2 x\n").unwrap();
    for (requests, arguments, code, part) in [
        (format!("{good}\n{{\"path\":\"/authy\",\"password\":\"hunter2\"}}\n"), &[][..], 1, "line 2: has a field"),
        (format!("{good}\nhunter2\n"), &[], 1, "line 2: is no JSON"),
        ("{\"log\":{\"entries\":[{\"request\":\"hunter2\"}]}}".to_owned(), &[], 1, "is no HAR file"),
        (String::new(), &[], 1, "contains no requests"),
        (write, &[], 1, "no request of the recording can be replayed"),
        (good.to_string(), &["--allow", rules.to_str().unwrap()], 1, "allow.txt: line 2: is not about"),
        (good.to_string(), &["--allow", "/nowhere"], 1, "/nowhere cannot be read"),
        (good.to_string(), &["--rate", "0"], 2, "--rate"),
        (good.to_string(), &["--new", "http://auth.example"], 2, "without encryption"),
    ] {
        let found = match arguments.first() {
            Some(&"--new") => shadow(&url, arguments[1], &requests, &[]).await,
            Some(&"--rate") => {
                let mut command = program(folder.path());
                command.args(["shadow", "--old", &url, "--new", &url, "--requests", "/dev/null", "--rate", "0"]);
                finished(command).await
            }
            _ => shadow(&url, &url, &requests, arguments).await,
        };
        assert!(found.code == Some(code) && found.said.contains(part), "{part}: {found:?}");
        assert!(!found.said.contains("hunter2") && found.report.is_empty(), "{found:?}");
    }
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn the_rules_that_always_apply_are_printed_as_rules() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program(folder.path());
    command.args(["shadow", "--show-allowed"]);
    let shown = finished(command).await;
    assert!(shown.code == Some(0) && shown.report.contains("* /** field message"), "{shown:?}");

    // And are a file of rules, which matches nothing more.
    let app = TestApp::new().await;
    let rules = folder.path().join("rules");
    std::fs::write(&rules, &shown.report).unwrap();
    let requests = lines(&[json!({ "path": "/authy/status" })]);
    let found = shadow(&app.url(), &app.url(), &requests, &["--allow", rules.to_str().unwrap()]).await;
    assert!(found.code == Some(0) && found.report.contains("matched nothing: * /** field message"), "{found:?}");
}
