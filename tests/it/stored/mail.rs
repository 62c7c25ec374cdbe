//! Mails to addresses that cannot be mailed are given up, and delay no others.

use authy_tests::{new_user, smtp::MailServer, until};

use super::*;

#[tokio::test]
async fn an_address_that_cannot_be_mailed_stops_no_other_mail() {
    let mailbox = MailServer::start().await;
    let imported = Imported::into(TestApp::with_sinks(|authy| vec![mailbox.sink(authy)]).await).await;
    let long = format!("{}@example.org", "a".repeat(88));
    let mut waiting = Vec::new();
    for (username, email) in [("User One", "me <x@y.zz> you"), ("User Two", &long), ("User Three", "")] {
        let id = imported.user(username, email, "user").await;
        let unconfirmed = "UPDATE authy.users SET validated_at = NULL WHERE public_id = $1";
        imported.sql.execute(unconfirmed, &[id.as_uuid()]).await.unwrap();
        imported.log_in(username).await.client.resend_validation().await.unwrap();
        imported.app.authy.users().send_reset(&operator(), id).await.unwrap();
        waiting.push(id);
    }
    let ada = fresh_name("ada");
    imported.app.anonymous().register(new_user(&ada)).await.unwrap();
    mailbox.next_to(&format!("{ada}@example.org")).await;
    until("the others are given up, and say why", async || {
        let stuck = imported.app.authy.deliveries().list_stuck(20).await.unwrap();
        waiting.iter().all(|user| {
            let of_user = stuck.iter().filter(|delivery| delivery.subject == Some(*user) && delivery.is_given_up);
            let why = of_user.map(|delivery| delivery.error.as_deref().unwrap_or_default());
            why.filter(|why| why.contains("no mail can be sent")).count() == 2
        })
    })
    .await;
    let sinks = imported.app.authy.deliveries().list_sinks().await.unwrap();
    assert!(sinks.iter().all(|sink| sink.error.is_none()), "{sinks:?}");
}
