//! Finding users: by role, by deletion, by confirmation, and what a list shows of each.

use authy_core::{
    Level,
    api::{account::AccountChange, role::NewRole, user::UserView},
};
use authy_tests::{TestUser, operator, until};

use super::*;

/// An administrator, Ada and Bob who have confirmed their addresses, and Eve who has not; Bob is deleted, and Ada is an
/// auctioneer, too.
struct FilterFixture {
    app: TestApp,
    admin: TestUser,
    ids: [UserId; 3],
}

impl FilterFixture {
    async fn new() -> Self {
        let app = TestApp::new().await;
        let admin = app.admin().await;
        let role = NewRole {
            name: "auctioneer".parse().unwrap(),
            description: "Opens and closes auctions".parse().unwrap(),
            level: Level::clamped(7),
        };
        app.authy.roles().create(&operator(), role).await.unwrap();
        let [ada, bob] = [app.user().await.id, app.user().await.id];
        let eve = app.anonymous().register(new_user("eve")).await.unwrap().public_id;
        app.authy.roles().grant(&operator(), &"auctioneer".parse().unwrap(), ada).await.unwrap();
        app.authy.users().delete(&operator(), bob).await.unwrap();
        Self { app, admin, ids: [ada, bob, eve] }
    }

    /// The IDs of the users whom a query selects, and that the total is their number.
    async fn select(&self, query: UserQuery) -> Vec<UserId> {
        let page = self.admin.client.list_users(query).await.unwrap();
        assert_eq!(page.total_records, page.users.len() as u64);
        page.users.into_iter().map(|user| user.public_id).collect()
    }
}

fn with_role(name: &str) -> UserQuery {
    UserQuery { role: Some(name.parse().unwrap()), ..UserQuery::default() }
}

#[tokio::test]
async fn users_are_found_by_role_deletion_and_confirmation_together() {
    let fixture = FilterFixture::new().await;
    let [ada, bob, eve] = fixture.ids;
    let admin = fixture.admin.id;
    let all = UserQuery::default;
    for (query, expected) in [
        (all(), vec![admin, ada, bob, eve]),
        (with_role("USER"), vec![ada, bob, eve]),
        (with_role("auctioneer"), vec![ada]),
        (with_role("guest"), vec![]),
        (UserQuery { deleted: Some(true), ..all() }, vec![bob]),
        (UserQuery { deleted: Some(false), ..all() }, vec![admin, ada, eve]),
        (UserQuery { validated: Some(true), ..all() }, vec![admin, ada, bob]),
        (UserQuery { validated: Some(false), ..all() }, vec![eve]),
        (UserQuery { deleted: Some(false), validated: Some(true), ..with_role("user") }, vec![ada]),
        (UserQuery { q: Some("EV".to_owned()), ..with_role("user") }, vec![eve]),
        (UserQuery { q: Some("ev".to_owned()), validated: Some(true), ..all() }, vec![]),
        (UserQuery { q: Some("e\0".to_owned()), ..with_role("user") }, vec![]),
    ] {
        assert_eq!(fixture.select(query.clone()).await, expected, "{query:?}");
    }
}

