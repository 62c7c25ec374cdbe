//! The service with a real authy server.

use std::time::Duration;

use authy_client::{
    UserId,
    api::event::{EventKind, EventQuery},
};
use authy_example_sibling::{bidders::Bidders, routes::Service};
use serde_json::{Value, json};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use crate::{
    Bids,
    authy::{AuthyServer, PASSWORD},
};

async fn service(authy: &AuthyServer) -> Service {
    let verifier = authy.client().verifier().start().await.unwrap();
    Service::new(verifier, authy.client()).unwrap()
}

/// Waits until a condition holds.
async fn until(limit: Duration, what: &str, holds: impl AsyncFn() -> bool) {
    let poll = async {
        while !holds().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(limit, poll).await.unwrap_or_else(|_| panic!("timed out waiting until {what}"));
}

#[tokio::test]
async fn a_logout_is_in_force_within_a_second() {
    let authy = AuthyServer::start().await;
    let bids = Bids::new(service(&authy).await.into_router());
    let token = authy.log_in("ada").await.token;
    assert_eq!(bids.send("GET /bids", token.expose(), Value::Null).await.1["caller"], "ada");
    authy.client().with_token(token.clone()).logout().await.unwrap();
    let refused = async || bids.status("GET /bids", token.expose()).await == 401;
    until(Duration::from_secs(1), "the token is refused", refused).await;
}

#[tokio::test]
async fn a_login_is_on_behalf_of_the_browser_and_its_refusal_is_passed_on() {
    let authy = AuthyServer::start().await;
    let bids = Bids::new(service(&authy).await.into_router());
    authy.sign_up("ada").await;
    let log_in = async |password| bids.send("POST /login", "", json!({"username": "ada", "password": password})).await;
    let (status, tokens) = log_in(PASSWORD).await;
    assert_eq!(status, 200);
    assert_eq!(bids.status("GET /bids", tokens["token"].as_str().unwrap()).await, 200);
    let query = EventQuery { kind: Some(EventKind::SessionOpened), ..EventQuery::default() };
    let events = authy.engine.events().list(&query).await.unwrap().events;
    assert_eq!(events[0].ip.as_deref(), Some("198.51.100.7"), "not that of the service");
    let (status, problem) = log_in("wrong").await;
    assert_eq!((status, &problem["code"]), (401, &json!("invalid_credentials")));
}

#[tokio::test]
async fn the_background_job_names_bidders_and_withdraws_the_bids_of_deleted_users() {
    let authy = AuthyServer::start().await;
    let service = service(&authy).await;
    let (account, credentials) = authy.service_account().await;
    let job = Bidders::log_in(authy.client(), credentials, service.bids.clone()).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let job = tokio::spawn(job.run(Duration::from_millis(20), async { drop(stopped.await) }));

    let stored = service.bids.clone();
    let bids = Bids::new(service.into_router());
    let bid = async |tokens: &authy_client::api::session::Tokens| {
        let token = tokens.token.expose();
        assert_eq!(bids.send("POST /bids", token, json!({"lot": "a violin", "cents": 5000})).await.0, 201);
    };
    let named = async |id: UserId| stored.list().iter().any(|bid| bid.bidder == id && bid.bidder_name.is_some());
    let (ada, grace, eve) = (authy.log_in("ada").await, authy.log_in("grace").await, authy.log_in("eve").await);
    bid(&ada).await;
    until(LIMIT, "Ada is named", async || named(ada.public_id).await).await;

    // A revoked token is replaced within the session, and a session that was ended by a new one.
    authy.engine.roles().grant(&authy.operator(), &"guest".parse().unwrap(), account).await.unwrap();
    bid(&grace).await;
    until(LIMIT, "Grace is named", async || named(grace.public_id).await).await;
    authy.engine.sessions().end_all(&authy.operator(), account).await.unwrap();
    bid(&eve).await;
    until(LIMIT, "Eve is named", async || named(eve.public_id).await).await;

    authy.engine.users().delete(&authy.operator(), ada.public_id).await.unwrap();
    until(LIMIT, "Ada's bid is withdrawn", async || !stored.bidders().contains(&ada.public_id)).await;
    drop(stop);
    job.await.unwrap();
}

const LIMIT: Duration = Duration::from_secs(10);
