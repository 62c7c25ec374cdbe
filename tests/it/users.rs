//! Users: signing up, logging in, being looked at, being deleted.

use authy_core::{
    Authenticator as _, ErrorKind, Secret, UserId,
    api::{
        event::EventQuery,
        page::{PageNumber, PageSize},
        session::Credentials,
        user::{Deletion, UserQuery},
    },
};
use authy_tests::{
    PASSWORD, TestApp, credentials, fresh_name, new_user,
    wire::{get, post, send},
};
use serde_json::{Value, json};

mod creation;
mod filters;
mod lists;
mod many;
mod own;

fn sign_up(username: &str, email: &str, password: &str) -> String {
    json!({ "username": username, "email": email, "password": password, "confirm_password": password }).to_string()
}

#[tokio::test]
async fn a_name_and_an_address_are_taken_for_ever_however_they_are_written() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let email = user.client.get_self().await.unwrap().email;
    for deleted in [false, true] {
        let upper = user.username.to_uppercase();
        for (username, email) in
            [(upper.as_str(), "other@example.org"), ("somebody-else", &email.as_str().to_uppercase())]
        {
            let answer = post(app.address, "/authy/user", &sign_up(username, email, PASSWORD)).await;
            assert_eq!((answer.status, answer.code().as_str()), (409, "already_registered"), "deleted: {deleted}");
        }
        if !deleted {
            user.client.delete_self().await.unwrap();
        }
    }
    let answer = post(app.address, "/authy/user", &sign_up("Administrator", "a@example.org", PASSWORD)).await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "already_registered"), "reserved");
}

#[tokio::test]
async fn a_taken_name_is_named_and_a_taken_address_is_not() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let email = format!("{}@example.org", user.username);
    let fields = async |username: &str, email: &str| {
        let answer = post(app.address, "/authy/user", &sign_up(username, email, PASSWORD)).await;
        assert_eq!(answer.code(), "already_registered", "{answer:?}");
        assert!(!answer.body.contains(email) && !answer.body.contains("\"email\""), "{answer:?}");
        answer.json()["fields"].clone()
    };
    let name = json!([{ "field": "username", "code": "taken", "message": "is taken" }]);
    for deleted in [false, true] {
        assert_eq!(fields(&user.username.to_uppercase(), "other@example.org").await, name, "deleted: {deleted}");
        assert_eq!(fields(&user.username, &email).await, name, "deleted: {deleted}, both");
        assert_eq!(fields("somebody-else", &email).await, Value::Null, "deleted: {deleted}");
        if !deleted {
            user.client.delete_self().await.unwrap();
        }
    }
}

#[tokio::test]
async fn every_wrong_field_is_reported_at_once() {
    let app = TestApp::new().await;
    let body =
        json!({ "username": "a b", "email": "nowhere", "password": "short", "confirm_password": "other", "age": 7 });
    let answer = post(app.address, "/authy/user", &body.to_string()).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_input"));
    let problem: Value = serde_json::from_str(&answer.body).unwrap();
    let codes: Vec<_> =
        problem["fields"].as_array().unwrap().iter().map(|field| (&field["field"], &field["code"])).collect();
    let expected = [
        ("username", "invalid_username"),
        ("email", "invalid_email"),
        ("password", "invalid_password"),
        ("age", "unknown_field"),
    ];
    assert_eq!(format!("{codes:?}"), format!("{:?}", expected.map(|(a, b)| (json!(a), json!(b)))));
}

#[tokio::test]
async fn a_password_must_be_confirmed_and_strong() {
    let app = TestApp::new().await;
    let body =
        json!({ "username": "wren", "email": "wren@example.org", "password": PASSWORD, "confirm_password": "x" });
    let answer = post(app.address, "/authy/user", &body.to_string()).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "passwords_differ"));
    for weak in ["password1", "wren@example.org", "wren-wren-wren"] {
        let answer = post(app.address, "/authy/user", &sign_up("wren", "wren@example.org", weak)).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "weak_password"), "{weak}");
        let problem: Value = serde_json::from_str(&answer.body).unwrap();
        assert!(problem["score"].as_u64().unwrap() < 3 && problem["guesses"].is_u64(), "{problem}");
        assert!(problem["feedback"]["suggestions"].is_array(), "{problem}");
        assert!(!answer.body.contains(&format!("\"{weak}\"")), "the password is repeated");
    }
    assert_eq!(get(app.address, "/authy/fetch/wren").await.status, 404, "half a user is left behind");
}

