//! Names: which look like another that speaks for the service, and which are those of people.

use authy_core::{
    Authenticator as _, ClientInfo, ErrorKind, RoleName, Username,
    api::{
        role::RoleUserQuery,
        user::{NewUser, UserQuery},
    },
    engine::Caller,
};
use authy_tests::{PASSWORD, TestApp, credentials, fresh_name, new_account, new_user, operator, wire::post};
use serde_json::json;

/// The status and the code of a sign-up under a name.
async fn sign_up(app: &TestApp, username: &str) -> (u16, String) {
    let email = format!("{}@example.org", fresh_name("someone"));
    let body = json!({ "username": username, "email": email, "password": PASSWORD, "confirm_password": PASSWORD });
    let answer = post(app.address, "/authy/user", &body.to_string()).await;
    match answer.status {
        201 => (201, String::new()),
        status => {
            assert_eq!(answer.json()["fields"][0]["field"], "username", "{answer:?}");
            (status, answer.code())
        }
    }
}

fn created() -> (u16, String) {
    (201, String::new())
}

fn taken() -> (u16, String) {
    (409, "already_registered".to_owned())
}

#[tokio::test]
async fn what_looks_like_a_reserved_name_is_taken_but_not_for_an_operator() {
    let app = TestApp::new().await;
    for name in ["a.d.m.i.n", "ad-min", "admın", "ADMİN", "adm1n", "AdmlN", "adrnin", "supp0rt", "r00t", "m.e", "АРІ"]
    {
        assert_eq!(sign_up(&app, name).await, taken(), "{name}");
    }
    // Scripts that no language mixes are no name at all.
    for name in ["аdmin", "аԁⅿіn", "pаypal", "ρaypal", "adaשלום", "Ольга-ada"] {
        assert_eq!(sign_up(&app, name).await, (400, "invalid_input".to_owned()), "{name}");
    }
    for name in ["administration", "rooted", "admiral", "supporter"] {
        assert_eq!(sign_up(&app, name).await, created(), "{name}");
    }
    app.authy.users().create(&operator(), new_account("a.d.m.i.n", "user")).await.unwrap();
}

#[tokio::test]
async fn what_looks_like_an_administrator_is_taken_for_as_long_as_he_is_one() {
    let app = TestApp::new().await;
    let admin: RoleName = "admin".parse().unwrap();
    let olga = app.authy.users().create(&operator(), new_account("o1ga", "user")).await.unwrap();
    assert_eq!(sign_up(&app, "olga").await, created(), "she has no power yet");
    app.authy.roles().grant(&operator(), &admin, olga).await.unwrap();
    for name in ["o.l.g.a", "0lga", "OIga", "o_1ga"] {
        assert_eq!(sign_up(&app, name).await, taken(), "{name}");
    }
    // Her very name is answered as that of any user: the answer does not reveal who has power.
    let ordinary = new_user(&fresh_name("ordinary"));
    app.authy.users().register(&operator(), ordinary.clone()).await.unwrap();
    let mut answers = Vec::new();
    for name in ["O1GA", ordinary.username.as_str()] {
        let body = json!({ "username": name, "email": "somebody@example.org", "password": PASSWORD, "confirm_password": PASSWORD });
        let answer = post(app.address, "/authy/user", &body.to_string()).await.json();
        answers.push((answer["code"].clone(), answer["message"].clone(), answer["fields"].clone()));
    }
    assert_eq!(answers[0], answers[1]);
    assert!(app.authy.users().find_id(&"olga".parse().unwrap()).await.unwrap().is_some(), "who was there stays");
    app.authy.roles().revoke(&operator(), &admin, olga).await.unwrap();
    assert_eq!(sign_up(&app, "o.l.g.a").await, created());
    // Who is made an administrator is one from the beginning.
    app.authy.users().create(&operator(), new_account("bill", "admin")).await.unwrap();
    assert_eq!(sign_up(&app, "bi11").await, taken());
}

#[tokio::test]
async fn a_name_is_protected_where_everybody_who_signs_up_is_an_administrator() {
    let app = TestApp::new().await;
    let sql = app.sql().await;
    sql.execute("UPDATE authy.role SET level = 2 WHERE name = 'user'", &[]).await.unwrap();
    assert_eq!(sign_up(&app, "olga").await, created());
    assert_eq!(sign_up(&app, "o1ga").await, taken());
}

