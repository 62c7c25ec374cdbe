//! A role's name may have spaces between its words.

use authy_core::{
    ErrorKind, Level,
    api::{
        role::{NewRole, RoleUserQuery},
        user::UserQuery,
    },
};
use authy_tests::wire::send;

use super::*;

fn new_role(name: &str, level: u32) -> NewRole {
    let description = "May look at everything".parse().unwrap();
    NewRole { name: name.parse().unwrap(), description, level: Level::clamped(level) }
}

#[tokio::test]
async fn a_role_with_spaces_is_made_found_granted_and_deleted() {
    let app = TestApp::new().await;
    let (root, ada) = (app.superadmin().await, app.user().await);
    let made = root.client.create_role(new_role("Mega Guest", 77)).await.unwrap().role;
    assert_eq!(made.name.as_str(), "Mega Guest");
    let taken = root.client.create_role(new_role("mega guest", 78)).await.unwrap_err();
    assert_eq!(taken.kind(), Some(ErrorKind::RoleExists), "the case makes no difference");

    let token = format!("x-access-token: {}", root.token.expose());
    let answer = send(app.address, &format!("GET /authy/role/mega%20guest HTTP/1.1\n{token}"), "").await;
    assert_eq!((answer.status, &answer.json()["role"]["name"]), (200, &json!("Mega Guest")));
    let role = role("mega guest");
    root.client.grant_role(role.clone(), ada.id).await.unwrap();
    let users = root.client.list_role_users(role.clone(), RoleUserQuery::default()).await.unwrap().users;
    assert_eq!(users.len(), 1);
    let answer = send(app.address, &format!("GET /authy/users?role=mega+guest HTTP/1.1\n{token}"), "").await;
    assert_eq!(answer.json()["users"][0]["roles"], json!(["user", "Mega Guest"]));
    let query = UserQuery { role: Some(role.clone()), ..UserQuery::default() };
    assert_eq!(root.client.list_users(query).await.unwrap().total_records, 1);
    let ada = app.again(&ada).await;
    let granted = ada.client.check_access(Level::clamped(77)).await.unwrap();
    assert_eq!(granted.roles[1].as_str(), "Mega Guest");
    root.client.revoke_role(role.clone(), ada.id).await.unwrap();
    root.client.delete_role(role).await.unwrap();
}
