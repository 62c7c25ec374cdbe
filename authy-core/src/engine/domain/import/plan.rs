//! How users who are not here yet are stored: which names and addresses they get beside those that are taken.

use std::collections::{HashMap, HashSet};

use aws_lc_rs::digest::{SHA256, digest};

use super::{
    candidate::{Candidate, id_of},
    report::{ImportNoteKind::*, ImportReport},
};
use crate::{
    UserId, Username,
    engine::domain::{alias::collision_key, erased_name::ErasedNames},
};

/// Values that are taken, of several kinds. It holds only digests: a dry run collects those of all users.
#[derive(Default)]
pub(super) struct Taken {
    values: HashSet<[u8; 16]>,
    /// Those who have an address and have not confirmed it.
    holders: HashMap<[u8; 16], Vec<String>>,
}

impl Taken {
    /// Adds a value. Returns whether it was not there.
    pub(super) fn add(&mut self, what: &str, value: &str) -> bool {
        self.values.insert(mark(what, value))
    }

    pub(super) fn has(&self, what: &str, value: &str) -> bool {
        self.values.contains(&mark(what, value))
    }

    /// Adds a user who has an address and has not confirmed it, as [`Candidate::holder`] says or, for others, by the public ID.
    pub(super) fn add_holder(&mut self, email_key: &str, name: &str) {
        let holders = self.holders.entry(mark("email", email_key)).or_default();
        if !holders.iter().any(|holder| holder == name) {
            holders.push(name.to_owned());
        }
    }

    fn holders(&self, email_key: &str) -> &[String] {
        self.holders.get(&mark("email", email_key)).map_or(&[], Vec::as_slice)
    }
}

fn mark(what: &str, value: &str) -> [u8; 16] {
    let digest = digest(&SHA256, format!("{what}\0{value}").as_bytes());
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

/// A new user.
pub(super) struct NewUser {
    pub(super) id: UserId,
    pub(super) candidate: Candidate,
    pub(super) username_key: String,
    /// Whether the spelling is an alias, because the name has the key of another user.
    pub(super) has_alias: bool,
    pub(super) email: String,
    pub(super) email_key: String,
    /// Whether the address is another user's, so that the next import tries it again.
    pub(super) is_email_pending: bool,
}

/// Decides how a new user is stored. `None` when the row is refused; the report says why.
pub(super) fn place(
    candidate: Candidate,
    taken: &mut Taken,
    erased: Option<&ErasedNames>,
    report: &mut ImportReport,
) -> Option<NewUser> {
    let (row, id) = (candidate.row.clone(), id_of(&candidate));
    let (spelling, key) = (candidate.username.as_str(), candidate.username_key.clone());
    let mut refuse = |kind, message: &str| {
        report.refused += 1;
        report.note(kind, &row, message);
        None
    };
    if taken.has("id", &id.to_string()) {
        return refuse(PublicIdTaken, "another user here has the public ID: the row is left out");
    }
    let is_erased = |what, key: &str| {
        erased.is_some_and(|erased| erased.forms(key).iter().skip(1).any(|form| taken.has(what, form)))
    };
    if is_erased("key", &key) {
        return refuse(UsernameTaken, "the name was that of a user who is erased here: the row is left out");
    }
    if taken.has("spelling", spelling) {
        let message = format!("another user here has exactly the name {spelling:?}: the row is left out");
        return refuse(UsernameTaken, &message);
    }
    let has_alias = taken.has("key", &key);
    let username_key = match has_alias {
        true => {
            let message = format!(
                "another user has the name {key:?} in another spelling: this one logs in with exactly {spelling:?}"
            );
            report.note(NameCollision, &row, message);
            collision_key(&candidate.username, id)
        }
        false => key.clone(),
    };
    let email = candidate.email.as_ref().filter(|(_, key)| {
        let is_owned = taken.has("owned email", key) || is_erased("owned email", key);
        // An address can have many names until one confirms it.
        let is_taken = is_owned || (candidate.validated_at.is_none() && taken.has("email", key));
        if is_taken {
            report.note(EmailTaken, &row, "another user has the address: this one gets a placeholder");
        }
        !is_taken
    });
    let is_confirmed = candidate.validated_at.is_some();
    let (email, email_key) = match email {
        Some((email, key)) => {
            for holder in taken.holders(key).iter().filter(|_| is_confirmed) {
                note_loss(holder, &candidate.username, report);
            }
            (email.as_str().to_owned(), key.clone())
        }
        None => (placeholder(id), placeholder(id)),
    };
    let is_email_pending = candidate.email.is_some() && email_key == placeholder(id);
    taken.add("id", &id.to_string());
    taken.add("key", &key);
    taken.add("spelling", spelling);
    if is_confirmed {
        taken.add("owned email", &email_key);
    } else {
        taken.add("email", &email_key);
        taken.add_holder(&email_key, candidate.holder());
    }
    Some(NewUser { id, candidate, username_key, has_alias, email, email_key, is_email_pending })
}

/// Notes that a user keeps an address which another one has confirmed.
pub(super) fn note_loss(holder: &str, owner: &Username, report: &mut ImportReport) {
    let owner = owner.as_str();
    let message =
        format!("the user {owner:?} has confirmed the address: this one keeps it, unconfirmed, and no mail goes there");
    report.note(EmailTaken, holder, message);
}

/// Returns the address of a user without one: its domain never exists (RFC 2606), so no mail can be sent there.
pub(super) fn placeholder(user: UserId) -> String {
    format!("{user}@authy.invalid")
}
