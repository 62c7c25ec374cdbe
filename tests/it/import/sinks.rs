//! An import beside a running server: neither the webhook nor anybody's mailbox notices.

use std::sync::Arc;

use authy_core::api::event::EventKind;
use authy_server::sink::Webhook;
use authy_tests::{
    new_user, notifications,
    receiver::{Reaction, Receiver},
    smtp::MailServer,
};

use super::*;

#[tokio::test]
async fn neither_the_webhook_nor_the_mail_server_is_told_of_imported_users() {
    let (receiver, mailbox) = (Receiver::start(|_| Reaction::Status(201)).await, MailServer::start().await);
    let app = TestApp::with_sinks(|authy| {
        let url = format!("http://{}/details", receiver.address).parse().unwrap();
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        vec![Arc::new(Webhook::new(authy.clone(), url, secret).unwrap()), mailbox.sink(authy)]
    })
    .await;
    let names = ["root", "boss", "four", "seven", "ada", "ADA", "gone", "fine"];
    let chosen = |user: &OldUser| names.contains(&user.username.as_deref().unwrap_or_default());
    let mut users: Vec<_> = old_database::users().into_iter().filter(chosen).collect();
    let report = import(&app.authy, first_authy(&old_database::create(&users).await)).await;
    assert_eq!(report.created, names.len() as u64, "{report:#?}");
    // And what another import changes: a password, an address, a deletion.
    for user in &mut users {
        user.password += ", changed";
        user.email = user.email.as_ref().map(|email| format!("new-{email}"));
        user.deleted = Some(user.deleted != Some(true));
    }
    let report = import(&app.authy, first_authy(&old_database::create(&users).await)).await;
    assert!(report.changed >= 6, "{report:#?}");

    // A sign-up afterwards reaches both, and the events before it were looked at then.
    let user = app.anonymous().register(new_user("mary")).await.unwrap().public_id;
    mailbox.next_to("mary@example.org").await;
    until("everything is delivered", || async {
        app.authy.deliveries().list_sinks().await.unwrap().iter().all(|sink| sink.waiting == 0)
    })
    .await;
    let bodies: Vec<_> = receiver.received().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, [format!(r#"{{"public_id":"{user}"}}"#)]);
    assert!(mailbox.waiting().is_empty(), "{:?}", mailbox.waiting());
    assert!(app.authy.deliveries().list_stuck(10).await.unwrap().is_empty());
    let root = users.iter().find(|user| user.username.as_deref() == Some("root")).unwrap();
    let root = root.public_id.as_ref().unwrap().parse().unwrap();
    assert!(notifications(&app.authy, root, EventKind::UserImported).await.is_empty());
}
