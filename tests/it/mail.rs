//! What happens to an account reaches its owner by mail: over a real mail server, read by another project's parser.

use std::{net::IpAddr, path::Path, sync::Arc};

use authy_core::{
    Authy, ClientInfo, Email, Secret, UserId,
    api::{
        account::{AccountChange, ForgottenPassword, PasswordReset},
        user::UserQuery,
    },
    engine::{Caller, Sink},
};
use authy_server::sink::Templates;
use authy_tests::{
    TestApp, credentials, fresh_name, new_account, new_user, operator,
    proxy::Proxy,
    smtp::{MailServer, PUBLIC_URL, mail_sink, mails},
    until,
};

mod abuse;
mod addresses;
mod invitation;

const NEW_PASSWORD: &str = "gooseberry-semaphore-77";

async fn app_with(mailbox: &MailServer) -> TestApp {
    app_at(&mailbox.url()).await
}

/// An app whose mail server has this URL.
async fn app_at(url: &str) -> TestApp {
    TestApp::with_sinks(|authy| vec![mail_sink(authy, url, |config| config)]).await
}

/// A user at a browser.
fn anonymous(user_agent: &str) -> Caller {
    let client_info = ClientInfo {
        ip: Some(IpAddr::from([192, 0, 2, 7])),
        user_agent: Some(user_agent.to_owned()),
        ..ClientInfo::default()
    };
    Caller::anonymous(client_info)
}

/// Signs up under a fresh name that begins so; the id and the address.
async fn sign_up(authy: &Authy, beginning: &str) -> (UserId, String) {
    let user = new_user(&fresh_name(beginning));
    let address = user.email.to_string();
    (authy.users().register(&anonymous("Firefox"), user).await.unwrap(), address)
}

async fn forget_password(authy: &Authy, address: &str, user_agent: &str) {
    let forgotten = ForgottenPassword { email: address.parse().unwrap() };
    authy.users().forgot_password(&anonymous(user_agent), &forgotten).await.unwrap();
}

async fn is_validated(authy: &Authy, user: UserId) -> bool {
    authy.users().find(user).await.unwrap().unwrap().validated
}

fn unescaped(html: &str) -> String {
    html.replace("&#x2f;", "/").replace("&amp;", "&")
}

/// Waits until every mail has been taken, and that is noted.
async fn all_is_delivered(app: &TestApp) {
    until("all mails are sent", || async {
        app.authy.deliveries().list_sinks().await.unwrap().iter().all(|sink| sink.waiting == 0)
    })
    .await;
}

#[tokio::test]
async fn a_sign_up_gets_a_mail_whose_code_confirms_the_address_once() {
    let mailbox = MailServer::start().await;
    let app = app_with(&mailbox).await;
    let (ada, address) = sign_up(&app.authy, "ada").await;
    let mail = mailbox.next_to(&address).await;
    assert_eq!(mail.defects, Vec::<String>::new());
    assert_eq!(mail.subject(), "Confirm your address for The Shop");
    assert_eq!(
        (mail.sender.as_str(), mail.header("from")),
        ("no-reply@shop.example", "The Shop <no-reply@shop.example>")
    );
    assert_eq!((mail.header("to"), mail.header("auto-submitted")), (address.as_str(), "auto-generated"));
    assert!(mail.header("message-id").ends_with(".validate@shop.example>"), "{mail:?}");
    assert!(!mail.header("date").is_empty());
    let code = mail.code();
    let link = format!("{PUBLIC_URL}/authy/validate/{}", code.expose());
    assert!(mail.text.contains(&format!("\n{link}\n")), "{}", mail.text);
    assert!(unescaped(&mail.html).contains(&format!("<a href=\"{link}\">")), "{}", mail.html);
    assert!(!is_validated(&app.authy, ada).await);
    assert_eq!(app.authy.users().validate(&anonymous("Firefox"), &code).await.unwrap().public_id, ada);
    assert!(is_validated(&app.authy, ada).await);
    assert!(app.authy.users().validate(&anonymous("Firefox"), &code).await.unwrap().already_confirmed);
}

#[tokio::test]
async fn a_forgotten_password_is_reset_with_the_code_of_the_mail_and_a_notice_is_sent() {
    let mailbox = MailServer::start().await;
    let app = app_with(&mailbox).await;
    let (_, address) = sign_up(&app.authy, "ada").await;
    let name = address.split_once('@').unwrap().0;
    mailbox.next_to(&address).await;
    forget_password(&app.authy, &address, "Firefox").await;
    let mail = mailbox.next_to(&address).await;
    assert!(mail.text.contains("https://shop.example/reset?code="), "{}", mail.text);
    let reset = PasswordReset::new(mail.code(), Secret::new(NEW_PASSWORD)).unwrap();
    app.authy.users().reset_password(&anonymous("Opera"), reset).await.unwrap();
    let notice = mailbox.next_to(&address).await;
    assert_eq!(notice.subject(), "Your password for The Shop was changed");
    assert!(notice.text.contains("From: 192.0.2.7\nWith: Opera\n"), "{}", notice.text);
    assert!(notice.text.starts_with(&format!("Hello {name},\n")), "confirmed by now: {}", notice.text);
    assert!(app.authy.sessions().login(&operator(), credentials(name)).await.is_err());
}

