//! Every endpoint is guilty until this matrix clears it: called as nobody, with garbage, with an expired token, by
//! somebody too weak, and by somebody powerful enough.

use std::{collections::BTreeMap, time::Duration};

use authy_core::{
    RoleName, UserId,
    api::{Info, Method, PathParams as _, all},
};
use authy_tests::{
    House, until,
    wire::{Answer, send},
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    Public,
    User,
    Admin,
}

/// Who may call what, written down a second time on purpose: a row that is changed by mistake shows here.
const MATRIX: &[(&str, Who)] = &[
    ("Login", Who::Public),
    ("Refresh", Who::Public),
    ("Logout", Who::User),
    ("ListSessions", Who::User),
    ("EndOtherSessions", Who::User),
    ("EndSession", Who::User),
    ("EndUserSessions", Who::Admin),
    ("CheckAccess", Who::User),
    ("GetKeys", Who::Public),
    ("GetKeysAtRoot", Who::Public),
    ("GetMetadata", Who::Public),
    ("GetMetadataAtRoot", Who::Public),
    ("GetRevocations", Who::Public),
    ("Register", Who::Public),
    ("GetSelf", Who::User),
    ("DeleteSelf", Who::User),
    ("GetOwnRoles", Who::User),
    ("ListUsers", Who::Admin),
    ("GetUser", Who::Admin),
    ("DeleteUser", Who::Admin),
    ("GetUserRoles", Who::Admin),
    ("GetUsername", Who::Public),
    ("FindUser", Who::Public),
    ("ChangeUser", Who::Admin),
    ("GetValidation", Who::Public),
    ("Validate", Who::Public),
    ("ResendValidation", Who::User),
    ("ForgotPassword", Who::Public),
    ("ResetPassword", Who::Public),
    ("SendReset", Who::Admin),
    ("RestoreUser", Who::Admin),
    ("ExportSelf", Who::User),
    ("FindPasswordPage", Who::Public),
    ("ListRoles", Who::Admin),
    ("CreateRole", Who::Admin),
    ("GetRole", Who::Admin),
    ("DeleteRole", Who::Admin),
    ("ListRoleUsers", Who::Admin),
    ("GrantRole", Who::Admin),
    ("RevokeRole", Who::Admin),
    ("ListEvents", Who::Admin),
    ("ListEndpoints", Who::Public),
    ("GetStatus", Who::Public),
    ("GetRateLimited", Who::Public),
    ("GetOpenApi", Who::Public),
    ("GetAsyncApi", Who::Public),
];

fn matrix() -> impl Iterator<Item = (&'static Info, Who)> {
    let matrix: BTreeMap<_, _> = MATRIX.iter().copied().collect();
    all().map(move |info| match matrix.get(info.name) {
        Some(who) => (info, *who),
        None => panic!("{} is missing from the matrix: say who may call it", info.name),
    })
}

/// Calls an endpoint about somebody and something that do not exist, with an empty object as its body.
async fn call(house: &House, info: &Info, credential: &str) -> Answer {
    let path = info.path.replace("{level}", "99999").replace("{username}", "nobody-at-all");
    let path = match path.matches('{').count() {
        2 => (role(), UserId::random()).fill(&path),
        _ if path.contains("{role_name}") => (role(),).fill(&path),
        1 => (UserId::random(),).fill(&path),
        _ => path,
    };
    let body = if info.method == Method::POST { "{}" } else { "" };
    let head = format!("{} {path} HTTP/1.1\ncontent-type: application/json\n{credential}", info.method);
    send(house.address, &head, body).await
}

fn role() -> RoleName {
    "no-such-role".parse().unwrap()
}

#[tokio::test]
async fn every_endpoint_is_in_the_matrix_once() {
    assert_eq!(matrix().count(), MATRIX.len());
}

#[tokio::test]
async fn without_a_token_only_public_endpoints_answer() {
    let house = House::new().await;
    for (info, who) in matrix() {
        let answer = call(&house, info, "").await;
        if who == Who::Public {
            assert!(![401, 403].contains(&answer.status) && answer.status < 500, "{}: {answer:?}", info.name);
        } else {
            assert_eq!(answer.code(), "token_required", "{}", info.name);
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"), "{}", info.name);
        }
    }
}

#[tokio::test]
async fn a_bad_token_is_nobodys_and_public_endpoints_do_not_look_at_it() {
    let house = House::new().await;
    let person = house.superadmin().await;
    let short = House::on(house.database.clone(), house.master_keys.clone(), |config, _| {
        config.access_ttl = Duration::from_secs(1);
    });
    let expired = short.await.again(&person).await;
    let is_refused = || async { expired.client.get_self().await.is_err() };
    until("the token has expired", is_refused).await;
    let good = person.token.expose();
    let bad = [
        "garbage".to_owned(),
        "a.b.c".to_owned(),
        good[..good.len() - 5].to_owned(),
        format!("{good}x"),
        expired.token.expose().to_owned(),
    ];
    for (info, who) in matrix() {
        for token in &bad {
            for credential in [format!("x-access-token: {token}"), format!("authorization: bearer {token}")] {
                let answer = call(&house, info, &credential).await;
                if who == Who::Public {
                    assert!(![401, 403].contains(&answer.status), "{}: {answer:?}", info.name);
                } else {
                    assert_eq!(answer.code(), "invalid_token", "{}", info.name);
                    let challenge = answer.header("www-authenticate");
                    assert_eq!((answer.status, challenge), (401, "Bearer error=\"invalid_token\""), "{}", info.name);
                }
            }
        }
    }
}

#[tokio::test]
async fn administration_is_for_administrators() {
    let house = House::new().await;
    let people = [("guest", false), ("user", false), ("admin", true), ("superadmin", true)];
    for (role, is_admin) in people {
        for (info, who) in matrix() {
            // A person of one's own for each call: one of the calls deletes the caller.
            let person = house.person(role).await;
            let answer = call(&house, info, &format!("x-access-token: {}", person.token.expose())).await;
            if who == Who::Admin && !is_admin {
                assert_eq!(
                    (answer.status, answer.code().as_str()),
                    (403, "insufficient_level"),
                    "{role} {}",
                    info.name
                );
            } else {
                assert!(![401, 403].contains(&answer.status), "{role} {}: {answer:?}", info.name);
                assert!(answer.status < 500, "{role} {}: {answer:?}", info.name);
            }
        }
    }
}

#[tokio::test]
async fn who_may_not_call_is_told_so_before_the_body_is_looked_at() {
    let house = House::new().await;
    let weak = house.user().await;
    let has_body = |info: &Info| [Method::POST, Method::PUT].contains(&info.method);
    for (info, who) in matrix().filter(|(info, who)| has_body(info) && *who != Who::Public) {
        let path =
            info.path.replace("{role_name}", "no-such-role").replace("{public_id}", &UserId::random().to_string());
        let head = format!("{} {path} HTTP/1.1\ncontent-type: text/plain", info.method);
        assert_eq!(send(house.address, &head, "no json").await.status, 401, "{who:?} {}", info.name);
        let head = format!("{head}\nauthorization: Bearer {}", weak.token.expose());
        let expected = if who == Who::Admin { 403 } else { 415 };
        assert_eq!(send(house.address, &head, "no json").await.status, expected, "{who:?} {}", info.name);
    }
}