#[tokio::test]
async fn an_unknown_role_is_an_error_and_no_empty_list() {
    let fixture = FilterFixture::new().await;
    let token = fixture.admin.token.expose();
    for (filter, field, code) in [
        ("role=picker", "role", "unknown_role"),
        ("role=a", "role", "unknown_role"),
        ("role=%00", "role", "invalid_role_name"),
        ("deleted=yes", "deleted", "wrong_type"),
        ("validated=", "validated", "wrong_type"),
    ] {
        let head = format!("GET /authy/users?{filter} HTTP/1.1\nx-access-token: {token}");
        let answer = send(fixture.app.address, &head, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_input"), "{filter}");
        let wrong = &answer.json()["fields"];
        assert_eq!((&wrong[0]["field"], &wrong[0]["code"]), (&json!(field), &json!(code)), "{filter}");
    }
}

#[tokio::test]
async fn the_links_of_a_filtered_list_keep_the_filters() {
    let fixture = FilterFixture::new().await;
    let mut seen = Vec::new();
    let mut path = Some("/authy/users?per_page=1&role=user&deleted=false".to_owned());
    while let Some(next) = path {
        let head = format!("GET {next} HTTP/1.1\nx-access-token: {}", fixture.admin.token.expose());
        let page = send(fixture.app.address, &head, "").await.json();
        assert_eq!(page["total_records"], 2, "{next}");
        seen.push(page["users"][0]["public_id"].clone());
        path = page["next_url"].as_str().map(str::to_owned);
    }
    let [ada, _, eve] = fixture.ids.map(|id| json!(id));
    assert_eq!(seen, [ada, eve]);
}

#[tokio::test]
async fn a_few_among_many_are_found_by_an_index() {
    let fixture = FilterFixture::new().await;
    let sql = fixture.app.sql().await;
    let many = "INSERT INTO authy.users (public_id, username, username_key, email, email_key, validated_at)
                SELECT gen_random_uuid(), name, name, name, name, now()
                FROM (SELECT 'many-' || number FROM generate_series(1, 20000) AS number) AS many (name);
                INSERT INTO authy.user_role (user_id, role_id)
                SELECT public_id, role_id FROM authy.users, authy.role
                WHERE username LIKE 'many-%' AND name IN ('user', 'guest')";
    sql.batch_execute(many).await.unwrap();
    sql.batch_execute("ANALYZE authy.users, authy.user_role").await.unwrap();
    let all = UserQuery::default;
    for (index, query, found) in [
        ("users_deleted", UserQuery { deleted: Some(true), ..all() }, 1),
        ("users_unconfirmed", UserQuery { validated: Some(false), ..all() }, 1),
        ("user_role_by_grant", with_role("auctioneer"), 1),
    ] {
        let uses = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = $1";
        let before: i64 = sql.query_one(uses, &[&index]).await.unwrap().get(0);
        // PostgreSQL publishes its counts with some delay.
        until(index, || async {
            assert_eq!(fixture.select(query.clone()).await.len(), found);
            sql.query_one(uses, &[&index]).await.unwrap().get::<_, i64>(0) > before
        })
        .await;
    }
}

/// The names of a user's roles, and the level.
fn power(user: &UserView) -> (Vec<&str>, Option<i32>) {
    (user.roles.iter().map(|role| role.as_str()).collect(), user.level.map(Level::get))
}

#[tokio::test]
async fn roles_and_level_are_shown_wherever_a_user_is() {
    let fixture = FilterFixture::new().await;
    let [ada, bob, eve] = fixture.ids;
    let client = &fixture.admin.client;
    client.revoke_role("user".parse().unwrap(), eve).await.unwrap();
    let listed = client.list_users(UserQuery::default()).await.unwrap().users;
    let expected =
        [(vec!["admin"], Some(1)), (vec!["auctioneer", "user"], Some(7)), (vec!["user"], Some(10)), (Vec::new(), None)];
    assert_eq!(listed.iter().map(power).collect::<Vec<_>>(), expected);
    for (id, shown) in [ada, bob, eve].into_iter().zip(&listed[1..]) {
        assert_eq!(client.get_user(id).await.unwrap(), *shown);
    }
    let change = AccountChange::password(None, Secret::new("carousel-marmalade-77")).unwrap();
    let changed = client.change_user(ada, change).await.unwrap();
    assert_eq!(power(&changed), (vec!["auctioneer", "user"], Some(7)));
    let head = format!("GET /authy/user/{eve} HTTP/1.1\nx-access-token: {}", fixture.admin.token.expose());
    let shown = send(fixture.app.address, &head, "").await.json();
    assert_eq!((&shown["roles"], &shown["level"]), (&json!([]), &Value::Null), "null, and not left out");
    assert!(shown.as_object().unwrap().contains_key("level"));
}
