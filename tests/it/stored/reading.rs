//! Every endpoint shows every name, address, role and description as it is stored.

use authy_core::{
    Authenticator as _, ErrorKind, Level, Secret,
    api::{
        event::{EventKind, EventQuery, detail::RoleDetail},
        page::PageSize,
        role::RoleUserQuery,
        session::RefreshToken,
        user::UserQuery,
    },
};
use authy_tests::wire::send;

use super::*;

/// Names, addresses and roles, none of which could be chosen today.
const STORED: &[(&str, &str, &str)] = &[
    ("User One", "Me@X.zz", "mega guest"),
    ("me@home", "me <x@y.zz> you", "x"),
    ("a/b\\c?d#e%2F", "", "100% / of?#"),
    ("ＵＳＥＲ－ｔｗｏ", "no at sign", "mega guest"),
    ("e\u{301}mile!", "\"quoted space\"@example.org", " two  spaces "),
    ("😀😀😀", "tab\t@example.org", "x"),
    ("<b>\"ada\"</b>", "a@b@c.example", "100% / of?#"),
    ("tab\there\u{7f}\u{1b}[31m", "é@例え.テスト", " two  spaces "),
    (" leading and trailing ", "(c)@example.org", "mega guest"),
    ("\u{202e}evil\u{200b}", "<x@y.zz>", "x"),
    ("ERASED:x", "released:x@y.zz", "mega guest"),
];

