//! What an export writes about one user.
//!
//! Three states are compared: what was known when the user was last imported or exported, what is here now, and what is
//! there now. A change here is written where nothing has changed there. Where both have changed, what is there stays. What
//! would undo an erasure, a deletion or a revoked role is never kept for that reason: these are written in any case.

use std::collections::HashSet;

use super::{
    change::{Change, NewUser},
    here::{Base, Here},
    intent,
    report::{ExportNoteKind::*, ExportReport},
    roles::Roles,
    there::{TakenThere, UserThere},
};
use crate::{
    Secret,
    engine::{
        crypto::{digest::digest_of, password::stored::password_digest},
        domain::fallback_hash::UNUSABLE,
    },
};

/// Maximum length of a name there, in characters.
const MAX_USERNAME: usize = 50;

/// Maximum length of an address there, in characters.
const MAX_EMAIL: usize = 100;

/// What is written about a user.
pub(super) enum Plan {
    /// Nothing.
    Nothing,
    /// The user is not written, and should have been; the report says why.
    Refused,
    Create(Box<NewUser>, Base),
    /// The ID there, the change, and what is known afterwards.
    Update(i64, Box<Change>, Base),
}

/// The addresses that this export has written, or would have.
#[derive(Default)]
pub(super) struct Addresses {
    given: HashSet<String>,
    freed: HashSet<String>,
    /// Those of `given` that the batch under way has added.
    of_batch: Vec<String>,
}

/// What the plans of all users have in common.
pub(super) struct Planner<'a> {
    pub(super) roles: &'a Roles,
    pub(super) is_dry_run: bool,
}

