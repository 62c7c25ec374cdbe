//! Several accounts whose names have the same key: each is found by its own spelling, and none by that of another.

use authy_core::{ErrorKind, api::user::Deletion};
use authy_tests::{new_user, wire::send};

use super::*;

const PASSWORDS: [&str; 3] = ["carousel-marmalade-58", "gooseberry-semaphore-77", "difference-engine-no-2"];
const SPELLINGS: [&str; 3] = ["ada", "ａｄａ", "ADA"];

/// Three accounts, of which the first one has the key.
async fn three() -> (Imported, [UserId; 3]) {
    let imported = Imported::new().await;
    let first = imported.user_with_key(("ada", "ada"), "ada@example.org", PASSWORDS[0], "user").await;
    let second = imported.colliding_user("ａｄａ", "two@example.org", PASSWORDS[1]).await;
    let third = imported.colliding_user("ADA", "three@example.org", PASSWORDS[2]).await;
    (imported, [first, second, third])
}

async fn is_taken(imported: &Imported, username: &str) -> bool {
    let email = format!("{}@example.org", fresh_name("someone"));
    let body = json!({ "username": username, "email": email, "password": PASSWORD, "confirm_password": PASSWORD });
    let head = "POST /authy/user HTTP/1.1\ncontent-type: application/json";
    let answer = send(imported.app.address, head, &body.to_string()).await;
    assert!(answer.status == 201 || answer.code() == "already_registered", "{username}: {answer:?}");
    answer.status == 409
}

#[tokio::test]
async fn each_owner_gets_in_with_the_own_spelling_and_into_no_other_account() {
    let (imported, users) = three().await;
    for (number, spelling) in SPELLINGS.into_iter().enumerate() {
        for (owner, password) in PASSWORDS.into_iter().enumerate() {
            let expected = (owner == number).then_some(users[number]);
            assert_eq!(imported.opens(spelling, password).await, expected, "{spelling} with the password of {owner}");
        }
        let found = imported.app.anonymous().find_user(name(spelling)).await.unwrap();
        assert_eq!(found.public_id, users[number]);
        let view = imported.app.authy.users().find_named(&name(spelling)).await.unwrap().unwrap();
        assert_eq!((view.public_id, view.username.as_str()), (users[number], spelling));
    }
    // Any other spelling is that of the key's owner.
    for spelling in ["Ada", "aDa", "ａda", "ad\u{200d}a"] {
        assert_eq!(imported.opens(spelling, PASSWORDS[0]).await, Some(users[0]), "{spelling}");
        for password in &PASSWORDS[1..] {
            assert_eq!(imported.opens(spelling, password).await, None, "{spelling}");
        }
        assert_eq!(imported.app.anonymous().find_user(name(spelling)).await.unwrap().public_id, users[0]);
    }
    // All three are found by the beginning of the name.
    let query = authy_core::api::user::UserQuery { q: Some("Ad".to_owned()), ..Default::default() };
    assert_eq!(imported.app.authy.users().list(&query).await.unwrap().total, 3);
}

#[tokio::test]
async fn a_collision_key_is_no_name() {
    let (imported, users) = three().await;
    let query = "SELECT username_key FROM authy.users WHERE public_id = $1";
    for (user, password) in users.iter().zip(PASSWORDS).skip(1) {
        let key: String = imported.sql.query_one(query, &[user.as_uuid()]).await.unwrap().get(0);
        assert_eq!(imported.opens(&key, password).await, None, "{key}");
        assert!(imported.app.anonymous().find_user(name(&key)).await.is_err(), "{key}");
    }
}

#[tokio::test]
async fn a_spelling_without_its_owner_opens_nothing() {
    let (imported, [ada, wide, capital]) = three().await;
    let users = imported.app.authy.users();
    users.delete(&operator(), capital).await.unwrap();
    for password in PASSWORDS {
        assert_eq!(imported.opens("ADA", password).await, None);
    }
    let unknown = imported.app.anonymous().find_user(name("ADA")).await.unwrap_err();
    assert_eq!(unknown.kind(), Some(ErrorKind::NotFound));
    users.restore(&operator(), capital).await.unwrap();
    assert_eq!(imported.opens("ADA", PASSWORDS[2]).await, Some(capital));
    // Without the owner of the key, the others keep their spellings.
    users.erase(&operator(), ada).await.unwrap();
    assert_eq!(imported.opens("Ada", PASSWORDS[0]).await, None);
    assert_eq!(imported.opens("Ada", PASSWORDS[1]).await, None);
    assert_eq!(imported.opens("ａｄａ", PASSWORDS[1]).await, Some(wide));
}

