//! Every endpoint against every kind of caller: without a token, with garbage, with an expired token, by
//! a user with too little power, and by one with enough.

use std::{collections::BTreeMap, time::Duration};

use authy_core::{
    RoleName, UserId,
    api::{Info, Method, PathParams as _, all},
};
use authy_tests::{
    TestApp, until,
    wire::{Answer, send},
};
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq)]
enum ExpectedAccess {
    Public,
    User,
    Admin,
}

/// Who may call what, written down a second time: a row that is changed by mistake shows here.
const MATRIX: &[(&str, ExpectedAccess)] = &[
    ("Login", ExpectedAccess::Public),
    ("Refresh", ExpectedAccess::Public),
    ("Logout", ExpectedAccess::User),
    ("ListSessions", ExpectedAccess::User),
    ("EndOtherSessions", ExpectedAccess::User),
    ("EndSession", ExpectedAccess::User),
    ("EndUserSessions", ExpectedAccess::Admin),
    ("CheckAccess", ExpectedAccess::User),
    ("GetKeys", ExpectedAccess::Public),
    ("GetKeysAtRoot", ExpectedAccess::Public),
    ("GetMetadata", ExpectedAccess::Public),
    ("GetMetadataAtRoot", ExpectedAccess::Public),
    ("GetRevocations", ExpectedAccess::Public),
    ("Register", ExpectedAccess::Public),
    ("GetSelf", ExpectedAccess::User),
    ("DeleteSelf", ExpectedAccess::User),
    ("GetOwnRoles", ExpectedAccess::User),
    ("CreateUser", ExpectedAccess::Admin),
    ("ListUsers", ExpectedAccess::Admin),
    ("GetUser", ExpectedAccess::Admin),
    ("DeleteUser", ExpectedAccess::Admin),
    ("GetUserRoles", ExpectedAccess::Admin),
    ("GetUsername", ExpectedAccess::Public),
    ("FindUser", ExpectedAccess::Public),
    ("ChangeUser", ExpectedAccess::Admin),
    ("GetValidation", ExpectedAccess::Public),
    ("Validate", ExpectedAccess::Public),
    ("ResendValidation", ExpectedAccess::User),
    ("ForgotPassword", ExpectedAccess::Public),
    ("ResetPassword", ExpectedAccess::Public),
    ("SendReset", ExpectedAccess::Admin),
    ("RestoreUser", ExpectedAccess::Admin),
    ("ExportSelf", ExpectedAccess::User),
    ("FindPasswordPage", ExpectedAccess::Public),
    ("ListRoles", ExpectedAccess::Admin),
    ("CreateRole", ExpectedAccess::Admin),
    ("GetRole", ExpectedAccess::Admin),
    ("DeleteRole", ExpectedAccess::Admin),
    ("ListRoleUsers", ExpectedAccess::Admin),
    ("GrantRole", ExpectedAccess::Admin),
    ("RevokeRole", ExpectedAccess::Admin),
    ("ListEvents", ExpectedAccess::Admin),
    ("ListEndpoints", ExpectedAccess::Public),
    ("GetStatus", ExpectedAccess::Public),
    ("GetRateLimited", ExpectedAccess::Public),
    ("GetOpenApi", ExpectedAccess::Public),
    ("GetAsyncApi", ExpectedAccess::Public),
];

fn matrix() -> impl Iterator<Item = (&'static Info, ExpectedAccess)> {
    let matrix: BTreeMap<_, _> = MATRIX.iter().copied().collect();
    all().map(move |info| match matrix.get(info.name) {
        Some(who) => (info, *who),
        None => panic!("{} is missing from the matrix: say who may call it", info.name),
    })
}

/// Calls an endpoint about a user and a thing that do not exist, with an empty object as its body.
async fn call(app: &TestApp, info: &Info, credential: &str) -> Answer {
    call_with(app, info, "", credential).await
}

/// The same with a query.
async fn call_with(app: &TestApp, info: &Info, query: &str, credential: &str) -> Answer {
    let path = info.path.replace("{level}", "99999").replace("{username}", "unknown-user");
    let path = match path.matches('{').count() {
        2 => (role(), UserId::random()).fill(&path),
        _ if path.contains("{role_name}") => (role(),).fill(&path),
        1 => (UserId::random(),).fill(&path),
        _ => path,
    };
    let body = if info.method == Method::POST { "{}" } else { "" };
    let head = format!("{} {path}{query} HTTP/1.1\ncontent-type: application/json\n{credential}", info.method);
    send(app.address, &head, body).await
}

fn role() -> RoleName {
    "no-such-role".parse().unwrap()
}

#[tokio::test]
async fn every_endpoint_is_in_the_matrix_once() {
    assert_eq!(matrix().count(), MATRIX.len());
}