impl Planner<'_> {
    /// Decides what is written about a user.
    pub(super) fn plan(
        &self,
        here: &Here,
        there: Option<&UserThere>,
        (taken, addresses): (&TakenThere, &mut Addresses),
        report: &mut ExportReport,
    ) -> Plan {
        let Some(there) = there else { return self.create(here, (taken, addresses), report) };
        let known = intent::resolve(here, there, &self.roles.here_for(&there.roles));
        let Some(base) = known.or_else(|| self.adopt(here, there)) else {
            let message =
                "a user there has this public ID, and is not known from an import or an export: nothing is written";
            report.note(OtherUser, &here.user, message);
            return Plan::Refused;
        };
        let mut after = Base { source_id: there.id.to_string(), ..base.clone() };
        let mut change = Change::default();
        if here.is_erased {
            self.erase(here, there, &mut change, &mut after, report);
        } else {
            plan_password(here, there, &base, &mut change, &mut after, report);
            self.plan_email(here, there, &base, (taken, addresses), (&mut change, &mut after), report);
            plan_deletion(here, there, &base, &mut change, &mut after);
            self.plan_roles(here, there, &base, &mut change, &mut after, report);
            change.last_login = here.last_login.filter(|_| there.has_older_login);
        }
        match change.is_empty() && here.base.as_ref() == Some(&after) && here.intent.is_none() {
            true => Plan::Nothing,
            false => Plan::Update(there.id, Box::new(change), after),
        }
    }

    /// Decides how a user is created.
    fn create(
        &self,
        here: &Here,
        (taken, addresses): (&TakenThere, &mut Addresses),
        report: &mut ExportReport,
    ) -> Plan {
        if here.is_erased {
            return Plan::Nothing;
        }
        if here.username.chars().count() > MAX_USERNAME {
            let message = "the name is longer than 50 characters, for which the first authy has no room: not written";
            report.note(UsernameTooLong, &here.user, message);
            return Plan::Refused;
        }
        if taken.owner_of_username(&here.username).is_some() {
            let message = format!("another user there has the name {:?}: not written", here.username);
            report.note(UsernameTaken, &here.user, message);
            return Plan::Refused;
        }
        let email = self.free_email(here, None, (taken, addresses), report);
        let mut roles = Vec::new();
        let mut granted = Vec::new();
        for role in &here.roles {
            match self.roles.there_for(*role) {
                Some(id) => {
                    roles.push(id);
                    granted.push(*role);
                }
                None => note_role(here, report),
            }
        }
        granted.sort_unstable();
        let password = wanted_password(here, report);
        let user = NewUser {
            public_id: here.user.to_string(),
            username: here.username.clone(),
            email: email.clone().flatten(),
            created: here.created,
            last_login: here.last_login,
            deleted_at: here.deleted_at,
            is_validated: here.is_validated && email.as_ref().is_some_and(Option::is_some),
            roles,
            password: password.clone(),
        };
        let base = Base {
            source_id: String::new(),
            password_digest: Some(password_digest(Some(password.expose()))),
            email_digest: Some(digest_of(&user.email)),
            password_set: here.password_set,
            // Without the address, the next export tries it again.
            email_written: email.is_some().then(|| here.email_digest()),
            is_deleted: here.deleted_at.is_some(),
            roles: granted,
        };
        Plan::Create(Box::new(user), base)
    }

    /// Returns what is known about a user there of whom nothing is recorded here, and who is as an export would have created
    /// them: the record was lost when the export was interrupted.
    fn adopt(&self, here: &Here, there: &UserThere) -> Option<Base> {
        let is_current = here.hash.as_ref().is_some_and(|hash| hash.expose() == there.password);
        let is_ours = there.username.as_deref() == Some(&here.username) && (is_current || there.password == UNUSABLE);
        let is_addressed = there.email.is_none() || there.email == here.email;
        (is_ours && is_addressed).then(|| Base {
            source_id: there.id.to_string(),
            password_digest: Some(password_digest(Some(&there.password))),
            email_digest: Some(digest_of(&there.email)),
            password_set: here.password_set,
            email_written: (there.email == here.email).then(|| here.email_digest()),
            is_deleted: there.is_deleted,
            roles: self.roles.here_for(&there.roles),
        })
    }

    /// Removes what is personal, but the name: it stays taken, as here.
    fn erase(&self, here: &Here, there: &UserThere, change: &mut Change, after: &mut Base, report: &mut ExportReport) {
        change.password = (there.password != UNUSABLE).then(|| Secret::new(UNUSABLE));
        change.email = there.email.is_some().then_some(None);
        change.is_validated = there.is_validated.then_some(false);
        change.deleted_at = (!there.is_deleted).then_some(here.deleted_at);
        change.revoked.clone_from(&there.roles);
        if !change.is_empty() {
            let message =
                "the user was erased here: deleted there, without address, password and roles; the name stays";
            report.note(Erased, &here.user, message);
        }
        (after.password_digest, after.email_digest, after.email_written) = (None, None, None);
        (after.is_deleted, after.roles) = (true, Vec::new());
    }

    fn plan_email(
        &self,
        here: &Here,
        there: &UserThere,
        base: &Base,
        (taken, addresses): (&TakenThere, &mut Addresses),
        (change, after): (&mut Change, &mut Base),
        report: &mut ExportReport,
    ) {
        let is_same_there = base.email_digest.as_ref() == Some(&digest_of(&there.email));
        if base.email_written.as_ref() == Some(&here.email_digest()) {
            let is_confirmed = here.is_validated && here.email.is_some() && !there.is_validated;
            change.is_validated = (is_confirmed && is_same_there).then_some(true);
            return;
        }
        let email = if there.email == here.email {
            here.email.clone()
        } else if !is_same_there {
            report.note(KeptThere, &here.user, "the address was changed here and there: that there stays");
            return;
        } else {
            let Some(email) = self.free_email(here, Some(there.id), (taken, addresses), report) else { return };
            addresses.freed.extend(there.email.clone());
            change.email = Some(email.clone());
            email
        };
        let is_validated = here.is_validated && email.is_some();
        change.is_validated = (is_validated != there.is_validated).then_some(is_validated);
        (after.email_digest, after.email_written) = (Some(digest_of(&email)), Some(here.email_digest()));
    }

    /// Returns the address to write, which may be none. `None` when it cannot be written; the report says why.
    fn free_email(
        &self,
        here: &Here,
        own: Option<i64>,
        (taken, addresses): (&TakenThere, &mut Addresses),
        report: &mut ExportReport,
    ) -> Option<Option<String>> {
        let Some(email) = &here.email else {
            report.note(NoEmail, &here.user, "there is no address here, or another user has confirmed it: none there");
            return Some(None);
        };
        if email.chars().count() > MAX_EMAIL {
            let message =
                "the address is longer than 100 characters, for which the first authy has no room: not written";
            report.note(EmailTooLong, &here.user, message);
            return None;
        }
        let owner = taken.owner_of_email(email).filter(|owner| Some(*owner) != own);
        // In a dry run, what this one would have freed is taken still.
        let is_taken = owner.is_some() && !(self.is_dry_run && addresses.freed.contains(email));
        if is_taken || addresses.given.contains(email) {
            let message = "another user there has the address: not written; run the export again when it is free";
            report.note(EmailTaken, &here.user, message);
            return None;
        }
        Some(Some(email.clone()))
    }

    fn plan_roles(
        &self,
        here: &Here,
        there: &UserThere,
        base: &Base,
        change: &mut Change,
        after: &mut Base,
        report: &mut ExportReport,
    ) {
        let there_now = self.roles.here_for(&there.roles);
        for role in here.roles.iter().filter(|role| !base.roles.contains(role)) {
            match self.roles.there_for(*role) {
                _ if there_now.contains(role) => after.roles.push(*role),
                Some(id) => {
                    change.granted.push(id);
                    after.roles.push(*role);
                }
                None => note_role(here, report),
            }
        }
        let revoked: Vec<i32> = base.roles.iter().copied().filter(|role| !here.roles.contains(role)).collect();
        let stands_for_one = |id: &i64| revoked.iter().any(|role| self.roles.stands_for(*id, *role));
        change.revoked = there.roles.iter().copied().filter(stands_for_one).collect();
        after.roles.retain(|role| !revoked.contains(role));
        after.roles.sort_unstable();
    }
}

