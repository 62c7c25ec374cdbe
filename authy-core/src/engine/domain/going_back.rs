//! The way back: [`Authy::export`](crate::Authy::export) writes users into the database of the first authy, from which they
//! were imported.
//!
//! Users are compared in batches. Those for whom there is something to write are locked there and compared again, and each
//! batch is one transaction there and two here. The first notes what is about to be written: `authy.export_intent`. Then that
//! there is committed, and last the one that records what both sides have in common now: `authy.import_origin`, as an import
//! does. When the last one is lost, the next export finds there what was intended, whatever has changed here since.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    Error, ErrorKind, Result, RoleName, UserId,
    engine::{
        domain::{
            fallback_hash::FallbackHashes,
            import::{
                origin::{self, RecordedOrigin},
                source::FirstAuthy,
            },
        },
        journal::{
            actor::Actor,
            caller::Caller,
            write::{Journal, Tx, Written},
        },
        storage::connector::db_error,
    },
};

mod change;
mod here;
mod intent;
mod plan;
pub(in crate::engine) mod report;
mod roles;
pub(in crate::engine) mod sql;
mod there;
mod trace;

use here::{Base, Here};
use plan::{Addresses, Plan, Planner};
use report::ExportReport;
use roles::{RoleHere, Roles};
use there::{Found, Given, There, ThereTx};

/// The ranks of users, in the order in which they are written: see [`sql::LIST_USERS`].
const RANKS: [i32; 3] = [0, 1, 2];

/// Number of users by whom the database is recognized.
const SAMPLE: i64 = 1000;

/// Maximum time to record a batch, which takes milliseconds.
const RECORD_TIMEOUT: Duration = Duration::from_secs(30);

/// Number of times that a batch is tried, when another transaction is in the way.
const ATTEMPTS: u32 = 5;

/// How users are exported.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// Writes nothing, and reports what would be done.
    pub dry_run: bool,
    /// The name of the source that users were imported from.
    pub source: String,
    /// The roles here for roles of the source, by their names there: as at the import.
    pub role_names: BTreeMap<String, RoleName>,
    /// The number of users per transaction, at most 10,000.
    pub batch: usize,
}

impl Default for ExportOptions {
    fn default() -> Self {
        // Fewer than at an import: each changed user is a statement, and users of the old program may wait for its locks.
        Self { dry_run: false, source: "authy-1".to_owned(), role_names: BTreeMap::new(), batch: 500 }
    }
}

/// How far an export is.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ExportProgress {
    /// The number of users that were compared.
    pub read: u64,
    /// The number of users here.
    pub total: u64,
    /// The number of users who are new there.
    pub created: u64,
    /// The number of users who were there and have been changed.
    pub changed: u64,
    /// The number of users who were not written and should have been.
    pub refused: u64,
}

/// Exports users.
pub(in crate::engine) async fn run(
    journal: &Arc<Journal>,
    fallback: &FallbackHashes,
    caller: &Caller,
    target: &FirstAuthy,
    options: &ExportOptions,
    on_progress: &mut (dyn FnMut(&ExportProgress) + Send),
) -> Result<ExportReport> {
    Actor::operator(caller)?;
    let mut there = There::open(target).await?;
    let (here, known) = (list_roles(journal).await?, there.roles().await?);
    let mut roles = Roles::new(&here, &known, &options.role_names)?;
    if !options.dry_run {
        // Before anything is written there.
        trace::started(journal, caller, target, &options.source).await?;
    }
    let mut report = ExportReport {
        source: options.source.clone(),
        is_dry_run: options.dry_run,
        app_time_zone: there.zones.app.clone(),
        database_time_zone: there.zones.database.clone(),
        ..ExportReport::default()
    };
    warn_of_strangers(journal, &mut there, target, &mut report).await?;
    let total = journal.db.read_one(&sql::COUNT_USERS, &[]).await?.get::<_, i64>("total").unsigned_abs();
    roles.create_missing(&here, &known, &mut there, &mut report).await?;
    let mut export = Export { journal, caller, options, there, roles, addresses: Addresses::default() };
    let size = i64::try_from(options.batch.clamp(1, 10_000)).unwrap_or(i64::MAX);
    for rank in RANKS {
        let mut last = Uuid::nil();
        loop {
            let rows = journal.db.read(&sql::LIST_USERS, &[&options.source, &rank, &last, &size]).await?;
            let users: Vec<Here> = rows.iter().map(|row| Here::new(row, fallback)).collect();
            let Some(end) = users.last() else { break };
            last = *end.user.as_uuid();
            report.add(export.write(users).await?);
            let ExportReport { read, created, changed, refused, .. } = report;
            on_progress(&ExportProgress { read, total, created, changed, refused });
        }
    }
    if !options.dry_run {
        trace::finished(journal, caller, target, &report).await?;
    }
    Ok(report)
}

