//! HS512 tokens of an earlier system, accepted until they expire or their user is revoked.

use std::time::Duration;

use authy_core::{
    UserId,
    api::{account::AccountChange, event::EventPage},
    engine::LegacyTokens,
    time::unix_now,
};
use authy_tests::{
    TestUser,
    legacy::{self, SECRET, header, sign},
    until,
};
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::*;

/// An app that accepts tokens of the earlier system for an hour.
async fn accepting() -> TestApp {
    TestApp::with(|config, _| config.legacy_tokens = Some(tokens_of(SECRET))).await
}

fn tokens_of(secret: &str) -> LegacyTokens {
    LegacyTokens { secret: Secret::new(secret), max_lifetime: Duration::from_secs(3600) }
}

/// A token as the first authy issued it. No two are the same.
fn token(user: &TestUser) -> String {
    legacy::token(user.id, &user.username)
}

async fn status(app: &TestApp, token: &str) -> u16 {
    with_token(app, "GET /authy/checkaccess/99", &json!(token)).await.status
}

/// A user who has never logged in here: as the import leaves them.
async fn imported(app: &TestApp, role: &str) -> TestUser {
    let user = app.user_with_role(role).await;
    let sql = app.sql().await;
    sql.execute("DELETE FROM authy.session WHERE user_id = $1", &[user.id.as_uuid()]).await.unwrap();
    user
}

async fn events(app: &TestApp, user: UserId, kind: EventKind) -> EventPage {
    let query = EventQuery { user: Some(user), kind: Some(kind), ..EventQuery::default() };
    app.authy.events().list(&query).await.unwrap()
}

#[tokio::test]
async fn an_old_token_works_as_a_new_one_with_the_level_of_the_database() {
    let app = accepting().await;
    let (user, admin) = (imported(&app, "user").await, imported(&app, "admin").await);
    let (old, powerful) = (token(&user), token(&admin));
    let granted = with_token(&app, "GET /authy/checkaccess/10", &json!(old)).await;
    let expected = json!({ "public_id": user.id, "username": user.username, "level": 10, "roles": ["user"] });
    assert_eq!((granted.status, granted.json()), (200, expected));
    assert_eq!(with_token(&app, "GET /authy/checkaccess/9", &json!(old)).await.status, 403);
    assert_eq!(with_token(&app, "GET /authy/users", &json!(old)).await.status, 403);
    assert_eq!(with_token(&app, "GET /authy/users", &json!(powerful)).await.status, 200);
    assert_eq!(
        with_token(&app, &format!("DELETE /authy/user/{}/session", user.id), &json!(powerful)).await.status,
        204
    );

    // One session, however often it is used, and one event.
    let sessions = with_token(&app, "GET /authy/user/session", &json!(powerful)).await.json();
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 1, "{sessions}");
    let opened = events(&app, admin.id, EventKind::SessionOpened).await.events;
    let legacy: Vec<_> = opened.iter().filter(|event| event.detail.get("legacy") == Some(&json!(true))).collect();
    assert_eq!((legacy.len(), &legacy[0].detail["level"]), (1, &json!(1)));
    assert_eq!(json!(legacy[0].session_id), sessions["sessions"][0]["session_id"]);
}

#[tokio::test]
async fn whatever_revokes_a_user_voids_old_tokens_used_or_not() {
    let app = accepting().await;
    let root = app.superadmin().await;
    for what in
        ["logout", "end others", "end all", "everyone", "password", "delete", "restore", "grant", "revoke", "new login"]
    {
        let user = imported(&app, "user").await;
        let (used, unused) = (token(&user), token(&user));
        assert_eq!(status(&app, &used).await, 200, "{what}");
        let (sessions, users, roles) = (app.authy.sessions(), app.authy.users(), app.authy.roles());
        let (own, guest) = (app.again(&user).await, "guest".parse().unwrap());
        match what {
            "logout" => assert_eq!(with_token(&app, "POST /authy/logout", &json!(used)).await.status, 204),
            "end others" => own.client.end_other_sessions().await.map(drop).unwrap(),
            "end all" => root.client.end_user_sessions(user.id).await.map(drop).unwrap(),
            "everyone" => drop(sessions.end_everyone(&operator()).await.unwrap()),
            "password" => {
                let change = AccountChange::password(Some(Secret::new(PASSWORD)), Secret::new("carousel-marmalade-58"));
                own.client.change_user(user.id, change.unwrap()).await.map(drop).unwrap();
            }
            "delete" => users.delete(&operator(), user.id).await.unwrap(),
            "restore" => {
                users.delete(&operator(), user.id).await.unwrap();
                users.restore(&operator(), user.id).await.unwrap();
            }
            "grant" => roles.grant(&operator(), &guest, user.id).await.unwrap(),
            "revoke" => {
                roles.grant(&operator(), &guest, user.id).await.unwrap();
                roles.revoke(&operator(), &guest, user.id).await.unwrap();
            }
            // A logout of another session: the used token goes on, and what was never used may be older than that.
            _ => own.client.logout().await.map(drop).unwrap(),
        }
        assert_eq!(status(&app, &used).await, if what == "new login" { 200 } else { 401 }, "used, {what}");
        assert_eq!(status(&app, &unused).await, 401, "unused, {what}");
    }
}

