//! Lists of more users than are counted or examined for one page: 24,000, half of them deleted, half not confirmed.

use authy_core::{Level, api::role::NewRole};
use authy_tests::{TestUser, operator};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::*;

struct ManyUsers {
    app: TestApp,
    admin: TestUser,
}

impl ManyUsers {
    /// The first half is deleted, and the other one has not confirmed. Everybody is a guest, and the last one an auctioneer.
    async fn new() -> Self {
        let app = TestApp::new().await;
        let admin = app.admin().await;
        let role = NewRole {
            name: "auctioneer".parse().unwrap(),
            description: "Opens and closes auctions".parse().unwrap(),
            level: Level::clamped(7),
        };
        app.authy.roles().create(&operator(), role).await.unwrap();
        let sql = app.sql().await;
        let fill = "
            INSERT INTO authy.users (public_id, username, username_key, email, email_key, created, deleted_at, validated_at)
            SELECT gen_random_uuid(), name, name, name || '@example.org', name || '@example.org',
                   now() + n * interval '1 second', CASE WHEN n <= 12000 THEN now() END, CASE WHEN n <= 12000 THEN now() END
            FROM (SELECT n, 'many-' || n AS name FROM generate_series(1, 24000) AS n) AS many;
            INSERT INTO authy.user_role (user_id, role_id, granted)
            SELECT public_id, role_id, created FROM authy.users, authy.role WHERE username LIKE 'many-%' AND name = 'guest';
            INSERT INTO authy.user_role (user_id, role_id)
            SELECT public_id, role_id FROM authy.users, authy.role WHERE username = 'many-24000' AND name = 'auctioneer';
            ANALYZE authy.users, authy.user_role";
        sql.batch_execute(fill).await.unwrap();
        Self { app, admin }
    }

    async fn get(&self, target: &str) -> Value {
        let head = format!("GET {target} HTTP/1.1\nx-access-token: {}", self.admin.token.expose());
        send(self.app.address, &head, "").await.json()
    }
}

/// The names on a page.
fn names(page: &Value) -> Vec<&str> {
    let users = page["users"].as_array().unwrap_or_else(|| panic!("{page}"));
    users.iter().map(|user| user["username"].as_str().unwrap_or_else(|| user["name"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_total_of_more_than_10000_is_an_estimate_and_says_so() {
    let many = ManyUsers::new().await;
    for (target, total) in [
        ("/authy/users?", 24_001),
        ("/authy/users?role=guest", 24_000),
        ("/authy/users?q=many", 24_000),
        ("/authy/users?deleted=true", 12_000),
        ("/authy/users?validated=false&role=guest", 12_000),
        ("/authy/role/guest/users", 12_000),
    ] {
        let page = many.get(target).await;
        let estimate = page["total_records"].as_u64().unwrap();
        assert_eq!(page["total_is_estimate"], true, "{page}");
        assert!(estimate > 10_000 && estimate.abs_diff(total) <= total / 2, "{target}: {estimate}");
        assert!(page["next_url"].is_string(), "{target}");
    }
    // Of the names with this prefix 1,111 are confirmed, and are counted exactly.
    let page = many.get("/authy/users?q=many-2&validated=true").await;
    assert_eq!((&page["total_records"], page.get("total_is_estimate")), (&json!(1111), None), "{page}");
}

#[tokio::test]
async fn one_among_many_is_found_at_once_when_any_filter_has_few() {
    let many = ManyUsers::new().await;
    for target in [
        "/authy/users?q=many&role=auctioneer",
        "/authy/users?role=auctioneer&validated=false&deleted=false",
        "/authy/users?q=many-24000&deleted=false&role=guest",
        "/authy/users?q=many-24000&per_page=1&page=1&role=guest&validated=false",
    ] {
        let page = many.get(target).await;
        assert_eq!(names(&page), ["many-24000"], "{target}");
        assert_eq!((&page["total_records"], page.get("total_is_estimate")), (&json!(1), None), "{target}");
        assert_eq!((page.get("next_url"), page.get("prev_url")), (None, None), "{target}");
    }
    // Many candidates before the first one, and few by another filter: in the order of the list, forward and back.
    let first = many.get("/authy/users?role=guest&q=many-1199&deleted=true&per_page=4").await;
    let second = many.get(first["next_url"].as_str().unwrap()).await;
    assert_eq!(names(&first), ["many-1199", "many-11990", "many-11991", "many-11992"]);
    let back = many.get(second["prev_url"].as_str().unwrap()).await;
    assert_eq!((names(&second)[0], names(&back)), ("many-11993", names(&first)));
}

#[tokio::test]
async fn when_no_filter_has_few_a_page_may_be_empty_and_the_next_one_continues_behind_what_was_examined() {
    let many = ManyUsers::new().await;
    // The members who are not deleted begin behind 12,000 who are.
    let first = many.get("/authy/role/guest/users").await;
    assert_eq!(names(&first), Vec::<&str>::new());
    let second = many.get(first["next_url"].as_str().unwrap()).await;
    assert_eq!((names(&second).len(), names(&second)[0]), (20, "many-12001"));
    let back = many.get(second["prev_url"].as_str().unwrap()).await;
    assert_eq!((names(&back).len(), back["next_url"].is_string()), (0, true));
    let members = many.admin.client.role_users("guest".parse().unwrap()).take(45).try_collect::<Vec<_>>().await;
    assert_eq!(members.unwrap().len(), 45, "a stream goes on behind an empty page");
    // Nobody at all, which only an examination of everybody could find out.
    let mut next = Some("/authy/users?deleted=true&validated=false".to_owned());
    let mut pages = 0;
    while let Some(target) = next {
        let page = many.get(&target).await;
        assert_eq!(names(&page), Vec::<&str>::new());
        next = page["next_url"].as_str().map(str::to_owned);
        pages += 1;
    }
    assert_eq!(pages, 2, "10,000 are examined for each");
    let refused = many.get("/authy/users?deleted=true&validated=false&page=2").await;
    assert_eq!(refused["code"], "page_too_far");
    // The last numbered page, and the one behind it.
    let last = many.get("/authy/users?role=guest&page=100&per_page=100").await;
    assert_eq!(names(&last)[99], "many-10000");
    assert_eq!(names(&many.get(last["next_url"].as_str().unwrap()).await)[0], "many-10001");
}