/// Notes when none of those who were imported is there: perhaps it is another database.
async fn warn_of_strangers(
    journal: &Journal,
    there: &mut There,
    target: &FirstAuthy,
    report: &mut ExportReport,
) -> Result<()> {
    let known = journal.db.read(&sql::LIST_KNOWN, &[&report.source, &SAMPLE]).await?;
    let ids: Vec<String> = known.iter().map(|row| row.get::<_, Uuid>("user_id").to_string()).collect();
    let last_logins = vec![None; ids.len()];
    if ids.is_empty() || !there.read(&Given { ids, last_logins, ..Given::default() }).await?.users.is_empty() {
        return Ok(());
    }
    let message =
        "none of the users who were imported is in this database: is it the one that they were imported from?";
    report.note(report::ExportNoteKind::NobodyKnown, &trace::database(&target.database), message);
    tracing::warn!(database = trace::database(&target.database), "{message}");
    Ok(())
}

async fn list_roles(journal: &Journal) -> Result<Vec<RoleHere>> {
    let rows = journal.db.read(&sql::LIST_ROLES, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| RoleHere {
            id: row.get("role_id"),
            name: row.get("name"),
            key: row.get("name_key"),
            description: row.get("description"),
            level: row.get("level"),
            is_needed: row.get("is_needed"),
        })
        .collect())
}

/// An export under way.
struct Export<'a> {
    journal: &'a Arc<Journal>,
    caller: &'a Caller,
    options: &'a ExportOptions,
    there: There,
    roles: Roles,
    addresses: Addresses,
}

