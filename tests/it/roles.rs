//! Roles: what they are, and who has them.

use authy_client::Client;
use authy_core::{
    ErrorKind, Level, RoleName, UserId,
    api::{
        event::{EventKind, EventQuery},
        role::{NewRole, RoleUser, RoleUserQuery},
    },
};
use authy_tests::{TestApp, TestUser, at_once, operator};
use futures_util::TryStreamExt as _;

fn role(name: &str, level: u32) -> NewRole {
    let description = "A role of the tests".parse().unwrap();
    NewRole { name: name.parse().unwrap(), description, level: Level::clamped(level) }
}

fn named(name: &str) -> RoleName {
    name.parse().unwrap()
}

async fn refused<T: std::fmt::Debug>(call: impl Future<Output = authy_client::Result<T>>) -> (u16, String) {
    let error = call.await.unwrap_err();
    (error.status().unwrap(), error.kind().unwrap().to_string())
}

fn conflict(code: &str) -> (u16, String) {
    (409, code.to_owned())
}

#[tokio::test]
async fn a_name_or_a_level_makes_only_one_role() {
    let app = TestApp::new().await;
    let TestUser { client, .. } = app.superadmin().await;
    client.create_role(role("auctioneer", 7)).await.unwrap();
    assert_eq!(refused(client.create_role(role("Auctioneer", 8))).await, conflict("role_exists"));
    assert_eq!(refused(client.create_role(role("other", 7))).await, conflict("role_exists"));
    let levels: Vec<_> = client.list_roles().await.unwrap().roles.iter().map(|role| role.level.get()).collect();
    assert_eq!(levels, [0, 1, 7, 10, 99]);
}

#[tokio::test]
async fn a_role_is_created_by_the_first_program_that_ensures_it_and_kept_by_the_others() {
    let app = TestApp::new().await;
    let ensured = at_once(6, |number| {
        let (authy, mut picker) = (app.authy.clone(), role("picker", 20));
        picker.description = format!("Picks, says {number}").parse().unwrap();
        async move { authy.roles().ensure(&operator(), picker).await.unwrap() }
    });
    let ensured = ensured.await;
    assert!(ensured.iter().all(|role| *role == ensured[0]), "{ensured:?}");
    let query = EventQuery { kind: Some(EventKind::RoleCreated), ..EventQuery::default() };
    assert_eq!(app.authy.events().list(&query).await.unwrap().events.len(), 1);
    assert_eq!(app.authy.roles().find(&named("PICKER")).await.unwrap().as_ref(), Some(&ensured[0]));
}

#[tokio::test]
async fn a_role_of_another_level_or_a_level_of_another_role_is_not_ensured() {
    let app = TestApp::new().await;
    app.authy.roles().create(&operator(), role("picker", 20)).await.unwrap();
    for (wanted, reason) in [(role("Picker", 21), "another level"), (role("packer", 20), "another role has this level")]
    {
        let refused = app.authy.roles().ensure(&operator(), wanted).await.unwrap_err();
        assert!(refused.kind() == ErrorKind::RoleExists && refused.detail().contains(reason), "{refused:?}");
    }
    // The transaction of the program goes on: nothing has failed in the database.
    let mut sql = app.sql().await;
    let tx = sql.transaction().await.unwrap();
    let within = app.authy.within(&tx).roles();
    let refused = within.ensure(&operator(), &role("packer", 20)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::RoleExists);
    let (picker, packer) = (
        within.ensure(&operator(), &role("picker", 20)).await.unwrap(),
        within.ensure(&operator(), &role("packer", 21)).await.unwrap(),
    );
    tx.commit().await.unwrap();
    let levels = [picker, packer].map(|ensured| app.authy.committed(ensured).level.get());
    assert_eq!(levels, [20, 21]);
    assert!(app.authy.roles().find(&named("packer")).await.unwrap().is_some());
}

#[tokio::test]
async fn an_assigned_or_built_in_role_cannot_be_deleted() {
    let app = TestApp::new().await;
    let (root, user) = (app.superadmin().await, app.user().await);
    let client = &root.client;
    client.create_role(role("auctioneer", 7)).await.unwrap();
    client.grant_role(named("AUCTIONEER"), user.id).await.unwrap();
    assert_eq!(refused(client.delete_role(named("auctioneer"))).await, conflict("role_in_use"));
    assert_eq!(refused(client.delete_role(named("guest"))).await, conflict("role_in_use"));
    client.revoke_role(named("auctioneer"), user.id).await.unwrap();
    client.delete_role(named("auctioneer")).await.unwrap();
    assert_eq!(refused(client.delete_role(named("auctioneer"))).await.0, 404);
}

