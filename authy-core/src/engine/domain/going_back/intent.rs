//! What an export is about to write, committed here before it is committed there.
//!
//! An export that is killed after the commit there leaves the intent of a batch behind. The next one finds there what was
//! intended, and takes it for its own. What is there and was not intended was changed there.

use uuid::Uuid;

use super::{
    here::{Base, Here},
    sql,
    there::UserThere,
};
use crate::{
    Result, UserId,
    engine::{
        crypto::{digest::digest_of, password::stored::password_digest},
        journal::write::Tx,
        storage::{connector::db_error, statement::Params},
    },
};

/// Notes what is about to be written about users.
pub(super) async fn note(tx: &Tx<'_>, source: &str, written: &[(UserId, Base)]) -> Result<()> {
    let users: Vec<Uuid> = written.iter().map(|(user, _)| *user.as_uuid()).collect();
    let passwords: Vec<_> = written.iter().map(|(_, base)| base.password_digest.as_deref()).collect();
    let emails: Vec<_> = written.iter().map(|(_, base)| base.email_digest.as_deref()).collect();
    let password_set: Vec<_> = written.iter().map(|(_, base)| base.password_set).collect();
    let email_written: Vec<_> = written.iter().map(|(_, base)| base.email_written.as_deref()).collect();
    let deleted: Vec<bool> = written.iter().map(|(_, base)| base.is_deleted).collect();
    let roles = written.iter().map(|(_, base)| base.roles.iter().map(i32::to_string).collect::<Vec<_>>().join(","));
    let roles: Vec<String> = roles.collect();
    let params: Params<'_> = &[&source, &users, &passwords, &emails, &password_set, &email_written, &deleted, &roles];
    sql::NOTE_INTENTS.execute(tx, params).await.map(drop).map_err(db_error)
}

/// Forgets the intents about users, because what they say is recorded.
pub(super) async fn forget(tx: &Tx<'_>, source: &str, users: &[Uuid]) -> Result<()> {
    sql::FORGET_INTENTS.execute(tx, &[&source, &users]).await.map(drop).map_err(db_error)
}

/// Returns what both sides have in common: what is recorded, and of what was intended that which is there now. `roles` are those
/// there. `None` when nothing is known of the user.
pub(super) fn resolve(here: &Here, there: &UserThere, roles: &[i32]) -> Option<Base> {
    let Some(intent) = &here.intent else { return here.base.clone() };
    // A user whom the export created. The name of an erased user is no longer known here.
    let is_created = here.is_erased || there.username.as_deref() == Some(&here.username);
    // Its password is that of the export, unless it was changed there.
    let created = || Base { password_digest: intent.password_digest.clone(), ..Base::default() };
    let mut base = here.base.clone().or_else(|| is_created.then(created))?;
    if intent.password_digest.as_ref() == Some(&password_digest(Some(&there.password))) {
        base.password_digest.clone_from(&intent.password_digest);
        base.password_set = intent.password_set;
    }
    if intent.email_digest.as_ref() == Some(&digest_of(&there.email)) {
        base.email_digest.clone_from(&intent.email_digest);
        base.email_written.clone_from(&intent.email_written);
    }
    if there.is_deleted == intent.is_deleted {
        base.is_deleted = intent.is_deleted;
    }
    base.roles.retain(|role| intent.roles.contains(role) || roles.contains(role));
    let granted = intent.roles.iter().copied().filter(|role| roles.contains(role));
    base.roles.extend(granted);
    base.roles.sort_unstable();
    base.roles.dedup();
    Some(base)
}
