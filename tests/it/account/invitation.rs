//! Invitations: accounts without a password, and the codes that set the first one.

use std::time::Duration;

use authy_core::{
    ClientInfo,
    api::{account::ForgottenPassword, user::NewAccount},
    engine::{Caller, Notification},
    time,
};

use super::*;

/// A user who was created without a password, and the name.
async fn invite(app: &TestApp) -> (UserId, String) {
    let name = fresh_name("invited");
    let account = NewAccount::new(&name, &format!("{name}@example.org")).unwrap();
    (app.admin().await.client.create_user(account).await.unwrap().public_id, name)
}

/// The mail that the last request for a code causes.
async fn mail(app: &TestApp, user: UserId) -> Notification {
    let mut mails = app.notifications(user, EventKind::ResetRequested).await;
    assert_eq!(mails.len(), 1, "{mails:?}");
    mails.remove(0)
}

/// Whether the code of a mail is valid for about this time from now.
fn is_valid_for(mail: &Notification, lifetime: Duration) -> bool {
    let left = (mail.expires.unwrap() - time::now()).to_std().unwrap();
    left <= lifetime && left > lifetime - Duration::from_secs(60)
}

async fn accept(app: &TestApp, code: Option<Secret>, password: &str) -> Result<(), Option<ErrorKind>> {
    let reset = PasswordReset::new(code.unwrap(), Secret::new(password)).unwrap();
    app.anonymous().reset_password(reset).await.map(drop).map_err(|error| error.kind())
}

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

#[tokio::test]
async fn the_code_of_an_invitation_sets_the_first_password_and_confirms_the_address() {
    let app = TestApp::with(|config, _| config.require_validated = true).await;
    let (id, name) = invite(&app).await;
    assert!(app.notifications(id, EventKind::UserRegistered).await.is_empty(), "one mail is enough");
    let mail = mail(&app, id).await;
    assert_eq!(mail.kind, NotificationKind::Invitation);
    assert_eq!((mail.to.as_str(), mail.username.unwrap().as_str()), (&*format!("{name}@example.org"), &*name));
    assert!(is_valid_for(&self::mail(&app, id).await, WEEK));
    // It sets a password, and is no code of another kind.
    let code = mail.code;
    let shown = app.anonymous().get_validation(Code::new(code.clone().unwrap())).await.unwrap_err();
    assert_eq!(shown.kind(), Some(ErrorKind::NotFound));
    assert_eq!(
        accept(&app, code.clone(), &name).await,
        Err(Some(ErrorKind::WeakPassword)),
        "and the code is not spent"
    );
    accept(&app, code.clone(), OTHER).await.unwrap();
    assert!(logs_in(&app, &name, OTHER).await);
    assert!(app.admin().await.client.get_user(id).await.unwrap().validated);
    assert_eq!(accept(&app, code, PASSWORD).await, Err(Some(ErrorKind::NotFound)), "it works once");
}

#[tokio::test]
async fn an_account_without_a_password_is_refused_as_a_wrong_password_is() {
    let app = TestApp::new().await;
    let (user, (_, invited)) = (app.user().await, invite(&app).await);
    let mut answers = Vec::new();
    for (name, password) in
        [(&*user.username, "wrong"), (&invited, ""), (&invited, PASSWORD), ("unknown-user", PASSWORD)]
    {
        let head = "POST /authy/login HTTP/1.1\ncontent-type: application/json\nx-request-id: same";
        let body = serde_json::json!({ "username": name, "password": password });
        let answer = send(app.address, head, &body.to_string()).await;
        let headers: Vec<_> = answer.headers.iter().filter(|(name, _)| name != "date").cloned().collect();
        answers.push((answer.status, headers, answer.body));
    }
    assert_eq!(answers[0].0, 401);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
}

#[tokio::test]
async fn a_user_without_a_password_is_invited_again_by_a_reset() {
    let app = TestApp::with(|config, _| config.invitation_ttl = Duration::from_secs(24 * 3600)).await;
    let (admin, (id, name)) = (app.admin().await, invite(&app).await);
    let first = mail(&app, id).await;
    admin.client.send_reset(id).await.unwrap();
    let again = mail(&app, id).await;
    assert_eq!((again.kind, again.code == first.code), (NotificationKind::Invitation, false));
    for mail in [&first, &again] {
        assert!(is_valid_for(mail, Duration::from_secs(24 * 3600)), "{mail:?}");
    }
    // The user can ask, too, and gets a code that is valid for as long as any that an anonymous caller asks for.
    let email = format!("{name}@example.org").parse().unwrap();
    app.anonymous().forgot_password(ForgottenPassword { email }).await.unwrap();
    let asked = mail(&app, id).await;
    assert_eq!(asked.kind, NotificationKind::Invitation);
    assert!(is_valid_for(&asked, Duration::from_secs(3600)), "{asked:?}");
    // The first password makes all codes void, and later ones resets.
    accept(&app, first.code, OTHER).await.unwrap();
    for code in [again.code, asked.code] {
        assert_eq!(accept(&app, code, PASSWORD).await, Err(Some(ErrorKind::NotFound)));
    }
    admin.client.send_reset(id).await.unwrap();
    assert_eq!(mail(&app, id).await.kind, NotificationKind::Reset);
}

