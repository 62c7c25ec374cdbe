//! Changing an account: who may, what holds until a code comes back, and what ends.

use authy_client::Client;
use authy_core::{
    ErrorKind, Secret, UserId,
    api::{
        account::{AccountChange, Code, PasswordReset},
        event::EventKind,
        session::{Credentials, RefreshToken},
        user::{Deletion, NewUser},
    },
    engine::NotificationKind,
};
use authy_tests::{
    PASSWORD, TestApp, TestUser, at_once, credentials, fresh_name, new_user, operator,
    wire::{get, post, send},
};

mod confirmation;
mod device;
mod invitation;
mod power;
mod recovery;
mod removal;

/// Another password that passes.
const OTHER: &str = "marmalade-submarine-17";

fn current() -> Option<Secret> {
    Some(Secret::new(PASSWORD))
}

fn new_password() -> AccountChange {
    AccountChange::password(None, Secret::new(OTHER)).unwrap()
}

async fn logs_in(app: &TestApp, username: &str, password: &str) -> bool {
    app.anonymous().login(Credentials::new(username, Secret::new(password))).await.is_ok()
}

/// Makes every session of a user older than a login may be that counts as recent.
async fn grow_old(app: &TestApp, user: &TestUser) {
    let age = "UPDATE authy.session SET created = created - interval '11 minutes' WHERE user_id = $1";
    app.sql().await.execute(age, &[user.id.as_uuid()]).await.unwrap();
}

#[tokio::test]
async fn oneself_is_changed_with_the_password_or_soon_after_a_login() {
    let app = TestApp::new().await;
    let user = app.user().await;
    grow_old(&app, &user).await;
    let path = format!("/authy/user/{}", user.id);
    let head = format!("PUT {path} HTTP/1.1\ncontent-type: application/json\nx-access-token: {}", user.token.expose());
    let body = format!(r#"{{"password": "{OTHER}", "confirm_password": "{OTHER}"}}"#);
    let answer = send(app.address, &head, &body).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "reauthentication_required"));
    let challenge = answer.header("www-authenticate");
    assert!(challenge.contains("error=\"insufficient_user_authentication\"") && challenge.contains("max_age=\"600\""));

    let wrong = AccountChange::password(Some(Secret::new(OTHER)), Secret::new(OTHER)).unwrap();
    let refused = user.client.change_user(user.id, wrong).await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::InvalidCredentials));
    assert!(user.client.get_self().await.is_ok(), "nothing has changed");
    let right = AccountChange::password(current(), Secret::new(OTHER)).unwrap();
    user.client.change_user(user.id, right).await.unwrap();
    assert!(logs_in(&app, &user.username, OTHER).await);

    // An administrator is an administrator for others, and a user for the own account.
    let admin = app.admin().await;
    grow_old(&app, &admin).await;
    let refused = admin.client.change_user(admin.id, new_password()).await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::ReauthenticationRequired));
    admin.client.change_user(user.id, new_password()).await.unwrap();
}

#[tokio::test]
async fn a_new_password_ends_every_other_session_and_is_reported_by_mail() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let other = app.again(&user).await;
    user.client.change_user(user.id, new_password()).await.unwrap();
    for client in [&user.client, &other.client] {
        assert_eq!(client.get_self().await.unwrap_err().kind(), Some(ErrorKind::InvalidToken));
    }
    let refresh = async |refresh_token| app.anonymous().refresh(RefreshToken { refresh_token }).await;
    drop(refresh(other.refresh_token.clone()).await.unwrap_err());
    let own = refresh(user.refresh_token.clone()).await.unwrap();
    assert!(app.anonymous().with_token(own.token).get_self().await.is_ok());
    let notifications = app.notifications(user.id, EventKind::PasswordChanged).await;
    assert_eq!((notifications.len(), notifications[0].kind), (1, NotificationKind::PasswordChanged));
}

