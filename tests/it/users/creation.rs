//! Users who are created by administrators.

use authy_client::Client;
use authy_core::{
    ClientInfo, Level,
    api::{
        account::{AccountChange, Code, PasswordReset},
        event::EventKind,
        role::NewRole,
        user::NewAccount,
    },
    engine::Caller,
};
use authy_tests::{PASSWORD, TestUser, at_once, new_account, new_user, operator, wire::Answer};

use super::*;

/// The answer to an administrator who creates a user.
async fn create(app: &TestApp, admin: &TestUser, body: &Value) -> Answer {
    let token = admin.token.expose();
    let head = format!("POST /authy/users HTTP/1.1\ncontent-type: application/json\nx-access-token: {token}");
    send(app.address, &head, &body.to_string()).await
}

/// The error of a refused creation.
async fn refusal(client: &Client, account: NewAccount) -> ErrorKind {
    client.create_user(account).await.unwrap_err().kind().unwrap()
}

#[tokio::test]
async fn a_created_user_has_what_the_administrator_chose_and_an_event_with_both() {
    let app = TestApp::new().await;
    let admin = app.admin().await;
    let body = json!({ "username": "Wren", "email": "wren@example.org", "password": PASSWORD, "role": "ADMIN",
                       "validated": true });
    let answer = create(&app, &admin, &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let id: UserId = answer.json()["public_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(answer.header("location"), format!("/authy/user/{id}"));
    let user = admin.client.get_user(id).await.unwrap();
    assert_eq!((user.username.as_str(), user.email.as_str(), user.validated), ("Wren", "wren@example.org", true));
    assert_eq!((user.roles[0].as_str(), user.level.map(Level::get)), ("admin", Some(1)));
    assert!(app.anonymous().login(credentials("wren")).await.is_ok());
    let query = EventQuery { user: Some(id), kind: Some(EventKind::UserRegistered), ..EventQuery::default() };
    let event = &admin.client.list_events(query).await.unwrap().events[0];
    assert_eq!((event.actor, event.subject, &event.detail["validated"]), (Some(admin.id), Some(id), &json!(true)));

    // Without more than a password, it is as after a sign-up.
    let body = json!({ "username": "finch", "email": "finch@example.org", "password": PASSWORD });
    let id: UserId = create(&app, &admin, &body).await.json()["public_id"].as_str().unwrap().parse().unwrap();
    let user = admin.client.get_user(id).await.unwrap();
    assert_eq!((user.roles[0].as_str(), user.validated), ("user", false));
    let code = app.code(id, EventKind::UserRegistered).await;
    assert_eq!(app.anonymous().validate(Code::new(code)).await.unwrap().public_id, id);
}

#[tokio::test]
async fn a_creation_is_refused_as_a_sign_up_is() {
    let app = TestApp::new().await;
    let (admin, taken) = (app.admin().await, app.user().await);
    let email = format!("{}@example.org", taken.username);
    for (change, status, code, field) in [
        (json!({ "username": "a.d.m.i.n" }), 409, "already_registered", Some("username")),
        (json!({ "username": admin.username.replace('-', "_") }), 409, "already_registered", Some("username")),
        (json!({ "username": taken.username.to_uppercase() }), 409, "already_registered", Some("username")),
        (json!({ "email": email.to_uppercase() }), 409, "already_registered", None),
        (json!({ "password": "wren@example.org" }), 400, "weak_password", Some("password")),
        (json!({ "password": "short" }), 400, "invalid_input", Some("password")),
        (json!({ "role": "picker" }), 400, "invalid_input", Some("role")),
        (json!({ "validated": "yes" }), 400, "invalid_input", Some("validated")),
        (json!({ "confirm_password": PASSWORD }), 400, "invalid_input", Some("confirm_password")),
    ] {
        let mut body = json!({ "username": "wren", "email": "wren@example.org", "password": PASSWORD });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = create(&app, &admin, &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{change}");
        assert_eq!(answer.json()["fields"][0]["field"].as_str(), field, "{change}");
    }
    assert_eq!(get(app.address, "/authy/fetch/wren").await.status, 404, "half a user is left behind");
}

#[tokio::test]
async fn no_user_is_created_with_a_role_beyond_the_callers_level() {
    let app = TestApp::new().await;
    let role = |name: &str, level| NewRole {
        name: name.parse().unwrap(),
        description: "A role of the tests".parse().unwrap(),
        level: Level::clamped(level),
    };
    for (name, level) in [("helper", 5), ("clerk", 6)] {
        app.authy.roles().create(&operator(), role(name, level)).await.unwrap();
    }
    for (caller, wanted, expected) in [
        ("superadmin", "superadmin", None),
        ("admin", "superadmin", Some(ErrorKind::BeyondYourLevel)),
        ("admin", "admin", None),
        ("helper", "admin", Some(ErrorKind::BeyondYourLevel)),
        ("helper", "clerk", None),
        ("clerk", "guest", Some(ErrorKind::InsufficientLevel)),
    ] {
        let caller_user = app.user_with_role(caller).await;
        for password in [Some(PASSWORD), None] {
            let account = new_account(&fresh_name("new"), wanted);
            let name = account.username.clone();
            let account = NewAccount { password: account.password.filter(|_| password.is_some()), ..account };
            let answer = caller_user.client.create_user(account).await.err().map(|error| error.kind().unwrap());
            assert_eq!(answer, expected, "{caller} creates {wanted}");
            let found = app.authy.users().find_id(&name).await.unwrap();
            assert_eq!(found.is_some(), expected.is_none(), "{caller} creates {wanted}");
        }
    }
}

#[tokio::test]
async fn no_administrator_takes_an_address_from_a_more_powerful_user_by_vouching_for_it() {
    let app = TestApp::new().await;
    let (root, admin) = (app.superadmin().await, app.admin().await);
    let mut owners = Vec::new();
    for (name, role) in [("owner", "superadmin"), ("other", "user")] {
        let mut user = new_user(&fresh_name(name));
        user.email = "shared@example.org".parse().unwrap();
        let id = app.anonymous().register(user).await.unwrap().public_id;
        if role != "user" {
            app.authy.roles().grant(&operator(), &role.parse().unwrap(), id).await.unwrap();
        }
        owners.push(id);
    }
    let vouched = |name: &str| NewAccount {
        email: "shared@example.org".parse().unwrap(),
        ..new_account(&fresh_name(name), "user")
    };
    assert_eq!(refusal(&admin.client, vouched("vouched")).await, ErrorKind::BeyondYourLevel);
    for owner in &owners {
        assert_eq!(root.client.get_user(*owner).await.unwrap().email.as_str(), "shared@example.org");
    }
    // Without it, the new user is one of those who have to confirm the address.
    admin.client.create_user(NewAccount { validated: None, ..vouched("unconfirmed") }).await.unwrap();
    let created = root.client.create_user(vouched("vouched")).await.unwrap().public_id;
    assert!(root.client.get_user(created).await.unwrap().validated);
    for owner in owners {
        assert_eq!(root.client.get_user(owner).await.unwrap().email.as_str(), "unconfirmed@authy.invalid");
    }
}

#[tokio::test]
async fn administrators_who_vouch_for_their_own_address_at_once_do_not_deadlock() {
    let app = TestApp::new().await;
    for round in 0..4 {
        let email = format!("shared-{round}@example.org");
        let mut admins = Vec::new();
        for _ in 0..4 {
            let mut user = new_user(&fresh_name("chief"));
            user.email = email.parse().unwrap();
            let (name, id) = (user.username.clone(), app.anonymous().register(user).await.unwrap().public_id);
            app.authy.roles().grant(&operator(), &"admin".parse().unwrap(), id).await.unwrap();
            let token = app.anonymous().login(credentials(name.as_str())).await.unwrap().token;
            admins.push(app.anonymous().with_token(token));
        }
        let answers = at_once(4, |number| {
            let (client, email) = (admins[number].clone(), email.parse().unwrap());
            let account = NewAccount { email, ..new_account(&fresh_name("new"), "user") };
            async move { client.create_user(account).await.map_err(|error| error.kind()) }
        });
        let answers = answers.await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        // The first one took the address from all of them, which ended their sessions.
        let refused = |kind: &Option<ErrorKind>| {
            [Some(ErrorKind::InvalidToken), Some(ErrorKind::AlreadyRegistered)].contains(kind)
        };
        assert!(answers.iter().filter_map(|answer| answer.as_ref().err()).all(refused), "{answers:?}");
    }
}

#[tokio::test]
async fn where_administrators_set_no_passwords_they_invite() {
    let app = TestApp::with(|config, _| config.admin_sets_passwords = false).await;
    let root = app.superadmin().await;
    let account = new_account(&fresh_name("new"), "user");
    assert_eq!(refusal(&root.client, account.clone()).await, ErrorKind::InsufficientLevel);
    let created = root.client.create_user(NewAccount { password: None, ..account }).await.unwrap().public_id;
    assert_eq!(app.notifications(created, EventKind::ResetRequested).await.len(), 1);
}

#[tokio::test]
async fn creating_users_counts_as_any_request_and_not_as_a_sign_up() {
    let app = TestApp::with(|_, http| {
        http.limits.register = "1/hour".parse().unwrap();
        http.limits.default = "1000/minute".parse().unwrap();
    });
    let app = app.await;
    let admin = app.admin().await;
    for number in 0..3 {
        let body = json!({ "username": format!("wren-{number}"), "email": format!("wren-{number}@example.org") });
        let answer = create(&app, &admin, &body).await;
        assert_eq!(
            (answer.status, answer.header("ratelimit-policy")),
            (201, "\"default-minute\";q=1000;w=60"),
            "{number}"
        );
    }
}

#[tokio::test]
async fn what_the_operator_has_prepared_vouches_for_nothing_in_the_name_of_others() {
    let app = TestApp::new().await;
    let prepared = app.authy.users().prepare_registration(&operator(), new_user(&fresh_name("ada"))).await.unwrap();
    let mut sql = app.sql().await;
    let tx = sql.transaction().await.unwrap();
    let anonymous = Caller::anonymous(ClientInfo::default());
    let refused = app.authy.within(&tx).users().register(&anonymous, &prepared).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TokenRequired);
}

#[tokio::test]
async fn an_invitation_to_a_wrong_address_opens_nothing_once_the_address_is_corrected() {
    let app = TestApp::new().await;
    let (admin, name) = (app.admin().await, fresh_name("bob"));
    let account = NewAccount::new(&name, &format!("{name}@wrong.example")).unwrap();
    let id = admin.client.create_user(account).await.unwrap().public_id;
    let code = app.code(id, EventKind::ResetRequested).await;
    let change = AccountChange::email(None, format!("{name}@right.example").parse().unwrap());
    admin.client.change_user(id, change).await.unwrap();
    let reset = PasswordReset::new(code, PASSWORD).unwrap();
    let refused = app.anonymous().reset_password(reset).await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::NotFound));
}

#[tokio::test]
async fn a_mailbox_is_not_flooded_by_invitations() {
    let app = TestApp::new().await;
    let admin = app.admin().await;
    let address = format!("{}@example.org", fresh_name("bob"));
    let mut invited = 0;
    for _ in 0..12 {
        let account = NewAccount::new(&fresh_name("bob"), &address).unwrap();
        let id = admin.client.create_user(account).await.unwrap().public_id;
        invited += app.notifications(id, EventKind::ResetRequested).await.len();
    }
    // They may span two hours of the clock.
    assert!((10..12).contains(&invited), "{invited} mails");
}