/// An address whose local part has 88 characters.
fn long_address() -> String {
    format!("{}@y.zz", "a".repeat(88))
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn imported() -> Imported {
    let imported = Imported::new().await;
    imported.role("mega guest", "", 77).await;
    imported.role("x", "y", 55).await;
    imported.role("100% / of?#", "two\nlines\tof it", 100_000).await;
    imported.role(" two  spaces ", &"d".repeat(200), 2_000_000_000).await;
    imported
}

#[tokio::test]
async fn every_endpoint_shows_what_is_stored() {
    let imported = imported().await;
    let (admin, anonymous) = (imported.app.superadmin().await.client, imported.app.anonymous());
    let (long, header) = (long_address(), header(&imported).await);
    let mut users = STORED.to_vec();
    users.push(("long address", &long, "x"));
    for (username, email, role_name) in users {
        let id = imported.user(username, email, role_name).await;
        let shown =
            |context: &str, found: &str, expected: &str| assert_eq!(found, expected, "{context} of {username:?}");

        shown("username", anonymous.get_username(id).await.unwrap().username.as_str(), username);
        assert_eq!(anonymous.find_user(name(username)).await.unwrap().public_id, id, "{username:?}");
        let answer = send(imported.app.address, &format!("GET /authy/fetch/{} HTTP/1.1", encoded(username)), "").await;
        assert_eq!((answer.status, &answer.json()["public_id"]), (200, &json!(id)), "{username:?}");
        let view = admin.get_user(id).await.unwrap();
        shown("user", view.username.as_str(), username);
        shown("address", view.email.as_str(), email);
        shown("role", view.roles[0].as_str(), role_name);
        let beginning: String = username.chars().take(3).collect();
        let page = admin.list_users(UserQuery { q: Some(beginning), ..UserQuery::default() }).await.unwrap();
        assert!(page.users.contains(&view), "{username:?}: {page:?}");
        let of_role = UserQuery { role: Some(role(role_name)), ..UserQuery::default() };
        assert!(admin.list_users(of_role).await.unwrap().users.contains(&view), "{username:?}");

        let found = admin.get_role(role(role_name)).await.unwrap().role;
        shown("role", found.name.as_str(), role_name);
        assert_eq!(Some(found.level), view.level);
        let path = format!("GET /authy/role/{} HTTP/1.1\n{header}", encoded(role_name));
        let answer = send(imported.app.address, &path, "").await;
        assert_eq!((answer.status, &answer.json()["role"]), (200, &json!(found)), "{role_name:?}");
        assert!(admin.list_roles().await.unwrap().roles.contains(&found));
        assert_eq!(admin.get_user_roles(id).await.unwrap().roles, std::slice::from_ref(&found));
        let of_role = admin.list_role_users(role(role_name), RoleUserQuery::default()).await.unwrap();
        assert!(of_role.users.iter().any(|user| user.public_id == id && user.name.as_str() == username));

        let user = imported.log_in(username).await;
        assert_eq!(user.id, id);
        let identity = imported.app.authy.authenticate(user.token.expose()).await.unwrap();
        assert_eq!((identity.username, identity.level), (Some(name(username)), found.level));
        assert_eq!(identity.roles, Some(vec![role(role_name)]));
        let own = user.client.get_self().await.unwrap();
        assert_eq!((own.username.as_str(), own.email.as_str()), (username, email));
        assert_eq!(user.client.get_own_roles().await.unwrap().roles, std::slice::from_ref(&found));
        let access = user.client.check_access(Level::clamped(Level::MAX)).await;
        match found.level.at_least(Level::clamped(Level::MAX)) {
            true => shown("access", access.unwrap().username.as_str(), username),
            false => assert_eq!(access.unwrap_err().kind(), Some(ErrorKind::InsufficientLevel)),
        }
        let exported = user.client.export_self().await.unwrap();
        assert_eq!((exported.user.username.as_str(), exported.user.email.as_str()), (username, email));
        let refresh = RefreshToken { refresh_token: user.refresh_token };
        assert_eq!(anonymous.refresh(refresh).await.unwrap().public_id, id);

        admin.revoke_role(role(role_name), id).await.unwrap();
        admin.grant_role(role(role_name), id).await.unwrap();
        let events = EventQuery { user: Some(id), ..EventQuery::default() };
        let events = admin.list_events(events).await.unwrap().events;
        let granted = events.iter().find(|event| event.kind == EventKind::RoleGranted).unwrap();
        shown("event", granted.detail_as::<RoleDetail>().unwrap().role.as_str(), role_name);
    }
    let page = admin.list_users(UserQuery { per_page: Some(PageSize::MAX), ..UserQuery::default() }).await.unwrap();
    assert!(page.users.len() > STORED.len());
}

/// The header of a request by an administrator.
async fn header(imported: &Imported) -> String {
    let token: Secret = imported.app.superadmin().await.token;
    format!("x-access-token: {}", token.expose())
}

#[tokio::test]
async fn what_is_sent_is_still_checked() {
    let imported = imported().await;
    let head = format!("POST /authy/role HTTP/1.1\ncontent-type: application/json\n{}", header(&imported).await);
    for (name, description, level, field) in [
        ("x", "a description", "5", "name"),
        ("two  spaces", "a description", "5", "name"),
        ("a role", "y", "5", "description"),
        ("a role", "a description", "-5", "level"),
        ("a role", "a description", "100000", "level"),
    ] {
        let body = format!(r#"{{"name":"{name}","description":"{description}","level":{level}}}"#);
        let answer = send(imported.app.address, &head, &body).await;
        assert_eq!((answer.status, &answer.json()["fields"][0]["field"]), (400, &json!(field)), "{body}");
    }
    for level in ["-5", "100000", "2147483648"] {
        let head = format!("GET /authy/checkaccess/{level} HTTP/1.1\n{}", header(&imported).await);
        assert_eq!(send(imported.app.address, &head, "").await.status, 400, "{level}");
    }
    for (username, email) in [("User One", "one@example.org"), ("user-one", "me <x@y.zz> you")] {
        let body = json!({ "username": username, "email": email, "password": PASSWORD, "confirm_password": PASSWORD });
        let head = "POST /authy/user HTTP/1.1\ncontent-type: application/json";
        assert_eq!(send(imported.app.address, head, &body.to_string()).await.status, 400, "{body}");
    }
}