impl Export<'_> {
    /// Writes one batch. Returns the report about it.
    async fn write(&mut self, users: Vec<Here>) -> Result<ExportReport> {
        let mut report = ExportReport::default();
        let found = self.there.read(&given(&users)).await?;
        self.addresses.begin_batch();
        let mut remaining = Vec::new();
        for here in users {
            let mut noted = ExportReport::default();
            let plan = self.plan(&here, &found, &mut noted);
            match plan {
                Plan::Create(..) | Plan::Update(..) if !self.options.dry_run => remaining.push(here),
                plan => {
                    self.addresses.add(&plan);
                    count(&plan, &mut noted);
                    report.add(noted);
                }
            }
        }
        if remaining.is_empty() {
            return Ok(report);
        }
        let mut attempt = 1;
        loop {
            match self.write_locked(&remaining).await {
                Ok(written) => {
                    report.add(written);
                    return Ok(report);
                }
                Err(error) if error.is_unavailable() && attempt < ATTEMPTS => {
                    self.addresses.undo_batch();
                    tracing::debug!(attempt, error = crate::error::chain(&error), "a batch is tried again");
                    sleep(Duration::from_millis(200) * attempt).await;
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn plan(&mut self, here: &Here, found: &Found, report: &mut ExportReport) -> Plan {
        let planner = Planner { roles: &self.roles, is_dry_run: self.options.dry_run };
        let there = found.users.get(here.user.as_uuid());
        planner.plan(here, there, (&found.taken, &mut self.addresses), report)
    }

    /// Locks users there, compares them again, and writes them.
    async fn write_locked(&mut self, users: &[Here]) -> Result<ExportReport> {
        let (journal, caller, source) = (self.journal, self.caller, self.options.source.as_str());
        let Self { there, roles, addresses, .. } = self;
        let planner = Planner { roles, is_dry_run: false };
        let mut report = ExportReport::default();
        let there = there.begin().await?;
        let found = there.lock(&given(users)).await?;
        let mut recorded = Vec::with_capacity(users.len());
        for here in users {
            let known = found.users.get(here.user.as_uuid());
            let mut plan = planner.plan(here, known, (&found.taken, addresses), &mut report);
            perform(&there, &mut plan).await?;
            count(&plan, &mut report);
            addresses.add(&plan);
            if let Plan::Create(_, base) | Plan::Update(_, _, base) = plan {
                recorded.push((here.user, base));
            }
        }
        if recorded.is_empty() {
            return Ok(report);
        }
        let intended = journal.write_within(RECORD_TIMEOUT, caller, async |tx| {
            tx.operator()?;
            refuse_other_database(tx, source, &recorded).await?;
            intent::note(tx, source, &recorded).await?;
            Ok(Written::without_event(()))
        });
        intended.await?;
        // Begun now, because a transaction here may not be idle for long.
        let recorded = journal.write_within(RECORD_TIMEOUT, caller, async |tx| {
            tx.operator()?;
            record(tx, source, &recorded).await?;
            there.commit().await?;
            Ok(Written::without_event(()))
        });
        recorded.await?;
        Ok(report)
    }
}

/// Returns what is looked for there.
fn given(users: &[Here]) -> Given<'_> {
    Given {
        ids: users.iter().map(|user| user.user.to_string()).collect(),
        last_logins: users.iter().map(|user| user.last_login).collect(),
        names: users.iter().map(|user| user.username.as_str()).collect(),
        emails: users.iter().filter_map(|user| user.email.as_deref()).collect(),
    }
}

/// Performs a plan there. A new user gets an ID.
async fn perform(there: &ThereTx<'_>, plan: &mut Plan) -> Result<()> {
    match plan {
        Plan::Create(user, base) => base.source_id = there.create(user).await?.to_string(),
        Plan::Update(id, change, _) => there.update(*id, change).await?,
        Plan::Nothing | Plan::Refused => {}
    }
    Ok(())
}

fn count(plan: &Plan, report: &mut ExportReport) {
    report.read += 1;
    match plan {
        Plan::Create(..) => report.created += 1,
        Plan::Update(_, change, _) if !change.is_empty() => report.changed += 1,
        Plan::Refused => report.refused += 1,
        Plan::Update(..) | Plan::Nothing => report.unchanged += 1,
    }
}

/// Refuses users there whose IDs other users had at the import.
async fn refuse_other_database(tx: &Tx<'_>, source: &str, written: &[(UserId, Base)]) -> Result<()> {
    let users: Vec<Uuid> = written.iter().map(|(user, _)| *user.as_uuid()).collect();
    let ids: Vec<&str> = written.iter().map(|(_, base)| base.source_id.as_str()).collect();
    match sql::FIND_OTHERS.row(tx, &[&source, &ids, &users]).await? {
        None => Ok(()),
        Some(_) => Err(Error::new(
            ErrorKind::InvalidInput,
            "users there have IDs that other users had at the import: it is another database, so export with another name of \
             the source",
        )),
    }
}

/// Records what both sides have in common now.
async fn record<'a>(tx: &Tx<'_>, source: &str, written: &'a [(UserId, Base)]) -> Result<()> {
    let users: Vec<Uuid> = written.iter().map(|(user, _)| *user.as_uuid()).collect();
    intent::forget(tx, source, &users).await?;
    sql::FORGET_ORIGINS.execute(tx, &[&source, &users]).await.map_err(db_error)?;
    let origin = |(user, base): &'a (UserId, Base)| RecordedOrigin {
        user: *user,
        source_id: &base.source_id,
        // An import compares a user without this digest, and finds that nothing has changed.
        digest: None,
        password_digest: base.password_digest.as_deref(),
        email_digest: base.email_digest.as_deref(),
        password_set: base.password_set,
        sets_password: false,
        email_written: base.email_written.as_deref(),
        is_deleted: base.is_deleted,
        roles: &base.roles,
    };
    origin::record(tx, (source, true), &written.iter().map(origin).collect::<Vec<_>>()).await
}
