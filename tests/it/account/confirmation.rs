//! Confirming an address: the codes, how long they are good and for what, and who has to before a login.

use authy_core::{
    ErrorKind, Secret, UserId,
    api::{
        account::{AccountChange, Code, PasswordReset},
        event::EventKind,
        session::Credentials,
    },
    engine::NotificationKind,
};
use authy_tests::{
    TestApp, at_once, credentials, fresh_name, new_user,
    wire::{get, post},
};
use serde_json::json;

use super::{OTHER, new_password, sign_up};

#[tokio::test]
async fn an_address_is_confirmed_by_a_post_once_and_a_repetition_says_so() {
    let app = TestApp::new().await;
    let (id, _, client) = sign_up(&app).await;
    let notifications = app.notifications(id, EventKind::UserRegistered).await;
    assert_eq!((notifications.len(), notifications[0].kind), (1, NotificationKind::Validate));
    let code = app.code(id, EventKind::UserRegistered).await;
    let path = format!("/authy/validate/{}", code.expose());
    let looked_at = get(app.address, &path).await;
    assert_eq!((looked_at.status, looked_at.header("cache-control")), (200, "no-store"));
    assert_eq!(
        (&looked_at.json()["purpose"], &looked_at.json()["already_confirmed"]),
        (&json!("sign_up"), &json!(false))
    );
    let admin = app.admin().await;
    assert!(!admin.client.get_user(id).await.unwrap().validated, "to look at a link confirms nothing");
    let done = post(app.address, &path, "").await;
    assert_eq!((done.status, &done.json()["already_confirmed"]), (200, &json!(false)));
    assert_eq!(done.json()["public_id"], json!(id));
    assert!(admin.client.get_user(id).await.unwrap().validated);

    // A change of the password changes nothing about the address.
    client.change_user(id, new_password()).await.unwrap();
    let count = "SELECT count(*) FROM authy.event WHERE subject = $1";
    let events = async || app.sql().await.query_one(count, &[id.as_uuid()]).await.unwrap().get::<_, i64>(0);
    let before = events().await;
    for _ in 0..2 {
        let again = post(app.address, &path, "").await;
        assert_eq!((again.status, &again.json()["already_confirmed"]), (200, &json!(true)));
        assert_eq!(get(app.address, &path).await.json()["already_confirmed"], json!(true));
    }
    assert_eq!(events().await, before, "nothing has happened");
    // Confirmed: nothing is sent any more.
    let client = app.anonymous().with_token(
        app.anonymous().login(Credentials::new(&username_of(&app, id).await, Secret::new(OTHER))).await.unwrap().token,
    );
    client.resend_validation().await.unwrap();
    let sql = app.sql().await;
    let codes = sql.query_one("SELECT count(*) FROM authy.code WHERE user_id = $1", &[id.as_uuid()]).await.unwrap();
    assert_eq!(codes.get::<_, i64>(0), 0);

    // Once the address is another one, the old code is good for nothing, and that of the new one has done its work.
    let address = format!("{id}@example.com");
    client.change_user(id, AccountChange::email(None, address.parse().unwrap())).await.unwrap();
    let second = app.code(id, EventKind::EmailRequested).await;
    let second = format!("/authy/validate/{}", second.expose());
    assert_eq!(get(app.address, &second).await.json()["purpose"], json!("new_address"));
    assert_eq!(post(app.address, &second, "").await.json()["already_confirmed"], json!(false));
    assert_eq!((get(app.address, &path).await.status, post(app.address, &path, "").await.status), (404, 404));
    assert_eq!(post(app.address, &second, "").await.json()["already_confirmed"], json!(true));
    // It is remembered for a month.
    sql.batch_execute("UPDATE authy.spent_code SET spent = spent - interval '31 days'").await.unwrap();
    assert_eq!(app.authy.maintain().await.unwrap().codes, 1);
    assert_eq!(post(app.address, &second, "").await.status, 404);
}

async fn username_of(app: &TestApp, id: UserId) -> String {
    app.anonymous().get_username(id).await.unwrap().username.to_string()
}