impl Addresses {
    pub(super) fn begin_batch(&mut self) {
        self.of_batch.clear();
    }

    /// Remembers what a plan writes.
    pub(super) fn add(&mut self, plan: &Plan) {
        let email = match plan {
            Plan::Create(user, _) => user.email.clone(),
            Plan::Update(_, change, _) => change.email.clone().flatten(),
            Plan::Nothing | Plan::Refused => None,
        };
        if let Some(email) = email {
            self.of_batch.push(email.clone());
            self.given.insert(email);
        }
    }

    /// Forgets what the batch under way would have written.
    pub(super) fn undo_batch(&mut self) {
        for email in self.of_batch.drain(..) {
            self.given.remove(&email);
        }
    }
}

fn plan_password(
    here: &Here,
    there: &UserThere,
    base: &Base,
    change: &mut Change,
    after: &mut Base,
    report: &mut ExportReport,
) {
    let is_same_there = base.has_password(&there.password);
    let has_changed = here.password_set != base.password_set;
    // A hash has become known since.
    let is_replaceable = there.password == UNUSABLE && here.hash.is_some();
    if !(has_changed || is_replaceable && is_same_there) {
        if there.password == UNUSABLE && is_same_there && here.password_set.is_some() {
            note_reset(here, report);
        }
        return;
    }
    let is_wanted = here.hash.as_ref().map_or(UNUSABLE, Secret::expose) == there.password;
    if !is_same_there && !is_wanted {
        report.note(KeptThere, &here.user, "the password was changed here and there: that there stays");
        return;
    }
    let password = wanted_password(here, report);
    after.password_digest = Some(password_digest(Some(password.expose())));
    after.password_set = here.password_set;
    change.password = (!is_wanted).then_some(password);
}

fn plan_deletion(here: &Here, there: &UserThere, base: &Base, change: &mut Change, after: &mut Base) {
    let is_deleted = here.deleted_at.is_some();
    if is_deleted == base.is_deleted {
        return;
    }
    change.deleted_at = (is_deleted != there.is_deleted).then_some(here.deleted_at);
    after.is_deleted = is_deleted;
}

/// Returns the hash to write, or what stands for none.
fn wanted_password(here: &Here, report: &mut ExportReport) -> Secret {
    here.hash.clone().unwrap_or_else(|| {
        note_reset(here, report);
        Secret::new(UNUSABLE)
    })
}

fn note_reset(here: &Here, report: &mut ExportReport) {
    if here.deleted_at.is_none() {
        let message = "no hash that the first authy understands is known: the user has to reset the password there";
        report.note(MustReset, &here.user, message);
    }
}

fn note_role(here: &Here, report: &mut ExportReport) {
    report.note(RoleNotWritten, &here.user, "a role of the user does not exist there: the user does not get it");
}