#[tokio::test]
async fn an_erased_user_leaves_no_spelling_and_the_name_stays_taken() {
    let (imported, [ada, wide, capital]) = three().await;
    let (root, users) = (imported.app.superadmin().await, imported.app.authy.users());
    for name in ["ada", "Ada", "ADA", "ａｄａ", "aDA"] {
        assert!(is_taken(&imported, name).await, "{name}");
        let registered = users.register(&operator(), new_user_named(name)).await.unwrap_err();
        assert_eq!(registered.kind(), ErrorKind::AlreadyRegistered, "{name}: not for an operator either");
    }
    // The owner of the key gets another name, as a later import may bring it: the key of the aliases stays taken.
    let rename = "UPDATE authy.users SET username = 'bob', username_key = 'bob' WHERE public_id = $1";
    imported.sql.execute(rename, &[ada.as_uuid()]).await.unwrap();
    assert!(is_taken(&imported, "Ada").await);
    assert_eq!(imported.opens("Ada", PASSWORDS[1]).await, None);
    for user in [wide, capital] {
        root.client.delete_user(user, Deletion::ERASE).await.unwrap();
        let spellings = imported.sql.query("SELECT spelling, spelling_key FROM authy.alias", &[]).await.unwrap();
        let texts = spellings.iter().flat_map(|row| [row.get::<_, String>(0), row.get(1)]);
        assert_eq!(texts.filter(|text| text.starts_with("erased:")).count(), if user == wide { 2 } else { 4 });
        assert!(is_taken(&imported, "Ada").await);
    }
    for (spelling, password) in SPELLINGS.iter().zip(PASSWORDS) {
        assert_eq!(imported.opens(spelling, password).await, None, "{spelling}");
    }
    assert_eq!(imported.opens("bob", PASSWORDS[0]).await, Some(ada));
}

/// A sign-up under a name that is stored in another spelling.
fn new_user_named(username: &str) -> authy_core::api::user::NewUser {
    authy_core::api::user::NewUser { username: username.parse().unwrap(), ..new_user(&fresh_name("someone")) }
}

#[tokio::test]
async fn a_sign_up_that_was_checked_before_the_import_does_not_get_the_key_of_an_alias() {
    let imported = Imported::new().await;
    let anonymous = authy_core::engine::Caller::anonymous(authy_core::ClientInfo::default());
    let prepared = imported.app.authy.users().prepare_registration(&anonymous, new_user_named("ada")).await.unwrap();
    imported.colliding_user("ADA", "ada@example.org", PASSWORDS[0]).await;
    let mut sql = imported.app.sql().await;
    let tx = sql.transaction().await.unwrap();
    let refused = imported.app.authy.within(&tx).users().register(&anonymous, &prepared).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AlreadyRegistered);
}

#[tokio::test]
async fn guesses_count_for_the_account_and_not_for_its_spelling() {
    let (imported, [ada, _, capital]) = three().await;
    // A second way to the account that has the key.
    imported.alias("Ada Lovelace", ada).await;
    for spelling in ["ada", "Ada", "Ada Lovelace", "aDa", "AdA", "Ada Lovelace"] {
        assert_eq!(imported.opens(spelling, "wrong").await, None);
    }
    for spelling in ["ada", "ADa", "Ada Lovelace"] {
        assert_eq!(imported.opens(spelling, PASSWORDS[0]).await, None, "{spelling} is slowed");
    }
    assert_eq!(imported.opens("ADA", PASSWORDS[2]).await, Some(capital), "another account is not");
    imported.app.authy.users().unlock(&operator(), ada).await.unwrap();
    assert_eq!(imported.opens("Ada Lovelace", PASSWORDS[0]).await, Some(ada));
}
