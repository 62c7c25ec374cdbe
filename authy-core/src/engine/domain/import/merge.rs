//! What another import changes in a user who was imported before.
//!
//! Three states are compared: what the last import wrote, what the source says now, and what is here now. A change of the
//! source is taken where nothing has changed here since the last import. Where both have changed, what is here stays.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    candidate::Candidate,
    plan::{note_loss, placeholder},
    report::{ImportNoteKind::*, ImportReport},
};
use crate::{
    UserId, Username,
    engine::{
        crypto::digest::digest_of,
        storage::row::{stored, user_id},
    },
};

/// What the last import wrote.
pub(super) struct Origin {
    pub(super) user: UserId,
    /// `None` when the user was erased here, and when the address is another user's.
    pub(super) digest: Option<Vec<u8>>,
    password_digest: Option<Vec<u8>>,
    email_digest: Option<Vec<u8>>,
    password_set: Option<DateTime<Utc>>,
    email_written: Option<Vec<u8>>,
    deleted: bool,
    roles: Vec<i32>,
}

impl Origin {
    /// Returns whether the password was changed in the source since the last import. Without a digest, which an earlier version of
    /// this program wrote and was deleted, it is taken as unchanged: otherwise an old hash would replace a better one here.
    pub(super) fn has_other_password(&self, candidate: &Candidate) -> bool {
        self.password_digest.as_ref().is_some_and(|digest| *digest != candidate.digests.password)
    }
}

impl From<&Row> for Origin {
    fn from(row: &Row) -> Self {
        Self {
            user: user_id(row, "user_id"),
            digest: row.get("digest"),
            password_digest: row.get("password_digest"),
            email_digest: row.get("email_digest"),
            password_set: row.get("password_set"),
            email_written: row.get("email_written"),
            deleted: row.get("deleted"),
            roles: row.get("roles"),
        }
    }
}

/// What is here now.
pub(super) struct Here {
    username: Username,
    email_key: String,
    pub(super) created: DateTime<Utc>,
    pub(super) last_login: Option<DateTime<Utc>>,
    is_validated: bool,
    is_deleted: bool,
    pub(super) is_erased: bool,
    password_changed: Option<DateTime<Utc>>,
    roles: Vec<i32>,
}

impl From<&Row> for Here {
    fn from(row: &Row) -> Self {
        Self {
            username: stored(row, "username"),
            email_key: row.get("email_key"),
            created: row.get("created"),
            last_login: row.get("last_login"),
            is_validated: row.get("validated"),
            is_deleted: row.get("deleted"),
            is_erased: row.get("erased"),
            password_changed: row.get("password_changed"),
            roles: row.get("roles"),
        }
    }
}

/// Who has which address.
pub(super) type Addresses = HashMap<String, Vec<Holder>>;

/// A user who has an address.
pub(super) struct Holder {
    pub(super) user: Uuid,
    /// Whether the user has confirmed it.
    pub(super) is_owner: bool,
    /// As [`Candidate::holder`] says or, for others, the public ID.
    pub(super) name: String,
}

/// The changes of a user.
pub(super) struct Update {
    pub(super) user: UserId,
    pub(super) candidate: Candidate,
    pub(super) created: Option<DateTime<Utc>>,
    pub(super) last_login: Option<DateTime<Utc>>,
    pub(super) email: Option<(String, String)>,
    pub(super) validated_at: Option<DateTime<Utc>>,
    pub(super) deleted_at: Option<DateTime<Utc>>,
    pub(super) is_restored: bool,
    pub(super) password: PasswordChange,
    pub(super) granted: Vec<i32>,
    pub(super) revoked: Vec<i32>,
    /// The digest of the key of the address that this import or the last one wrote.
    pub(super) email_written: Option<Vec<u8>>,
    /// The digest of the address in the source that has been taken, or decided about.
    pub(super) email_digest: Option<Vec<u8>>,
    /// Whether another user has the address, so that the next import tries it again.
    pub(super) is_email_pending: bool,
    /// When the last import set the password; `None` when this one removes it.
    pub(super) password_set: Option<DateTime<Utc>>,
    /// What has changed, for the event.
    pub(super) changed: Vec<&'static str>,
}

pub(super) enum PasswordChange {
    None,
    Set,
    Removed,
}

impl Update {
    /// Returns whether what was issued before is revoked: tokens and codes.
    pub(super) fn begins_epoch(&self) -> bool {
        self.changed.iter().any(|what| !matches!(*what, "created" | "last_login" | "validated"))
    }

    /// Returns whether the user has the most powerful role and loses it, or is deleted.
    pub(super) fn may_be_the_last(&self, here: &Here, top: Option<i32>) -> bool {
        let Some(top) = top.filter(|top| here.roles.contains(top)) else { return false };
        self.deleted_at.is_some() || self.revoked.contains(&top)
    }

    /// Leaves out the deletion and the revoked roles.
    pub(super) fn keep_power(&mut self) {
        self.deleted_at = None;
        self.revoked.clear();
        self.changed.retain(|what| *what != "deleted" && (*what != "roles" || !self.granted.is_empty()));
    }

    /// Returns whether sessions end.
    pub(super) fn ends_sessions(&self) -> bool {
        self.deleted_at.is_some() || self.is_restored || !matches!(self.password, PasswordChange::None)
    }
}