#[tokio::test]
async fn without_a_token_only_public_endpoints_answer() {
    let app = TestApp::new().await;
    for (info, who) in matrix() {
        let answer = call(&app, info, "").await;
        if who == ExpectedAccess::Public {
            assert!(![401, 403].contains(&answer.status) && answer.status < 500, "{}: {answer:?}", info.name);
        } else {
            assert_eq!(answer.code(), "token_required", "{}", info.name);
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"), "{}", info.name);
        }
    }
}

#[tokio::test]
async fn a_bad_token_is_refused_and_public_endpoints_ignore_it() {
    let app = TestApp::new().await;
    let user = app.superadmin().await;
    let short = TestApp::on(app.database.clone(), app.master_keys.clone(), |config, _| {
        config.access_ttl = Duration::from_secs(1);
    });
    let expired = short.await.again(&user).await;
    let client = app.anonymous().with_token(expired.token.clone());
    let is_refused = || async { client.get_self().await.is_err() };
    until("the token has expired", is_refused).await;
    let good = user.token.expose();
    let bad = [
        "garbage".to_owned(),
        "a.b.c".to_owned(),
        good[..good.len() - 5].to_owned(),
        format!("{good}x"),
        expired.token.expose().to_owned(),
    ];
    for (info, who) in matrix() {
        for token in &bad {
            for credential in [format!("x-access-token: {token}"), format!("authorization: bearer {token}")] {
                let answer = call(&app, info, &credential).await;
                if who == ExpectedAccess::Public {
                    assert!(![401, 403].contains(&answer.status), "{}: {answer:?}", info.name);
                } else {
                    assert_eq!(answer.code(), "invalid_token", "{}", info.name);
                    let challenge = answer.header("www-authenticate");
                    assert_eq!((answer.status, challenge), (401, "Bearer error=\"invalid_token\""), "{}", info.name);
                }
            }
        }
    }
}

#[tokio::test]
async fn administration_is_for_administrators() {
    let app = TestApp::new().await;
    let callers = [("guest", false), ("user", false), ("admin", true), ("superadmin", true)];
    for (role, is_admin) in callers {
        for (info, who) in matrix() {
            // A user of one's own for each call: one of the calls deletes the caller.
            let user = app.user_with_role(role).await;
            let answer = call(&app, info, &format!("x-access-token: {}", user.token.expose())).await;
            if who == ExpectedAccess::Admin && !is_admin {
                assert_eq!(
                    (answer.status, answer.code().as_str()),
                    (403, "insufficient_level"),
                    "{role} {}",
                    info.name
                );
            } else {
                assert!(![401, 403].contains(&answer.status), "{role} {}: {answer:?}", info.name);
                assert!(answer.status < 500, "{role} {}: {answer:?}", info.name);
            }
        }
    }
}

#[tokio::test]
async fn a_caller_without_permission_is_refused_before_the_body_is_read() {
    let app = TestApp::new().await;
    let weak = app.user().await;
    let has_body = |info: &Info| [Method::POST, Method::PUT].contains(&info.method);
    for (info, who) in matrix().filter(|(info, who)| has_body(info) && *who != ExpectedAccess::Public) {
        let path =
            info.path.replace("{role_name}", "no-such-role").replace("{public_id}", &UserId::random().to_string());
        let head = format!("{} {path} HTTP/1.1\ncontent-type: text/plain", info.method);
        assert_eq!(send(app.address, &head, "no json").await.status, 401, "{who:?} {}", info.name);
        let head = format!("{head}\nauthorization: Bearer {}", weak.token.expose());
        let expected = if who == ExpectedAccess::Admin { 403 } else { 415 };
        assert_eq!(send(app.address, &head, "no json").await.status, expected, "{who:?} {}", info.name);
    }
}

#[tokio::test]
async fn an_unknown_parameter_is_named_where_a_query_is_declared_and_ignored_elsewhere() {
    let app = TestApp::new().await;
    let mut declared = 0;
    for (info, _) in matrix() {
        // A user of one's own for each call: one of the calls deletes the caller.
        let credential = format!("x-access-token: {}", app.superadmin().await.token.expose());
        let answer = call_with(&app, info, "?colour=red&colour=blue", &credential).await;
        let has_query = !info.fields.is_empty() && [Method::GET, Method::DELETE].contains(&info.method);
        let fields = if answer.status == 400 { answer.json()["fields"].clone() } else { Value::Null };
        let is_named = fields.as_array().is_some_and(|fields| fields.iter().any(|field| field["field"] == "colour"));
        assert_eq!(is_named, has_query, "{}: {answer:?}", info.name);
        if has_query {
            assert_eq!((&fields[0]["code"], fields[1].is_null()), (&"unknown_field".into(), true), "{}", info.name);
            declared += 1;
        }
    }
    assert!(declared > 4, "{declared}");
}
