//! What is recorded of an imported user, so that the next import or export finds what has changed since.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::sql;
use crate::{
    Result, UserId,
    engine::{
        journal::write::Tx,
        storage::{connector::db_error, statement::Params},
    },
};

/// What both sides have in common about a user.
pub(in crate::engine::domain) struct RecordedOrigin<'a> {
    pub(in crate::engine::domain) user: UserId,
    pub(in crate::engine::domain) source_id: &'a str,
    /// The digest of the whole row. Without one, the next import compares the user.
    pub(in crate::engine::domain) digest: Option<&'a [u8]>,
    pub(in crate::engine::domain) password_digest: Option<&'a [u8]>,
    pub(in crate::engine::domain) email_digest: Option<&'a [u8]>,
    pub(in crate::engine::domain) password_set: Option<DateTime<Utc>>,
    /// Whether the password is set by this transaction, so that its time is now.
    pub(in crate::engine::domain) sets_password: bool,
    pub(in crate::engine::domain) email_written: Option<&'a [u8]>,
    pub(in crate::engine::domain) is_deleted: bool,
    pub(in crate::engine::domain) roles: &'a [i32],
}

/// Records the origins of users in a source, and whether that is the first authy.
pub(in crate::engine::domain) async fn record(
    tx: &Tx<'_>,
    (source, is_first_authy): (&str, bool),
    origins: &[RecordedOrigin<'_>],
) -> Result<()> {
    let ids: Vec<&str> = origins.iter().map(|origin| origin.source_id).collect();
    let users: Vec<Uuid> = origins.iter().map(|origin| *origin.user.as_uuid()).collect();
    let digests: Vec<_> = origins.iter().map(|origin| origin.digest).collect();
    let passwords: Vec<_> = origins.iter().map(|origin| origin.password_digest).collect();
    let emails: Vec<_> = origins.iter().map(|origin| origin.email_digest).collect();
    let password_set: Vec<_> = origins.iter().map(|origin| origin.password_set).collect();
    let sets_password: Vec<bool> = origins.iter().map(|origin| origin.sets_password).collect();
    let email_written: Vec<_> = origins.iter().map(|origin| origin.email_written).collect();
    let deleted: Vec<bool> = origins.iter().map(|origin| origin.is_deleted).collect();
    let roles = origins.iter().map(|origin| origin.roles.iter().map(i32::to_string).collect::<Vec<_>>().join(","));
    let roles: Vec<String> = roles.collect();
    let params: Params<'_> = &[
        &source,
        &ids,
        &users,
        &digests,
        &passwords,
        &emails,
        &password_set,
        &sets_password,
        &email_written,
        &deleted,
        &roles,
        &is_first_authy,
    ];
    sql::SET_ORIGINS.execute(tx, params).await.map(drop).map_err(db_error)
}
