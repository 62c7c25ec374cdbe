//! What an export leaves in the audit trail: two events, because one that is interrupted must be there, too.

use serde_json::{Value, json};
use tokio_postgres::{Config, config::Host};

use super::report::ExportReport;
use crate::{
    Result,
    api::event::EventKind,
    engine::{
        domain::import::source::FirstAuthy,
        journal::{caller::Caller, event::Event, write::Journal},
    },
};

/// Records that an export begins. Nothing has been written there yet.
pub(super) async fn started(journal: &Journal, caller: &Caller, target: &FirstAuthy, source: &str) -> Result<()> {
    append(journal, caller, EventKind::ExportStarted, place(target, source)).await
}

/// Records what an export has done.
pub(super) async fn finished(
    journal: &Journal,
    caller: &Caller,
    target: &FirstAuthy,
    report: &ExportReport,
) -> Result<()> {
    let mut detail = place(target, &report.source);
    let ExportReport { read, created, changed, refused, roles_created, .. } = report;
    let counts = json!({
        "read": read, "created": created, "changed": changed, "refused": refused, "roles_created": roles_created,
    });
    if let (Value::Object(detail), Value::Object(counts)) = (&mut detail, counts) {
        detail.extend(counts);
    }
    append(journal, caller, EventKind::ExportFinished, detail).await
}

async fn append(journal: &Journal, caller: &Caller, kind: EventKind, detail: Value) -> Result<()> {
    journal
        .write(caller, async |tx| {
            let actor = tx.operator()?;
            Ok(Event::new(kind, &actor).detail(detail))
        })
        .await
}

fn place(target: &FirstAuthy, source: &str) -> Value {
    json!({ "source": source, "host": host(&target.database), "database": database(&target.database) })
}

/// Returns the host of the target, or all of them, with commas between. Never a password.
fn host(target: &Config) -> String {
    let names = target.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    });
    let mut names: Vec<String> = names.collect();
    if names.is_empty() {
        names.extend(target.get_hostaddrs().iter().map(ToString::to_string));
    }
    names.join(",")
}

/// Returns the name of the target: that of the role when there is none, as for PostgreSQL.
pub(super) fn database(target: &Config) -> &str {
    target.get_dbname().or(target.get_user()).unwrap_or_default()
}
