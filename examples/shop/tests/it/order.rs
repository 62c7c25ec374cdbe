//! Orders, and who may do what.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use serde_json::json;

use crate::harness::{PASSWORD, TestShop};

#[tokio::test]
async fn an_order_needs_a_token() {
    let shop = TestShop::start().await;
    let answer = shop.post("/orders", "", json!({ "item": "teapot" })).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
    assert_eq!(answer.body["code"], "token_required");
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
    let answer = shop.post("/orders", "forged", json!({ "item": "teapot" })).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
    assert_eq!(answer.body["code"], "invalid_token");
}

#[tokio::test]
async fn customers_place_orders_and_an_administrator_lists_them() {
    let shop = TestShop::start().await;
    let administrator = shop.log_in_administrator().await;
    let id = shop.sign_up("ada").await;
    let token = shop.log_in("ada", PASSWORD).await;
    let answer = shop.post("/orders", &token, json!({ "item": "" })).await;
    assert_eq!(answer.body["fields"][0]["code"], "invalid_item", "{answer:?}");
    let placed = shop.post("/orders", &token, json!({ "item": "teapot" })).await;
    assert_eq!(placed.status, StatusCode::CREATED, "{placed:?}");
    assert_eq!(placed.body, json!({ "id": 1, "public_id": id, "item": "teapot" }));

    let refused = shop.get("/orders", &token).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
    assert_eq!(refused.body["code"], "insufficient_level");
    let orders = shop.get("/orders", &administrator).await;
    assert_eq!(orders.status, StatusCode::OK, "{orders:?}");
    assert_eq!(orders.body, json!([placed.body]));
}

#[tokio::test]
async fn a_role_takes_effect_at_once() {
    let shop = TestShop::start().await;
    let administrator = shop.log_in_administrator().await;
    let id = shop.sign_up("ada").await;
    let role = format!("/authy/role/admin/users/{id}");
    let before = shop.log_in("ada", PASSWORD).await;
    assert_eq!(shop.get("/orders", &before).await.status, StatusCode::FORBIDDEN);

    assert_eq!(shop.post(&role, &administrator, json!({})).await.status, StatusCode::OK);
    assert_eq!(shop.get("/me", &before).await.body["code"], "invalid_token");
    let promoted = shop.log_in("ada", PASSWORD).await;
    assert_eq!(shop.get("/orders", &promoted).await.status, StatusCode::OK);

    let revoke = Request::delete(&role).header("authorization", format!("Bearer {administrator}"));
    assert_eq!(shop.send(revoke.body(Body::empty()).unwrap()).await.status, StatusCode::OK);
    assert_eq!(shop.get("/orders", &promoted).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_answered_with_problem_documents() {
    let shop = TestShop::start().await;
    for (path, status, code) in [("/teapots", 404, "not_found"), ("/login", 405, "method_not_allowed")] {
        let answer = shop.get(path, "").await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {answer:?}");
        assert_eq!(answer.body["code"], code, "{path}: {answer:?}");
        let id = &answer.headers["x-request-id"];
        assert!(!id.is_empty() && answer.body["request_id"] == id.to_str().unwrap(), "{path}: {answer:?}");
    }
    assert_eq!(shop.get("/login", "").await.headers["allow"], "POST");
}
