//! Imports of users from other systems: [`Authy::import`](crate::Authy::import).
//!
//! Rows are read and written in batches, each in a transaction of its own. `authy.import_origin` remembers every user that
//! was imported, so that an import that was interrupted continues, and another one brings only what has changed.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    Error, ErrorKind, Result, RoleName,
    engine::{
        crypto::password::Passwords,
        domain::{erased_name::ErasedNames, lookalike},
        journal::{actor::Actor, caller::Caller, write::Journal},
    },
};

mod batch;
mod candidate;
pub(in crate::engine::domain) mod mapping;
mod merge;
pub(in crate::engine::domain) mod origin;
mod plan;
pub(in crate::engine) mod record;
pub(in crate::engine) mod report;
mod roles;
pub(in crate::engine) mod source;
pub(in crate::engine) mod sql;
mod time_zone;
mod wrapping;
mod write;

use batch::Import;
use candidate::Rules;
use plan::Taken;
use report::{ImportNoteKind, ImportReport};
use source::ImportSource;

/// How users are imported.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Writes nothing, and reports what would be done.
    pub dry_run: bool,
    /// The roles here for roles of the source, by their names there.
    pub role_names: BTreeMap<String, RoleName>,
    /// Computes argon2id over every hash of another program at once, so that no weak hash is stored until its user logs in;
    /// in the end also over those of this source that an earlier import has stored. It takes as long as a login per user.
    pub wrap: bool,
    /// Takes the times of the source although those of most users differ from those of the last import by whole quarters of an
    /// hour, as in another time zone: the last import had a wrong one. Otherwise such an import is refused.
    pub correct_times: bool,
    /// The number of rows per transaction, at most 10,000.
    pub batch: usize,
}

impl Default for ImportOptions {
    fn default() -> Self {
        // Large enough that the round trips and the commit cost little, small enough that a batch holds its locks for
        // less than a second.
        Self { dry_run: false, role_names: BTreeMap::new(), wrap: false, correct_times: false, batch: 2000 }
    }
}

/// How far an import is.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ImportProgress {
    /// The number of rows that were read.
    pub read: u64,
    /// The number of rows in the source, where it is known.
    pub total: Option<u64>,
    /// The number of new users.
    pub created: u64,
    /// The number of users who were imported before and have been changed.
    pub changed: u64,
    /// The number of rows that were not imported.
    pub refused: u64,
    /// The number of hashes that an earlier import has stored, and over which argon2id has been computed.
    pub wrapped: u64,
    /// The number of such hashes when it began with them, after all rows: `None` before.
    pub to_wrap: Option<u64>,
}

/// Imports the users of a source.
pub(in crate::engine) async fn run(
    journal: &Arc<Journal>,
    (passwords, erased): (&Passwords, &ErasedNames),
    caller: &Caller,
    source: ImportSource,
    options: &ImportOptions,
    on_progress: &mut (dyn FnMut(&ImportProgress) + Send),
) -> Result<ImportReport> {
    let actor = Actor::operator(caller)?;
    let mut reader = source.open().await?;
    let report = reader.begin_report(options.dry_run);
    let (described, mapped, in_report) = (reader.roles(), options.role_names.clone(), report);
    let resolved = journal.write(caller, async move |tx| {
        let mut report = in_report;
        let map = roles::resolve(tx, &described, &mapped, &mut report).await?;
        Ok(map.map(|map| (map, report)))
    });
    let (roles, mut report) = resolved.await?;
    let any_erased = journal.db.read_opt(&sql::ANY_ERASED, &[]).await?.is_some();
    let roles = Arc::new(roles);
    let rules = Rules {
        roles: roles.clone(),
        needs_public_id: reader.is_first_authy(),
        accepts_addresses: reader.accepts_addresses(),
    };
    let mut import = Import {
        journal,
        caller,
        actor: &actor,
        source: report.source.clone(),
        is_first_authy: reader.is_first_authy(),
        roles,
        erased,
        any_erased,
        wrapper: (options.wrap && !options.dry_run).then_some(passwords),
        is_dry_run: options.dry_run,
        compares_times: report.app_time_zone.is_some() && !options.correct_times,
        seen: Taken::default(),
        imagined: Taken::default(),
    };
    let (size, total) = (options.batch.clamp(1, 10_000), reader.total());
    let mut batch = candidate::read(&mut reader, size, &rules).await?;
    while let Some(checked) = batch {
        // The next batch is read and checked while this one is written.
        let (written, next) = tokio::join!(import.write(checked), candidate::read(&mut reader, size, &rules));
        report.add(written?);
        batch = next?;
        let ImportReport { read, created, changed, refused, .. } = report;
        on_progress(&ImportProgress { read, total, created, changed, refused, wrapped: 0, to_wrap: None });
    }
    if report.read == 0 {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "the source has no users: if they are in other files, import each of those",
        ));
    }
    for old in import.roles.mapping.unused() {
        let message = "a role is mapped that no user of the source has: is its name misspelt?";
        report.note(ImportNoteKind::UnusedMapping, &format!("{old:?}"), message);
    }
    if let Some(passwords) = import.wrapper {
        let ImportReport { read, created, changed, refused, .. } = report;
        let mut on_wrapped = |wrapped, found| {
            on_progress(&ImportProgress { read, total, created, changed, refused, wrapped, to_wrap: Some(found) });
        };
        report.wrapped = wrapping::wrap_stored(journal, passwords, caller, &report.source, &mut on_wrapped).await?;
    }
    if !options.dry_run {
        lookalike::fill_in(&journal.db).await?;
    }
    Ok(report)
}
