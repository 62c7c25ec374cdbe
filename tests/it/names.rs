//! Names: which look like another that speaks for the service, and which are those of people.

use authy_core::{
    Authenticator as _, ErrorKind, RoleName, Username,
    api::{
        role::RoleUserQuery,
        user::{NewUser, PageNumber, PageSize},
    },
    engine::{Caller, Origin},
};
use authy_tests::{House, PASSWORD, credentials, fresh_name, new_user, operator, wire::post};
use serde_json::json;

/// The status and the code of a sign-up under a name.
async fn sign_up(house: &House, username: &str) -> (u16, String) {
    let email = format!("{}@example.org", fresh_name("somebody"));
    let body = json!({ "username": username, "email": email, "password": PASSWORD, "confirm_password": PASSWORD });
    let answer = post(house.address, "/authy/user", &body.to_string()).await;
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
    let house = House::new().await;
    for name in ["a.d.m.i.n", "ad-min", "admın", "ADMİN", "adm1n", "AdmlN", "adrnin", "supp0rt", "r00t", "m.e", "АРІ"]
    {
        assert_eq!(sign_up(&house, name).await, taken(), "{name}");
    }
    // Scripts that no language mixes are no name at all.
    for name in ["аdmin", "аԁⅿіn", "pаypal", "ρaypal", "adaשלום", "Ольга-ada"] {
        assert_eq!(sign_up(&house, name).await, (400, "invalid_input".to_owned()), "{name}");
    }
    for name in ["administration", "rooted", "admiral", "supporter"] {
        assert_eq!(sign_up(&house, name).await, created(), "{name}");
    }
    let role: RoleName = "user".parse().unwrap();
    house.authy.create_user(&operator(), new_user("a.d.m.i.n"), &role).await.unwrap();
}

#[tokio::test]
async fn what_looks_like_an_administrator_is_taken_for_as_long_as_he_is_one() {
    let house = House::new().await;
    let admin: RoleName = "admin".parse().unwrap();
    let olga = house.authy.create_user(&operator(), new_user("o1ga"), &"user".parse().unwrap()).await.unwrap();
    assert_eq!(sign_up(&house, "olga").await, created(), "she has no power yet");
    house.authy.grant_role(&operator(), &admin, olga).await.unwrap();
    for name in ["o.l.g.a", "0lga", "OIga", "o_1ga"] {
        assert_eq!(sign_up(&house, name).await, taken(), "{name}");
    }
    // Her very name is answered as that of anybody else: the answer tells nobody who has power.
    let ordinary = new_user(&fresh_name("ordinary"));
    house.authy.register(&operator(), ordinary.clone()).await.unwrap();
    let mut answers = Vec::new();
    for name in ["O1GA", ordinary.username.as_str()] {
        let body = json!({ "username": name, "email": "somebody@example.org", "password": PASSWORD, "confirm_password": PASSWORD });
        let answer = post(house.address, "/authy/user", &body.to_string()).await.json();
        answers.push((answer["code"].clone(), answer["message"].clone(), answer["fields"].clone()));
    }
    assert_eq!(answers[0], answers[1]);
    assert!(house.authy.find_user_id(&"olga".parse().unwrap()).await.unwrap().is_some(), "who was there stays");
    house.authy.revoke_role(&operator(), &admin, olga).await.unwrap();
    assert_eq!(sign_up(&house, "o.l.g.a").await, created());
    // Who is made an administrator is one from the beginning.
    house.authy.create_user(&operator(), new_user("bill"), &admin).await.unwrap();
    assert_eq!(sign_up(&house, "bi11").await, taken());
}

#[tokio::test]
async fn who_was_an_administrator_before_the_rule_is_protected_by_the_next_upkeep() {
    let house = House::new().await;
    let admin: RoleName = "admin".parse().unwrap();
    let olga = house.authy.create_user(&operator(), new_user("olga"), &admin).await.unwrap();
    let sql = house.sql().await;
    sql.execute("DELETE FROM authy.administrator_name", &[]).await.unwrap();
    assert_eq!(sign_up(&house, "o.lga").await, created(), "as an older program has left it");
    house.authy.upkeep().await.unwrap();
    assert_eq!(sign_up(&house, "o1ga").await, taken());
    // Nothing that tells of a person stays.
    house.authy.revoke_role(&operator(), &admin, olga).await.unwrap();
    house.authy.erase_user(&operator(), olga).await.unwrap();
    let left = sql.query_one("SELECT count(*) FROM authy.administrator_name", &[]).await.unwrap();
    assert_eq!(left.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn who_becomes_an_administrator_while_a_lookalike_s_password_is_hashed_is_protected() {
    let house = House::new().await;
    let stranger = Caller::nobody(Origin::default());
    let olga = house.authy.create_user(&operator(), new_user("olga"), &"user".parse().unwrap()).await.unwrap();
    let registration = house.authy.prepare_registration(&stranger, new_user("o1ga")).await.unwrap();
    house.authy.grant_role(&operator(), &"admin".parse().unwrap(), olga).await.unwrap();
    let mut sql = house.sql().await;
    let tx = sql.transaction().await.unwrap();
    let refused = house.authy.register_in(&tx, &stranger, &registration).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AlreadyRegistered);
}

#[tokio::test]
async fn people_of_all_scripts_sign_up_and_log_in() {
    let house = House::new().await;
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
        assert_eq!(sign_up(&house, name).await, created(), "{name}");
        let tokens = house.authy.login(&Caller::nobody(Origin::default()), credentials(name)).await.unwrap();
        let identity = house.authy.authenticate(tokens.token.expose()).await.unwrap();
        assert_eq!(identity.username.unwrap().as_str(), name);
    }
    for same in ["علیرضا", "शर्मा", "लक्ष्मी", "ශ්රී"] {
        let refused = house.authy.register(&Caller::nobody(Origin::default()), other(same)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyRegistered, "{same}");
        house.authy.login(&Caller::nobody(Origin::default()), credentials(same)).await.unwrap();
    }
}

/// A sign-up with an address of its own.
fn other(username: &str) -> NewUser {
    NewUser { username: username.parse().unwrap(), ..new_user(&fresh_name("somebody")) }
}

#[tokio::test]
async fn a_name_from_before_the_rule_is_shown_and_logs_in() {
    let house = House::new().await;
    let (root, person) = (house.superadmin().await, house.user().await);
    let stored = "Аda и-Боб😀";
    let sql = house.sql().await;
    let key = stored.to_lowercase();
    sql.execute(
        "UPDATE authy.users SET username = $2, username_key = $3 WHERE public_id = $1",
        &[person.id.as_uuid(), &stored, &key],
    )
    .await
    .unwrap();
    let name: Username = root.client.get_username(person.id).await.unwrap().username;
    assert_eq!(name.as_str(), stored);
    assert_eq!(root.client.find_user(name).await.unwrap().public_id, person.id);
    let listed = house.authy.list_users(PageNumber::FIRST, PageSize::DEFAULT, None).await.unwrap();
    assert!(listed.items.iter().any(|user| user.username.as_str() == stored));
    let of_role = root.client.list_role_users("user".parse().unwrap(), RoleUserQuery { page: None }).await.unwrap();
    assert!(of_role.users.iter().any(|user| user.name.as_str() == stored));
    let tokens = house.authy.login(&Caller::nobody(Origin::default()), credentials(stored)).await.unwrap();
    let client = house.nobody().with_token(tokens.token);
    assert_eq!(client.get_self().await.unwrap().username.as_str(), stored);
    let refused = house.authy.login(&Caller::nobody(Origin::default()), credentials("Аda и")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidCredentials);
}