#[tokio::test]
async fn what_cannot_be_changed_so_is_refused_with_nothing_done() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let put = |body: String| {
        let token = user.token.expose();
        let head =
            format!("PUT /authy/user/{} HTTP/1.1\ncontent-type: application/json\nx-access-token: {token}", user.id);
        async move { send(app.address, &head, &body).await }
    };
    let cases = [
        ("{}".to_owned(), "invalid_input"),
        (format!(r#"{{"password": "{OTHER}"}}"#), "invalid_input"),
        (format!(r#"{{"confirm_password": "{OTHER}"}}"#), "invalid_input"),
        (format!(r#"{{"password": "{OTHER}", "confirm_password": "x"}}"#), "passwords_differ"),
        (r#"{"password": "password1", "confirm_password": "password1"}"#.to_owned(), "weak_password"),
        (r#"{"email": "nonsense"}"#.to_owned(), "invalid_input"),
        (r#"{"username": "somebody-else"}"#.to_owned(), "invalid_input"),
        // All or nothing: the password would pass.
        (format!(r#"{{"password": "{OTHER}", "confirm_password": "{OTHER}", "email": "nonsense"}}"#), "invalid_input"),
    ];
    for (body, code) in cases {
        assert_eq!(put(body.clone()).await.code(), code, "{body}");
    }
    assert!(user.client.get_self().await.is_ok(), "no epoch has begun");
    assert!(logs_in(&app, &user.username, PASSWORD).await);
}

#[tokio::test]
async fn a_new_address_is_in_force_once_its_code_comes_back() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let address = format!("{}@example.com", user.username);
    let change = AccountChange::email(None, address.parse().unwrap());
    let view = user.client.change_user(user.id, change).await.unwrap();
    let old = format!("{}@example.org", user.username);
    assert_eq!(view.email.as_str(), old);
    let notifications = app.notifications(user.id, EventKind::EmailRequested).await;
    let sent: Vec<_> = notifications.iter().map(|notification| (notification.kind, notification.to.as_str())).collect();
    assert_eq!(
        sent,
        [(NotificationKind::EmailRequested, old.as_str()), (NotificationKind::ConfirmEmail, address.as_str())]
    );
    assert!(user.client.get_self().await.is_ok());

    let code = app.code(user.id, EventKind::EmailRequested).await;
    app.anonymous().validate(Code::new(code.clone())).await.unwrap();
    assert!(user.client.get_self().await.is_err(), "the token says the old address is in force");
    let refresh_token = user.refresh_token.clone();
    let fresh = app.anonymous().refresh(RefreshToken { refresh_token }).await.unwrap();
    let view = app.anonymous().with_token(fresh.token).get_self().await.unwrap();
    assert_eq!(view.email.as_str(), address);
    assert!(app.anonymous().validate(Code::new(code)).await.unwrap().already_confirmed);
    // The old address is free again.
    app.anonymous().register(NewUser::new(&fresh_name("next"), &old, Secret::new(PASSWORD)).unwrap()).await.unwrap();
}

/// Asks for 58 addresses, half of which are or were taken, five in the name of each account.
#[tokio::test]
async fn requesting_an_address_does_not_reveal_whether_it_is_taken() {
    let app = TestApp::new().await;
    let addresses: Vec<u32> = (0..58).collect();
    for five in addresses.chunks(5) {
        let user = app.user().await;
        let ask = async |address: &str| {
            let (id, token) = (user.id, user.token.expose());
            let head =
                format!("PUT /authy/user/{id} HTTP/1.1\ncontent-type: application/json\nx-access-token: {token}");
            send(app.address, &head, &format!(r#"{{"email":"{address}"}}"#)).await
        };
        for number in five {
            let address = match number % 2 {
                0 => format!("free-{number}@example.com"),
                _ => {
                    let name = fresh_name("owner");
                    let owner = app.anonymous().register(new_user(&name)).await.unwrap().public_id;
                    if number % 4 == 1 {
                        app.authy.users().delete(&operator(), owner).await.unwrap();
                    }
                    format!("{name}@EXAMPLE.org")
                }
            };
            let answer = ask(&address).await;
            assert_eq!(answer.status, 200, "{address}: {answer:?}");
            assert_eq!(answer.json()["email"], format!("{}@example.org", user.username));
            let export = user.client.export_self().await.unwrap();
            assert_eq!(export.user.pending_email.unwrap().as_str(), address, "the export does not reveal it either");
        }
        if five.len() == 5 {
            let refused = ask("sixth@example.com").await;
            assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"), "taken ones count too");
        }
    }
}

#[tokio::test]
async fn the_owner_of_a_requested_address_gets_a_notice_and_no_code_is_sent() {
    let app = TestApp::new().await;
    let owner = app.user().await;
    let address = format!("{}@example.org", owner.username);
    let mut notices = 0;
    for _ in 0..5 {
        let user = app.user().await;
        let change = AccountChange::email(None, address.to_uppercase().parse().unwrap());
        user.client.change_user(user.id, change).await.unwrap();
        // Handed out again after a failure, the same notice is still one.
        app.notifications(user.id, EventKind::EmailRequested).await;
        let notifications = app.notifications(user.id, EventKind::EmailRequested).await;
        assert!(notifications.iter().all(|notification| notification.code.is_none()), "{notifications:?}");
        assert_eq!(notifications[0].to.as_str(), format!("{}@example.org", user.username));
        if let Some(notice) = notifications.get(1) {
            notices += 1;
            assert_eq!((notice.kind, notice.to.as_str()), (NotificationKind::AddressClaimed, address.as_str()));
            assert_eq!((&notice.ip, &notice.user_agent), (&None, &None), "nothing of who asked");
            assert_eq!(notice.username.as_ref().unwrap().as_str(), owner.username);
        }
    }
    assert_eq!(notices, 3, "no more in a day");
}

#[tokio::test]
async fn of_two_new_addresses_the_later_counts_and_one_that_was_taken_meanwhile_is_refused() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let name = &user.username;
    let ask = async |address: String| {
        let change = AccountChange::email(None, address.parse().unwrap());
        user.client.change_user(user.id, change).await.unwrap();
        app.code(user.id, EventKind::EmailRequested).await
    };
    let first = ask(format!("{name}-first@example.com")).await;
    let second = ask(format!("{name}-second@example.com")).await;
    let replaced = app.anonymous().validate(Code::new(first)).await.unwrap_err();
    assert_eq!(replaced.kind(), Some(ErrorKind::NotFound));

    let wanted = format!("{name}-second@example.com");
    let rival = NewUser::new(&fresh_name("rival"), &wanted, Secret::new(PASSWORD)).unwrap();
    let rival = app.anonymous().register(rival).await.unwrap().public_id;
    // The first to confirm it has it.
    let confirmation = app.code(rival, EventKind::UserRegistered).await;
    app.anonymous().validate(Code::new(confirmation)).await.unwrap();
    let taken = app.anonymous().validate(Code::new(second)).await.unwrap_err();
    assert_eq!(taken.kind(), Some(ErrorKind::AlreadyRegistered));
    let view = user.client.get_self().await.unwrap();
    assert_eq!(view.email.as_str(), format!("{name}@example.org"), "nothing is lost");

    let third = ask(format!("{name}-third@example.com")).await;
    app.anonymous().validate(Code::new(third)).await.unwrap();
}

#[tokio::test]
async fn many_change_one_account_at_once_and_one_address_remains() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let answers = at_once(8, |number| {
        let (client, id) = (user.client.clone(), user.id);
        let address = format!("{}-{number}@example.com", user.username);
        async move { client.change_user(id, AccountChange::email(current(), address.parse().unwrap())).await }
    })
    .await;
    // Each address is sent a mail: five in an hour are enough.
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), refused.len()), (5, 3));
    assert!(refused.iter().all(|answer| answer.as_ref().unwrap_err().kind() == Some(ErrorKind::RateLimited)));
    let pending = "SELECT count(*) FROM authy.code WHERE user_id = $1 AND purpose = 'email'";
    let row = app.sql().await.query_one(pending, &[user.id.as_uuid()]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
}

async fn sign_up(app: &TestApp) -> (UserId, String, Client) {
    let name = fresh_name("new");
    let id = app.anonymous().register(new_user(&name)).await.unwrap().public_id;
    let token = app.anonymous().login(credentials(&name)).await.unwrap().token;
    (id, name, app.anonymous().with_token(token))
}

#[tokio::test]
async fn an_administrator_can_be_kept_from_setting_passwords() {
    let app = TestApp::with(|config, _| config.admin_sets_passwords = false).await;
    let (admin, user) = (app.admin().await, app.user().await);
    let refused = admin.client.change_user(user.id, new_password()).await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::InsufficientLevel));
    // Setting the address gives access to the code that sets the password.
    let address = format!("{}@example.com", user.username).parse().unwrap();
    let refused = admin.client.change_user(user.id, AccountChange::email(None, address)).await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::InsufficientLevel));
    admin.client.send_reset(user.id).await.unwrap();
    let _ = app.code(user.id, EventKind::ResetRequested).await;
    admin.client.change_user(admin.id, new_password()).await.unwrap();
}

#[tokio::test]
async fn a_page_for_changing_passwords_is_found_where_the_w3c_says() {
    let page = "https://shop.example/account/password";
    let app = TestApp::with(|config, _| config.change_password_url = Some(page.to_owned())).await;
    let answer = get(app.address, "/.well-known/change-password").await;
    assert_eq!((answer.status, answer.header("location")), (302, page));
    // How a browser finds out that the answer means something.
    let probe = "/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200";
    assert_eq!(get(app.address, probe).await.status, 404);
    assert_eq!(get(TestApp::new().await.address, "/.well-known/change-password").await.status, 404);
}
