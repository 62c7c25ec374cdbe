//! Imports: the users of the first authy and of other systems move in, with everything that is awkward about them.

use std::collections::BTreeMap;

use authy_client::Client;
use authy_core::{
    Authenticator as _, Authy, ErrorKind, Secret,
    api::session::{Credentials, Login},
    engine::{FirstAuthy, ImportNoteKind, ImportOptions, ImportProgress, ImportReport, ImportSource, MasterKeys},
    tls::Roots,
};
use authy_tests::{
    TestApp, cheap, database,
    old_database::{self, Fate, OldUser},
    operator, until,
};
use uuid::Uuid;

mod addresses;
mod again;
mod compat;
mod files;
mod fixture;
pub(crate) mod kill;
mod report;
mod scale;
mod sinks;
mod tokens;
mod unnamed;
mod weak;

/// The source, read in the time zone of its program.
fn first_authy(old: &tokio_postgres::Config) -> ImportSource {
    ImportSource::first_authy(FirstAuthy {
        database: old.clone(),
        roots: Roots::platform(),
        app_time_zone: Some("Europe/Berlin".to_owned()),
        database_time_zone: None,
    })
}

/// Imports in small batches, so that rows of different batches meet.
async fn import(authy: &Authy, source: ImportSource) -> ImportReport {
    let options = ImportOptions { batch: 7, ..ImportOptions::default() };
    authy.import(&operator(), source, &options, |_| ()).await.unwrap()
}

/// Logs in with a name and a password. Returns the public ID and the level.
async fn log_in(app: &TestApp, client: &Client, name: &str, password: &str) -> Option<(Uuid, i64)> {
    let attempt = async || client.call::<Login>((), Credentials::new(name, Secret::new(password))).await;
    let mut answer = attempt().await;
    // An old hash takes a second of a free core, and longer than a client waits while other tests have the cores.
    for _ in 0..3 {
        let is_answer = |kind| ![ErrorKind::Overloaded, ErrorKind::Unavailable].contains(&kind);
        if answer.as_ref().map_or_else(|error| error.kind().is_some_and(is_answer), |_| true) {
            break;
        }
        answer = attempt().await;
    }
    let tokens = answer.ok()?;
    let identity = app.authy.authenticate(tokens.token.expose()).await.unwrap();
    Some((*identity.public_id.as_uuid(), identity.level.get().into()))
}

/// The stored hash of a user.
async fn stored(sql: &tokio_postgres::Client, user: &str) -> Option<String> {
    let query = "SELECT phc FROM authy.password WHERE user_id = $1::text::uuid";
    sql.query_opt(query, &[&user]).await.unwrap().map(|row| row.get(0))
}

/// Everything that an import writes, except for the time at which it did.
async fn written(sql: &tokio_postgres::Client) -> Vec<String> {
    let query = "
        SELECT 'user ' || to_jsonb(u)::text FROM authy.users u
        UNION ALL SELECT 'password ' || user_id || phc FROM authy.password
        UNION ALL SELECT 'role ' || to_jsonb(r)::text FROM (SELECT name, description, level FROM authy.role) r
        UNION ALL SELECT 'membership ' || user_id || name FROM authy.user_role JOIN authy.role USING (role_id)
        UNION ALL SELECT 'alias ' || to_jsonb(a)::text FROM authy.alias a
        UNION ALL SELECT 'origin ' || source || source_id || user_id || encode(password_digest, 'hex') || deleted
                  FROM authy.import_origin
        UNION ALL SELECT 'event ' || kind || coalesce(subject::text, '') || detail::text FROM authy.event
                  WHERE kind NOT LIKE 'key.%'
        ORDER BY 1";
    sql.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}
