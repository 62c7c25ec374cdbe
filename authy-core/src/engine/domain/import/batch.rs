//! One batch of an import: which rows are new, which are known, and what becomes of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::sleep;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    candidate::{Candidate, Checked, NAME_PREFIX},
    merge::{Addresses, Here, Holder, Origin, Update, merge},
    plan::{NewUser, Taken, place},
    report::{ImportNoteKind, ImportReport},
    roles::RoleMap,
    sql, time_zone, wrapping,
    write::Writer,
};
use crate::{
    ErrorKind, Result, UserId,
    engine::{
        crypto::password::Passwords,
        domain::{erased_name::ErasedNames, role, user},
        journal::{
            actor::Actor,
            caller::Caller,
            write::{Journal, Tx, Written},
        },
        storage::row::user_id,
    },
};

/// Maximum time to write a batch, which takes less than a second.
const BATCH_TIMEOUT: Duration = Duration::from_secs(120);

/// Number of times that a batch is tried, when another transaction is in the way.
const ATTEMPTS: u32 = 5;

/// An import under way.
pub(super) struct Import<'a> {
    pub(super) journal: &'a Arc<Journal>,
    pub(super) caller: &'a Caller,
    pub(super) actor: &'a Actor,
    pub(super) source: String,
    pub(super) is_first_authy: bool,
    pub(super) roles: Arc<RoleMap>,
    pub(super) erased: &'a ErasedNames,
    /// Whether any user was erased when the import began.
    pub(super) any_erased: bool,
    /// What wraps hashes, if they are to be wrapped.
    pub(super) wrapper: Option<&'a Passwords>,
    pub(super) is_dry_run: bool,
    /// Whether the times of known users have to be compared with those of the last import.
    pub(super) compares_times: bool,
    /// The IDs in the source that were read.
    pub(super) seen: Taken,
    /// What the users have that a dry run does not write.
    pub(super) imagined: Taken,
}

