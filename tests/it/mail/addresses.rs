//! Which addresses mails go to and come from, and whose fault it is when a server refuses one.

use authy_tests::smtp::PUBLIC_URL;
use proptest::{
    prop_oneof,
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpStream,
};

use super::*;

/// A sink whose mails come from an international domain.
fn from_buecher(authy: &Authy, url: &str) -> std::sync::Arc<dyn Sink> {
    mail_sink(authy, url, |config| config.from("Laden <no-reply@bücher.example>".parse().unwrap()))
}

/// Signs up with an address; the id.
async fn sign_up_at(authy: &Authy, email: &str) -> UserId {
    let mut user = new_user(&fresh_name("ada"));
    user.email = email.parse().unwrap();
    authy.users().register(&anonymous("Firefox"), user).await.unwrap()
}

/// What became of the mail to a user, once it was tried.
async fn stuck_of(app: &TestApp, user: UserId) -> authy_core::engine::StuckDelivery {
    let stuck = || async {
        app.authy.deliveries().list_stuck(10).await.unwrap().into_iter().find(|one| one.subject == Some(user))
    };
    until("it was tried", || async { stuck().await.is_some() }).await;
    stuck().await.unwrap()
}

#[tokio::test]
async fn an_international_address_gets_its_mail() {
    let mailbox = MailServer::start().await;
    let app = app_with(&mailbox).await;
    for (email, arrives_at) in [
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("jo\u{308}rg@example.org", "jörg@example.org"),
        ("संपर्क@डाटामेल.भारत", "संपर्क@xn--c2bd4bq1db8d.xn--h2brj9c"),
        ("用户@例子.广告", "用户@xn--fsqu00a.xn--4rr70v"),
        ("o'hara+tag/x=y@r3---sn.example", "o'hara+tag/x=y@r3---sn.example"),
    ] {
        let user = sign_up_at(&app.authy, email).await;
        let mail = mailbox.next_to(arrives_at).await;
        assert_eq!((mail.header("to"), mail.defects.len()), (arrives_at, 0), "{mail:?}");
        app.authy.users().validate(&anonymous("Firefox"), &mail.code()).await.unwrap();
        assert!(is_validated(&app.authy, user).await);
    }
}

#[tokio::test]
async fn every_address_that_is_accepted_is_one_to_a_mail_server() {
    let mailbox = MailServer::start().await;
    let mut server = BufStream::new(TcpStream::connect(mailbox.address).await.unwrap());
    answered(&mut server, "").await;
    answered(&mut server, "EHLO test.example\r\n").await;
    answered(&mut server, "MAIL FROM:<a@b.example> SMTPUTF8\r\n").await;
    let text = "\\PC{1,20}@\\PC{1,12}\\.\\PC{2,6}";
    let plain = "[a-zéñकि्.+_'!#$%&*/=?^`{|}~-]{1,20}@[a-zü0-9क-]{1,9}\\.[a-zм]{2,5}";
    let mut runner = TestRunner::deterministic();
    let mut accepted = 0;
    while accepted < 500 {
        let text = prop_oneof![text, plain].new_tree(&mut runner).unwrap().current();
        // The mailboxes with these beginnings are refused on purpose.
        let Ok(email) = text.parse::<Email>() else { continue };
        if ["gone", "busy"].iter().any(|beginning| email.as_str().starts_with(beginning)) {
            continue;
        }
        let parts = email.addr_spec().unwrap();
        let command = format!("RCPT TO:<{}@{}>\r\n", parts.local_part(), parts.domain());
        let answer = answered(&mut server, &command).await;
        assert!(answer.starts_with("250 "), "{command}{answer}");
        accepted += 1;
    }
}

/// Sends a command to a mail server; its answer.
async fn answered(server: &mut BufStream<TcpStream>, command: &str) -> String {
    server.write_all(command.as_bytes()).await.unwrap();
    server.flush().await.unwrap();
    let mut answer = String::new();
    loop {
        let start = answer.len();
        server.read_line(&mut answer).await.unwrap();
        if answer[start..].chars().nth(3) != Some('-') {
            return answer;
        }
    }
}

#[tokio::test]
async fn a_server_without_smtputf8_takes_mails_from_and_to_international_domains() {
    let mailbox = MailServer::with(&["--ascii"]).await;
    let app = TestApp::with_sinks(|authy| vec![from_buecher(authy, &mailbox.url())]).await;
    let user = sign_up_at(&app.authy, "ada@MÜLLER.example").await;
    let mail = mailbox.next_to("ada@xn--mller-kva.example").await;
    assert_eq!(mail.sender, "no-reply@xn--bcher-kva.example");
    assert_eq!(mail.header("from"), "Laden <no-reply@xn--bcher-kva.example>");
    assert_eq!(mail.header("to"), "ada@xn--mller-kva.example");
    assert!(mail.header("message-id").ends_with(".validate@xn--bcher-kva.example>"), "{mail:?}");
    assert_eq!(mail.defects, Vec::<String>::new());
    assert!(mail.text.contains(PUBLIC_URL), "{mail:?}");
    assert_eq!(app.authy.users().find(user).await.unwrap().unwrap().email.as_str(), "ada@müller.example");
}

