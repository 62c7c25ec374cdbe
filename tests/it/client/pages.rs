//! Lists as streams: every item once, page after page.

use std::collections::HashSet;

use authy_client::api::{
    event::{EventKind, EventOrder, EventQuery},
    page::PageSize,
    user::UserQuery,
};
use authy_tests::{TestApp, fresh_name, new_account, operator};
use futures_util::{StreamExt as _, TryStreamExt as _};

#[tokio::test]
async fn a_stream_of_users_has_each_of_them_once_in_the_order_of_the_pages() {
    let app = TestApp::new().await;
    let admin = app.admin().await;
    let mut expected = Vec::new();
    for _ in 0..7 {
        let user = new_account(&fresh_name("page"), "user");
        expected.push(app.authy.users().create(&operator(), user).await.unwrap());
    }
    let query = |per_page: u32, q: Option<&str>| UserQuery {
        per_page: Some(PageSize::new(per_page).unwrap()),
        q: q.map(str::to_owned),
        ..UserQuery::default()
    };
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
