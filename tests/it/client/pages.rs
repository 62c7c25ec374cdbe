//! Lists as streams: every item once, page after page.

use std::{collections::HashSet, time::Duration};

use authy_client::{
    Authenticator as _, Client, ErrorKind,
    api::{
        event::{EventKind, EventOrder, EventQuery},
        page::PageSize,
        user::UserQuery,
    },
};
use authy_tests::{
    TestApp, credentials, fresh_name, new_account, operator,
    receiver::{Reaction, Receiver},
    until,
};
use futures_util::{StreamExt as _, TryStreamExt as _};

#[tokio::test]
async fn a_stream_of_users_has_each_of_them_once_in_the_order_of_the_pages() {
    let app = TestApp::new().await;
    let admin = app.admin().await;
    let mut expected = Vec::new();
    for _ in 0..7 {
        let name = fresh_name("page");
        expected.push((name.clone(), app.authy.users().create(&operator(), new_account(&name, "user")).await.unwrap()));
    }
    let query = |per_page: u32, q: Option<&str>| UserQuery {
        per_page: Some(PageSize::new(per_page).unwrap()),
        q: q.map(str::to_owned),
        ..UserQuery::default()
    };
    expected.sort();
    let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();
    for per_page in [1, 3, 7, 100] {
        let users: Vec<_> = admin.client.users(query(per_page, Some("page"))).try_collect().await.unwrap();
        let ids: Vec<_> = users.iter().map(|user| user.public_id).collect();
        assert_eq!(ids, expected, "{per_page} a page");
    }
    assert_eq!(admin.client.users(query(3, None)).count().await, 8);
    assert_eq!(admin.client.users(query(3, Some("nobody"))).count().await, 0);
}

#[tokio::test]
async fn a_stream_of_events_has_each_of_them_once_and_ends_after_an_error() {
    let app = TestApp::new().await;
    let admin = app.admin().await;
    for _ in 0..7 {
        app.user().await;
    }
    let limit = Some(PageSize::new(3).unwrap());
    let query = EventQuery { kind: Some(EventKind::UserRegistered), limit, ..EventQuery::default() };
    let events: Vec<_> = admin.client.events(query.clone()).try_collect().await.unwrap();
    assert_eq!(events.iter().map(|event| event.event_id).collect::<HashSet<_>>().len(), 8);
    assert_eq!(events.len(), 8);

    let mut refused = app.anonymous().events(query.clone());
    assert_eq!(refused.next().await.unwrap().unwrap_err().status(), Some(401));
    assert!(refused.next().await.is_none());
    // An error between two pages.
    let mut cut = admin.client.events(query);
    cut.next().await.unwrap().unwrap();
    admin.client.logout().await.unwrap();
    let rest: Vec<_> = cut.collect().await;
    assert_eq!(rest.iter().map(|event| event.is_ok()).collect::<Vec<_>>(), [true, true, false]);
}

#[tokio::test]
async fn a_stream_of_a_session_goes_on_when_the_access_token_of_its_first_page_has_expired() {
    let app = TestApp::with(|config, _| config.access_ttl = Duration::from_secs(2)).await;
    let admin = app.admin().await;
    app.user().await;
    let session = app.anonymous().session().login(credentials(&admin.username)).await.unwrap();
    let one = PageSize::new(1).unwrap();
    let query = UserQuery { per_page: Some(one), ..UserQuery::default() };
    let mut users = session.users(query.clone());
    let mut events = session.events(EventQuery { limit: Some(one), ..EventQuery::default() });
    let mut users_of_token = session.client().await.unwrap().users(query);
    users.next().await.unwrap().unwrap();
    events.next().await.unwrap().unwrap();
    users_of_token.next().await.unwrap().unwrap();

    let first = session.tokens().unwrap().token;
    until("the token has expired", || async { app.authy.authenticate(first.expose()).await.is_err() }).await;
    let error = users_of_token.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), Some(ErrorKind::InvalidToken));
    users.next().await.unwrap().unwrap();
    events.next().await.unwrap().unwrap();

    session.logout().await.unwrap();
    let error = events.next().await.unwrap().unwrap_err();
    assert!(!error.is_unavailable() && error.to_string().contains("log in again"), "{error}");
}

#[tokio::test]
async fn a_list_of_events_continues_behind_the_cursor_of_any_event() {
    let app = TestApp::new().await;
    let admin = app.admin().await;
    for order in [EventOrder::Ascending, EventOrder::Descending] {
        let query = EventQuery { order: Some(order), ..EventQuery::default() };
        let events: Vec<_> = admin.client.events(query.clone()).try_collect().await.unwrap();
        assert!(events.len() > 2);
        for (position, event) in events.iter().enumerate() {
            let behind = EventQuery { after: Some(event.cursor()), ..query.clone() };
            let behind: Vec<_> = admin.client.events(behind).try_collect().await.unwrap();
            assert_eq!(behind, events[position + 1..]);
        }
    }
}

#[tokio::test]
async fn a_stream_requests_the_largest_pages_unless_the_query_has_another_size() {
    let body = r#"{"users":[],"total_records":0}"#;
    let head = "HTTP/1.1 200 x\r\ncontent-type: application/json\r\nconnection: close";
    let page = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let server = Receiver::start(move |_| Reaction::Bytes(page.clone().into())).await;
    let client = Client::builder(&format!("http://{}", server.address)).build().unwrap();
    let seven = UserQuery { per_page: Some(PageSize::new(7).unwrap()), ..UserQuery::default() };
    for query in [UserQuery::default(), seven] {
        assert!(client.users(query).try_collect::<Vec<_>>().await.unwrap().is_empty());
    }
    let lines: Vec<_> = server.received().into_iter().map(|request| request.line).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains("per_page=100") && lines[1].contains("per_page=7"), "{lines:?}");
}