#[tokio::test]
async fn a_recipient_who_needs_smtputf8_is_given_up_where_there_is_none_and_nobody_else() {
    let mailbox = MailServer::with(&["--ascii"]).await;
    let app = TestApp::with_sinks(|authy| vec![from_buecher(authy, &mailbox.url())]).await;
    let joerg = sign_up_at(&app.authy, "jörg@example.org").await;
    sign_up_at(&app.authy, "ada@example.org").await;
    mailbox.next_to("ada@example.org").await;
    let stuck = stuck_of(&app, joerg).await;
    assert!(stuck.is_given_up && stuck.error.as_deref().unwrap().contains("SMTPUTF8"), "{stuck:?}");
}

/// Whether a mail is given up at its first refusal.
async fn is_given_up(arguments: &[&str]) -> bool {
    let mailbox = MailServer::with(arguments).await;
    let app = app_with(&mailbox).await;
    let user = sign_up_at(&app.authy, "refused@example.org").await;
    stuck_of(&app, user).await.is_given_up
}

#[tokio::test]
async fn a_mail_that_is_refused_because_of_us_waits() {
    for arguments in [
        // No relay for us, in the words of Postfix and of Exim.
        ["--rcpt", "554 5.7.1 Relay access denied"],
        ["--rcpt", "550 relay not permitted"],
        // Postfix refuses a sender only once there is a recipient.
        ["--rcpt", "550 5.1.8 Sender address rejected: Domain not found"],
        ["--rcpt", "554 5.7.1 Service unavailable; client host blocked"],
        // Our words, or our server's reputation.
        ["--data", "554 5.7.1 rejected as spam"],
        ["--data", "550 5.6.0 malformed"],
        ["--data", "552 5.3.4 too big"],
    ] {
        assert!(!is_given_up(&arguments).await, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_mail_that_its_recipient_refuses_is_given_up() {
    for arguments in [
        ["--rcpt", "550 5.1.1 no such user"],
        ["--rcpt", "556 5.1.10 the domain accepts no mail"],
        ["--rcpt", "550 5.2.1 mailbox disabled"],
        ["--rcpt", "553 5.6.7 this mailbox needs SMTPUTF8"],
        ["--data", "550 5.1.1 no such user"],
        ["--data", "552 5.2.2 mailbox full"],
    ] {
        assert!(is_given_up(&arguments).await, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_refusal_without_a_reason_is_the_recipient_s_once_the_server_has_accepted_another() {
    let mailbox = MailServer::with(&["--rcpt", "550 no"]).await;
    let app = app_with(&mailbox).await;
    sign_up_at(&app.authy, "ada@example.org").await;
    mailbox.next_to("ada@example.org").await;
    all_is_delivered(&app).await;
    let refused = sign_up_at(&app.authy, "refused@example.org").await;
    assert!(stuck_of(&app, refused).await.is_given_up);
}

#[tokio::test]
async fn an_address_from_before_the_rule_is_shown_and_what_is_to_go_there_is_given_up() {
    let mailbox = MailServer::start().await;
    let app = app_with(&mailbox).await;
    let (ada, address) = sign_up(&app.authy, "ada").await;
    let name = address.split_once('@').unwrap().0;
    mailbox.next_to(&address).await;
    all_is_delivered(&app).await;
    for stored in ["\"ann@home\"@example.org", "(c)@example.org", "nowhere"] {
        let sql = app.sql().await;
        sql.execute(
            "UPDATE authy.users SET email = $2, email_key = $2 WHERE public_id = $1",
            &[ada.as_uuid(), &stored],
        )
        .await
        .unwrap();
        assert_eq!(app.authy.users().find(ada).await.unwrap().unwrap().email.as_str(), stored);
        let query = UserQuery { q: Some(name.to_owned()), ..UserQuery::default() };
        let listed = app.authy.users().list(&query).await.unwrap();
        assert_eq!(listed.items[0].email.as_str(), stored);
        app.authy.users().send_reset(&operator(), ada).await.unwrap();
        let stuck = stuck_of(&app, ada).await;
        assert!(stuck.is_given_up && stuck.error.as_deref().unwrap().contains("no mail can be sent"), "{stuck:?}");
        let sinks = app.authy.deliveries().list_sinks().await.unwrap();
        assert_eq!(sinks.iter().find(|sink| sink.sink == "mail").unwrap().given_up, 1);
        sql.execute("DELETE FROM authy.delivery WHERE state = 'given_up'", &[]).await.unwrap();
    }
}
