//! Texts and floods of anonymous callers: none of it reaches a mailbox whose owner did not ask for it.

use authy_core::api::user::NewUser;
use authy_tests::PASSWORD;

use super::*;

#[tokio::test]
async fn a_hostile_user_agent_is_harmless_in_a_mail() {
    let mailbox = MailServer::start().await;
    let app = app_with(&mailbox).await;
    let (ada, address) = sign_up(&app.authy, "ada").await;
    mailbox.next_to(&address).await;
    let hostile = "<script>alert(1)</script>\r\nBcc: eve@example.org\r\n.\r\n{{ code }}\u{202e}";
    forget_password(&app.authy, &address, hostile).await;
    let reset = mailbox.next_to(&address).await;
    // Anyone who knows an address can have a mail sent to it, but not in their own words.
    assert!(!reset.text.contains("script") && !reset.html.contains("alert"), "{reset:?}");
    let code = PasswordReset::new(reset.code(), Secret::new(NEW_PASSWORD)).unwrap();
    app.authy.users().reset_password(&anonymous(hostile), code).await.unwrap();
    let notice = mailbox.next_to(&address).await;
    // The address is confirmed now, and even so.
    for part in [&notice.text, &notice.html] {
        assert!(!part.contains("With:") && !part.contains("script") && !part.contains("eve@"), "{part}");
    }
    assert_eq!((notice.header("bcc"), notice.defects.len(), notice.headers.len()), ("", 0, reset.headers.len()));
    assert!(app.authy.users().find(ada).await.unwrap().is_some());
}

/// A name that a mail program makes a link of.
const PRIZE: &str = "www.evil-prize.example";

/// What a user agent can say as well.
const BAIT: &str = "Your account is locked: https://evil-prize.example/login or call +1 900 555 0100 (Firefox)";

#[tokio::test]
async fn no_text_of_an_anonymous_caller_goes_to_an_address_that_is_not_confirmed() {
    let mailbox = MailServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let custom = "Subject: {{ service }}: {{ username }}\n\nDear {{ username }} ({{ user_agent }}): {{ code }}\n";
    for name in ["validate.txt", "reset.txt", "confirm-email.txt"] {
        std::fs::write(folder.path().join(name), custom).unwrap();
    }
    // The texts that are built in, and some of an operator who wrote the name into them.
    for templates in [None, Some(folder.path())] {
        let sink = |authy: &Authy| -> Vec<std::sync::Arc<dyn Sink>> {
            vec![mail_sink(authy, &mailbox.url(), |config| config.templates(Templates::load(templates).unwrap()))]
        };
        let app = TestApp::with_sinks(sink).await;
        let (target, elsewhere) =
            (format!("{}@example.org", fresh_name("target")), format!("{}@example.org", fresh_name("other")));
        let user = NewUser::new(PRIZE, &target, Secret::new(PASSWORD)).unwrap();
        let id = app.authy.users().register(&anonymous(BAIT), user).await.unwrap();
        let mut mails = vec![mailbox.next_to(&target).await];
        // A second device, a new address, a new password, a reset: whatever makes us write.
        for agent in ["Firefox", BAIT] {
            app.authy.sessions().login(&anonymous(agent), credentials(PRIZE)).await.unwrap();
        }
        mails.push(mailbox.next_to(&target).await);
        let asks = Caller::operator(anonymous(BAIT).client_info().clone());
        let change = AccountChange::email(None, elsewhere.parse().unwrap());
        app.authy.users().change(&asks, id, change).await.unwrap();
        mails.extend([mailbox.next_to(&target).await, mailbox.next_to(&elsewhere).await]);
        let change = AccountChange::password(None, Secret::new(NEW_PASSWORD)).unwrap();
        app.authy.users().change(&asks, id, change).await.unwrap();
        mails.push(mailbox.next_to(&target).await);
        forget_password(&app.authy, &target, BAIT).await;
        mails.push(mailbox.next_to(&target).await);
        for mail in &mails {
            for part in [mail.subject(), &mail.text, &mail.html] {
                assert!(!part.contains("evil") && !part.contains("900") && !part.contains("Firefox"), "{part}");
            }
        }
        // Once the address is confirmed the name is in the mails, and nothing that is a link but ours.
        let reset = PasswordReset::new(mails.pop().unwrap().code(), Secret::new("periwinkle-gyroscope-31")).unwrap();
        app.authy.users().reset_password(&anonymous(BAIT), reset).await.unwrap();
        let notice = mailbox.next_to(&target).await;
        for part in [&notice.text, &notice.html] {
            assert!(part.contains("www[.]evil-prize[.]example") && part.contains("With: Firefox"), "{part}");
            assert!(!part.contains("evil-prize.example") && !part.contains("900"), "{part}");
        }
    }
}

#[tokio::test]
async fn a_mailbox_is_not_flooded_by_sign_ups_with_its_address() {
    let mailbox = MailServer::start().await;
    let app = app_with(&mailbox).await;
    let address = format!("{}@example.org", fresh_name("target"));
    for _ in 0..14 {
        let user = NewUser::new(&fresh_name("flood"), &address, Secret::new(PASSWORD)).unwrap();
        app.authy.users().register(&anonymous("Firefox"), user).await.unwrap();
        forget_password(&app.authy, &address, "Firefox").await;
    }
    all_is_delivered(&app).await;
    // Ten that ask to confirm and five that reset, of all accounts together, and as many again should the hour of the
    // clock end.
    let asked = "SELECT count(DISTINCT date_trunc('hour', happened)) FROM authy.event";
    let hours: i64 = app.sql().await.query_one(asked, &[]).await.unwrap().get(0);
    let mails = mailbox.waiting();
    assert!(mails.len() == 15 || hours > 1, "{}", mails.len());
}