#[tokio::test]
async fn an_invitation_ends_when_the_account_changes() {
    let app = TestApp::new().await;
    let admin = app.admin().await;
    for change in ["password", "role", "deletion"] {
        let (id, name) = invite(&app).await;
        let code = mail(&app, id).await.code;
        match change {
            "password" => drop(admin.client.change_user(id, new_password()).await.unwrap()),
            "role" => drop(admin.client.grant_role("guest".parse().unwrap(), id).await.unwrap()),
            _ => drop(admin.client.delete_user(id, Deletion::PLAIN).await.unwrap()),
        }
        assert_eq!(accept(&app, code, "carousel-marmalade-77").await, Err(Some(ErrorKind::NotFound)), "{change}");
        assert_eq!(logs_in(&app, &name, OTHER).await, change == "password", "an administrator can set the first one");
    }
}

#[tokio::test]
async fn of_many_who_accept_one_invitation_at_once_one_sets_the_password() {
    let app = TestApp::new().await;
    let (id, name) = invite(&app).await;
    let code = mail(&app, id).await.code.unwrap();
    let answers = at_once(6, |number| {
        let (anonymous, password) = (app.anonymous(), Secret::new(format!("{OTHER}-{number}")));
        let reset = PasswordReset::new(code.clone(), password).unwrap();
        async move { anonymous.reset_password(reset).await.is_ok() }
    })
    .await;
    assert_eq!(answers.iter().filter(|done| **done).count(), 1, "{answers:?}");
    let winner = answers.iter().position(|done| *done).unwrap();
    assert!(logs_in(&app, &name, &format!("{OTHER}-{winner}")).await);
}

#[tokio::test]
async fn whatever_reads_a_password_bears_that_there_is_none() {
    let app = TestApp::new().await;
    let (id, name) = invite(&app).await;
    // A token that no login has issued: as a webhook gets it.
    let token = app.authy.sessions().issue_token(&operator(), id).await.unwrap();
    let own = app.anonymous().with_token(token);
    for current in [None, Some(Secret::new(PASSWORD))] {
        let expected = if current.is_some() { "invalid_credentials" } else { "reauthentication_required" };
        let change = AccountChange::password(current, Secret::new(OTHER)).unwrap();
        let refused = own.change_user(id, change).await.unwrap_err();
        assert_eq!(refused.kind().unwrap().code(), expected);
    }
    let export = own.export_self().await.unwrap();
    assert_eq!((export.user.username.as_str(), export.user.password_changed), (&*name, None));
    let root = app.superadmin().await;
    root.client.delete_user(id, Deletion::PLAIN).await.unwrap();
    root.client.restore_user(id).await.unwrap();
    assert!(!logs_in(&app, &name, PASSWORD).await);
    let code = app.authy.users().create_reset(&operator(), id).await.unwrap();
    accept(&app, Some(code), OTHER).await.unwrap();
    assert!(logs_in(&app, &name, OTHER).await, "a code that an operator passes on works, too");
    let (id, _) = invite(&app).await;
    root.client.delete_user(id, Deletion::ERASE).await.unwrap();
}

#[tokio::test]
async fn an_invitation_joins_the_transaction_of_the_embedding_program() {
    let app = TestApp::new().await;
    let admin = app.admin().await;
    let identity = authy_core::Authenticator::authenticate(&app.authy, admin.token.expose()).await.unwrap();
    let caller = Caller::user(identity, ClientInfo::default());
    let account = NewAccount::new("ada", "ada@example.org").unwrap();
    let prepared = app.authy.users().prepare_account(&caller, account).await.unwrap();
    let mut sql = app.sql().await;
    for commits in [false, true] {
        let tx = sql.transaction().await.unwrap();
        let created = app.authy.within(&tx).users().create(&caller, &prepared).await.unwrap();
        let id = *created.value();
        match commits {
            true => {
                tx.commit().await.unwrap();
                app.authy.committed(created);
                assert_eq!(mail(&app, id).await.kind, NotificationKind::Invitation);
            }
            false => tx.rollback().await.unwrap(),
        }
        assert_eq!(app.authy.users().find(id).await.unwrap().is_some(), commits);
    }
}