#[tokio::test]
async fn any_characters_make_a_password_and_every_one_of_them_counts() {
    let app = TestApp::new().await;
    let long = "träumende 🐎 Ähren ".repeat(20);
    let passwords = [
        long.chars().take(256).collect::<String>(),
        "  zwei führende, drei folgende   ".into(),
        "nul\0 in der Mitte?".into(),
    ];
    for (number, password) in passwords.iter().enumerate() {
        let name = format!("Ähre-Ölga-{number}");
        let answer =
            post(app.address, "/authy/user", &sign_up(&name, &format!("a{number}@example.org"), password)).await;
        assert_eq!(answer.status, 201, "{password:?}: {answer:?}");
        let anonymous = app.anonymous();
        assert!(anonymous.login(Credentials::new(name.to_uppercase(), Secret::new(password.as_str()))).await.is_ok());
        for wrong in [password.trim(), &password[..password.len() - 1].replace('🐎', ""), &format!("{password} ")] {
            if wrong != password {
                let refused = anonymous.login(Credentials::new(&name, Secret::new(wrong))).await.unwrap_err();
                assert_eq!(refused.kind(), Some(ErrorKind::InvalidCredentials), "{wrong:?}");
            }
        }
    }
    let answer = post(app.address, "/authy/user", &sign_up("wren", "wren@example.org", &"aß%".repeat(86))).await;
    assert_eq!(answer.code(), "invalid_input", "258 characters");
}

#[tokio::test]
async fn a_refused_login_does_not_say_why() {
    let app = TestApp::new().await;
    let deleted = app.user().await;
    deleted.client.delete_self().await.unwrap();
    let known = app.user().await;
    let mut bodies = Vec::new();
    for (name, password) in
        [("unknown-user", PASSWORD), ("no name", "x"), (&known.username, "wrong"), (&deleted.username, PASSWORD)]
    {
        let head = "POST /authy/login HTTP/1.1\ncontent-type: application/json\nx-request-id: same";
        let answer = send(app.address, head, &json!({ "username": name, "password": password }).to_string()).await;
        let headers: Vec<_> = answer.headers.iter().filter(|(name, _)| name != "date").cloned().collect();
        bodies.push((answer.status, headers, answer.body));
    }
    assert_eq!(bodies[0].0, 401);
    assert!(bodies.iter().all(|other| *other == bodies[0]), "{bodies:#?}");
}

#[tokio::test]
async fn a_deleted_user_keeps_the_row_and_loses_everything_else() {
    let app = TestApp::new().await;
    let (user, admin) = (app.user().await, app.admin().await);
    let other_session = app.again(&user).await;
    user.client.delete_self().await.unwrap();
    for client in [&user.client, &other_session.client] {
        assert_eq!(client.get_self().await.unwrap_err().kind(), Some(ErrorKind::InvalidToken));
    }
    let view = admin.client.get_user(user.id).await.unwrap();
    assert!(view.deleted && view.delete_date.is_some());
    assert_eq!(view.username.as_str(), user.username);
    assert_eq!(app.anonymous().get_username(user.id).await.unwrap_err().kind(), Some(ErrorKind::NotFound));
    let name = user.username.parse().unwrap();
    assert_eq!(app.anonymous().find_user(name).await.unwrap_err().kind(), Some(ErrorKind::NotFound));
    let again = admin.client.delete_user(user.id, Deletion::PLAIN).await.unwrap_err();
    assert_eq!((again.kind(), again.status()), (Some(ErrorKind::AlreadyDeleted), Some(410)));
    let unknown = admin.client.delete_user(UserId::random(), Deletion::PLAIN).await.unwrap_err();
    assert_eq!(unknown.kind(), Some(ErrorKind::NotFound));
}