#[tokio::test]
async fn an_ended_old_token_stays_void_when_its_session_is_forgotten() {
    let app = accepting().await;
    let user = imported(&app, "user").await;
    let old = token(&user);
    assert_eq!(status(&app, &old).await, 200);
    assert_eq!(with_token(&app, "POST /authy/logout", &json!(old)).await.status, 204);
    app.sql().await.execute("DELETE FROM authy.session WHERE user_id = $1", &[user.id.as_uuid()]).await.unwrap();
    assert_eq!(status(&app, &old).await, 401);
}

#[tokio::test]
async fn a_user_who_was_deleted_or_has_no_role_has_no_old_token() {
    let app = accepting().await;
    let user = imported(&app, "user").await;
    let sql = app.sql().await;
    sql.execute("DELETE FROM authy.user_role WHERE user_id = $1", &[user.id.as_uuid()]).await.unwrap();
    assert_eq!(status(&app, &token(&user)).await, 401, "no role");
    let gone = TestUser { id: UserId::random(), ..imported(&app, "user").await };
    assert_eq!(status(&app, &token(&gone)).await, 401, "no user");
}

#[tokio::test]
async fn only_hs512_with_the_secret_of_the_earlier_system_is_accepted() {
    let app = accepting().await;
    let user = imported(&app, "user").await;
    let claims = |exp: Value| json!({ "public_id": user.id, "username": user.username, "exp": exp });
    let now = unix_now();
    let good = claims(json!(now + 600));
    let jwk = app.authy.keys().published().keys[0].clone();
    let public = BASE64_URL_SAFE_NO_PAD.decode(jwk.x.as_deref().unwrap()).unwrap();
    let sealed = app.master_keys.to_base64();
    let with_header = |header: Value| sign(&header, &good, SECRET.as_bytes());
    for (what, token) in [
        ("the public key", sign(&header(), &good, &public)),
        ("the public key as base64", sign(&header(), &good, jwk.x.as_deref().unwrap().as_bytes())),
        ("the master key", sign(&header(), &good, sealed.as_bytes())),
        ("no secret", sign(&header(), &good, b"")),
        ("another algorithm", with_header(json!({ "alg": "HS256", "typ": "JWT" }))),
        ("no algorithm", with_header(json!({ "alg": "none", "typ": "JWT" }))),
        ("ours", with_header(json!({ "alg": "HS512", "kid": jwk.kid, "typ": "at+jwt" })).replace('.', "x")),
        ("EdDSA with a MAC", with_header(json!({ "alg": "EdDSA", "kid": jwk.kid, "typ": "at+jwt" }))),
        ("expired", sign(&header(), &claims(json!(now - 1)), SECRET.as_bytes())),
        ("without expiry", sign(&header(), &claims(json!(null)), SECRET.as_bytes())),
        ("longer than may be", sign(&header(), &claims(json!(now + 3700)), SECRET.as_bytes())),
    ] {
        let answer = with_token(&app, "GET /authy/checkaccess/99", &json!(token)).await;
        assert_eq!((answer.status, &*answer.code()), (401, "invalid_token"), "{what}");
    }
    let old = token(&user);
    assert_eq!(status(&app, &old).await, 200);
    // Not where the secret is not set, or another one is.
    for legacy_tokens in [None, Some(tokens_of("another secret of theirs!!!"))] {
        let other = TestApp::on(app.database.clone(), app.master_keys.clone(), |config, _| {
            config.legacy_tokens = legacy_tokens;
        });
        assert_eq!(status(&other.await, &old).await, 401);
    }
    // Never issued.
    let tokens = app.anonymous().login(Credentials::new(&*user.username, Secret::new(PASSWORD))).await.unwrap();
    let header = BASE64_URL_SAFE_NO_PAD.decode(tokens.token.expose().split('.').next().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&header).unwrap()["alg"], "EdDSA");
}

#[tokio::test]
async fn an_expired_old_token_is_refused_although_it_was_accepted() {
    let app = accepting().await;
    let user = imported(&app, "user").await;
    let claims = json!({ "public_id": user.id, "username": user.username, "exp": unix_now() + 2 });
    let old = sign(&header(), &claims, SECRET.as_bytes());
    assert_eq!(status(&app, &old).await, 200);
    until("it has expired", || async { status(&app, &old).await == 401 }).await;
}

#[tokio::test]
async fn a_hundred_first_uses_at_once_open_one_session() {
    let app = accepting().await;
    let user = imported(&app, "user").await;
    let (old, address) = (token(&user), app.address);
    let statuses = authy_tests::at_once(100, |_| {
        let request = format!("GET /authy/checkaccess/10 HTTP/1.1\nx-access-token: {old}");
        async move { send(address, &request, "").await.status }
    });
    assert!(statuses.await.iter().all(|status| *status == 200));
    let sql = "SELECT count(*) FROM authy.session WHERE user_id = $1";
    let count: i64 = app.sql().await.query_one(sql, &[user.id.as_uuid()]).await.unwrap().get(0);
    assert_eq!(count, 1);
}

#[tokio::test]
async fn a_service_that_verifies_tokens_itself_refuses_old_ones() {
    let app = accepting().await;
    let user = imported(&app, "user").await;
    let verifier = app.anonymous().verifier().start().await.unwrap();
    let fresh = app.again(&user).await;
    assert_eq!(verifier.authenticate(fresh.token.expose()).await.unwrap().public_id, user.id);
    assert_eq!(status(&app, &token(&user)).await, 200);
    assert_eq!(verifier.authenticate(&token(&user)).await.unwrap_err().kind(), ErrorKind::InvalidToken);
}
