//! The commands on users and sessions: by name and by ID, deleted users included, for people and as JSON.

use super::*;

fn json(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&succeeds(folder, &[arguments, &["--json"]].concat())).unwrap()
}

/// Runs a command with a line on its standard input.
fn type_into(folder: &Path, line: &str, arguments: &[&str]) -> Output {
    let mut child =
        authy(folder, arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{line}").unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_user_is_found_by_name_and_by_id_deleted_or_not() {
    let folder = folder();
    let (path, server) = (folder.path(), ServerProgram::start(folder.path()));
    server.sign_up("ada");
    let user = json(path, &["user", "show", "ada"]);
    let id = user["public_id"].as_str().unwrap();
    assert_eq!((&user["username"], &user["roles"][0]), (&"ada".into(), &"user".into()));
    for arguments in [&["user", "show", id][..], &["user", "show", "--public-id", id], &["user", "show", "ADA"]] {
        assert_eq!(json(path, arguments), user, "{arguments:?}");
    }
    let shown = succeeds(path, &["user", "show", "ada"]);
    assert!(shown.contains("ada@example.org (not confirmed)") && shown.contains("user (level 10)"), "{shown}");
    assert!(fails(path, &["user", "show", "nobody-at-all"]).contains("there is no user nobody-at-all"));

    // A user who has chosen the ID of another one as a name is not mistaken for that one.
    succeeds(path, &["user", "create", "--username", id, "--email", "eve@example.org"]);
    assert_eq!(json(path, &["user", "show", id]), user);
    assert_eq!(json(path, &["user", "show", "--username", id])["email"], "eve@example.org");

    let listed = json(path, &["user", "list", "--role", "user", "--per-page", "1"]);
    assert_eq!((listed["total_records"].as_u64(), &listed["users"][0]), (Some(2), &user));
    let second = succeeds(path, &["user", "list", "--per-page", "1", "--page", "2"]);
    assert!(second.contains("1 of 3 users\n"), "{second}");
    let position = |page: &str, name: &str| {
        let line = page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{page}"));
        line.split("--after ").nth(1).unwrap().to_owned()
    };
    let at = |position: &str| succeeds(path, &["user", "list", "--per-page", "1", "--after", position]);
    let (third, first) = (at(&position(&second, "next page:")), at(&position(&second, "previous page:")));
    assert!(third.contains("eve@example.org") && !third.contains("next page:"), "{third}");
    assert!(first.contains(" admin ") && !first.contains("previous page:"), "{first}");
    assert!(listed["next_url"].as_str().unwrap().starts_with("/authy/users?per_page=1&role=user&after="), "{listed}");
    assert!(fails(path, &["user", "list", "--page", "101"]).contains("next_url"), "it says how to go on");
    let found = json(path, &["user", "find", "eve@"]);
    assert_eq!(found["users"][0]["username"], id);

    succeeds(path, &["user", "delete", "ada"]);
    assert_eq!(json(path, &["user", "show", "ada"])["deleted"], true);
    assert!(json(path, &["user", "list", "--deleted", "true"])["users"][0]["username"] == "ada");
    assert!(fails(path, &["user", "logout", "ada"]).contains("already_deleted"));
    succeeds(path, &["user", "restore", "ada"]);
    assert_eq!(json(path, &["user", "show", "ada"])["deleted"], false);
}

#[test]
fn events_are_found_by_the_name_of_a_user_deleted_or_not() {
    let folder = folder();
    let (path, server) = (folder.path(), ServerProgram::start(folder.path()));
    server.sign_up("ada");
    server.sign_up("bob");
    let id = json(path, &["user", "show", "ada"])["public_id"].as_str().unwrap().to_owned();
    succeeds(path, &["user", "delete", "ada"]);
    let by_id = json(path, &["event", "list", "--user", &id]);
    assert!(by_id.as_array().unwrap().len() >= 2, "{by_id}");
    assert_eq!(json(path, &["event", "list", "--user", "Ada"]), by_id);
    succeeds(path, &["user", "erase", "ada"]);
    assert_eq!(json(path, &["event", "list", "--user", &id, "--kind", "user.erased"]).as_array().unwrap().len(), 1);
    // The trail may have more users than the database.
    assert_eq!(json(path, &["event", "list", "--user", "5e8f2a52-3b7c-4c1e-9a50-7d3c1b0f9e24"]), serde_json::json!([]));
    for command in ["list", "tail"] {
        let error = fails(path, &["event", command, "--user", "nobody-at-all"]);
        assert!(error.contains("there is no user nobody-at-all"), "{error}");
    }
}

#[test]
fn what_a_command_has_done_is_printed_as_json() {
    let folder = folder();
    let (path, server) = (folder.path(), ServerProgram::start(folder.path()));
    let address = server.url().strip_prefix("http://").unwrap();
    assert_eq!(json(path, &["issuer", "show"])["issuer"], server.url());
    let migrated = json(path, &["migrate"]);
    assert!(
        migrated["applied"].as_array().unwrap().is_empty() && migrated["version"].as_u64() > Some(30),
        "{migrated}"
    );
    assert_eq!(json(path, &["health", "--listen", address])["ready"], true);
    let created = json(path, &["user", "create", "--username", "eve", "--email", "eve@example.org"]);
    assert_eq!(created["public_id"], json(path, &["user", "show", "eve"])["public_id"]);
    assert_eq!((&created["role"], &created["is_invited"]), (&"user".into(), &true.into()));
    let kid = json(path, &["key", "rotate"])["kid"].as_str().unwrap().to_owned();
    assert!(json(path, &["key", "list"]).as_array().unwrap().iter().any(|key| key["kid"] == kid.as_str()));
    assert_eq!(json(path, &["key", "reseal"])["keys"], 0);
    server.sign_up("ada");
    for _ in 0..2 {
        server.log_in("ada", PASSWORD);
    }
    let id = json(path, &["user", "show", "ada"])["public_id"].clone();
    let session = json(path, &["session", "list", "ada"])[0]["session_id"].as_str().unwrap().to_owned();
    let ended = json(path, &["session", "end", &session]);
    assert_eq!((&ended["session_id"], &ended["public_id"]), (&session.as_str().into(), &id));
    assert_eq!(json(path, &["session", "end", "--user", "ada"])["public_id"], id);
    server.log_in("ada", PASSWORD);
    let ended = json(path, &["session", "end", "--all", "--yes"]);
    assert_eq!((&ended["sessions"], &ended["users"]), (&1.into(), &3.into()), "{ended}");
    let recovered = json(path, &["recover", "--yes"]);
    assert_eq!(recovered["sessions"], 0);
    assert!(!recovered["revoked_keys"].as_array().unwrap().is_empty(), "{recovered}");
}

#[test]
fn an_operator_ends_sessions_sets_a_password_and_unlocks_an_account() {
    let folder = folder();
    let (path, server) = (folder.path(), ServerProgram::start(folder.path()));
    server.sign_up("ada");
    let log_in = |password: &str| serde_json::from_str::<serde_json::Value>(&server.log_in("ada", password)).unwrap();
    let tokens: Vec<_> = (0..3).map(|_| log_in(PASSWORD)["token"].as_str().unwrap().to_owned()).collect();
    let is_good = |token: &str| {
        let bearer = format!("authorization: Bearer {token}");
        server.curl(&[&format!("{}/authy/user", server.url()), "-H", &bearer]).contains("ada@example.org")
    };
    let sessions = json(path, &["session", "list", "ada"]);
    assert_eq!(sessions.as_array().unwrap().len(), 3);
    assert!(succeeds(path, &["session", "list", "ada"]).lines().all(|line| line.contains("from 127.0.0.1")));
    let newest = sessions[0]["session_id"].as_str().unwrap();
    assert!(succeeds(path, &["session", "end", newest]).contains("is ended"));
    assert!(fails(path, &["session", "end", newest]).contains("or it has ended"));
    until("the session has ended everywhere", || (!is_good(&tokens[2])).then_some(()));
    assert!(is_good(&tokens[0]) && is_good(&tokens[1]));
    succeeds(path, &["session", "end", "--user", "ada"]);
    until("all sessions have ended everywhere", || (!is_good(&tokens[0]) && !is_good(&tokens[1])).then_some(()));
    assert_eq!(json(path, &["session", "list", "ada"]), serde_json::json!([]));

    let set = ["user", "set-password", "ada", "--password-stdin"];
    let weak = text(&type_into(path, "password1", &set).stderr);
    assert!(weak.contains("too easy to guess"), "{weak}");
    const OTHER: &str = "carousel-marmalade-58";
    let done = type_into(path, OTHER, &set);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(log_in(PASSWORD)["code"], "invalid_credentials");
    assert!(log_in(OTHER)["token"].is_string());
    assert!(fails(path, &["user", "set-password", "ada"]).contains("use --password-stdin"));

    for _ in 0..6 {
        log_in("wrong");
    }
    assert_eq!(log_in(OTHER)["code"], "invalid_credentials", "the account is slowed");
    succeeds(path, &["user", "unlock", "ada"]);
    assert!(log_in(OTHER)["token"].is_string());
    succeeds(path, &["user", "logout", "ada"]);
    assert_eq!(json(path, &["session", "list", "ada"]), serde_json::json!([]));

    // Each of them is in the trail, as an act of the operator.
    for kind in ["session.ended", "sessions.ended", "password.changed", "account.unlocked"] {
        let events = json(path, &["event", "list", "--kind", kind]);
        assert_eq!(events[0]["actor_kind"], "operator", "{kind}: {events}");
    }
}

#[test]
fn whatever_is_listed_is_listed_as_json() {
    let folder = folder();
    let (path, _server) = (folder.path(), ServerProgram::start(folder.path()));
    assert_eq!(json(path, &["role", "list"])[0]["name"], "superadmin");
    assert_eq!(json(path, &["key", "list"])[0]["state"], "active");
    assert_eq!(json(path, &["event", "list", "--limit", "1"]).as_array().unwrap().len(), 1);
    assert_eq!(json(path, &["event", "list", "--stuck"]), serde_json::json!([]));
    assert_eq!(json(path, &["event", "sinks"])[0]["sink"], "mail");
}
