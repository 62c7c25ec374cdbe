//! Reads that may lag go to a standby, while it lags less than the limit.

use std::time::Duration;

use authy_core::{
    Authy,
    api::{event::EventQuery, user::UserQuery},
    engine::MasterKeys,
};
use authy_tests::{cheap, database, failover::FailoverPair, fresh_name, new_account, operator, until};

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
