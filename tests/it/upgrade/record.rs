//! Records a release, for the tests of the next one.

use std::{collections::BTreeMap, fmt::Write as _, fs, sync::Arc};

use authy_core::{
    Secret,
    api::{account::AccountChange, event::EventKind, session::Credentials},
    engine::{Delivery, statements},
};
use authy_tests::{TestApp, credentials, database, new_account, operator, recording_sink::RecordingSink, until};

use super::{Release, folder, settings};
use crate::crash::write_cases;

/// The name of the superadmin.
const SUPERADMIN: &str = "grace";

/// The issuer of tokens.
const ISSUER: &str = "https://auth.example.org";

#[tokio::test]
#[ignore = "writes tests/fixtures/release: make record-release"]
async fn the_release_is_recorded() {
    let app = TestApp::with(|config, _| {
        settings(config);
        config.issuer = Some(ISSUER.to_owned());
    })
    .await;
    let release = live(&app).await;
    let dump = dump(&app).await;
    assert_complete(&app).await;
    fs::create_dir_all(folder()).unwrap();
    for (name, text) in [
        ("release.json", serde_json::to_string_pretty(&release).unwrap() + "\n"),
        ("statements.sql", prepared_statements()),
        ("database.sql", dump),
    ] {
        fs::write(folder().join(name), text).unwrap();
    }
}

/// Fills the database as a server does: by every kind of write.
async fn live(app: &TestApp) -> Release {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("record");
    let sink = Arc::new(RecordingSink::open(&record, Delivery::PerSubject { in_flight: 4 }));
    let relay = app.authy.start_background_with(vec![sink]).await.unwrap();

    app.authy.users().create(&operator(), new_account(SUPERADMIN, "superadmin")).await.unwrap();
    let login = async || app.anonymous().login(credentials(SUPERADMIN)).await.unwrap();
    let root = login().await;
    for (case, round) in write_cases::ALL.iter().zip(1..) {
        let fixture = case.prepare(&app.authy, &root.token, round).await;
        case.act(&app.anonymous(), &fixture).await.unwrap();
    }
    // A user who asks for the address of another one, whose owner is sent a notice.
    let rival = app.authy.users().create(&operator(), new_account("rival", "user")).await.unwrap();
    let address = AccountChange::email(None, format!("{SUPERADMIN}@example.org").parse().unwrap());
    app.authy.users().change(&operator(), rival, address).await.unwrap();
    assert!(!app.notifications(rival, EventKind::EmailRequested).await.is_empty());
    // A guess, a key that was revoked, and one that waits to sign.
    let guess = Credentials::new(SUPERADMIN, Secret::new("a wrong guess"));
    app.anonymous().login(guess).await.unwrap_err();
    let revoked = app.authy.keys().rotate(&operator()).await.unwrap();
    app.authy.keys().revoke(&operator(), &revoked).await.unwrap();
    app.authy.keys().rotate(&operator()).await.unwrap();

    until("everything is delivered", || async {
        app.authy.deliveries().list_sinks().await.unwrap().iter().all(|sink| sink.waiting == 0)
    })
    .await;
    relay.stop().await;
    let refresh_token = login().await.refresh_token;
    let newest = "SELECT event_id::text, count(*) OVER () FROM authy.event ORDER BY happened DESC LIMIT 1";
    let newest = app.sql().await.query_one(newest, &[]).await.unwrap();
    let schema = "SELECT max(version) FROM authy.migration";
    Release {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        schema: app.sql().await.query_one(schema, &[]).await.unwrap().get::<_, i32>(0).unsigned_abs(),
        master_key: app.master_keys.to_base64().to_string(),
        issuer: ISSUER.to_owned(),
        username: SUPERADMIN.to_owned(),
        refresh_token: refresh_token.expose().to_owned(),
        events: usize::try_from(newest.get::<_, i64>(1)).unwrap(),
        undelivered: newest.get(0),
    }
}

/// Returns the schema and the data as SQL. Settings of the session, comments and commands of psql are left out: they
/// differ between the versions of PostgreSQL.
async fn dump(app: &TestApp) -> String {
    let arguments = ["--schema=authy", "--no-owner", "--no-privileges", "--column-inserts", "--rows-per-insert=100"];
    let dump = database::run_program("pg_dump", &app.database, &arguments).await;
    let left_out = ["--", "\\", "SET ", "SELECT pg_catalog.set_config("];
    let kept = dump.lines().filter(|line| !line.is_empty() && !left_out.iter().any(|start| line.starts_with(start)));
    kept.fold(String::new(), |text, line| text + line + "\n")
}

/// Asserts that there is a row in every table.
async fn assert_complete(app: &TestApp) {
    let sql = app.sql().await;
    let tables = "SELECT relname::text FROM pg_class
                  WHERE relnamespace = 'authy'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition";
    let mut rows = BTreeMap::new();
    for table in sql.query(tables, &[]).await.unwrap() {
        let table: String = table.get(0);
        let count = format!("SELECT count(*) FROM authy.{table}");
        rows.insert(table, sql.query_one(&count, &[]).await.unwrap().get::<_, i64>(0));
    }
    assert!(rows.len() > 17 && rows.values().all(|count| *count > 0), "{rows:#?}");
}

/// Returns every statement as a `PREPARE`, which PostgreSQL reads as the program has it prepared.
fn prepared_statements() -> String {
    let mut text = String::new();
    for (name, types, sql) in statements() {
        let name = name.trim_start_matches("authy_core::engine::").replace("::sql::", "::");
        let types: Vec<_> = types.iter().map(|kind| kind.name()).collect();
        let types = if types.is_empty() { String::new() } else { format!(" ({})", types.join(", ")) };
        assert!(name.len() < 64 && !sql.contains("\n\n"), "{name}");
        write!(text, "{}PREPARE \"{name}\"{types} AS\n{sql};", if text.is_empty() { "" } else { "\n\n" }).unwrap();
    }
    text + "\n"
}
