//! The start of an engine: it waits for a database that is late, not for what no wait mends, and agrees with the other
//! instances on the issuer.

use std::{os::unix::fs::symlink, path::Path, process::Stdio, time::Duration};

use authy_core::{
    Authenticator as _, Authy, ErrorKind, Result,
    claims::SigningAlgorithm,
    engine::{Builder, Config, MasterKeys},
    error::chain,
};
use authy_tests::{TestApp, cheap, database, fresh_name, new_user, operator, trace::Captured, until};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines},
    process::Command,
    time::timeout,
};
use tokio_postgres::config::Host;

/// Longer than any test runs.
const HOUR: Duration = Duration::from_secs(3600);

fn builder(database: &tokio_postgres::Config, keys: &MasterKeys) -> Builder {
    Authy::builder(database.clone()).without_background().master_keys(keys.clone()).config(cheap())
}

/// The same database, by a folder of its socket that does not exist yet.
fn by(link: &Path, database: &tokio_postgres::Config) -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config.host_path(link).user(database.get_user().unwrap()).dbname(database.get_dbname().unwrap());
    config
}

/// What a start may change: the schema, the keys, and the lifetimes of tokens.
async fn prepared(database: &tokio_postgres::Config) -> (i64, i64, i64) {
    let state = "SELECT (SELECT max(version) FROM authy.migration)::int8, (SELECT count(*) FROM authy.signing_key),
                        (SELECT coalesce(max(seconds), 0) FROM authy.token_life)::int8";
    let row = database::connect(database).await.query_one(state, &[]).await.unwrap();
    (row.get(0), row.get(1), row.get(2))
}

#[tokio::test]
async fn a_command_beside_servers_leaves_their_schema_and_keys_as_they_are() {
    let (app, mut config) = (TestApp::new().await, cheap());
    let before = prepared(&app.database).await;
    // As in a shell without the settings of the servers.
    config.access_ttl = Duration::from_secs(20 * 3600);
    config.signing_algorithm = SigningAlgorithm::ES256;
    let beside = || builder(&app.database, &app.master_keys).config(config.clone()).beside_servers().start();
    let authy = beside().await.unwrap();
    authy.users().register(&operator(), new_user(&fresh_name("ada"))).await.unwrap();
    assert_eq!(prepared(&app.database).await, before);
    // Servers of an earlier version.
    let sql = app.sql().await;
    sql.execute("DELETE FROM authy.migration WHERE version = $1", &[&i32::try_from(before.0).unwrap()]).await.unwrap();
    let earlier = prepared(&app.database).await;
    assert!(earlier.0 < before.0);
    let refused = beside().await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert!(chain(&refused).to_string().contains("authy-server migrate"), "{}", chain(&refused));
    assert_eq!(prepared(&app.database).await, earlier);
    // A new database has no servers.
    let (database, keys) = (database::empty().await, MasterKeys::generate().unwrap());
    builder(&database, &keys).beside_servers().start().await.unwrap();
    assert_eq!(prepared(&database).await.1, 1);
}