#[tokio::test]
async fn without_a_page_for_it_the_mail_gives_the_code_itself() {
    let mailbox = MailServer::start().await;
    let sink = |authy: &Authy| -> Vec<Arc<dyn Sink>> { vec![Arc::new(mails(&mailbox.url()).sink(authy))] };
    let app = TestApp::with_sinks(sink).await;
    let (_, address) = sign_up(&app.authy, "ada").await;
    mailbox.next_to(&address).await;
    forget_password(&app.authy, &address, "Firefox").await;
    let mail = mailbox.next_to(&address).await;
    assert!(mail.text.contains("enter this code") && !mail.text.contains("http"), "{}", mail.text);
    assert!(mail.html.contains(&format!("<code>{}</code>", mail.code().expose())), "{}", mail.html);
}

async fn request_email(app: &TestApp, user: UserId, email: &str) {
    let change = AccountChange::email(None, email.parse::<Email>().unwrap());
    app.authy.users().change(&operator(), user, change).await.unwrap();
}

#[tokio::test]
async fn a_change_of_address_is_reported_to_the_old_one_and_confirmed_at_the_new_one() {
    let mailbox = MailServer::start().await;
    let app = app_with(&mailbox).await;
    let (ada, old) = sign_up(&app.authy, "ada").await;
    mailbox.next_to(&old).await;
    let new = format!("new-{old}");
    request_email(&app, ada, &new).await;
    let code = mailbox.next_to(&new).await.code();
    let notice = mailbox.next_to(&old).await;
    assert_eq!(notice.subject(), "A new address for your account at The Shop");
    assert!(!notice.text.contains(code.expose()) && !notice.html.contains(code.expose()));
    app.authy.users().validate(&anonymous("Firefox"), &code).await.unwrap();
    assert_eq!(app.authy.users().find(ada).await.unwrap().unwrap().email.as_str(), new);
}

#[tokio::test]
async fn an_old_address_that_is_gone_does_not_keep_the_new_one_from_its_code() {
    let mailbox = MailServer::start().await;
    let app = app_with(&mailbox).await;
    // The sign-up is given up as well: the mailbox never was there.
    let (ada, _) = sign_up(&app.authy, "gone").await;
    let new = format!("{}@example.org", fresh_name("new"));
    request_email(&app, ada, &new).await;
    let code = mailbox.next_to(&new).await.code();
    app.authy.users().validate(&anonymous("Firefox"), &code).await.unwrap();
    all_is_delivered(&app).await;
    assert_eq!(mailbox.waiting().len(), 0);
}

#[tokio::test]
async fn a_notice_is_not_repeated_because_the_code_has_to_wait() {
    let mailbox = MailServer::start().await;
    let app = app_with(&mailbox).await;
    let (ada, old) = sign_up(&app.authy, "ada").await;
    mailbox.next_to(&old).await;
    let new = format!("{}@example.org", fresh_name("busy"));
    request_email(&app, ada, &new).await;
    mailbox.next_to(&new).await;
    mailbox.next_to(&old).await;
    all_is_delivered(&app).await;
    assert_eq!(mailbox.waiting().len(), 0);
}

#[tokio::test]
async fn no_mail_is_sent_for_a_used_code_or_a_deleted_account() {
    let mailbox = MailServer::start().await;
    let network = Proxy::to(mailbox.address).await;
    let app = app_at(&format!("smtp://{}", network.address)).await;
    network.cut();
    let (user, used) = sign_up(&app.authy, "used").await;
    forget_password(&app.authy, &used, "Firefox").await;
    let (deleted, _) = sign_up(&app.authy, "deleted").await;
    app.authy.users().delete(&operator(), deleted).await.unwrap();
    // This revokes every code that was sent before.
    let code = app.authy.users().create_reset(&operator(), user).await.unwrap();
    let reset = PasswordReset::new(code, Secret::new(NEW_PASSWORD)).unwrap();
    app.authy.users().reset_password(&anonymous("Firefox"), reset).await.unwrap();
    network.mend(mailbox.address);
    let notice = mailbox.next_to(&used).await;
    assert_eq!(notice.subject(), "Your password for The Shop was changed");
    all_is_delivered(&app).await;
    assert_eq!(mailbox.waiting().len(), 0);
}

