//! Reads that may lag go to a standby, while it lags less than the limit.

use std::time::Duration;

use authy_core::{
    Authy,
    api::{event::EventQuery, user::UserQuery},
    engine::MasterKeys,
};
use authy_tests::{cheap, database, failover::FailoverPair, fresh_name, new_account, operator, until, until_within};
use tokio_postgres::config::TargetSessionAttrs;

const MAX_LAG: Duration = Duration::from_secs(4);

async fn start(pair: &FailoverPair) -> Authy {
    let mut config = cheap();
    config.max_replica_lag = MAX_LAG;
    let builder = Authy::builder(pair.primary_config()).replica(pair.standby_config());
    builder.master_keys(MasterKeys::generate().unwrap()).config(config).start().await.unwrap()
}

async fn create(authy: &Authy, name: &str) {
    authy.users().create(&operator(), new_account(name, "user")).await.unwrap();
}

async fn lists(authy: &Authy, name: &str) -> bool {
    let query = UserQuery { q: Some(name.to_owned()), ..UserQuery::default() };
    authy.users().list(&query).await.unwrap().total == 1
}

#[tokio::test]
async fn lists_come_from_a_standby_until_it_is_too_far_behind() {
    let pair = FailoverPair::start().await;
    let authy = start(&pair).await;
    let standby = database::connect(&pair.standby_config()).await;
    let reads = || async {
        let reading = "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'authy' AND query <> ''";
        authy.events().list(&EventQuery::default()).await.unwrap();
        standby.query_one(reading, &[]).await.unwrap().get::<_, bool>(0)
    };
    until("the standby is read from", reads).await;
    let (seen, unseen) = (fresh_name("seen"), fresh_name("unseen"));
    create(&authy, &seen).await;
    until("a new user is listed", || lists(&authy, &seen)).await;

    // The standby stops replaying. What it misses is missing for as long as it may lag, and not longer.
    standby.batch_execute("SELECT pg_wal_replay_pause()").await.unwrap();
    until("replay has stopped", || async {
        standby.query_one("SELECT pg_get_wal_replay_pause_state() = 'paused'", &[]).await.unwrap().get(0)
    })
    .await;
    create(&authy, &unseen).await;
    assert!(!lists(&authy, &unseen).await, "the list does not come from the standby");
    let found: Option<_> = authy.users().find_id(&unseen.parse().unwrap()).await.unwrap();
    assert!(found.is_some(), "only lists may lag");
    until("the primary is read from", || lists(&authy, &unseen)).await;

    standby.batch_execute("SELECT pg_wal_replay_resume()").await.unwrap();
    until("the standby is read from again", || async {
        let before = "SELECT sum(xact_commit)::bigint FROM pg_stat_database WHERE datname = current_database()";
        let commits = async || standby.query_one(before, &[]).await.unwrap().get::<_, i64>(0);
        let start = commits().await;
        for _ in 0..20 {
            authy.events().list(&EventQuery::default()).await.unwrap();
        }
        commits().await >= start + 20
    })
    .await;
}

#[tokio::test]
async fn a_list_of_hosts_is_searched_for_a_standby_and_one_that_was_promoted_is_left() {
    let pair = FailoverPair::start().await;
    let mut config = cheap();
    config.max_replica_lag = MAX_LAG;
    // The primary is the first of the list.
    let mut replica = pair.config_of_both();
    replica.target_session_attrs(TargetSessionAttrs::Any).application_name("replica");
    let builder = Authy::builder(pair.config_of_both()).replica(replica);
    let authy = builder.master_keys(MasterKeys::generate().unwrap()).config(config).start().await.unwrap();
    let standby = database::connect(&pair.standby_config()).await;
    let connections = async || {
        let reading = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'replica' AND query <> ''";
        standby.query_one(reading, &[]).await.unwrap().get::<_, i64>(0)
    };
    let read = async || drop(authy.events().list(&EventQuery::default()).await.unwrap());
    until("the standby is read from", || async {
        read().await;
        connections().await > 0
    })
    .await;

    pair.switch_over().await;
    until_within(Duration::from_secs(20), "the new primary is left by what is for a standby", || async {
        connections().await == 0
    })
    .await;
    until_within(Duration::from_secs(20), "lists come from the primary", || async {
        authy.events().list(&EventQuery::default()).await.is_ok()
    })
    .await;
}
