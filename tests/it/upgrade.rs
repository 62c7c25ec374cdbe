//! Upgrades: servers of the last release keep running on the schema of this program, and this program continues with
//! the data of the last release.
//!
//! `make record-release` writes `tests/fixtures/release`: the database, and the statements that the program runs.

use std::{path::PathBuf, sync::Arc, time::Duration};

use authy_core::{
    Authy, Secret,
    api::{
        event::{EventOrder, EventQuery},
        session::RefreshToken,
    },
    engine::{Config, Delivery, MasterKeys},
};
use authy_tests::{TestApp, credentials, database, recording_sink::RecordingSink, tools, until};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};

mod record;

/// What a test has to know of the recorded database.
#[derive(Serialize, Deserialize)]
pub(crate) struct Release {
    /// The version of the program.
    program: String,
    /// The newest migration.
    schema: u32,
    master_key: String,
    issuer: String,
    /// The name of a superadmin.
    username: String,
    /// A refresh token of the superadmin that was not used.
    refresh_token: String,
    /// Number of events.
    events: usize,
    /// The event that was written last, which no sink has received.
    undelivered: String,
}

impl Release {
    fn read() -> Self {
        serde_json::from_str(&read("release.json")).unwrap()
    }

    /// Returns every statement that the program runs, each as a `PREPARE`.
    pub(crate) fn statements() -> Vec<String> {
        read("statements.sql").split("\n\n").map(ToOwned::to_owned).collect()
    }

    /// Creates a database with the recorded schema and data.
    async fn restore() -> tokio_postgres::Config {
        let database = database::empty().await;
        database::connect(&database).await.batch_execute(&read("database.sql")).await.unwrap();
        database
    }
}

fn folder() -> PathBuf {
    tools::root().join("tests/fixtures/release")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

/// The settings of the recorded server. A recorded session lives as long as its record is used.
fn settings(config: &mut Config) {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    (config.refresh_idle, config.refresh_absolute) = (CENTURY, CENTURY);
}

/// Returns the statements of the last release that do not fit a schema.
async fn broken_statements(database: &tokio_postgres::Config) -> Vec<String> {
    let sql = database::connect(database).await;
    let mut broken = Vec::new();
    for statement in Release::statements() {
        if let Err(error) = sql.batch_execute(&statement).await {
            broken.push(format!("{}\n{statement}", error.as_db_error().unwrap()));
        }
    }
    broken
}

#[tokio::test]
async fn an_index_of_the_audit_trail_is_built_for_each_month_without_blocking_writes_and_adopted() {
    let database = Release::restore().await;
    Authy::builder(database.clone()).migrate().await.unwrap();
    let sql = database::connect(&database).await;
    let adopted = "SELECT count(*) FILTER (WHERE index.relname = partition.relname || '_event_by_kind'), count(*)
                   FROM pg_inherits AS of_table JOIN pg_class AS partition ON partition.oid = of_table.inhrelid
                   LEFT JOIN pg_index ON pg_index.indrelid = partition.oid AND indexrelid IN (
                       SELECT inhrelid FROM pg_inherits WHERE inhparent = 'authy.event_by_kind'::regclass)
                   LEFT JOIN pg_class AS index ON index.oid = indexrelid
                   WHERE of_table.inhparent = 'authy.event'::regclass";
    let row = sql.query_one(adopted, &[]).await.unwrap();
    let (adopted, partitions): (i64, i64) = (row.get(0), row.get(1));
    assert!(adopted == partitions && partitions > 1, "{adopted} of {partitions}");
    let valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'authy.event_by_kind'::regclass";
    assert!(sql.query_one(valid, &[]).await.unwrap().get::<_, bool>(0));
}

#[tokio::test]
async fn servers_of_the_last_release_keep_running_on_the_schema_of_this_program() {
    let (Release { program, schema, .. }, database) = (Release::read(), Release::restore().await);
    assert!(Release::statements().len() > 100 && broken_statements(&database).await.is_empty(), "the record is wrong");
    let report = Authy::builder(database.clone()).migrate().await.unwrap();
    let files = std::fs::read_dir(tools::root().join("migrations")).unwrap();
    let version = |name: String| name[1..].split("__").next().unwrap().parse::<u32>().unwrap();
    let versions = files.map(|file| version(file.unwrap().file_name().into_string().unwrap()));
    assert_eq!(report.applied.len(), versions.filter(|version| *version > schema).count());
    let broken = broken_statements(&database).await;
    assert!(
        broken.is_empty(),
        "servers of {program} run statements that do not fit this schema. Let this release stop using what is removed, and \
         remove it in the next one: {broken:#?}"
    );
    // It would be noticed.
    let drop = "ALTER TABLE authy.session DROP COLUMN user_agent";
    database::connect(&database).await.batch_execute(drop).await.unwrap();
    assert!(!broken_statements(&database).await.is_empty());
}

#[tokio::test]
async fn this_program_continues_with_the_data_of_the_last_release() {
    let (release, database) = (Release::read(), Release::restore().await);
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("record");
    let app = TestApp::build(
        database,
        MasterKeys::parse(&release.master_key).unwrap(),
        |config, _| {
            settings(config);
            config.issuer = Some(release.issuer);
        },
        |_| vec![Arc::new(RecordingSink::open(&record, Delivery::PerSubject { in_flight: 4 }))],
    )
    .await;

    let login = app.anonymous().login(credentials(&release.username)).await.unwrap();
    let token = RefreshToken { refresh_token: Secret::new(release.refresh_token) };
    let refreshed = app.anonymous().refresh(token).await.unwrap();
    for token in [login.token, refreshed.token] {
        let client = app.anonymous().with_token(token);
        assert_eq!(client.get_self().await.unwrap().username.as_str(), release.username);
        let query = EventQuery { order: Some(EventOrder::Ascending), ..EventQuery::default() };
        let trail: Vec<_> = client.events(query).map(|event| event.unwrap().event_id.to_string()).collect().await;
        assert!(trail.len() > release.events && trail.contains(&release.undelivered));
    }
    until("the sink receives what was not delivered", async || {
        RecordingSink::read(&record).iter().any(|event| event.event_id.to_string() == release.undelivered)
    })
    .await;
}