#[tokio::test]
async fn a_mailbox_is_not_flooded_with_codes() {
    let mailbox = MailServer::start().await;
    let app = app_with(&mailbox).await;
    let (_, address) = sign_up(&app.authy, "ada").await;
    mailbox.next_to(&address).await;
    for _ in 0..8 {
        forget_password(&app.authy, &address, "Firefox").await;
    }
    all_is_delivered(&app).await;
    assert_eq!(mailbox.waiting().len(), 5);
}

#[tokio::test]
async fn mails_wait_for_a_mail_server_that_is_away() {
    let mailbox = MailServer::start().await;
    let network = Proxy::to(mailbox.address).await;
    let app = app_at(&format!("smtp://{}", network.address)).await;
    let (_, before) = sign_up(&app.authy, "before").await;
    mailbox.next_to(&before).await;
    // A mail whose receipt is lost on the way is sent once more, and that is right.
    all_is_delivered(&app).await;
    network.cut();
    let mut addresses = Vec::new();
    for _ in 0..12 {
        addresses.push(sign_up(&app.authy, "ada").await.1);
    }
    until("it is listed", || async { !app.authy.deliveries().list_stuck(10).await.unwrap().is_empty() }).await;
    network.mend(mailbox.address);
    for address in addresses {
        mailbox.next_to(&address).await;
    }
    all_is_delivered(&app).await;
    assert_eq!(mailbox.waiting().len(), 0);
}

#[tokio::test]
async fn a_refused_mailbox_is_given_up_and_delays_no_other_mail() {
    let mailbox = MailServer::start().await;
    let app = app_with(&mailbox).await;
    let (gone, _) = sign_up(&app.authy, "gone").await;
    let (_, address) = sign_up(&app.authy, "ada").await;
    mailbox.next_to(&address).await;
    until("it was given up", || async { !app.authy.deliveries().list_stuck(10).await.unwrap().is_empty() }).await;
    let stuck = app.authy.deliveries().list_stuck(10).await.unwrap();
    assert_eq!((stuck.len(), stuck[0].subject, stuck[0].sink.as_str()), (1, Some(gone), "mail"), "{stuck:?}");
    let error = stuck[0].error.as_deref().unwrap();
    assert!(error.contains("mailbox is refused") && error.contains("no such mailbox"), "{error}");
    all_is_delivered(&app).await;
    // Mail servers like to name the mailbox: not any more, once its owner was erased.
    app.authy.users().erase(&operator(), gone).await.unwrap();
    assert_eq!(app.authy.deliveries().list_stuck(10).await.unwrap()[0].error, None);
}

#[tokio::test]
async fn the_old_address_gets_its_notice_before_the_new_one_gets_a_code() {
    let mailbox = MailServer::start().await;
    let app = app_with(&mailbox).await;
    let user = new_account(&fresh_name("busy"), "user");
    let old = user.email.to_string();
    let id = app.authy.users().create(&operator(), user).await.unwrap();
    let new = format!("{}@example.org", fresh_name("new"));
    request_email(&app, id, &new).await;
    until("both have arrived", || async { mailbox.waiting().len() == 2 }).await;
    let arrived: Vec<_> = mailbox.waiting().into_iter().map(|mail| mail.to).collect();
    assert_eq!(arrived, [old, new]);
}

#[tokio::test]
async fn a_login_with_a_new_device_is_reported_by_mail() {
    let mailbox = MailServer::start().await;
    let app = app_with(&mailbox).await;
    let (ada, address) = sign_up(&app.authy, "ada").await;
    app.authy.users().validate(&anonymous("Firefox"), &mailbox.next_to(&address).await.code()).await.unwrap();
    assert!(is_validated(&app.authy, ada).await);
    let name = address.split('@').next().unwrap();
    // The first login of all, one without a device token, one with another browser, and again.
    for browser in ["Firefox", "Firefox", "Chrome", "Firefox"] {
        app.authy.sessions().login(&anonymous(browser), credentials(name)).await.unwrap();
    }
    for browser in ["With: Firefox", "With: Chrome"] {
        let notice = mailbox.next_to(&address).await;
        assert!(notice.subject().contains("new device") && notice.text.contains(browser), "{notice:?}");
    }
    all_is_delivered(&app).await;
    assert_eq!(mailbox.waiting().len(), 0);
}

