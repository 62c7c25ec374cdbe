//! The mail that invites a user to choose the first password.

use authy_core::api::user::NewAccount;

use super::*;

#[tokio::test]
async fn an_invitation_arrives_with_the_username_and_a_link_that_sets_the_password() {
    let mailbox = MailServer::start().await;
    let app = app_with(&mailbox).await;
    let name = fresh_name("ada.lovelace");
    let address = format!("{name}@example.org");
    let admin = app.admin().await;
    for (text, validated) in [(&name, None), (&format!("{name}.too"), Some(true))] {
        let address = if validated.is_some() { format!("too-{address}") } else { address.clone() };
        let account = NewAccount { validated, ..NewAccount::new(text, &address).unwrap() };
        let id = admin.client.create_user(account).await.unwrap().public_id;
        let mail = mailbox.next_to(&address).await;
        assert_eq!((mail.subject(), mail.defects.len()), ("Your account at The Shop", 0));
        assert!(mail.header("message-id").ends_with(".invitation@shop.example>"), "{mail:?}");
        // As it is: the user has to log in with it.
        assert!(mail.text.contains(&format!("Its username is {text}.\n")), "{}", mail.text);
        let link = format!("https://shop.example/reset?code={}", mail.code().expose());
        assert!(mail.text.contains(&format!("\n{link}\n")), "{}", mail.text);
        assert!(unescaped(&mail.html).contains(&format!("<a href=\"{link}\">")), "{}", mail.html);
        let reset = PasswordReset::new(mail.code(), Secret::new(NEW_PASSWORD)).unwrap();
        app.authy.users().reset_password(&anonymous("Firefox"), reset).await.unwrap();
        assert!(is_validated(&app.authy, id).await);
        assert_eq!(mailbox.next_to(&address).await.subject(), "Your password for The Shop was changed");
    }
    all_is_delivered(&app).await;
    assert!(mailbox.waiting().is_empty(), "{:?}", mailbox.waiting());
}
