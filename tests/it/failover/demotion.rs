//! A primary that was demoted and lives on: it answers reads as of the time of its demotion, and nobody believes it.

use std::{collections::HashSet, time::Duration};

use authy_core::{Authy, ErrorKind, Result, api::event::EventQuery, engine::MasterKeys};
use authy_tests::{TestApp, cheap, credentials, failover::FailoverPair, operator, until, until_within};
use tokio_postgres::config::TargetSessionAttrs;

use super::{REVOKED, verdict};

fn refusal<T>(answer: Result<T>) -> Option<ErrorKind> {
    answer.err().map(|error| error.kind())
}

#[tokio::test]
async fn a_demoted_primary_that_answers_is_not_believed() {
    let pair = FailoverPair::start().await;
    let keys = MasterKeys::generate().unwrap();
    // By an address that leads to the old primary, as that of a balancer that has not noticed.
    let stuck = TestApp::on(pair.primary_config(), keys.clone(), |config, _| {
        config.max_staleness = Duration::from_secs(1);
    })
    .await;
    // By a list of both, of which any will do.
    let mut both = pair.config_of_both();
    both.target_session_attrs(TargetSessionAttrs::Any);
    let moving = TestApp::on(both, keys.clone(), |config, _| config.issuer = Some(stuck.url())).await;
    let (revoked, good) = (stuck.user().await, stuck.user().await);
    pair.until_the_standby_has_everything().await;
    pair.switch_over().await;
    let mut config = cheap();
    config.issuer = Some(stuck.url());
    let promoted = Authy::builder(pair.standby_config())
        .without_background()
        .master_keys(keys)
        .config(config)
        .start()
        .await
        .unwrap();
    promoted.sessions().end_all(&operator(), revoked.id).await.unwrap();

    until_within(Duration::from_secs(20), "the server goes on with the new primary", || async {
        moving.anonymous().login(credentials(&good.username)).await.is_ok()
    })
    .await;
    until("it refuses what was revoked there", || async { verdict(&moving.authy, &revoked).await == REVOKED }).await;
    // The other one says that it does not know, as soon as its revocations are too old.
    let unknown = Err(ErrorKind::Unavailable);
    until("the revocations are too old", || async { verdict(&stuck.authy, &good).await == unknown }).await;
    assert_eq!(verdict(&stuck.authy, &revoked).await, unknown);
    assert_eq!(refusal(stuck.authy.ping().await), Some(ErrorKind::Unavailable));
    assert_eq!(refusal(stuck.authy.events().list(&EventQuery::default()).await), Some(ErrorKind::Unavailable));
    assert_eq!(
        refusal(stuck.authy.users().find_id(&good.username.parse().unwrap()).await),
        Some(ErrorKind::Unavailable)
    );
}

#[tokio::test]
async fn a_server_that_ends_one_connection_to_shut_down_is_left_by_all() {
    let app = TestApp::new().await;
    let sql = app.sql().await;
    let connections = async || {
        let query =
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'authy'";
        let rows = sql.query(query, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect::<HashSet<i32>>()
    };
    // Some for transactions, and all of the shared ones.
    app.user().await;
    for _ in 0..8 {
        app.authy.ping().await.unwrap();
    }
    let before = connections().await;
    assert!(before.len() > 4, "{before:?}");
    let ended: i32 = {
        let connection = app.authy.pool().get().await.unwrap();
        connection.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0)
    };
    sql.query("SELECT pg_terminate_backend($1)", &[&ended]).await.unwrap();
    until("no connection is left of the former ones", || async {
        let answers = app.authy.ping().await.is_ok() && app.authy.events().list(&EventQuery::default()).await.is_ok();
        answers && connections().await.is_disjoint(&before)
    })
    .await;
}
