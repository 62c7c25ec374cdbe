//! A program that logs its users in: the server sees the users' addresses, when it trusts the program.

use std::net::IpAddr;

use authy_client::{
    ClientInfo, Secret,
    api::event::{EventKind, EventQuery, EventView},
};
use authy_tests::{TestApp, credentials};

/// A user's browser, as a program describes it.
fn browser(ip: &str) -> ClientInfo {
    ClientInfo {
        ip: Some(ip.parse::<IpAddr>().unwrap()),
        user_agent: Some("Browser/1".to_owned()),
        request_id: Some("request-7".to_owned()),
        device_token: None,
    }
}

/// The last login in the audit trail.
async fn last_login(app: &TestApp) -> EventView {
    let kind = Some(EventKind::SessionOpened);
    let query = EventQuery { kind, ..EventQuery::default() };
    app.authy.events().list(&query).await.unwrap().events.remove(0)
}

/// An app that permits three logins an hour per address, and trusts this machine or nobody.
async fn app(trusted: &[&str]) -> TestApp {
    TestApp::with(|_, http| {
        http.limits.login = "3/hour".parse().unwrap();
        http.trusted_proxies = trusted.iter().map(|network| network.parse().unwrap()).collect();
    })
    .await
}

#[tokio::test]
async fn a_trusted_program_passes_on_the_address_the_agent_the_request_and_the_device_of_its_users() {
    let app = app(&["127.0.0.0/8"]).await;
    // Logs in from this machine: the first of its three.
    let user = app.user().await;
    let log_in = async |ip: &str| app.anonymous().on_behalf_of(browser(ip)).login(credentials(&user.username)).await;
    for _ in 0..3 {
        log_in("198.51.100.7").await.unwrap();
    }
    assert_eq!(log_in("198.51.100.7").await.unwrap_err().status(), Some(429), "its own limit");
    let tokens = log_in("2001:db8::7").await.unwrap();
    let event = last_login(&app).await;
    assert_eq!((event.ip.as_deref(), event.user_agent.as_deref()), (Some("2001:db8::7"), Some("Browser/1")));
    assert_eq!(event.request_id.as_deref(), Some("request-7"));
    let sessions = app.anonymous().with_token(tokens.token).list_sessions().await.unwrap().sessions;
    let current = sessions.iter().find(|session| session.current).unwrap();
    assert_eq!((current.ip.as_deref(), current.user_agent.as_deref()), (Some("2001:db8::7"), Some("Browser/1")));

    // The device is known, and its login is not a new one.
    let device_token = tokens.device_token.clone();
    let known = ClientInfo { device_token, ..browser("198.51.100.8") };
    app.anonymous().on_behalf_of(known).login(credentials(&user.username)).await.unwrap();
    let event = last_login(&app).await;
    assert_eq!((event.ip.as_deref(), event.detail.get("new_device")), (Some("198.51.100.8"), None));
}

#[tokio::test]
async fn the_address_of_a_program_that_is_not_trusted_counts_instead() {
    let app = app(&[]).await;
    let user = app.user().await;
    let log_in = async |ip: &str| app.anonymous().on_behalf_of(browser(ip)).login(credentials(&user.username)).await;
    log_in("198.51.100.7").await.unwrap();
    assert_eq!(last_login(&app).await.ip.as_deref(), Some("127.0.0.1"));
    log_in("198.51.100.8").await.unwrap();
    assert_eq!(log_in("198.51.100.9").await.unwrap_err().status(), Some(429), "all of its users share one limit");
}

#[tokio::test]
async fn what_is_not_known_of_a_user_is_not_sent() {
    let app = app(&["127.0.0.0/8"]).await;
    let user = app.user().await;
    let client = app.anonymous().with_device_token(&Secret::new("of another device"));
    client.on_behalf_of(ClientInfo::default()).login(credentials(&user.username)).await.unwrap();
    let event = last_login(&app).await;
    assert_eq!(event.ip.as_deref(), Some("127.0.0.1"));
    assert!(event.user_agent.unwrap().starts_with("authy-client/"));
    // What could end a header ends nothing, and says nothing.
    let hostile = "x\r\nx-forwarded-for: 198.51.100.7".to_owned();
    let info = ClientInfo { user_agent: Some(hostile.clone()), request_id: Some(hostile), ..ClientInfo::default() };
    client.on_behalf_of(info).login(credentials(&user.username)).await.unwrap();
    let event = last_login(&app).await;
    assert_eq!(event.ip.as_deref(), Some("127.0.0.1"));
    assert!(event.user_agent.unwrap().starts_with("authy-client/"));
}
