//! Who may do what, without a server.

use authy_client::{Client, ErrorKind, Identity, test_util::FakeAuthenticator};
use authy_example_sibling::routes::Service;
use serde_json::{Value, json};

use crate::Bids;

fn service(authenticator: &FakeAuthenticator) -> Bids {
    let unused = Client::builder("http://127.0.0.1:1").build().unwrap();
    Bids::new(Service::new(authenticator.clone(), unused).unwrap().into_router())
}

#[tokio::test]
async fn bids_are_for_users_and_an_outage_is_no_refusal() {
    let authy = FakeAuthenticator::new().with("ada", Identity::test().level(10));
    authy.accept("guest", Identity::test().level(99));
    let bids = service(&authy);
    let bid = async |token: &str| bids.send("POST /bids", token, json!({"lot": "a violin", "cents": 5000})).await.0;
    assert_eq!(bid("ada").await, 201);
    assert_eq!(bid("unknown").await, 401);
    assert_eq!(bid("guest").await, 403);
    authy.refuse_all(ErrorKind::Unavailable);
    assert_eq!(bid("ada").await, 503);
}

#[tokio::test]
async fn any_caller_reads_the_bids_and_finds_the_own_name() {
    let authy = FakeAuthenticator::new().with("guest", Identity::test().level(99));
    let (status, list) = service(&authy).send("GET /bids", "guest", Value::Null).await;
    assert_eq!((status, list), (200, json!({"caller": "test-user", "bids": []})));
    assert_eq!(service(&authy).status("GET /bids", "unknown").await, 401);
}

#[tokio::test]
async fn bids_are_removed_by_auctioneers_and_administrators() {
    let authy = FakeAuthenticator::new()
        .with("ada", Identity::test().level(6).roles(["user"]))
        .with("auctioneer", Identity::test().level(10).roles(["auctioneer", "user"]))
        .with("administrator", Identity::test().level(5));
    let bids = service(&authy);
    for _ in 0..2 {
        assert_eq!(bids.send("POST /bids", "ada", json!({"lot": "a violin", "cents": 5000})).await.0, 201);
    }
    let (status, problem) = bids.send("DELETE /bids/1", "ada", Value::Null).await;
    assert_eq!((status, &problem["code"]), (403, &json!("insufficient_level")));
    assert_eq!(bids.status("DELETE /bids/1", "auctioneer").await, 204);
    assert_eq!(bids.status("DELETE /bids/2", "administrator").await, 204);
    assert_eq!(bids.status("DELETE /bids/2", "administrator").await, 404);
}

#[tokio::test]
async fn a_login_that_reaches_no_server_is_answered_with_503_and_without_the_cause() {
    let login = json!({"username": "ada", "password": "difference-engine-no-2"});
    let (status, problem) = service(&FakeAuthenticator::new()).send("POST /login", "", login).await;
    assert_eq!((status, &problem["code"]), (503, &json!("unavailable")));
    assert!(!problem.to_string().contains("127.0.0.1"), "{problem}");
    let (status, problem) = service(&FakeAuthenticator::new()).send("POST /login", "", json!({"name": "ada"})).await;
    assert_eq!((status, &problem["code"]), (400, &json!("invalid_input")));
}