#[tokio::test]
async fn the_list_of_users_has_pages_and_is_searched_by_beginnings() {
    let app = TestApp::new().await;
    let admin = app.admin().await;
    let mut ids = vec![admin.id];
    for name in ["under_score", "underscore", "Per.cent", "x-ray"] {
        ids.push(app.anonymous().register(new_user(name)).await.unwrap().public_id);
    }
    let query = |page, per_page, q: Option<&str>| UserQuery {
        page: Some(PageNumber::new(page).unwrap()),
        per_page: Some(PageSize::new(per_page).unwrap()),
        q: q.map(str::to_owned),
        ..UserQuery::default()
    };
    let mut seen = Vec::new();
    let mut path = Some("/authy/users?per_page=2".to_owned());
    while let Some(next) = path {
        let head = format!("GET {next} HTTP/1.1\nx-access-token: {}", admin.token.expose());
        let page: Value = serde_json::from_str(&send(app.address, &head, "").await.body).unwrap();
        assert_eq!(page["total_records"], 5);
        seen.extend(
            page["users"].as_array().unwrap().iter().map(|user| user["public_id"].as_str().unwrap().to_owned()),
        );
        path = page["next_url"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, ids.iter().map(ToString::to_string).collect::<Vec<_>>(), "in the order of creation");
    for (q, expected) in
        [("UNDER", 2), ("under_", 1), ("%", 0), ("per.", 1), ("x-ray@example", 1), ("ray", 0), ("\\", 0)]
    {
        let page = admin.client.list_users(query(1, 10, Some(q))).await.unwrap();
        assert_eq!((page.total_records, page.users.len()), (expected, expected as usize), "{q}");
    }
    let beyond = admin.client.list_users(query(9, 2, None)).await.unwrap();
    assert_eq!((beyond.users.len(), beyond.next_url), (0, None));
    let head = format!("GET {} HTTP/1.1\nx-access-token: {}", beyond.prev_url.unwrap(), admin.token.expose());
    let last = send(app.address, &head, "").await.json();
    assert_eq!(last["users"].as_array().unwrap().len(), 2, "the way back leads to the end of the list");
    for wrong in ["page=0", "page=x", "per_page=0", "per_page=101", "per_page=-1", "page=1&page=2"] {
        let head = format!("GET /authy/users?{wrong} HTTP/1.1\nx-access-token: {}", admin.token.expose());
        assert_eq!(send(app.address, &head, "").await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn no_caller_acts_beyond_their_level() {
    let app = TestApp::new().await;
    let (root, admin, peer) = (app.superadmin().await, app.admin().await, app.admin().await);
    let refused = admin.client.delete_user(root.id, Deletion::PLAIN).await.unwrap_err();
    assert_eq!((refused.kind(), refused.status()), (Some(ErrorKind::BeyondYourLevel), Some(403)));
    let refused = admin.client.end_user_sessions(root.id).await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::BeyondYourLevel));
    // The same level is not beyond.
    admin.client.delete_user(peer.id, Deletion::PLAIN).await.unwrap();
    root.client.delete_user(admin.id, Deletion::PLAIN).await.unwrap();
    let refused = root.client.delete_self().await.unwrap_err();
    assert_eq!((refused.kind(), refused.status()), (Some(ErrorKind::LastOfItsKind), Some(409)));
    let second = app.superadmin().await;
    root.client.delete_self().await.unwrap();
    assert_eq!(second.client.delete_self().await.unwrap_err().kind(), Some(ErrorKind::LastOfItsKind));
}

#[tokio::test]
async fn a_path_with_an_unknown_user_is_not_found() {
    let app = TestApp::new().await;
    let admin = app.admin().await;
    let id = admin.id.to_string();
    let (upper, simple) = (id.to_uppercase(), id.replace('-', ""));
    for wrong in ["1", "x", upper.as_str(), simple.as_str(), "..%2F..", "%00", "%27%3B--"] {
        let head = format!("GET /authy/user/{wrong} HTTP/1.1\nx-access-token: {}", admin.token.expose());
        assert_eq!(send(app.address, &head, "").await.status, 404, "{wrong}");
        assert_eq!(get(app.address, &format!("/authy/username/{wrong}")).await.status, 404, "{wrong}");
    }
}

#[tokio::test]
async fn the_last_login_is_shown() {
    let app = TestApp::new().await;
    let (name, admin) = (fresh_name("ada"), app.admin().await);
    let id = app.anonymous().register(new_user(&name)).await.unwrap().public_id;
    assert_eq!(admin.client.get_user(id).await.unwrap().last_login, None);
    app.anonymous().login(credentials(&name)).await.unwrap();
    assert!(admin.client.get_user(id).await.unwrap().last_login.is_some());
}

#[tokio::test]
async fn the_engine_returns_the_times_that_a_client_reads() {
    let app = TestApp::new().await;
    let (user, admin) = (app.user().await, app.admin().await);
    let view = app.authy.users().find(user.id).await.unwrap().unwrap();
    assert_eq!(admin.client.get_user(user.id).await.unwrap(), view);
    let identity = app.authy.authenticate(user.token.expose()).await.unwrap();
    assert_eq!(
        user.client.list_sessions().await.unwrap().sessions,
        app.authy.sessions().list(&identity).await.unwrap()
    );
    let query = EventQuery { user: Some(user.id), ..EventQuery::default() };
    assert_eq!(admin.client.list_events(query.clone()).await.unwrap(), app.authy.events().list(&query).await.unwrap());
}

#[tokio::test]
async fn an_account_without_roles_gets_an_error_that_says_so() {
    let app = TestApp::new().await;
    let (user, admin) = (app.user().await, app.admin().await);
    admin.client.revoke_role("user".parse().unwrap(), user.id).await.unwrap();
    let refused = app.anonymous().login(credentials(&user.username)).await.unwrap_err();
    assert_eq!((refused.kind(), refused.status()), (Some(ErrorKind::NoRole), Some(403)));
    let wrong = Credentials::new(&user.username, Secret::new("wrong"));
    assert_eq!(app.anonymous().login(wrong).await.unwrap_err().kind(), Some(ErrorKind::InvalidCredentials));
}

#[tokio::test]
async fn a_new_user_is_found_where_the_answer_says() {
    let app = TestApp::new().await;
    let admin = app.admin().await;
    let answer = post(app.address, "/authy/user", &sign_up("wren", "wren@example.org", PASSWORD)).await;
    let head = format!("GET {} HTTP/1.1\nx-access-token: {}", answer.header("location"), admin.token.expose());
    let found: Value = serde_json::from_str(&send(app.address, &head, "").await.body).unwrap();
    assert_eq!((&found["username"], &found["validated"]), (&json!("wren"), &json!(false)));
}
