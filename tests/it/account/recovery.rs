//! Getting back in when the password is forgotten.

use authy_core::api::account::ForgottenPassword;

use super::*;

async fn forgot(app: &TestApp, username: &str) {
    let email = format!("{username}@example.org").parse().unwrap();
    app.anonymous().forgot_password(ForgottenPassword { email }).await.unwrap();
}

fn reset(code: Secret) -> PasswordReset {
    PasswordReset::new(code, Secret::new(OTHER)).unwrap()
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_and_every_session_ends() {
    let app = TestApp::new().await;
    let user = app.user().await;
    forgot(&app, &user.username).await;
    let code = app.code(user.id, EventKind::ResetRequested).await;
    // A password that does not pass does not spend the code.
    let weak = PasswordReset::new(code.clone(), Secret::new(user.username.clone())).unwrap();
    let refused = app.anonymous().reset_password(weak).await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::WeakPassword));
    app.anonymous().reset_password(reset(code.clone())).await.unwrap();
    assert!(logs_in(&app, &user.username, OTHER).await);
    assert!(!logs_in(&app, &user.username, PASSWORD).await);
    assert!(user.client.get_self().await.is_err());
    let refresh_token = user.refresh_token.clone();
    drop(app.anonymous().refresh(RefreshToken { refresh_token }).await.unwrap_err());
    let spent = app.anonymous().reset_password(reset(code)).await.unwrap_err();
    assert_eq!((spent.kind(), spent.status()), (Some(ErrorKind::NotFound), Some(404)));
    let notifications = app.notifications(user.id, EventKind::PasswordChanged).await;
    assert_eq!(notifications[0].kind, NotificationKind::PasswordChanged);
}

#[tokio::test]
async fn a_reset_request_does_not_reveal_whether_the_address_is_taken() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let admin = app.admin().await;
    let gone = app.user().await;
    admin.client.delete_user(gone.id, Deletion::PLAIN).await.unwrap();
    let mut answers = Vec::new();
    for name in [&*user.username, &*gone.username, "unknown-user"] {
        let body = format!(r#"{{"email": "{name}@example.org"}}"#);
        let answer = post(app.address, "/authy/password/forgot", &body).await;
        let headers: Vec<_> =
            answer.headers.into_iter().filter(|(name, _)| name != "x-request-id" && name != "date").collect();
        answers.push((answer.status, headers, answer.body));
    }
    assert_eq!(answers[0].0, 202);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    // The same is written for each address, and two of the three belong to no account.
    let sql = app.sql().await;
    let codes = sql.query_one("SELECT count(*), count(user_id) FROM authy.code", &[]).await.unwrap();
    assert_eq!((codes.get::<_, i64>(0), codes.get::<_, i64>(1)), (3, 1));
}

#[tokio::test]
async fn five_mails_an_hour_are_sent_however_often_they_are_asked_for() {
    let app = TestApp::new().await;
    let (user, admin) = (app.user().await, app.admin().await);
    for number in 0..8 {
        forgot(&app, &user.username).await;
        let notifications = app.notifications(user.id, EventKind::ResetRequested).await;
        // Counted by the hour of the clock, should another begin in the middle of this.
        let in_this_hour = "SELECT count(*) FROM authy.event
                            WHERE kind = 'reset.requested' AND happened >= date_trunc('hour', clock_timestamp())";
        let asked: i64 = app.sql().await.query_one(in_this_hour, &[]).await.unwrap().get(0);
        assert_eq!(notifications.len(), usize::from(asked <= 5), "mail {number}");
    }
    // Anonymous requests do not prevent a mail that a user with a token requests, or one in the next hour.
    admin.client.send_reset(user.id).await.unwrap();
    assert_eq!(app.notifications(user.id, EventKind::ResetRequested).await.len(), 1);
}

#[tokio::test]
async fn of_many_who_reset_with_one_code_at_once_one_wins() {
    let app = TestApp::new().await;
    let user = app.user().await;
    forgot(&app, &user.username).await;
    let code = app.code(user.id, EventKind::ResetRequested).await;
    let answers = at_once(6, |number| {
        let (anonymous, code) = (app.anonymous(), code.clone());
        let password = format!("{OTHER}-{number}");
        async move { anonymous.reset_password(PasswordReset::new(code, Secret::new(password)).unwrap()).await.is_ok() }
    })
    .await;
    assert_eq!(answers.iter().filter(|done| **done).count(), 1, "{answers:?}");
    let winner = answers.iter().position(|done| *done).unwrap();
    assert!(logs_in(&app, &user.username, &format!("{OTHER}-{winner}")).await);
}

#[tokio::test]
async fn no_session_on_the_old_password_survives_a_reset_that_happens_during_the_login() {
    let app = TestApp::new().await;
    for _ in 0..10 {
        let user = app.user().await;
        forgot(&app, &user.username).await;
        let code = app.code(user.id, EventKind::ResetRequested).await;
        let logins = at_once(6, |number| {
            let (anonymous, name, code) = (app.anonymous(), user.username.clone(), code.clone());
            async move {
                match number {
                    0 => {
                        anonymous.reset_password(reset(code)).await.unwrap();
                        None
                    }
                    _ => anonymous.login(credentials(&name)).await.ok(),
                }
            }
        })
        .await;
        for tokens in logins.into_iter().flatten() {
            assert!(app.anonymous().with_token(tokens.token).get_self().await.is_err());
            assert!(app.anonymous().refresh(RefreshToken { refresh_token: tokens.refresh_token }).await.is_err());
        }
    }
}

#[tokio::test]
async fn a_code_from_the_operator_resets_and_one_from_a_mail_confirms_the_address_too() {
    let app = TestApp::new().await;
    let admin = app.admin().await;
    let validated = async |id| admin.client.get_user(id).await.unwrap().validated;
    let (id, name, _) = sign_up(&app).await;
    let code = app.authy.users().create_reset(&authy_tests::operator(), id).await.unwrap();
    assert!(app.notifications(id, EventKind::ResetRequested).await.is_empty(), "no mail is sent");
    app.anonymous().reset_password(reset(code)).await.unwrap();
    assert!(logs_in(&app, &name, OTHER).await && !validated(id).await);

    let (id, name, _) = sign_up(&app).await;
    forgot(&app, &name).await;
    let code = app.code(id, EventKind::ResetRequested).await;
    app.anonymous().reset_password(reset(code)).await.unwrap();
    assert!(logs_in(&app, &name, OTHER).await && validated(id).await);
}

#[tokio::test]
async fn an_administrator_sends_a_reset_to_the_less_powerful_only() {
    let app = TestApp::new().await;
    let (root, admin) = (app.superadmin().await, app.admin().await);
    let refused = admin.client.send_reset(root.id).await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::BeyondYourLevel));
    admin.client.send_reset(app.user().await.id).await.unwrap();
    let missing = admin.client.send_reset(UserId::random()).await.unwrap_err();
    assert_eq!(missing.kind(), Some(ErrorKind::NotFound));
}