#[tokio::test]
async fn administrators_from_before_the_rule_are_protected_by_the_next_maintenance() {
    let app = TestApp::new().await;
    let admin: RoleName = "admin".parse().unwrap();
    let olga = app.authy.users().create(&operator(), new_account("olga", "admin")).await.unwrap();
    let sql = app.sql().await;
    sql.execute("DELETE FROM authy.administrator_name", &[]).await.unwrap();
    assert_eq!(sign_up(&app, "o.lga").await, created(), "as an older program has left it");
    app.authy.maintain().await.unwrap();
    assert_eq!(sign_up(&app, "o1ga").await, taken());
    // Nothing that identifies a user stays.
    app.authy.roles().revoke(&operator(), &admin, olga).await.unwrap();
    app.authy.users().erase(&operator(), olga).await.unwrap();
    let left = sql.query_one("SELECT count(*) FROM authy.administrator_name", &[]).await.unwrap();
    assert_eq!(left.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn a_user_who_becomes_an_administrator_while_a_lookalikes_password_is_hashed_is_protected() {
    let app = TestApp::new().await;
    let anonymous = Caller::anonymous(ClientInfo::default());
    let olga = app.authy.users().create(&operator(), new_account("olga", "user")).await.unwrap();
    let registration = app.authy.users().prepare_registration(&anonymous, new_user("o1ga")).await.unwrap();
    app.authy.roles().grant(&operator(), &"admin".parse().unwrap(), olga).await.unwrap();
    let mut sql = app.sql().await;
    let tx = sql.transaction().await.unwrap();
    let refused = app.authy.within(&tx).users().register(&anonymous, &registration).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AlreadyRegistered);
}

#[tokio::test]
async fn names_of_all_scripts_sign_up_and_log_in() {
    let app = TestApp::new().await;
    for name in [
        "محمد_علوي",
        "علی\u{200c}رضا",
        "حسین\u{200c}آبادی",
        "शर्मा",
        "लक्\u{200d}ष्मी",
        "ප්\u{200d}රේමදාස",
        "ශ්\u{200d}රී",
        "田中さくら",
        "アンナ田中",
        "Tanaka田中さん",
        "김민준",
        "Kim김민준",
        "李小龍",
        "Lee李小龍",
        "Γιώργος",
        "Ольга",
        "Ірина",
        "Владимир.Ильич",
        "Þórður",
        "Nguyễn",
        "Şükrü",
        "ოთარი",
        "Հայկ",
        "דוד_המלך",
        "สมชาย",
        "தமிழ்",
    ] {
        assert_eq!(sign_up(&app, name).await, created(), "{name}");
        let tokens =
            app.authy.sessions().login(&Caller::anonymous(ClientInfo::default()), credentials(name)).await.unwrap();
        let identity = app.authy.authenticate(tokens.token.expose()).await.unwrap();
        assert_eq!(identity.username.unwrap().as_str(), name);
    }
    for same in ["علیرضا", "शर्मा", "लक्ष्मी", "ශ්රී"] {
        let refused =
            app.authy.users().register(&Caller::anonymous(ClientInfo::default()), other(same)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyRegistered, "{same}");
        app.authy.sessions().login(&Caller::anonymous(ClientInfo::default()), credentials(same)).await.unwrap();
    }
}

/// A sign-up with an address of its own.
fn other(username: &str) -> NewUser {
    NewUser { username: username.parse().unwrap(), ..new_user(&fresh_name("someone")) }
}

#[tokio::test]
async fn a_name_from_before_the_rule_is_shown_and_logs_in() {
    let app = TestApp::new().await;
    let (root, test_user) = (app.superadmin().await, app.user().await);
    let stored = "Аda и-Боб😀";
    let sql = app.sql().await;
    let key = stored.to_lowercase();
    sql.execute(
        "UPDATE authy.users SET username = $2, username_key = $3 WHERE public_id = $1",
        &[test_user.id.as_uuid(), &stored, &key],
    )
    .await
    .unwrap();
    let name: Username = root.client.get_username(test_user.id).await.unwrap().username;
    assert_eq!(name.as_str(), stored);
    assert_eq!(root.client.find_user(name).await.unwrap().public_id, test_user.id);
    let listed = app.authy.users().list(&UserQuery::default()).await.unwrap();
    assert!(listed.items.iter().any(|user| user.username.as_str() == stored));
    let of_role = root.client.list_role_users("user".parse().unwrap(), RoleUserQuery::default()).await.unwrap();
    assert!(of_role.users.iter().any(|user| user.name.as_str() == stored));
    let tokens =
        app.authy.sessions().login(&Caller::anonymous(ClientInfo::default()), credentials(stored)).await.unwrap();
    let client = app.anonymous().with_token(tokens.token);
    assert_eq!(client.get_self().await.unwrap().username.as_str(), stored);
    let refused =
        app.authy.sessions().login(&Caller::anonymous(ClientInfo::default()), credentials("Аda и")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidCredentials);
}
