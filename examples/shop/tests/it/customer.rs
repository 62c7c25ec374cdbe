//! Sign-up, login, and the caller's own account.

use std::net::IpAddr;

use authy_core::engine::NotificationKind;
use authy_server::RateLimits;
use axum::http::{StatusCode, header::RETRY_AFTER};
use serde_json::json;

use crate::harness::{PASSWORD, TestShop, post, sign_up};

#[tokio::test]
async fn a_customer_signs_up_and_logs_in() {
    let shop = TestShop::start().await;
    let id = shop.sign_up("ada").await;
    let token = shop.log_in("ada", PASSWORD).await;
    let me = shop.get("/me", &token).await;
    assert_eq!(me.status, StatusCode::OK, "{me:?}");
    assert_eq!(me.body, json!({ "public_id": id, "level": 10, "favourite_colour": "teal" }));
}

#[tokio::test]
async fn a_sign_up_is_refused_with_every_invalid_field() {
    let shop = TestShop::start().await;
    let body = json!({
        "username": "a", "email": "ada", "password": PASSWORD, "confirm_password": "another",
        "favourite_colour": "#008080", "nickname": "countess",
    });
    let answer = shop.post("/signup", "", body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.body["code"], "invalid_input");
    let mut fields: Vec<_> = answer.body["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| (field["field"].as_str().unwrap(), field["code"].as_str().unwrap()))
        .collect();
    fields.sort_unstable();
    let expected = [
        ("confirm_password", "passwords_differ"),
        ("email", "invalid_email"),
        ("favourite_colour", "invalid_colour"),
        ("nickname", "unknown_field"),
        ("username", "invalid_username"),
    ];
    assert_eq!(fields, expected);
}

#[tokio::test]
async fn a_sign_up_whose_customer_cannot_be_stored_leaves_no_user() {
    let shop = TestShop::start().await;
    let beige = "ALTER TABLE shop.customer ADD CONSTRAINT not_beige CHECK (favourite_colour <> 'beige')";
    shop.database.batch_execute(beige).await.unwrap();
    let mut body = sign_up("ada");
    body["favourite_colour"] = "beige".into();
    let answer = shop.post("/signup", "", body).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{answer:?}");
    assert_eq!(answer.body["code"], "internal");
    assert!(!answer.body.to_string().contains("beige"), "the cause is for the log alone: {answer:?}");
    assert_eq!(shop.get("/authy/fetch/ada", "").await.status, StatusCode::NOT_FOUND);
    // The name was not taken either.
    shop.sign_up("ada").await;
}

#[tokio::test]
async fn a_wrong_password_is_401() {
    let shop = TestShop::start().await;
    shop.sign_up("ada").await;
    let answer = shop.post("/login", "", json!({ "username": "ada", "password": "analytical" })).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
    assert_eq!(answer.body["code"], "invalid_credentials");
}

#[tokio::test]
async fn logins_are_limited_per_address() {
    let limits = RateLimits { login: "2/hour".parse().unwrap(), ..RateLimits::default() };
    let shop = TestShop::with_limits(limits).await;
    let login = |address: &str| {
        let address: IpAddr = address.parse().unwrap();
        shop.send_from(address, post("/login", "", &json!({ "username": "ada", "password": "unknown" })))
    };
    for _ in 0..2 {
        assert_eq!(login("192.0.2.1").await.status, StatusCode::UNAUTHORIZED);
    }
    let refused = login("192.0.2.1").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{refused:?}");
    assert_eq!(refused.body["code"], "rate_limited");
    assert!(refused.headers[RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(login("192.0.2.2").await.status, StatusCode::UNAUTHORIZED, "another address");
    let body = json!({ "username": "ada", "password": "unknown" });
    let refused = shop.send_from("192.0.2.1".parse().unwrap(), post("/authy/login", "", &body)).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "the mounted API has the same limits: {refused:?}");
}

#[tokio::test]
async fn a_sign_up_asks_by_mail_to_confirm_the_address() {
    let shop = TestShop::start().await;
    shop.sign_up("ada").await;
    let mail = shop.mails.take("ada@example.org", NotificationKind::Validate).await;
    let link = mail.link.as_deref().and_then(|link| link.strip_prefix("http://shop.example")).unwrap();
    assert!(link.starts_with("/authy/validate/"), "{link}");
    // The whole API of authy is behind the shop's paths, so the link works.
    let confirmed = shop.post(link, "", json!({})).await;
    assert_eq!(confirmed.status, StatusCode::OK, "{confirmed:?}");
}
