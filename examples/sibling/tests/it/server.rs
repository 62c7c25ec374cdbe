//! The service with a real authy server.

use std::time::Duration;

use authy_client::{
    UserId,
    api::{
        event::{EventKind, EventQuery},
        session::Tokens,
    },
};
use authy_example_sibling::{
    bidders::{Account, Bidders},
    routes::Service,
};
use authy_server::test_util::TestServer;
use serde_json::{Value, json};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use crate::{Bids, client, service_account};

async fn service(authy: &TestServer) -> Service {
    let verifier = client(authy).verifier().start().await.unwrap();
    Service::new(verifier, client(authy)).unwrap()
}

/// Creates a user with the role `user`, and logs in.
async fn log_in(authy: &TestServer, name: &str) -> Tokens {
    let user = authy.create_user(name, "user").await;
    authy.log_in(&user).await
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
    let authy = TestServer::start().await;
    let bids = Bids::new(service(&authy).await.into_router());
    let token = log_in(&authy, "ada").await.token;
    assert_eq!(bids.send("GET /bids", token.expose(), Value::Null).await.1["caller"], "ada");
    client(&authy).with_token(token.clone()).logout().await.unwrap();
    let refused = async || bids.status("GET /bids", token.expose()).await == 401;
    until(Duration::from_secs(1), "the token is refused", refused).await;
}

#[tokio::test]
async fn a_login_is_on_behalf_of_the_browser_and_its_refusal_is_passed_on() {
    // The server believes the addresses that the service passes on.
    let loopback = "127.0.0.1/32".parse().unwrap();
    let authy = TestServer::builder().http(|http| http.trusted_proxies.push(loopback)).start().await;
    let bids = Bids::new(service(&authy).await.into_router());
    let ada = authy.create_user("ada", "user").await.credentials;
    let log_in = async |password| bids.send("POST /login", "", json!({"username": "ada", "password": password})).await;
    let (status, tokens) = log_in(ada.password.expose()).await;
    assert_eq!(status, 200);
    assert_eq!(bids.status("GET /bids", tokens["token"].as_str().unwrap()).await, 200);
    let query = EventQuery { kind: Some(EventKind::SessionOpened), ..EventQuery::default() };
    let events = authy.authy().events().list(&query).await.unwrap().events;
    assert_eq!(events[0].ip.as_deref(), Some("198.51.100.7"), "not that of the service");
    let (status, problem) = log_in("wrong").await;
    assert_eq!((status, &problem["code"]), (401, &json!("invalid_credentials")));
}

#[tokio::test]
async fn the_background_job_names_bidders_and_withdraws_the_bids_of_deleted_users() {
    let authy = TestServer::start().await;
    let service = service(&authy).await;
    let account = service_account(&authy).await;
    let own = Account { credentials: account.credentials, device_file: None };
    let job = Bidders::log_in(client(&authy), own, service.bids.clone()).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let job = tokio::spawn(job.run(Duration::from_millis(20), async { drop(stopped.await) }));

    let stored = service.bids.clone();
    let bids = Bids::new(service.into_router());
    let bid = async |tokens: &Tokens| {
        let token = tokens.token.expose();
        assert_eq!(bids.send("POST /bids", token, json!({"lot": "a violin", "cents": 5000})).await.0, 201);
    };
    let named = async |id: UserId| stored.list().iter().any(|bid| bid.bidder == id && bid.bidder_name.is_some());
    let (ada, grace, eve) = (log_in(&authy, "ada").await, log_in(&authy, "grace").await, log_in(&authy, "eve").await);
    bid(&ada).await;
    until(LIMIT, "Ada is named", async || named(ada.public_id).await).await;

    // A revoked token is replaced within the session, and a session that was ended by a new one.
    authy.authy().roles().grant(&authy.operator(), &"guest".parse().unwrap(), account.id).await.unwrap();
    bid(&grace).await;
    until(LIMIT, "Grace is named", async || named(grace.public_id).await).await;
    authy.authy().sessions().end_all(&authy.operator(), account.id).await.unwrap();
    bid(&eve).await;
    until(LIMIT, "Eve is named", async || named(eve.public_id).await).await;

    authy.authy().users().delete(&authy.operator(), ada.public_id).await.unwrap();
    until(LIMIT, "Ada's bid is withdrawn", async || !stored.bidders().contains(&ada.public_id)).await;
    drop(stop);
    job.await.unwrap();
}

const LIMIT: Duration = Duration::from_secs(10);
