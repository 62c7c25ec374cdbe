//! The way back: what was created or changed here is written into the database of the first authy, and werkzeug verifies the
//! passwords there.

use std::{collections::BTreeMap, time::Duration};

use authy_core::{
    Authy, ErrorKind, Secret, UserId,
    api::{
        account::{AccountChange, PasswordReset},
        role::NewRole,
        session::{Credentials, Login},
        user::NewUser,
    },
    engine::{
        ExportNoteKind, ExportOptions, ExportReport, FirstAuthy, ImportOptions, ImportReport, ImportSource, MasterKeys,
    },
    tls::Roots,
};
use authy_tests::{
    PASSWORD, TestApp, database, new_user,
    old_database::{self, Fate, OldUser},
    operator, until_within,
};

mod both_sides;
mod fallback;
mod kill;
mod night;
mod program;

/// A password that no user of the old database has.
const OTHER: &str = "gooseberry-semaphore-77";

/// The database of the first authy, in the time zone of its program.
fn first_authy(old: &tokio_postgres::Config) -> FirstAuthy {
    FirstAuthy {
        database: old.clone(),
        roots: Roots::platform(),
        app_time_zone: Some("Europe/Berlin".to_owned()),
        database_time_zone: None,
    }
}

async fn import(authy: &Authy, old: &tokio_postgres::Config) -> ImportReport {
    let source = ImportSource::first_authy(first_authy(old));
    authy.import(&operator(), source, &ImportOptions::default(), |_| ()).await.unwrap()
}

/// Exports in small batches, so that users of different batches meet.
async fn export(authy: &Authy, old: &tokio_postgres::Config) -> ExportReport {
    let options = ExportOptions { batch: 7, ..ExportOptions::default() };
    authy.export(&operator(), &first_authy(old), &options, |_| ()).await.unwrap()
}

async fn dry_run(authy: &Authy, old: &tokio_postgres::Config) -> ExportReport {
    let options = ExportOptions { batch: 7, dry_run: true, ..ExportOptions::default() };
    authy.export(&operator(), &first_authy(old), &options, |_| ()).await.unwrap()
}

/// An app that keeps hashes for the first authy, with the users of an old database.
async fn keeping(old: &tokio_postgres::Config) -> TestApp {
    let app = TestApp::with(|config, _| config.keep_fallback_hashes = true).await;
    import(&app.authy, old).await;
    app
}

/// Users of the old database whose hashes cost little.
fn cheap_users() -> Vec<OldUser> {
    let mut users = old_database::users();
    users.iter_mut().for_each(|user| user.method = "pbkdf2:sha256:1000");
    users
}

fn named<'u>(users: &'u [OldUser], name: &str) -> &'u OldUser {
    users.iter().find(|user| user.username.as_deref() == Some(name)).unwrap()
}

fn id(user: &OldUser) -> UserId {
    user.public_id.as_ref().unwrap().parse().unwrap()
}

async fn log_in(app: &TestApp, name: &str, password: &str) {
    app.anonymous().call::<Login>((), Credentials::new(name, Secret::new(password))).await.unwrap();
}

/// Waits until this many hashes are kept for the first authy. They are made when the machine has nothing else to do.
async fn until_kept(authy: &Authy, count: u64) {
    until_within(Duration::from_secs(600), "the hashes for the first authy are kept", || async {
        authy.count_fallback_hashes().await.unwrap() == count
    })
    .await;
}

/// Everything in the old database.
async fn rows(old: &tokio_postgres::Config) -> Vec<String> {
    let query = "SELECT 'user ' || to_jsonb(u)::text FROM users u
                 UNION ALL SELECT 'role ' || to_jsonb(r)::text FROM role r
                 UNION ALL SELECT 'membership ' || to_jsonb(m)::text FROM user_role m ORDER BY 1";
    let sql = database::connect(old).await;
    sql.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// A user in the old database, as JSON, with the names of the roles.
async fn there(old: &tokio_postgres::Config, user: UserId) -> serde_json::Value {
    let query = "SELECT (to_jsonb(u) || jsonb_build_object('roles', ARRAY(
                     SELECT coalesce(name, '') FROM user_role JOIN role ON role.id = role_id
                     WHERE user_id = u.id ORDER BY level)))::text
                 FROM users u WHERE public_id = $1";
    let sql = database::connect(old).await;
    let row = sql.query_opt(query, &[&user.to_string()]).await.unwrap();
    row.map_or(serde_json::Value::Null, |row| serde_json::from_str(row.get(0)).unwrap())
}

/// Whether werkzeug verifies this password of a user in the old database.
async fn opens(old: &tokio_postgres::Config, user: UserId, password: &str) -> bool {
    let hash = there(old, user).await["password"].as_str().unwrap().to_owned();
    old_database::verify(&[(hash, password.to_owned())]).await.remove(0)
}

fn as_dry_run(done: &ExportReport) -> ExportReport {
    let mut planned = done.clone();
    planned.is_dry_run = true;
    planned
}

/// The order of the notes in a batch is that of the writes.
fn sorted(mut report: ExportReport) -> ExportReport {
    report.notes.sort_by_key(ToString::to_string);
    report
}

fn new_role(name: &str, description: &str, level: u32) -> NewRole {
    let json = serde_json::json!({ "name": name, "description": description, "level": level });
    serde_json::from_value(json).unwrap()
}

/// The users about whom there are notes of a kind.
fn noted(report: &ExportReport, kind: ExportNoteKind) -> Vec<String> {
    report.notes.iter().filter(|note| note.kind == kind).map(|note| note.row.clone()).collect()
}
