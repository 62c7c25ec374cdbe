//! Logins with new devices: what the trail says of them, and what their owner is mailed.

use authy_core::{
    ClientInfo, UserId,
    api::{
        account::Code,
        event::{EventKind, EventQuery},
    },
    engine::{Caller, NotificationKind},
};
use authy_tests::{PASSWORD, TestApp, credentials, wire::send};

use super::sign_up;

#[tokio::test]
async fn a_login_without_a_device_token_is_new_whatever_it_calls_itself() {
    let app = TestApp::new().await;
    let (id, name, _) = sign_up(&app).await;
    assert!(app.notifications(id, EventKind::SessionOpened).await.is_empty(), "the first login");
    // What a device calls itself goes to confirmed addresses only.
    let code = app.code(id, EventKind::UserRegistered).await;
    app.anonymous().validate(Code::new(code)).await.unwrap();
    let body = format!(r#"{{"username": "{name}", "password": "{PASSWORD}"}}"#);
    let log_in = async |device: &str| {
        let head = format!("POST /authy/login HTTP/1.1\ncontent-type: application/json\n{device}");
        send(app.address, &head, &body).await
    };
    let known = log_in("user-agent: a new browser").await;
    let notifications = app.notifications(id, EventKind::SessionOpened).await;
    assert_eq!((notifications.len(), notifications[0].kind), (1, NotificationKind::NewDevice));
    assert_eq!(notifications[0].user_agent.as_deref(), Some("a new browser"));
    // A browser that was updated is the same device when it sends the token of its last login.
    let token = known.json()["device_token"].as_str().unwrap().to_owned();
    let with_token = format!("user-agent: its next version\nx-device-token: {token}");
    log_in(&with_token).await;
    assert!(app.notifications(id, EventKind::SessionOpened).await.is_empty(), "known by its token");
    assert_eq!(new_devices(&app, id).await, [false, true, false]);
    // An attacker who copies the owner's user agent, with no token and with one that is not good.
    for attack in ["user-agent: its next version".to_owned(), format!("{with_token}x")] {
        log_in(&attack).await;
        assert!(new_devices(&app, id).await[0], "{attack}");
    }
}

/// Whether each login counts as that of a new device, the last one first.
async fn new_devices(app: &TestApp, user: UserId) -> Vec<bool> {
    let query = EventQuery { user: Some(user), kind: Some(EventKind::SessionOpened), ..EventQuery::default() };
    let events = app.authy.events().list(&query).await.unwrap().events;
    events.iter().map(|event| event.detail.get("new_device").is_some()).collect()
}

#[tokio::test]
async fn mails_about_new_devices_are_bounded_by_what_an_attacker_cannot_share_with_the_owner() {
    let app = TestApp::new().await;
    let (id, name, _) = sign_up(&app).await;
    let mails_after_login = async |ip: &str, agent: &str| {
        let client_info =
            ClientInfo { ip: Some(ip.parse().unwrap()), user_agent: Some(agent.to_owned()), ..ClientInfo::default() };
        app.authy.sessions().login(&Caller::anonymous(client_info), credentials(&name)).await.unwrap();
        app.notifications(id, EventKind::SessionOpened).await.len()
    };
    // A client that never keeps its token is reported once a day.
    assert_eq!(mails_after_login("203.0.113.7", "a script").await, 1);
    assert_eq!(mails_after_login("203.0.113.8", "a script").await, 0);
    // The same user agent from another network, another one from the same network.
    assert_eq!(mails_after_login("203.0.112.7", "a script").await, 1);
    assert_eq!(mails_after_login("203.0.113.7", "another script").await, 1);
    assert_eq!(mails_after_login("2001:db8:1::1", "a script").await, 1);
    assert_eq!(mails_after_login("2001:db8:1:ffff::1", "a script").await, 0);
    assert_eq!(mails_after_login("2001:db8:2::1", "a script").await, 1);
    // No attacker fills the owner's mailbox.
    let mut sent = 5;
    for number in 0..10 {
        sent += mails_after_login("203.0.113.7", &format!("script {number}")).await;
    }
    assert_eq!(sent, 10);
    assert!(new_devices(&app, id).await[..15].iter().all(|is_new| *is_new), "the trail contains all of them");
    // What was mailed on another day does not count.
    let yesterday = "INSERT INTO authy.event (event_id, happened, kind, origin, subject, ip, user_agent, detail)
                     VALUES (gen_random_uuid(), now() - interval '1 day', 'session.opened', 'anonymous', $1, '198.51.100.1',
                             'a script', '{\"new_device\": true}')";
    let (other, name, _) = sign_up(&app).await;
    app.sql().await.execute(yesterday, &[other.as_uuid()]).await.unwrap();
    let client_info = ClientInfo {
        ip: Some("198.51.100.1".parse().unwrap()),
        user_agent: Some("a script".to_owned()),
        ..ClientInfo::default()
    };
    app.authy.sessions().login(&Caller::anonymous(client_info), credentials(&name)).await.unwrap();
    assert_eq!(app.notifications(other, EventKind::SessionOpened).await.len(), 1);
}