/// Compares the three states.
pub(super) fn merge(
    candidate: Candidate,
    origin: &Origin,
    here: &Here,
    addresses: &mut Addresses,
    report: &mut ImportReport,
) -> Update {
    let row = candidate.row.clone();
    let mut update = Update {
        user: origin.user,
        created: None,
        last_login: None,
        email: None,
        validated_at: None,
        deleted_at: None,
        is_restored: false,
        password: PasswordChange::None,
        granted: Vec::new(),
        revoked: Vec::new(),
        email_written: origin.email_written.clone(),
        email_digest: Some(candidate.digests.email.clone()),
        is_email_pending: false,
        password_set: origin.password_set,
        changed: Vec::new(),
        candidate,
    };
    let candidate = &update.candidate;
    if candidate.username != here.username || candidate.public_id.is_some_and(|id| id != origin.user) {
        report.note(KeptHere, &row, "the username or the public ID has changed in the source: here it stays");
    }
    if candidate.created != here.created {
        update.created = Some(candidate.created);
        update.changed.push("created");
    }
    if candidate.last_login > here.last_login {
        update.last_login = candidate.last_login;
        update.changed.push("last_login");
    }
    merge_email(&mut update, origin, here, addresses, report);
    merge_deletion(&mut update, origin, here, report);
    merge_password(&mut update, origin, here, report);
    // Each membership is compared by itself, so that those which were changed here stay.
    let (now, before) = (&update.candidate.roles, &origin.roles);
    let granted = now.iter().filter(|role| !before.contains(role) && !here.roles.contains(role));
    let revoked = before.iter().filter(|role| !now.contains(role) && here.roles.contains(role));
    (update.granted, update.revoked) = (granted.copied().collect(), revoked.copied().collect());
    if !update.granted.is_empty() || !update.revoked.is_empty() {
        update.changed.push("roles");
    }
    update
}

fn merge_email(
    update: &mut Update,
    origin: &Origin,
    here: &Here,
    addresses: &mut Addresses,
    report: &mut ImportReport,
) {
    let (candidate, user) = (&update.candidate, *update.user.as_uuid());
    let row = &candidate.row;
    let has_changed = origin.email_digest.as_ref() != Some(&candidate.digests.email);
    let has_placeholder = here.email_key == placeholder(update.user);
    let Some((email, key)) = &candidate.email else {
        if has_changed && !has_placeholder {
            report.note(
                KeptHere,
                row,
                "the address was removed in the source, or cannot be stored: the one here stays",
            );
        }
        return;
    };
    let is_same_here = origin.email_written.as_ref() == Some(&digest_of(&here.email_key));
    if has_changed && !is_same_here {
        report.note(KeptHere, row, "the address was changed here and in the source: that here stays");
        return;
    }
    let is_confirmed_there = candidate.validated_at.is_some();
    let holders = addresses.entry(key.clone()).or_default();
    let mut others = holders.iter().filter(|holder| holder.user != user);
    let is_owned = others.clone().any(|holder| holder.is_owner);
    let is_taken = is_owned || (!is_confirmed_there && others.next().is_some());
    // A placeholder is there because another user had the address.
    let is_new = here.email_key != *key && (has_changed || (has_placeholder && is_same_here));
    if is_new && is_taken {
        update.is_email_pending = true;
        update.email_digest.clone_from(&origin.email_digest);
        match has_placeholder {
            true => report.note(EmailTaken, row, "another user has the address: this one gets a placeholder"),
            false => {
                report.note(KeptHere, row, "another user has the new address: the present one stays until it is free")
            }
        }
        return;
    }
    let is_confirmed = is_confirmed_there && here.email_key == *key && !here.is_validated && !is_owned;
    if !is_new && !is_confirmed {
        if here.email_key == *key && here.is_validated && !is_confirmed_there {
            report.note(KeptHere, row, "the address is confirmed here, and not in the source: it stays so");
        }
        return;
    }
    if is_confirmed_there {
        for holder in holders.iter().filter(|holder| holder.user != user) {
            note_loss(&holder.name, &candidate.username, report);
        }
    }
    holders.push(Holder { user, is_owner: is_confirmed_there, name: candidate.holder().to_owned() });
    update.validated_at = candidate.validated_at;
    if is_new {
        update.email_written = Some(digest_of(key));
        update.email = Some((email.as_str().to_owned(), key.clone()));
        update.changed.push("email");
    } else {
        update.changed.push("validated");
    }
}

fn merge_deletion(update: &mut Update, origin: &Origin, here: &Here, report: &mut ImportReport) {
    let is_deleted = update.candidate.deleted_at.is_some();
    if is_deleted == origin.deleted || is_deleted == here.is_deleted {
        return;
    }
    if here.is_deleted != origin.deleted {
        report.note(KeptHere, &update.candidate.row, "the deletion was changed here and in the source");
        return;
    }
    update.is_restored = !is_deleted;
    update.deleted_at = update.candidate.deleted_at;
    update.changed.push(if is_deleted { "deleted" } else { "restored" });
}

fn merge_password(update: &mut Update, origin: &Origin, here: &Here, report: &mut ImportReport) {
    if !origin.has_other_password(&update.candidate) {
        return;
    }
    // A login replaces the hash, and not this time.
    if here.password_changed != origin.password_set {
        let message = "the password was changed here and in the source: that here stays";
        report.note(KeptHere, &update.candidate.row, message);
        return;
    }
    update.password = match (&update.candidate.phc, here.password_changed) {
        (Some(_), _) => PasswordChange::Set,
        (None, Some(_)) => {
            update.password_set = None;
            PasswordChange::Removed
        }
        (None, None) => return,
    };
    update.changed.push("password");
}
