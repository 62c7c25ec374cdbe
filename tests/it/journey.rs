//! An account from sign-up to erasure as its owner sees it: over HTTP, with a mailbox, and nothing else.

use authy_client::Client;
use authy_core::{
    ErrorKind, Secret,
    api::{
        account::{AccountChange, Code, ForgottenPassword, PasswordReset},
        session::Credentials,
        user::Deletion,
    },
    engine::MasterKeys,
};
use authy_tests::{
    PASSWORD, TestApp, credentials, database, fresh_name, new_user,
    smtp::{Mail, MailServer, PUBLIC_URL},
    wire,
};

const SECOND: &str = "gooseberry-semaphore-77";
const THIRD: &str = "carousel-marmalade-58";

/// An app that requires a confirmed address for a login.
async fn app_with(mailbox: &MailServer) -> TestApp {
    let (database, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
    TestApp::build(database, keys, |config, _| config.require_validated = true, |authy| vec![mailbox.sink(authy)]).await
}

/// Follows the link in a mail and clicks on the button there; the status.
async fn follow(app: &TestApp, mail: &Mail) -> u16 {
    let link = mail.text.lines().find_map(|line| line.strip_prefix(PUBLIC_URL)).expect("a link on a line of its own");
    let page = wire::get(app.address, link).await.status;
    let clicked = wire::post(app.address, link, "").await.status;
    assert_eq!(page, clicked, "the page knows what the button does");
    clicked
}

async fn log_in(app: &TestApp, name: &str, password: &str) -> Result<Client, ErrorKind> {
    let answer = app.anonymous().login(Credentials::new(name, Secret::new(password))).await;
    match answer {
        Ok(tokens) => Ok(app.anonymous().with_token(tokens.token)),
        Err(error) => Err(error.kind().unwrap()),
    }
}

#[tokio::test]
async fn an_account_is_confirmed_changed_forgotten_deleted_restored_and_erased() {
    let mailbox = MailServer::start().await;
    let app = app_with(&mailbox).await;
    let (admin, root) = (app.admin().await, app.superadmin().await);
    let name = fresh_name("ada");
    let (first, second) = (format!("{name}@example.org"), format!("{name}@example.net"));
    // No client here keeps a device token, so there are notices of new devices in between: as many as there are days.
    let next_to = async |address: &str| loop {
        let mail = mailbox.next_to(address).await;
        if !mail.subject().contains("new device") {
            return mail;
        }
    };
    let subject_of_next_to = async |address: &str| next_to(address).await.subject().to_owned();

    // The address is confirmed with the link, the second one that was asked for, because that revokes the first.
    let id = app.anonymous().register(new_user(&name)).await.unwrap().public_id;
    let lost = next_to(&first).await;
    assert_eq!(log_in(&app, &name, PASSWORD).await.err(), Some(ErrorKind::NotValidated));
    let confirmation = next_to(&first).await;
    assert_eq!((follow(&app, &lost).await, follow(&app, &confirmation).await), (404, 200));
    // Another way to confirm is POST, and what is confirmed needs no other code.
    let bob = fresh_name("bob");
    app.anonymous().register(new_user(&bob)).await.unwrap();
    let code = next_to(&format!("{bob}@example.org")).await.code();
    app.anonymous().validate(Code::new(code)).await.unwrap();
    log_in(&app, &bob, PASSWORD).await.unwrap().resend_validation().await.unwrap();
    let again = app.anonymous().validate(Code::new(confirmation.code())).await.unwrap();
    assert!(again.already_confirmed, "a link works once, and says so afterwards");
    let ada = log_in(&app, &name, PASSWORD).await.unwrap();

    // Password and address in one request: the password at once, the address when its code has come back.
    let change = AccountChange {
        email: Some(second.parse().unwrap()),
        ..AccountChange::password(Some(Secret::new(PASSWORD)), Secret::new(SECOND)).unwrap()
    };
    assert_eq!(ada.change_user(id, change).await.unwrap().email.as_str(), first);
    let notices = [subject_of_next_to(&first).await, subject_of_next_to(&first).await];
    assert!(notices.iter().any(|subject| subject.contains("password")), "{notices:?}");
    assert!(notices.iter().any(|subject| subject.contains("address")), "{notices:?}");
    assert_eq!(follow(&app, &next_to(&second).await).await, 200);
    assert_eq!(log_in(&app, &name, PASSWORD).await.err(), Some(ErrorKind::InvalidCredentials));
    let ada = log_in(&app, &name, SECOND).await.unwrap();
    assert_eq!(ada.get_self().await.unwrap().email.as_str(), second);

    // Forgotten: the mail goes to the new address, and none to the old one, which is no user's now.
    for address in [&first, &second] {
        app.anonymous().forgot_password(ForgottenPassword { email: address.parse().unwrap() }).await.unwrap();
    }
    let code = next_to(&second).await.code();
    app.anonymous().reset_password(PasswordReset::new(code, Secret::new(THIRD)).unwrap()).await.unwrap();
    assert!(subject_of_next_to(&second).await.contains("password"));
    assert_eq!(log_in(&app, &name, SECOND).await.err(), Some(ErrorKind::InvalidCredentials));
    log_in(&app, &name, THIRD).await.unwrap();

    // An administrator helps, and the code is good until the account changes.
    admin.client.send_reset(id).await.unwrap();
    let code = next_to(&second).await.code();
    admin.client.delete_user(id, Deletion::PLAIN).await.unwrap();
    assert_eq!(log_in(&app, &name, THIRD).await.err(), Some(ErrorKind::InvalidCredentials));
    admin.client.restore_user(id).await.unwrap();
    let late = app.anonymous().reset_password(PasswordReset::new(code, Secret::new(PASSWORD)).unwrap()).await;
    assert_eq!(late.unwrap_err().kind(), Some(ErrorKind::NotFound));
    let ada = log_in(&app, &name, THIRD).await.unwrap();
    let export = serde_json::to_string(&ada.export_self().await.unwrap()).unwrap();
    assert!(export.contains(&second) && !export.contains("$argon2"), "{export}");

    // An administrator gives her another address, which is hers once she has the code; she hears of it at the old one.
    let third = format!("{name}@example.com");
    let change = AccountChange::email(None, third.parse().unwrap());
    admin.client.change_user(id, change).await.unwrap();
    assert!(subject_of_next_to(&second).await.contains("address"));
    assert_eq!(follow(&app, &next_to(&third).await).await, 200);

    // Permanently, and even so no other user takes the name.
    root.client.delete_user(id, Deletion::ERASE).await.unwrap();
    assert_eq!(log_in(&app, &name, THIRD).await.err(), Some(ErrorKind::InvalidCredentials));
    let again = app.anonymous().register(new_user(&name)).await;
    assert_eq!(again.unwrap_err().kind(), Some(ErrorKind::AlreadyRegistered));
    assert!(app.anonymous().login(credentials(&admin.username)).await.is_ok());
    let is_left = |mail: &Mail| mail.to.starts_with(&name) && !mail.subject().contains("new device");
    let left: Vec<_> = mailbox.waiting().into_iter().filter(is_left).collect();
    assert!(left.is_empty(), "{left:?}");
}
