//! A database behind PgBouncer, in each of its modes.

use std::sync::Arc;

use authy_core::{
    Authy, ErrorKind,
    engine::{Builder, Config, Delivery, MasterKeys, Pooler},
};
use authy_tests::{
    TestApp, cheap, credentials, database, essentials::try_essentials, fresh_name, new_user, operator,
    pgbouncer::PgBouncer, recording_sink::RecordingSink, trace::Captured, until,
};
use tokio::process::Command;
use tokio_postgres::config::Host;

const ORDERED: Delivery = Delivery::Ordered { in_flight: 4 };
const PER_SUBJECT: Delivery = Delivery::PerSubject { in_flight: 4 };

/// Fewer connections than two servers have, so that sessions are shared.
const FEW: usize = 6;

/// As many as two servers need, because a client keeps its connection.
const MANY: usize = 60;

async fn try_behind(pool_mode: &str, pool_size: usize, delivery: Delivery, pooler: Pooler) {
    let direct = database::empty().await;
    let pgbouncer = PgBouncer::start(&direct, pool_mode, pool_size).await;
    try_essentials(&pgbouncer.config(&direct), &direct, delivery, |config| config.pooler = pooler).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_works_behind_a_pooler_in_transaction_mode_that_is_found_out() {
    try_behind("transaction", FEW, ORDERED, Pooler::Auto).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_works_behind_a_pooler_in_transaction_mode_that_is_configured() {
    try_behind("transaction", FEW, PER_SUBJECT, Pooler::Transaction).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_works_behind_a_pooler_in_session_mode_that_is_found_out() {
    try_behind("session", MANY, PER_SUBJECT, Pooler::Auto).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_works_behind_a_pooler_in_session_mode_that_is_configured() {
    try_behind("session", MANY, ORDERED, Pooler::Session).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_in_transaction_mode_that_is_configured_wrongly_fails_no_request() {
    try_behind("transaction", FEW, ORDERED, Pooler::Session).await;
}

fn builder(database: &tokio_postgres::Config, keys: &MasterKeys, change: impl FnOnce(&mut Config)) -> Builder {
    let mut config = cheap();
    change(&mut config);
    Authy::builder(database.clone()).without_background().master_keys(keys.clone()).config(config)
}

#[tokio::test]
async fn the_log_says_that_there_is_a_pooler_and_only_when_there_is_one() {
    let direct = database::fresh().await;
    let pgbouncer = PgBouncer::start(&direct, "transaction", FEW).await;
    let keys = MasterKeys::generate().unwrap();
    let is_noticed = async |config: &tokio_postgres::Config, pooler| {
        let log = Captured::begin();
        builder(config, &keys, |config| config.pooler = pooler).start().await.unwrap();
        !log.lines(&["a connection pooler is in front of the database", "AUTHY_DATABASE_POOLER"]).is_empty()
    };
    assert!(!is_noticed(&direct, Pooler::Auto).await);
    assert!(is_noticed(&pgbouncer.config(&direct), Pooler::Auto).await);
    assert!(!is_noticed(&pgbouncer.config(&direct), Pooler::Transaction).await);
}

#[tokio::test]
async fn a_program_writes_in_its_own_transaction_behind_a_pooler() {
    let direct = database::fresh().await;
    let pgbouncer = PgBouncer::start(&direct, "transaction", FEW).await;
    let keys = MasterKeys::generate().unwrap();
    let authy = builder(&pgbouncer.config(&direct), &keys, |_| ()).start().await.unwrap();
    let registration = authy.users().prepare_registration(&operator(), new_user(&fresh_name("ada"))).await.unwrap();
    let mut connection = authy.pool().get().await.unwrap();
    let transaction = connection.transaction().await.unwrap();
    let registered = authy.within(&transaction).users().register(&operator(), &registration).await.unwrap();
    transaction.commit().await.unwrap();
    let id = authy.committed(registered);
    assert!(authy.users().find(id).await.unwrap().is_some());
}

#[tokio::test]
async fn nothing_is_left_behind_in_the_sessions_of_a_pooler() {
    let direct = database::empty().await;
    let pgbouncer = PgBouncer::start(&direct, "transaction", FEW).await;
    let config = pgbouncer.config(&direct);
    let app = TestApp::on(config.clone(), MasterKeys::generate().unwrap(), |_, _| ()).await;
    app.user().await;
    app.authy.check().await.unwrap();
    let other = database::connect(&config).await;
    // As many as there are connections, each another one.
    for _ in 0..FEW {
        let left = "SELECT (SELECT count(*) FROM pg_prepared_statements WHERE name <> ''),
                           current_setting('statement_timeout'), (SELECT count(*) FROM pg_listening_channels())";
        let row = other.query_typed_one(left, &[]).await.unwrap();
        let (statements, time, channels) = (row.get::<_, i64>(0), row.get::<_, &str>(1), row.get::<_, i64>(2));
        assert_eq!((statements, time, channels), (0, "0", 0));
    }
}

/// Every program numbers its statements from zero: one with a name would be run in place of that of another program.
#[tokio::test]
async fn no_statement_has_a_name_behind_a_pooler_in_transaction_mode_that_is_configured_wrongly() {
    let direct = database::empty().await;
    let pgbouncer = PgBouncer::start(&direct, "transaction", FEW).await;
    let log = Captured::begin();
    let keys = MasterKeys::generate().unwrap();
    let authy =
        builder(&pgbouncer.config(&direct), &keys, |config| config.pooler = Pooler::Session).start().await.unwrap();
    for _ in 0..20 {
        authy.ping().await.unwrap();
        authy.users().register(&operator(), new_user(&fresh_name("ada"))).await.unwrap();
    }
    let other = database::connect(&pgbouncer.config(&direct)).await;
    for _ in 0..FEW {
        let names = "SELECT count(*) FROM pg_prepared_statements WHERE name <> ''";
        assert_eq!(other.query_typed_one(names, &[]).await.unwrap().get::<_, i64>(0), 0);
    }
    assert!(!log.lines(&["the pooler is not in session mode", "AUTHY_DATABASE_POOLER"]).is_empty());
}

#[tokio::test]
async fn a_program_migrates_where_another_one_has_left_its_statements_in_the_sessions_of_a_pooler() {
    let direct = database::empty().await;
    let pgbouncer = PgBouncer::start(&direct, "transaction", FEW).await;
    let config = pgbouncer.config(&direct);
    // Those of several attempts: each takes the next name.
    let statements: String = (0..30).map(|number| format!("PREPARE s{number} AS SELECT 1; ")).collect();
    // Open transactions at the same time are in different sessions.
    let mut others = Vec::new();
    for _ in 0..FEW {
        let other = database::connect(&config).await;
        other.batch_execute(&format!("BEGIN; {statements}")).await.unwrap();
        others.push(other);
    }
    for other in others {
        other.batch_execute("COMMIT").await.unwrap();
    }
    let [Host::Unix(socket)] = config.get_hosts() else { panic!("no socket: {config:?}") };
    let (user, name) = (config.get_user().unwrap(), config.get_dbname().unwrap());
    let url = format!("postgresql:///{name}?user={user}&host={}&port=6432", socket.display());
    // In a process of its own, whose first statement would be s0.
    for printed in ["applied V1__", "the schema is at version"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_authy-server-program"));
        let key = MasterKeys::generate().unwrap().to_base64();
        command.env_clear().env("AUTHY_DATABASE_URL", &url).env("AUTHY_MASTER_KEY", &key);
        let output = command.env("AUTHY_START_TIMEOUT", "1s").arg("migrate").output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains(printed), "{output:?}");
    }
}

#[tokio::test]
async fn a_pooler_in_session_mode_is_not_taken_for_another() {
    let direct = database::fresh().await;
    let pgbouncer = PgBouncer::start(&direct, "session", MANY).await;
    let (log, keys) = (Captured::begin(), MasterKeys::generate().unwrap());
    for _ in 0..2 {
        let app = TestApp::on(pgbouncer.config(&direct), keys.clone(), |config, _| {
            config.pooler = Pooler::Session;
        });
        app.await.user().await;
    }
    assert!(!log.lines(&["no statement is prepared under a name"]).is_empty());
    assert!(log.lines(&["from now on nothing relies on sessions"]).is_empty());
}

#[tokio::test]
async fn a_pooler_that_is_restarted_is_used_again() {
    let direct = database::fresh().await;
    let mut pgbouncer = PgBouncer::start(&direct, "transaction", FEW).await;
    let app = TestApp::on(pgbouncer.config(&direct), MasterKeys::generate().unwrap(), |_, _| ()).await;
    let user = app.user().await;
    pgbouncer.restart(&direct).await;
    // A read is repeated on another connection; a write is not, because it may have been done.
    user.client.get_self().await.unwrap();
    until("a login is possible", || async { app.anonymous().login(credentials(&user.username)).await.is_ok() }).await;
    user.client.logout().await.unwrap();
}

#[tokio::test]
async fn fewer_than_two_connections_are_refused() {
    let (direct, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
    let refused = builder(&direct, &keys, |config| config.connections = 1).start().await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    builder(&direct, &keys, |config| config.connections = 2).start().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_has_as_many_connections_as_the_documentation_says() {
    let folder = database::folder();
    let path = folder.path().join("record");
    let app = TestApp::with_sinks(|_| vec![Arc::new(RecordingSink::open(&path, ORDERED))]).await;
    let sql = app.sql().await;
    let pool = app.authy.pool().clone();
    let all_in_use = || async {
        let mut held = Vec::new();
        for _ in 0..pool.status().max_size {
            held.push(pool.get().await.unwrap());
        }
        // Every connection for reads.
        for _ in 0..8 {
            app.authy.ping().await.unwrap();
        }
        let count =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'authy'";
        sql.query_one(count, &[]).await.unwrap().get::<_, i64>(0)
    };
    // Five more than those for transactions, and two for the sink.
    until("the relay has its connections, and all are in use", || async { all_in_use().await == 8 + 5 + 2 }).await;
    assert_eq!(all_in_use().await, 15, "there is no further one");
}