#[tokio::test]
async fn of_concurrent_requests_with_one_code_one_confirms_and_the_others_get_already_confirmed() {
    let app = TestApp::new().await;
    let (id, _, _) = sign_up(&app).await;
    let code = app.code(id, EventKind::UserRegistered).await;
    let answers = at_once(8, |_| {
        let (anonymous, code) = (app.anonymous(), Code::new(code.clone()));
        async move { anonymous.validate(code).await.unwrap().already_confirmed }
    })
    .await;
    assert_eq!(answers.iter().filter(|already| !**already).count(), 1, "{answers:?}");
    let events = "SELECT count(*) FROM authy.event WHERE subject = $1 AND kind = 'user.validated'";
    assert_eq!(app.sql().await.query_one(events, &[id.as_uuid()]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test]
async fn a_new_code_replaces_the_one_before_and_at_most_five_are_sent_per_hour() {
    let app = TestApp::new().await;
    let (id, _, client) = sign_up(&app).await;
    let first = app.code(id, EventKind::UserRegistered).await;
    for _ in 0..5 {
        client.resend_validation().await.unwrap();
    }
    let refused = client.resend_validation().await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::RateLimited));
    let last = app.code(id, EventKind::ValidationRequested).await;
    assert!(app.anonymous().validate(Code::new(first)).await.is_err());
    app.anonymous().validate(Code::new(last)).await.unwrap();
}

#[tokio::test]
async fn codes_expire_die_with_a_change_and_are_good_for_one_thing_only() {
    let app = TestApp::new().await;
    let sql = app.sql().await;
    let (id, _, client) = sign_up(&app).await;
    let code = app.code(id, EventKind::UserRegistered).await;
    client.change_user(id, new_password()).await.unwrap();
    assert!(app.anonymous().validate(Code::new(code)).await.is_err(), "the account has changed");

    let (id, _, _) = sign_up(&app).await;
    let code = app.code(id, EventKind::UserRegistered).await;
    let reset = PasswordReset::new(code.clone(), Secret::new(OTHER)).unwrap();
    assert_eq!(app.anonymous().reset_password(reset).await.unwrap_err().kind(), Some(ErrorKind::NotFound));
    sql.execute("UPDATE authy.code SET expires = now() WHERE user_id = $1", &[id.as_uuid()]).await.unwrap();
    assert!(app.anonymous().validate(Code::new(code.clone())).await.is_err(), "it has expired");
    assert_eq!(app.authy.maintain().await.unwrap().codes, 1);

    // What we did not make is refused without a look at the database.
    let forged = [String::new(), "a".to_owned(), "a".repeat(65), "é".repeat(40), {
        let mut text = code.expose().to_owned();
        let last = text.pop().unwrap();
        text.push(if last == 'A' { 'B' } else { 'A' });
        text
    }];
    for text in forged {
        let answer = app.anonymous().validate(Code::new(Secret::new(text.clone()))).await.unwrap_err();
        assert_eq!(answer.status(), Some(404), "{text}");
    }
}

#[tokio::test]
async fn only_who_confirmed_the_address_logs_in_where_that_is_asked_for() {
    let app = TestApp::with(|config, _| config.require_validated = true).await;
    let name = fresh_name("new");
    let id = app.anonymous().register(new_user(&name)).await.unwrap().public_id;
    let first = app.code(id, EventKind::UserRegistered).await;
    let refused = app.anonymous().login(credentials(&name)).await.unwrap_err();
    assert_eq!((refused.kind(), refused.status()), (Some(ErrorKind::NotValidated), Some(403)));
    let wrong = app.anonymous().login(Credentials::new(&name, Secret::new(OTHER))).await.unwrap_err();
    assert_eq!(wrong.kind(), Some(ErrorKind::InvalidCredentials), "who does not know the password learns nothing");
    // The attempt with the right password sent a fresh code.
    assert!(app.anonymous().validate(Code::new(first)).await.is_err());
    let code = app.code(id, EventKind::ValidationRequested).await;
    app.anonymous().validate(Code::new(code)).await.unwrap();
    app.anonymous().login(credentials(&name)).await.unwrap();
    // The address of a user that the operator creates counts as confirmed.
    app.user().await;
}