#[tokio::test]
async fn a_client_that_keeps_no_device_token_costs_one_delivery_a_day() {
    let mailbox = MailServer::start().await;
    let app = app_with(&mailbox).await;
    let (ada, address) = sign_up(&app.authy, "ada").await;
    mailbox.next_to(&address).await;
    let name = address.split('@').next().unwrap();
    let log_in = async |browser| {
        app.authy.sessions().login(&anonymous(browser), credentials(name)).await.unwrap();
        all_is_delivered(&app).await;
    };
    // The first of all is not from a new device.
    for _ in 0..2 {
        log_in("curl").await;
    }
    let query = "SELECT count(*) FROM authy.delivery WHERE subject = $1";
    let deliveries = async || app.sql().await.query_one(query, &[ada.as_uuid()]).await.unwrap().get::<_, i64>(0);
    assert_eq!(deliveries().await, 2, "of the sign-up and the new device");
    for _ in 0..5 {
        log_in("curl").await;
    }
    assert_eq!(deliveries().await, 2);
    // A login from another device has a mail of its own.
    log_in("wget").await;
    assert_eq!(deliveries().await, 3);
}

#[tokio::test]
async fn a_mailbox_that_is_busy_is_tried_again() {
    let mailbox = MailServer::start().await;
    let app = app_with(&mailbox).await;
    let (_, address) = sign_up(&app.authy, "busy").await;
    mailbox.next_to(&address).await;
    all_is_delivered(&app).await;
    assert!(app.authy.deliveries().list_stuck(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_notice_of_last_week_is_given_up_when_it_is_not_taken_at_last() {
    let mailbox = MailServer::start().await;
    let app = app_with(&mailbox).await;
    let user = new_account(&fresh_name("busy"), "user");
    let id = app.authy.users().create(&operator(), user).await.unwrap();
    let event = "INSERT INTO authy.event (event_id, happened, kind, origin, subject)
                 VALUES (gen_random_uuid(), now() - interval '5 days', 'password.changed', 'operator', $1)";
    app.sql().await.execute(event, &[id.as_uuid()]).await.unwrap();
    until("it was given up", || async {
        app.authy.deliveries().list_stuck(10).await.unwrap().iter().any(|one| one.is_given_up)
    })
    .await;
    let stuck = app.authy.deliveries().list_stuck(10).await.unwrap();
    assert!(stuck[0].error.as_deref().unwrap().contains("try again later"), "{stuck:?}");
}

#[tokio::test]
async fn a_server_that_refuses_us_costs_no_mail() {
    // The sender, a wrong password, no password at all.
    for (arguments, login) in [
        (&["--refuse-sender"][..], ""),
        (&["--login", "shop", "another"], "shop:hunter2@"),
        (&["--login", "shop", "another"], ""),
    ] {
        let (wrong, right) =
            (MailServer::with(arguments).await, MailServer::with(&["--login", "shop", "hunter2"]).await);
        let network = Proxy::to(wrong.address).await;
        let app = app_at(&format!("smtp://{login}{}", network.address)).await;
        let (_, address) = sign_up(&app.authy, "ada").await;
        until("it was tried", || async { !app.authy.deliveries().list_stuck(10).await.unwrap().is_empty() }).await;
        let stuck = app.authy.deliveries().list_stuck(10).await.unwrap();
        assert!(!stuck[0].is_given_up && !format!("{stuck:?}").contains("hunter2"), "{stuck:?}");
        let right = if login.is_empty() { MailServer::start().await } else { right };
        network.cut();
        network.mend(right.address);
        right.next_to(&address).await;
    }
}

#[tokio::test]
async fn a_mail_server_can_want_a_login() {
    let mailbox = MailServer::with(&["--login", "ada@shop.example", "p@ss/word"]).await;
    let url = format!("smtp://ada%40shop.example:p%40ss%2Fword@{}", mailbox.address);
    let app = app_at(&url).await;
    let (_, address) = sign_up(&app.authy, "ada").await;
    assert_eq!(mailbox.next_to(&address).await.login.as_deref(), Some("ada@shop.example"));
}

#[tokio::test]
async fn the_texts_of_mails_can_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("validate.txt"),
        "Subject: Grüße{{ username }}\n\nCode: {{ code }}, bis {{ expires }}, {{ service }}\n",
    )
    .unwrap();
    let mailbox = MailServer::start().await;
    let templates = Templates::load(Some(Path::new(folder.path()))).unwrap();
    let sink = |authy: &Authy| -> Vec<Arc<dyn Sink>> {
        vec![mail_sink(authy, &mailbox.url(), |config| config.templates(templates))]
    };
    let app = TestApp::with_sinks(sink).await;
    let (ada, address) = sign_up(&app.authy, "ada").await;
    let mail = mailbox.next_to(&address).await;
    assert_eq!(mail.subject(), "Grüße", "no name goes to an address that is not confirmed");
    assert!(mail.text.starts_with("Code: ") && mail.text.contains("GMT, The Shop"), "{}", mail.text);
    assert!(
        mail.html.contains("confirm that the address is yours"),
        "the other part is the built-in one: {}",
        mail.html
    );
    assert_eq!(app.authy.users().validate(&operator(), &mail.code()).await.unwrap().public_id, ada);
}
