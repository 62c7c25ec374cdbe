//! The week before a switch: the first authy, and a server of today with its users.

use authy_core::{
    engine::{FirstAuthy, ImportOptions, ImportSource},
    tls::Roots,
};
use authy_tests::{
    first_authy::FirstAuthyProgram,
    legacy,
    old_database::{self, OldUser},
    operator,
};

use super::*;

/// The first authy, and a server of today into which its users were imported.
async fn both() -> (FirstAuthyProgram, TestApp, Vec<OldUser>) {
    let names = ["four", "ada", "ADA", "spaces", "gone"];
    let chosen = |user: &OldUser| names.contains(&user.username.as_deref().unwrap_or_default());
    let users: Vec<_> = old_database::users().into_iter().filter(chosen).collect();
    let (old, database) = (FirstAuthyProgram::start(&users).await, old_database::create(&users).await);
    let new = TestApp::with(|config, http| {
        config.legacy_tokens = Some(legacy::accepted());
        http.compat = Some(Compat::Poptape);
    })
    .await;
    let source = ImportSource::first_authy(FirstAuthy {
        database,
        roots: Roots::platform(),
        app_time_zone: Some("Europe/Berlin".to_owned()),
        database_time_zone: None,
    });
    new.authy.import(&operator(), source, &ImportOptions::default(), |_| ()).await.unwrap();
    (old, new, users)
}

/// A browser's recording: each user logs in and looks at the account.
fn recording(users: &[OldUser]) -> String {
    let mut entries = Vec::new();
    let headers = |token: Option<&str>| {
        let mut headers = json!([
            { "name": ":authority", "value": "shop.example" }, { "name": "cookie", "value": "cart=7" },
            { "name": "Content-Type", "value": "application/json" },
        ]);
        let token = token.map(|token| json!({ "name": "X-Access-Token", "value": token }));
        headers.as_array_mut().unwrap().extend(token);
        headers
    };
    for user in users {
        let (name, id) = (user.username.as_deref().unwrap(), user.public_id.as_deref().unwrap());
        let body = json!({ "username": name, "password": BASE64_STANDARD.encode(&user.password) }).to_string();
        // What the first authy answered when it was recorded: long ago, and to nobody now.
        let token = format!("eyJ0.recorded-{}.x", user.id);
        let is_deleted = user.deleted == Some(true);
        let answered = if is_deleted { json!({ "message": "no" }) } else { json!({ "token": token }) };
        entries.push(json!({
            "request": { "method": "POST", "url": "https://shop.example/authy/login", "headers": headers(None),
                         "postData": { "mimeType": "application/json", "text": body } },
            "response": { "status": 200, "content": { "text": answered.to_string() } },
        }));
        let own = ["user", "checkaccess/10", "checkaccess/5"].map(|path| (path.to_owned(), Some(&*token)));
        let public = ["status".to_owned(), format!("username/{id}")].map(|path| (path, None));
        let own = own.into_iter().filter(|_| !is_deleted);
        for (path, token) in own.chain(public) {
            entries.push(json!({
                "request": { "method": "GET", "url": format!("https://shop.example/authy/{path}"), "headers": headers(token) },
                "response": { "status": 200, "content": {} },
            }));
        }
    }
    entries.push(json!({ "request": { "method": "GET", "url": "https://shop.example/logo.png" } }));
    json!({ "log": { "version": "1.2", "entries": entries } }).to_string()
}

#[tokio::test]
async fn the_first_authy_and_its_successor_differ_in_what_is_intended_and_in_the_time_zone() {
    let (old, new, users) = both().await;
    let found = shadow(&old.url, &new.url(), &recording(&users), &[]).await;
    assert_eq!(found.code, Some(3), "{found:?}");
    // The first authy calls its local time GMT.
    let blocks: Vec<_> =
        found.report.lines().filter(|line| line.contains(" times") && !line.contains("allowed")).collect();
    assert_eq!(blocks, ["GET /authy/user: field created differs, 4 times"], "{found:?}");
    assert!(
        found.report.contains("Sun, 01 Mar 2020 12:00:00 GMT")
            && found.report.contains("Sun, 01 Mar 2020 11:00:00 GMT")
    );
    for part in
        ["first: entry 2, GET /authy/user: created, old \"", "not compared, 1: they are not for authy", "4 different"]
    {
        assert!(found.report.contains(part), "{part}: {found:?}");
    }
    // No token, no password.
    let printed = format!("{}{}", found.report, found.said);
    for secret in ["recorded-", "eyJ", "password of"] {
        assert!(!printed.contains(secret), "{found:?}");
    }
    assert!(users.iter().all(|user| !printed.contains(&BASE64_STANDARD.encode(&user.password))), "{found:?}");

    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("allow.txt");
    std::fs::write(&rules, "# local time\nGET /authy/user field created\nGET /authy/role status 200->404\n").unwrap();
    let rules = rules.to_str().unwrap();
    let found = shadow(&old.url, &new.url(), &recording(&users), &["--allow", rules]).await;
    assert_eq!(found.code, Some(0), "{found:?}");
    for part in [
        "allowed 4 times: GET /authy/user field created",
        "the rule in line 3 matched nothing: GET /authy/role status 200->404",
    ] {
        assert!(found.report.contains(part), "{part}: {found:?}");
    }
}

#[tokio::test]
async fn a_user_who_was_changed_meanwhile_is_found() {
    let (old, new, users) = both().await;
    let four = users.iter().find(|user| user.username.as_deref() == Some("four")).unwrap();
    let id = four.public_id.as_ref().unwrap().parse().unwrap();
    new.authy.roles().grant(&operator(), &"admin".parse().unwrap(), id).await.unwrap();
    let found = shadow(&old.url, &new.url(), &recording(&users), &["--json"]).await;
    assert_eq!(found.code, Some(3), "{found:?}");
    let report: Value = serde_json::from_str(&found.report).unwrap();
    let differences = report["differences"].as_array().unwrap();
    let more = differences.iter().find(|group| group["difference"] == "status 401 -> 200").unwrap();
    assert_eq!((&more["route"], &more["count"]), (&json!("/authy/checkaccess/{level}"), &json!(1)), "{report:#}");
    assert_eq!(more["first"]["request"], "GET /authy/checkaccess/5", "{report:#}");
    assert_eq!(
        report["different"].as_u64().unwrap() + report["same"].as_u64().unwrap() + report["intended"].as_u64().unwrap(),
        report["compared"],
        "{report:#}"
    );

    // A login that one of both refuses: what needs its token is not compared.
    new.authy.users().delete(&operator(), id).await.unwrap();
    let found = shadow(&old.url, &new.url(), &recording(&users), &[]).await;
    assert_eq!(found.code, Some(3), "{found:?}");
    for part in [
        "POST /authy/login: status 200 -> 401, once",
        "not compared, 3: the login",
        "GET /authy/username/{public_id}: status 200 -> 404, once",
    ] {
        assert!(found.report.contains(part), "{part}: {found:?}");
    }
}
