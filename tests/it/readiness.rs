//! Whether a server should get requests, and why not.

use std::{net::SocketAddr, time::Duration};

use authy_core::engine::MasterKeys;
use authy_postgres::Cluster;
use authy_tests::{
    TestApp, credentials, database,
    failover::FailoverPair,
    until, until_within,
    wire::{get, send},
};
use tokio_postgres::config::TargetSessionAttrs;

const CHECKS: [&str; 4] = ["running", "database", "revocations", "signing_key"];

/// The checks of a server that do not pass.
async fn failing(address: SocketAddr) -> Vec<String> {
    let answer = get(address, "/readyz").await;
    let report = answer.json();
    let checks = report["checks"].as_array().unwrap();
    assert_eq!(checks.iter().map(|check| check["name"].as_str().unwrap()).collect::<Vec<_>>(), CHECKS, "{answer:?}");
    let failing: Vec<_> = checks.iter().filter(|check| check["ready"] == false).collect();
    assert_eq!(report["ready"], failing.is_empty(), "{answer:?}");
    assert_eq!(answer.status, if failing.is_empty() { 200 } else { 503 }, "{answer:?}");
    assert!(failing.iter().all(|check| check["message"].is_string()), "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    failing.iter().map(|check| check["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_server_that_works_is_ready_without_a_token_a_limit_or_https() {
    let app = TestApp::with(|_, http| {
        http.limits.default = "1/day".parse().unwrap();
        http.require_https = true;
    });
    let app = app.await;
    for path in ["/readyz", "/livez", "/readyz", "/livez?verbose"] {
        assert_eq!(get(app.address, path).await.status, 200, "{path}");
    }
    assert_eq!(failing(app.address).await, [""; 0]);
    assert_eq!(get(app.address, "/livez").await.json()["live"], true);
    assert_eq!(send(app.address, "HEAD /readyz HTTP/1.1", "").await.body, "");
    let wrong = send(app.address, "DELETE /readyz HTTP/1.1", "").await;
    assert_eq!((wrong.status, wrong.code().as_str()), (405, "method_not_allowed"));
    assert_eq!(wrong.header("allow"), "HEAD, GET");
}

#[tokio::test]
async fn without_its_database_a_server_is_alive_and_not_ready() {
    let folder = database::folder();
    let cluster = Cluster::builder(folder.path()).dangerous_volatile().start().await.unwrap();
    let app = TestApp::on(cluster.config(), MasterKeys::generate().unwrap(), |config, _| {
        config.max_staleness = Duration::from_millis(500);
    });
    let app = app.await;
    until("it is ready", || async { failing(app.address).await.is_empty() }).await;
    cluster.stop().await.unwrap();
    until("the database does not answer, and the revocations are too old", || async {
        failing(app.address).await == ["database", "revocations"]
    })
    .await;
    assert_eq!(get(app.address, "/livez").await.status, 200);
    let cluster = Cluster::builder(folder.path()).dangerous_volatile().start().await.unwrap();
    until("it is ready again", || async { failing(app.address).await.is_empty() }).await;
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_reaches_only_a_standby_is_not_ready_until_it_is_promoted() {
    let pair = FailoverPair::start().await;
    let mut either = pair.config();
    either.target_session_attrs(TargetSessionAttrs::Any);
    let app = TestApp::on(either, MasterKeys::generate().unwrap(), |_, _| ()).await;
    assert_eq!(failing(app.address).await, [""; 0]);
    pair.until_the_standby_has_everything().await;
    pair.open_standby();
    pair.lose_primary();
    // The standby answers reads, which are not believed. The revocations are not too old yet.
    until("the standby is not believed", || async {
        app.authy.ping().await.is_err() && failing(app.address).await == ["database"]
    })
    .await;
    let sql = database::connect(&pair.standby_config()).await;
    sql.query_one("SELECT pg_promote(true, 20)", &[]).await.unwrap();
    until("it is ready again", || async { failing(app.address).await.is_empty() }).await;
}

#[tokio::test]
async fn a_server_whose_commits_wait_for_a_lost_standby_is_not_ready_until_they_end() {
    let folder = database::folder();
    let cluster = Cluster::builder(folder.path()).dangerous_volatile().start().await.unwrap();
    let app = TestApp::on(cluster.config(), MasterKeys::generate().unwrap(), |_, _| ()).await;
    let user = app.user().await;
    let sql = database::connect(&cluster.config()).await;
    let set = async |standbys: &str| {
        sql.batch_execute(&format!("ALTER SYSTEM SET synchronous_standby_names = '{standbys}'")).await.unwrap();
        sql.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    };
    set("absent").await;
    until_within(Duration::from_secs(30), "a login cannot be committed", async || {
        user.client.login(credentials(&user.username)).await.is_err()
    })
    .await;
    until("it is not ready", || async { failing(app.address).await == ["database"] }).await;
    assert_eq!(get(app.address, "/livez").await.status, 200);
    // While nothing else is written.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(failing(app.address).await, ["database"]);
    set("").await;
    until("it is ready again", || async { failing(app.address).await.is_empty() }).await;
    user.client.login(credentials(&user.username)).await.unwrap();
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_whose_connections_are_all_held_is_not_ready_until_one_is_free() {
    let app = TestApp::with(|config, _| config.connections = 2).await;
    let user = app.user().await;
    let held = [app.authy.pool().get().await.unwrap(), app.authy.pool().get().await.unwrap()];
    assert!(user.client.login(credentials(&user.username)).await.is_err());
    until("it is not ready", || async { failing(app.address).await == ["database"] }).await;
    drop(held);
    until("it is ready again", || async { failing(app.address).await.is_empty() }).await;
}

#[tokio::test]
async fn one_write_that_failed_is_forgotten_by_a_probe() {
    let app = TestApp::with(|config, _| config.connections = 2).await;
    let user = app.user().await;
    let held = [app.authy.pool().get().await.unwrap(), app.authy.pool().get().await.unwrap()];
    assert!(user.client.login(credentials(&user.username)).await.is_err());
    drop(held);
    // Nothing else is written meanwhile, and nobody has asked: a balancer that asks later is not turned away.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(failing(app.address).await, [""; 0]);
}

#[tokio::test]
async fn a_server_without_a_key_to_sign_with_is_not_ready() {
    let app = TestApp::new().await;
    let kid = app.authy.keys().published().keys[0].kid.clone();
    // A revocation alone: an operator's command would make the next key at once.
    let revoke = "INSERT INTO authy.revocation (kid, until) VALUES ($1, now() + interval '1 hour')";
    app.sql().await.execute(revoke, &[&kid]).await.unwrap();
    until("the key is revoked", || async { failing(app.address).await == ["signing_key"] }).await;
}
