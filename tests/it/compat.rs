//! The clients of the first authy, with `AUTHY_COMPAT=poptape`: what they send is understood, and they get what they need.

use authy_core::{
    Authenticator as _, ErrorKind, Secret,
    api::{
        event::{EventKind, EventQuery},
        session::Credentials,
    },
    engine::Config,
};
use authy_server::{Compat, HttpConfig};
use authy_tests::{
    PASSWORD, TestApp, fresh_name, new_user, operator,
    wire::{Answer, post, send},
};
use aws_lc_rs::pbkdf2;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

mod legacy;
mod sibling;

async fn app() -> TestApp {
    app_with(|_, _| ()).await
}

async fn app_with(change: impl FnOnce(&mut Config, &mut HttpConfig)) -> TestApp {
    TestApp::with(|config, http| {
        http.compat = Some(Compat::Poptape);
        change(config, http);
    })
    .await
}

fn base64(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

async fn sign_up(app: &TestApp, name: &str, password: &str, confirmation: &str) -> Answer {
    let (email, confirmation) = (format!("{name}@example.org"), json!(confirmation));
    let body = json!({ "username": name, "email": email, "password": password, "confirm_password": confirmation });
    post(app.address, "/authy/user", &body.to_string()).await
}

async fn log_in(app: &TestApp, name: &str, password: &str) -> Answer {
    post(app.address, "/authy/login", &json!({ "username": name, "password": password }).to_string()).await
}

async fn with_token(app: &TestApp, request: &str, token: &Value) -> Answer {
    let token = token.as_str().unwrap();
    send(app.address, &format!("{request} HTTP/1.1\nx-access-token: {token}\ncontent-type: application/json"), "").await
}

/// The number of failed guesses at everything.
async fn failures(app: &TestApp) -> i64 {
    let sql = "SELECT coalesce(sum(failures), 0)::bigint FROM authy.throttle";
    app.sql().await.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_password_that_was_signed_up_in_base64_logs_in_in_either_form() {
    let app = app().await;
    let name = fresh_name("ada");
    let encoded = base64(PASSWORD);
    for (confirmation, status) in [(base64("tangerine-lighthouse-43"), 400), (encoded.clone(), 201)] {
        assert_eq!(sign_up(&app, &name, &encoded, &confirmation).await.status, status);
    }
    for (password, status) in [(PASSWORD, 200), (&encoded, 200), (&base64(&encoded), 401), (&encoded[1..], 401)] {
        assert_eq!(log_in(&app, &name, password).await.status, status, "{password}");
    }
    // What was hashed is the text, for a server without compatibility too.
    let without = TestApp::on(app.database.clone(), app.master_keys.clone(), |_, _| ()).await;
    for (password, status) in [(PASSWORD, 200), (&encoded, 401)] {
        assert_eq!(log_in(&without, &name, password).await.status, status, "{password}");
    }
}

#[tokio::test]
async fn the_rules_for_passwords_are_about_the_text_and_not_its_base64() {
    let app = app().await;
    let name = fresh_name("ada");
    for (text, code) in [("password", "weak_password"), (&*name, "weak_password"), ("short12", "invalid_password")] {
        let encoded = base64(text);
        let answer = sign_up(&app, &name, &encoded, &encoded).await;
        let problem = answer.json();
        let field = problem["fields"][0]["code"].as_str();
        assert_eq!((answer.status, field.unwrap_or(&answer.code())), (400, code), "{text}: {problem}");
    }
    // Beside an encoded one, a confirmation may be as it was typed.
    assert_eq!(sign_up(&app, &name, &base64(PASSWORD), PASSWORD).await.status, 201);
}

#[tokio::test]
async fn random_passwords_of_8_characters_that_happen_to_be_base64_log_in() {
    let app = app().await;
    let seed = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let sql = app.sql().await;
    for _ in 0..20 {
        let text: String = (0..6).map(|_| random.random_range('!'..='~')).collect();
        let password = base64(&text);
        // As an import leaves it: no sign-up of today accepts so short a password.
        let user = app.user().await;
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [user.id.as_uuid(), &hash(&password)];
        sql.execute("UPDATE authy.password SET phc = $2 WHERE user_id = $1", &params).await.unwrap();
        for (sent, status) in [(&text, 401), (&password, 200), (&base64(&password), 200), (&text, 401)] {
            let answer = log_in(&app, &user.username, sent).await;
            assert_eq!(answer.status, status, "{sent} for {password}, seed {seed}");
        }
    }
}

/// A hash as werkzeug's `generate_password_hash(password, "pbkdf2:sha256:1000")` makes it.
fn hash(password: &str) -> String {
    let mut derived = [0; 32];
    let rounds = std::num::NonZeroU32::new(1000).unwrap();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, b"Xk3vQz9LmN0pRs7T", password.as_bytes(), &mut derived);
    let hex: String = derived.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("pbkdf2:sha256:1000$Xk3vQz9LmN0pRs7T${hex}")
}

#[tokio::test]
async fn both_forms_of_a_password_are_one_guess() {
    let app = app().await;
    for name in [app.user().await.username, fresh_name("nobody")] {
        let before = failures(&app).await;
        let answer = log_in(&app, &name, &base64("wrong")).await;
        assert_eq!((answer.status, &*answer.code()), (401, "invalid_credentials"));
        // One for the account and one for the address.
        assert_eq!(failures(&app).await - before, 2, "{name}");
    }
    let user = app.user().await;
    for _ in 0..5 {
        log_in(&app, &user.username, &base64("wrong")).await;
    }
    assert_eq!(log_in(&app, &user.username, PASSWORD).await.status, 401, "the account is slowed after five");
}

#[tokio::test]
async fn a_sign_up_answers_a_token_that_is_valid_at_once() {
    let app = app_with(|config, _| config.require_validated = true).await;
    let answer = sign_up(&app, "ada", PASSWORD, PASSWORD).await;
    let body = answer.json();
    assert_eq!((answer.status, answer.header("content-type")), (201, "application/json"));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(body["message"].is_string(), "{body}");
    let granted = with_token(&app, "GET /authy/checkaccess/10", &body["token"]).await;
    assert_eq!((granted.status, &granted.json()["public_id"]), (200, &body["public_id"]));
    assert_eq!(answer.header("location"), format!("/authy/user/{}", body["public_id"].as_str().unwrap()));

    // It is a token without a login, of a session of its own.
    let user = body["public_id"].as_str().unwrap().parse().unwrap();
    let query = EventQuery { user: Some(user), kind: Some(EventKind::TokenIssued), ..EventQuery::default() };
    assert_eq!(app.authy.events().list(&query).await.unwrap().events.len(), 1);
    assert_eq!(app.authy.users().find(user).await.unwrap().unwrap().last_login, None);
    assert_eq!(with_token(&app, "POST /authy/logout", &body["token"]).await.status, 200);
    assert_eq!(with_token(&app, "GET /authy/checkaccess/10", &body["token"]).await.status, 401);

    let refused = sign_up(&app, "ada", PASSWORD, PASSWORD).await;
    assert_eq!((refused.status, &*refused.code()), (409, "already_registered"));
}

#[tokio::test]
async fn a_login_that_would_be_403_is_401_and_says_why() {
    let app = app_with(|config, _| config.require_validated = true).await;
    assert_eq!(sign_up(&app, "ada", PASSWORD, PASSWORD).await.status, 201);
    let bob = app.user().await;
    app.authy.roles().revoke(&operator(), &"user".parse().unwrap(), bob.id).await.unwrap();
    for (name, code) in [("ada", "not_validated"), (&*bob.username, "no_role")] {
        for password in [PASSWORD.to_owned(), base64(PASSWORD)] {
            let answer = log_in(&app, name, &password).await;
            assert_eq!((answer.status, &*answer.code()), (401, code));
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
        assert_eq!(log_in(&app, name, "wrong").await.code(), "invalid_credentials");
    }
    // Elsewhere 403 stays.
    let user = app.user().await;
    let refused = with_token(&app, "GET /authy/checkaccess/1", &json!(user.token.expose())).await;
    assert_eq!(refused.status, 403);
}

#[tokio::test]
async fn a_post_without_an_answer_is_an_empty_object_and_a_delete_is_not() {
    let app = app().await;
    let (admin, user) = (app.admin().await, app.user().await);
    let (own, theirs) = (json!(admin.token.expose()), json!(user.token.expose()));
    assert_eq!(with_token(&app, &format!("DELETE /authy/user/{}", user.id), &own).await.status, 204);
    for (request, token) in
        [(format!("POST /authy/user/{}/restore", user.id), &own), ("POST /authy/logout".into(), &own)]
    {
        let answer = with_token(&app, &request, token).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{request}");
        assert_eq!(answer.json(), json!({}));
    }
    assert_eq!(with_token(&app, "POST /authy/logout", &theirs).await.status, 401, "what fails is as everywhere");
}

#[tokio::test]
async fn the_client_of_today_works_with_compatibility() {
    let app = app().await;
    let name = fresh_name("ada");
    let id = app.anonymous().register(new_user(&name)).await.unwrap().public_id;
    let user = app.anonymous().login(Credentials::new(&name, Secret::new(PASSWORD))).await.unwrap();
    assert_eq!(user.public_id, id);
    let client = app.anonymous().with_token(user.token.clone());
    client.logout().await.unwrap();
    assert_eq!(client.get_self().await.unwrap_err().kind(), Some(ErrorKind::InvalidToken));
    assert!(app.authy.authenticate(user.token.expose()).await.is_err());
}

#[tokio::test]
async fn without_compatibility_nothing_is_decoded_and_nothing_is_added() {
    let app = TestApp::with(|config, _| config.require_validated = true).await;
    let answer = sign_up(&app, "ada", PASSWORD, PASSWORD).await;
    assert_eq!((answer.status, answer.json().as_object().unwrap().len()), (201, 1));
    assert_eq!(log_in(&app, "ada", &base64(PASSWORD)).await.code(), "invalid_credentials");
    assert_eq!(log_in(&app, "ada", PASSWORD).await.status, 403);
    let user = app.user().await;
    assert_eq!(with_token(&app, "POST /authy/logout", &json!(user.token.expose())).await.status, 204);
}