#[tokio::test]
async fn granting_or_revoking_a_role_revokes_older_tokens_at_once() {
    let app = TestApp::new().await;
    let (root, user) = (app.superadmin().await, app.user().await);
    root.client.grant_role(named("admin"), user.id).await.unwrap();
    assert_eq!(refused(user.client.get_self()).await, (401, "invalid_token".to_owned()));
    let promoted = app.again(&user).await;
    assert_eq!(promoted.client.check_access(Level::clamped(1)).await.unwrap().level.get(), 1);
    root.client.revoke_role(named("admin"), user.id).await.unwrap();
    assert_eq!(refused(promoted.client.list_roles()).await, (401, "invalid_token".to_owned()));
    let again = app.again(&user).await;
    assert_eq!(refused(again.client.list_roles()).await, (403, "insufficient_level".to_owned()));
}

#[tokio::test]
async fn granting_twice_and_revoking_a_missing_role_get_different_answers() {
    let app = TestApp::new().await;
    let (root, user) = (app.superadmin().await, app.user().await);
    let client = &root.client;
    assert_eq!(refused(client.grant_role(named("user"), user.id)).await, conflict("already_assigned"));
    assert_eq!(refused(client.revoke_role(named("guest"), user.id)).await.0, 404);
    assert_eq!(refused(client.grant_role(named("nonsense"), user.id)).await.0, 404);
    assert_eq!(refused(client.grant_role(named("user"), UserId::random())).await.0, 404);
}

async fn is_beyond<T: std::fmt::Debug>(call: impl Future<Output = authy_client::Result<T>>) -> bool {
    refused(call).await == (403, "beyond_your_level".to_owned())
}

#[tokio::test]
async fn no_caller_creates_grants_or_revokes_a_more_powerful_role() {
    let app = TestApp::new().await;
    let (root, admin, user) = (app.superadmin().await, app.admin().await, app.user().await);
    let second = app.superadmin().await;
    let client: &Client = &admin.client;
    assert!(is_beyond(client.create_role(role("higher", 0))).await);
    assert!(is_beyond(client.grant_role(named("superadmin"), user.id)).await);
    assert!(is_beyond(client.grant_role(named("superadmin"), admin.id)).await);
    assert!(is_beyond(client.revoke_role(named("superadmin"), second.id)).await);
    // A role within reach, and a user who is not.
    assert!(is_beyond(client.grant_role(named("guest"), root.id)).await);
    client.grant_role(named("admin"), user.id).await.unwrap();
    root.client.revoke_role(named("superadmin"), second.id).await.unwrap();
    let last = root.client.revoke_role(named("superadmin"), root.id).await.unwrap_err();
    assert_eq!(last.kind(), Some(ErrorKind::LastOfItsKind));
}

#[tokio::test]
async fn those_who_have_a_role_are_listed_in_pages_without_the_deleted() {
    let app = TestApp::new().await;
    let root = app.superadmin().await;
    let mut users = Vec::new();
    for _ in 0..22 {
        users.push(app.user_with_role("guest").await);
    }
    users.pop().unwrap().client.delete_self().await.unwrap();
    let list = |page: Option<u32>| {
        let page = page.map(|page| authy_core::api::page::PageNumber::new(page).unwrap());
        root.client.list_role_users(named("guest"), RoleUserQuery { page, after: None })
    };
    let first = list(None).await.unwrap();
    assert_eq!((first.total_records, first.users.len(), first.role.level.get()), (21, 20, 99));
    let granted: Vec<_> = users.iter().map(|user| user.id).collect();
    let ids = |users: &[RoleUser]| users.iter().map(|user| user.public_id).collect::<Vec<_>>();
    assert_eq!(ids(&first.users), granted[..20], "in the order of the grants");
    assert!(first.next_url.unwrap().starts_with("/authy/role/guest/users?after=") && first.prev_url.is_none());
    let second = list(Some(2)).await.unwrap();
    assert_eq!((ids(&second.users), second.next_url), (granted[20..].to_vec(), None));
    assert!(second.prev_url.unwrap().starts_with("/authy/role/guest/users?after="));
    let all: Vec<_> = root.client.role_users(named("guest")).try_collect().await.unwrap();
    assert_eq!(ids(&all), granted);
}
