//! A server that is frozen and not dead, as by SIGSTOP or in a virtual machine that is paused.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use authy_core::{
    Authy, UserId,
    engine::{DangerousHold, MasterKeys},
};
use authy_tests::{
    SERVER_PROCESS_ISSUER, cheap, database, fresh_name, new_user, operator,
    recording_sink::{RecordingSink, assert_complete},
    until, until_within,
};
use rustix::process::Signal;
use tokio_postgres::Client;

#[path = "../it/crash/server_process.rs"]
#[allow(dead_code, reason = "the tests of crashes use the rest")]
mod server_process;

use server_process::{Environment, ServerProcess};

/// Maximum time in which another instance delivers what a frozen one does not: the lease, and what a busy machine needs.
const TAKE_OVER: Duration = Duration::from_secs(10);

async fn engine(database: &tokio_postgres::Config, keys: &MasterKeys) -> Authy {
    let mut config = cheap();
    config.issuer = Some(SERVER_PROCESS_ISSUER.to_owned());
    let builder = Authy::builder(database.clone()).without_background().master_keys(keys.clone()).config(config);
    builder.start().await.unwrap()
}

/// The server that holds the lease of the sink.
async fn leader(sql: &Client, servers: &[ServerProcess]) -> usize {
    let query = "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
                 WHERE datname = current_database() AND locktype = 'advisory' AND classid = 1635088489 AND granted";
    loop {
        if let Some(row) = sql.query_opt(query, &[]).await.unwrap() {
            return servers.iter().position(|server| server.name() == row.get::<_, &str>(0)).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn write_events(authy: &Authy, users: usize) -> Vec<UserId> {
    let (admin, mut written) = ("admin".parse().unwrap(), Vec::new());
    for _ in 0..users {
        let user = authy.users().register(&operator(), new_user(&fresh_name("ada"))).await.unwrap();
        authy.roles().grant(&operator(), &admin, user).await.unwrap();
        written.push(user);
    }
    written
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "operations: make test-operations"]
async fn a_frozen_server_is_replaced_and_does_nothing_more_when_it_goes_on() {
    for pace in ["stream", "queue"] {
        let folder = database::folder();
        let (database, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
        let sql = Arc::new(database::connect(&database).await);
        let record = folder.path().join("record");
        let environment = Environment { database, sql: sql.clone(), keys, record, pace };
        let authy = engine(&environment.database, &environment.keys).await;
        let waiting =
            async || -> u64 { authy.deliveries().list_sinks().await.unwrap().iter().map(|sink| sink.waiting).sum() };
        let mut servers = Vec::new();
        for _ in 0..3 {
            servers.push(ServerProcess::start_threaded(&environment).await);
        }
        for round in 0..3 {
            let when = format!("{pace}, round {round}");
            let frozen = leader(&sql, &servers).await;
            // Frozen at any step of its deliveries.
            let (written, ()) = tokio::join!(write_events(&authy, 20), async {
                tokio::time::sleep(Duration::from_millis(20 * round)).await;
                servers[frozen].signal(Signal::STOP);
            });
            assert_eq!(written.len(), 20);
            until_within(TAKE_OVER, "another delivers all of it", async || waiting().await == 0).await;
            assert_complete(&sql, &environment.record, &when).await;
            let known = RecordingSink::read(&environment.record).len();
            servers[frozen].signal(Signal::CONT);
            write_events(&authy, 20).await;
            until("all is delivered", async || waiting().await == 0).await;
            assert_complete(&sql, &environment.record, &when).await;
            // Repeated at most what the frozen one was delivering, three at a time.
            let mut deliveries = BTreeMap::new();
            for entry in RecordingSink::read(&environment.record).drain(known..) {
                *deliveries.entry(entry.event_id).or_insert(0) += 1;
            }
            assert!(deliveries.len() >= 40 && deliveries.len() <= 43, "{when}: {}", deliveries.len());
            assert!(deliveries.values().all(|&times| times == 1), "{when}: {deliveries:?}");
        }
        for server in servers {
            server.kill().await;
        }
    }
}

#[tokio::test]
#[ignore = "operations: make test-operations"]
async fn a_write_that_is_frozen_blocks_others_for_seconds_only() {
    let (database, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
    let (frozen, other) = (engine(&database, &keys).await, engine(&database, &keys).await);
    let user = write_events(&frozen, 1).await.remove(0);
    // Before the commit, with the user locked.
    let hold = DangerousHold::at(4);
    let write = {
        let (hold, frozen) = (hold.clone(), frozen.clone());
        tokio::spawn(async move { hold.scope(frozen.users().delete(&operator(), user)).await })
    };
    hold.reached().await;
    let blocked = other.users().delete(&operator(), user).await.unwrap_err();
    assert!(blocked.is_unavailable(), "{blocked}");
    until_within(TAKE_OVER, "the database has ended the frozen one", async || {
        other.users().delete(&operator(), user).await.is_ok()
    })
    .await;
    hold.release();
    assert!(write.await.unwrap().is_err());
}