#[tokio::test]
async fn a_database_that_is_late_is_waited_for() {
    let (database, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("socket");
    let log = Captured::begin();
    let late = by(&link, &database);
    let (start, migrate) = (
        tokio::task::spawn(builder(&late, &keys).start_timeout(HOUR).start()),
        tokio::task::spawn(builder(&late, &keys).start_timeout(HOUR).migrate()),
    );
    let waits = || async { log.lines(&["WARN", "waiting for the database"]).len() == 2 };
    until("both say that they wait", waits).await;
    assert!(!start.is_finished() && !migrate.is_finished());
    let [Host::Unix(socket)] = database.get_hosts() else { panic!("no socket") };
    symlink(socket, &link).unwrap();
    let authy = start.await.unwrap().unwrap();
    authy.ping().await.unwrap();
    assert!(migrate.await.unwrap().unwrap().applied.is_empty());
}

/// Ends the sessions that wait for a lock, as a server that is stopped does. Returns whether there were any.
async fn end_waiting(sql: &tokio_postgres::Client) -> bool {
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0";
    !sql.query(end, &[]).await.unwrap().is_empty()
}

#[tokio::test]
async fn a_database_that_goes_away_in_the_middle_of_a_start_is_waited_for() {
    let (database, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
    // Without an issuer, of which the next start is the first to have one.
    builder(&database, &keys).start().await.unwrap();
    let (holder, sql) = (database::connect(&database).await, database::connect(&database).await);
    holder.batch_execute("BEGIN; SELECT FROM authy.installation FOR UPDATE").await.unwrap();
    let log = Captured::begin();
    let start = builder(&database, &keys).default_issuer("https://a.example").start_timeout(HOUR).start();
    let start = tokio::task::spawn(start);
    until("it says that it waits", || async {
        end_waiting(&sql).await;
        !log.lines(&["WARN", "waiting for the database"]).is_empty()
    })
    .await;
    assert!(!start.is_finished());
    holder.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(start.await.unwrap().unwrap().metadata().issuer, "https://a.example");
}

/// The program on a database, without arguments yet.
fn program(database: &tokio_postgres::Config) -> Command {
    let [Host::Unix(socket)] = database.get_hosts() else { panic!("no socket: {database:?}") };
    let (user, name) = (database.get_user().unwrap(), database.get_dbname().unwrap());
    let url = format!("postgresql:///{name}?user={user}&host={}", socket.display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_authy-server-program"));
    let key = MasterKeys::generate().unwrap().to_base64();
    command.env_clear().env("AUTHY_DATABASE_URL", url).env("AUTHY_MASTER_KEY", &key);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Returns when there have been lines with these texts, in this order.
async fn says(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>, parts: &[&str]) {
    for part in parts {
        while !lines.next_line().await.unwrap().expect("it has ended").contains(part) {}
    }
}

/// Holds up the creation of the first administrator, the last that a server asks before it listens.
const TAKE_LOCK_OF_FIRST: &str = "BEGIN; SELECT pg_advisory_xact_lock(418313730682)";

#[tokio::test]
async fn a_server_waits_for_its_database_until_it_listens_and_a_signal_ends_the_wait() {
    for is_stopped in [false, true] {
        let database = database::empty().await;
        let (holder, sql) = (database::connect(&database).await, database::connect(&database).await);
        holder.batch_execute(TAKE_LOCK_OF_FIRST).await.unwrap();
        let mut command = program(&database);
        let mut server = command.env("AUTHY_ARGON2", "m=8,t=1,p=1").args(["--listen", "127.0.0.1:0"]).spawn().unwrap();
        until("it is held up, and loses its connection", || end_waiting(&sql)).await;
        let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
        let waits = says(&mut log, &["waiting for the database"]);
        timeout(Duration::from_secs(20), waits).await.expect("it does not wait");
        if is_stopped {
            kill_process(Pid::from_raw(server.id().unwrap().cast_signed()).unwrap(), Signal::TERM).unwrap();
            let ended = timeout(Duration::from_secs(2), server.wait()).await.expect("it does not end").unwrap();
            assert!(ended.success(), "{ended}");
            continue;
        }
        holder.batch_execute("ROLLBACK").await.unwrap();
        let mut printed = BufReader::new(server.stdout.take().unwrap()).lines();
        let listens = says(&mut printed, &["first administrator: admin", "listening on "]);
        timeout(Duration::from_secs(20), listens).await.expect("it does not start");
    }
}

#[tokio::test]
async fn what_no_wait_mends_ends_the_start_at_once() {
    let (database, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
    builder(&database, &keys).start().await.unwrap();
    let (mut no_database, mut no_user) = (database.clone(), database.clone());
    no_database.dbname("nowhere");
    no_user.user("nobody-at-all");
    for (database, keys, part) in [
        (&no_database, &keys, "the database does not exist"),
        (&no_user, &keys, "the database refuses the user"),
        (&database, &MasterKeys::generate().unwrap(), "master key"),
    ] {
        let start = builder(database, keys).start_timeout(HOUR).start();
        let refused = tokio::time::timeout(Duration::from_secs(60), start).await.expect("it waits").err().unwrap();
        assert!(refused.kind() == ErrorKind::Internal && chain(&refused).contains(part), "{refused:?}");
    }
    // Without a limit it does not wait.
    let folder = tempfile::tempdir().unwrap();
    let away = builder(&by(&folder.path().join("socket"), &database), &keys).start().await.err().unwrap();
    assert_eq!(away.kind(), ErrorKind::Unavailable);
}

async fn started(database: &tokio_postgres::Config, keys: &MasterKeys, issuer: Option<&str>) -> Result<Authy> {
    let config = Config { issuer: issuer.map(str::to_owned), ..cheap() };
    Authy::builder(database.clone()).without_background().master_keys(keys.clone()).config(config).start().await
}

#[tokio::test]
async fn instances_on_one_database_accept_each_others_tokens_wherever_they_listen() {
    let first = TestApp::new().await;
    let second = TestApp::on(first.database.clone(), first.master_keys.clone(), |_, _| ()).await;
    assert_eq!(second.authy.metadata().issuer, first.url());
    for (from, to) in [(&first, &second), (&second, &first)] {
        let user = from.user().await;
        assert_eq!(to.authy.authenticate(user.token.expose()).await.unwrap().public_id, user.id);
    }
    // Two that are the first at the same time agree as well.
    let (database, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
    let new = |issuer| builder(&database, &keys).default_issuer(issuer).start();
    let (one, other) = tokio::try_join!(new("http://a.example"), new("http://b.example")).unwrap();
    assert_eq!(one.metadata().issuer, other.metadata().issuer);
}

#[tokio::test]
async fn an_issuer_that_is_not_the_one_of_the_database_is_refused_with_both() {
    let (database, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
    assert_eq!(started(&database, &keys, None).await.unwrap().metadata().issuer, "authy", "which is not kept");
    let authy = started(&database, &keys, Some("https://a.example")).await.unwrap();
    let refused = started(&database, &keys, Some("https://b.example")).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    for part in ["\"https://a.example\"", "\"https://b.example\"", "issuer set", "Authy::set_issuer"] {
        assert!(chain(&refused).contains(part), "{part} is missing from {}", chain(&refused));
    }
    let name = fresh_name("ada");
    authy.users().register(&operator(), new_user(&name)).await.unwrap();
    assert_eq!(authy.set_issuer(&operator(), " ").await.unwrap_err().kind(), ErrorKind::InvalidInput);
    authy.set_issuer(&operator(), "https://b.example").await.unwrap();
    // Again, which is no event.
    authy.set_issuer(&operator(), "https://b.example").await.unwrap();
    let sql = database::connect(&database).await;
    let events = "SELECT count(*) FROM authy.event WHERE kind = 'issuer.changed'";
    assert_eq!(sql.query_one(events, &[]).await.unwrap().get::<_, i64>(0), 1);
    assert_eq!(authy.metadata().issuer, "https://a.example", "until its next start");
    for issuer in [Some("https://b.example"), None] {
        assert_eq!(started(&database, &keys, issuer).await.unwrap().metadata().issuer, "https://b.example");
    }
    assert!(started(&database, &keys, Some("https://a.example")).await.is_err());
}

/// Takes the lock of the migrations, as an instance that migrates.
const TAKE_MIGRATION_LOCK: &str = "BEGIN; SELECT pg_advisory_xact_lock(x'6175746879'::bigint)";

#[tokio::test]
async fn the_command_migrate_says_whom_it_waits_for() {
    let database = database::empty().await;
    let other = database::connect(&database).await;
    other.batch_execute(TAKE_MIGRATION_LOCK).await.unwrap();
    let mut program = program(&database).arg("migrate").spawn().unwrap();
    let mut log = BufReader::new(program.stderr.take().unwrap()).lines();
    let line = timeout(Duration::from_secs(20), log.next_line()).await.expect("nothing is said").unwrap().unwrap();
    assert!(line.contains("waiting for another instance, which migrates the schema"), "{line}");
    other.batch_execute("ROLLBACK").await.unwrap();
    let output = program.wait_with_output().await.unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && printed.contains("the schema is at version"), "{printed}");
}