impl Import<'_> {
    /// Writes one batch, in a transaction. Returns the report about it.
    pub(super) async fn write(&mut self, Checked { mut candidates, mut report }: Checked) -> Result<ImportReport> {
        candidates.retain(|candidate| {
            let is_first = self.seen.add("row", &candidate.source_id);
            if !is_first {
                report.refused += 1;
                let message = "the source has another row with this ID or name: this one is left out";
                report.note(ImportNoteKind::DuplicateRow, &candidate.row, message);
            }
            is_first
        });
        if let Some(passwords) = self.wrapper {
            self.wrap(passwords, &mut candidates).await?;
        }
        let mut attempt = 1;
        loop {
            let mut written = ImportReport::default();
            match self.try_write(candidates.clone(), &mut written).await {
                Ok(()) => {
                    report.add(written);
                    break;
                }
                // A dry run is not in the way of others, and remembers what it has compared.
                Err(error) if error.is_unavailable() && attempt < ATTEMPTS && !self.is_dry_run => {
                    tracing::debug!(attempt, error = crate::error::chain(&error), "a batch is tried again");
                    sleep(Duration::from_millis(100) * attempt).await;
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
        if !self.is_dry_run {
            self.journal.db.wake_relay();
            if report.changed > 0 {
                self.journal.feed.notify_others();
            }
        }
        Ok(report)
    }

    /// Wraps the hashes that are new.
    async fn wrap(&self, passwords: &Passwords, candidates: &mut [Candidate]) -> Result<()> {
        let ids = self.source_ids(candidates);
        let origins = self.journal.db.list(&sql::FIND_ORIGINS, &[&self.source, &ids]).await?;
        let known = by_source_id(&origins);
        let is_new = |candidate: &Candidate| {
            let origin = self.forms(candidate).iter().find_map(|id| known.get(id));
            origin.is_none_or(|origin| origin.has_other_password(candidate))
        };
        wrapping::wrap_new(passwords, self.caller.hash_requester(), candidates, is_new).await
    }

    async fn try_write(&mut self, candidates: Vec<Candidate>, report: &mut ImportReport) -> Result<()> {
        let (journal, caller, is_dry_run) = (self.journal, self.caller, self.is_dry_run);
        journal
            .write_within(BATCH_TIMEOUT, caller, async |tx| {
                self.write_in(tx, candidates, report).await?;
                Ok(match is_dry_run {
                    true => Written::unchanged(()),
                    // The statements have written an event for each user.
                    false => Written::without_event(()),
                })
            })
            .await
    }

    async fn write_in(&mut self, tx: &Tx<'_>, candidates: Vec<Candidate>, report: &mut ImportReport) -> Result<()> {
        // Two imports at the same time take turns, and no first administrator is created meanwhile.
        user::sql::LOCK_FIRST.rows(tx, &[]).await?;
        let ids = self.source_ids(&candidates);
        let mut origins = by_source_id(&sql::FIND_ORIGINS.rows(tx, &[&self.source, &ids]).await?);
        let (mut new, mut known, mut unchanged) = (Vec::new(), Vec::new(), 0);
        for candidate in candidates {
            match self.forms(&candidate).iter().find_map(|id| origins.remove(id)) {
                None => new.push(candidate),
                Some(origin) if origin.digest.as_ref() == Some(&candidate.digests.all) => unchanged += 1,
                Some(origin) => known.push((candidate, origin)),
            }
        }
        report.unchanged += u64::try_from(unchanged).unwrap_or(u64::MAX);
        self.update(tx, known, unchanged, report).await?;
        self.create(tx, new, report).await
    }

    /// Compares users who were imported before with what is here, and takes what has changed in the source.
    async fn update(
        &mut self,
        tx: &Tx<'_>,
        known: Vec<(Candidate, Origin)>,
        unchanged: usize,
        report: &mut ImportReport,
    ) -> Result<()> {
        if known.is_empty() {
            self.compares_times &= unchanged == 0;
            return Ok(());
        }
        let users: Vec<Uuid> = known.iter().map(|(_, origin)| *origin.user.as_uuid()).collect();
        sql::LOCK.rows(tx, &[&users]).await?;
        let states = sql::FIND_STATES.rows(tx, &[&users]).await?;
        let states: BTreeMap<UserId, Here> = states.iter().map(|row| (user_id(row, "public_id"), row.into())).collect();
        if self.compares_times {
            // The first users whom an earlier import has brought say enough.
            time_zone::require_same(&known, &states, unchanged)?;
            self.compares_times = false;
        }
        let keys: Vec<&str> =
            known.iter().filter_map(|(candidate, _)| Some(candidate.email.as_ref()?.1.as_str())).collect();
        let mut addresses = Addresses::new();
        for row in sql::FIND_EMAILS.rows(tx, &[&keys, &self.source]).await? {
            let holder = Holder { user: row.get("public_id"), is_owner: row.get("is_owner"), name: row.get("holder") };
            addresses.entry(row.get("email_key")).or_default().push(holder);
        }
        let top = role::sql::FIND_TOP.row(tx, &[]).await?.map(|row| row.get::<_, i32>("role_id"));
        let writer = self.writer();
        let (mut updates, mut of_top) = (Vec::new(), Vec::new());
        for (candidate, origin) in known {
            let Some(here) = states.get(&origin.user) else { continue };
            if here.is_erased {
                // Nothing is recorded either: the digests would be of the erased data.
                report.unchanged += 1;
                let message = "the user was erased here, and stays so";
                report.note(ImportNoteKind::KeptHere, &candidate.row, message);
                continue;
            }
            let update = merge(candidate, &origin, here, &mut addresses, report);
            match update.may_be_the_last(here, top) {
                true => of_top.push(update),
                false => updates.push(update),
            }
        }
        if !self.is_dry_run {
            writer.update(tx, &updates.iter().collect::<Vec<_>>()).await?;
        }
        for mut update in of_top {
            self.keep_last(tx, &mut update, top, report).await?;
            if !self.is_dry_run {
                writer.update(tx, &[&update]).await?;
            }
            updates.push(update);
        }
        let changed = updates.iter().filter(|update| !update.changed.is_empty()).count();
        report.changed += u64::try_from(changed).unwrap_or(u64::MAX);
        report.unchanged += u64::try_from(updates.len() - changed).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Leaves out what would take the most powerful role from its last user.
    async fn keep_last(
        &self,
        tx: &Tx<'_>,
        update: &mut Update,
        top: Option<i32>,
        report: &mut ImportReport,
    ) -> Result<()> {
        // Deleting the user, or revoking the role.
        let lost = if update.deleted_at.is_some() { None } else { top };
        match role::keep_last_of_its_kind(tx, update.user, lost).await {
            Err(error) if error.kind() == ErrorKind::LastOfItsKind => {
                let message = "no other user has the most powerful role: the user keeps it";
                report.note(ImportNoteKind::KeptHere, &update.candidate.row, message);
                update.keep_power();
                Ok(())
            }
            done => done,
        }
    }

    /// Stores users who were not imported before.
    async fn create(&mut self, tx: &Tx<'_>, candidates: Vec<Candidate>, report: &mut ImportReport) -> Result<()> {
        if candidates.is_empty() {
            return Ok(());
        }
        let erased = self.any_erased.then_some(self.erased);
        let forms = |key: &str| erased.map_or_else(|| vec![key.to_owned()], |erased| erased.forms(key));
        let ids: Vec<Uuid> = candidates.iter().filter_map(|user| Some(*user.public_id?.as_uuid())).collect();
        let names: Vec<String> = candidates.iter().flat_map(|user| forms(&user.username_key)).collect();
        let emails = candidates.iter().filter_map(|user| Some(forms(&user.email.as_ref()?.1)));
        let emails: Vec<String> = emails.flatten().collect();
        let spellings: Vec<&str> = candidates.iter().map(|user| user.username.as_str()).collect();
        let found = sql::FIND_TAKEN.rows(tx, &[&ids, &names, &emails, &spellings, &self.source]).await?;
        let mut fresh = Taken::default();
        let taken = if self.is_dry_run { &mut self.imagined } else { &mut fresh };
        add_all(taken, &found);
        let placed = candidates.into_iter().filter_map(|candidate| place(candidate, taken, erased, report));
        let users: Vec<NewUser> = placed.collect();
        report.created += u64::try_from(users.len()).unwrap_or(u64::MAX);
        match self.is_dry_run {
            true => Ok(()),
            false => self.writer().create(tx, &users).await,
        }
    }

    /// Returns the IDs in the source by which these users can be known.
    fn source_ids(&self, candidates: &[Candidate]) -> Vec<String> {
        candidates.iter().flat_map(|candidate| self.forms(candidate)).collect()
    }

    /// Returns the ID in the source. Where it is the digest of the name, an erasure has replaced it by one with a key.
    fn forms(&self, candidate: &Candidate) -> Vec<String> {
        match candidate.source_id.starts_with(NAME_PREFIX) {
            true => self.erased.forms(&candidate.source_id),
            false => vec![candidate.source_id.clone()],
        }
    }

    fn writer(&self) -> Writer<'_> {
        let Self { source, is_first_authy, actor, roles, .. } = self;
        Writer { source, is_first_authy: *is_first_authy, actor, roles }
    }
}

fn by_source_id(origins: &[Row]) -> BTreeMap<String, Origin> {
    origins.iter().map(|row| (row.get("source_id"), row.into())).collect()
}

fn add_all(taken: &mut Taken, found: &[Row]) {
    for row in found {
        let (what, value): (&str, &str) = (row.get("what"), row.get("value"));
        taken.add(what, value);
        if let ("email", Some(holder)) = (what, row.get::<_, Option<&str>>("holder")) {
            taken.add_holder(value, holder);
        }
    }
}
