//! Writes a batch: new users with a few statements for all of them, and then the changes of known ones.

use serde_json::json;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    candidate::Candidate,
    merge::{PasswordChange, Update},
    origin::{self, RecordedOrigin},
    plan::NewUser,
    roles::RoleMap,
    sql,
};
use crate::{
    ClientInfo, Error, ErrorKind, Result, Secret, UserId,
    api::event::EventKind,
    engine::{
        crypto::digest::digest_of,
        domain::{alias, fallback_hash, user},
        journal::{actor::Actor, write::Tx},
        storage::{connector::db_error, statement::Params},
    },
};

/// What the events of one import have in common.
pub(super) struct Writer<'a> {
    pub(super) source: &'a str,
    pub(super) is_first_authy: bool,
    pub(super) actor: &'a Actor,
    pub(super) roles: &'a RoleMap,
}

/// A user as it is recorded for the next import.
struct Recorded<'a> {
    candidate: &'a Candidate,
    user: UserId,
    password_set: Option<chrono::DateTime<chrono::Utc>>,
    sets_password: bool,
    email_written: Option<Vec<u8>>,
    email_digest: Option<&'a [u8]>,
    /// Whether the next import compares the user although nothing has changed in the source.
    is_pending: bool,
}

impl Writer<'_> {
    /// Stores new users, with their passwords, roles and aliases, and an event for each.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when somebody else has taken a name or an address since they were compared.
    pub(super) async fn create(&self, tx: &Tx<'_>, users: &[NewUser]) -> Result<()> {
        if users.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = users.iter().map(|user| *user.id.as_uuid()).collect();
        let names: Vec<&str> = users.iter().map(|user| user.candidate.username.as_str()).collect();
        let keys: Vec<&str> = users.iter().map(|user| user.username_key.as_str()).collect();
        let emails: Vec<&str> = users.iter().map(|user| user.email.as_str()).collect();
        let email_keys: Vec<&str> = users.iter().map(|user| user.email_key.as_str()).collect();
        let created: Vec<_> = users.iter().map(|user| user.candidate.created).collect();
        let last_login: Vec<_> = users.iter().map(|user| user.candidate.last_login).collect();
        let validated_at: Vec<_> = users.iter().map(|user| user.candidate.validated_at).collect();
        let deleted_at: Vec<_> = users.iter().map(|user| user.candidate.deleted_at).collect();
        let params: Params<'_> =
            &[&ids, &names, &keys, &emails, &email_keys, &created, &last_login, &validated_at, &deleted_at];
        let stored = user::sql::CREATE_STORED.rows(tx, params).await?;
        require_all(&stored, users.len())?;

        let with_password = users.iter().filter_map(|user| Some((*user.id.as_uuid(), user.candidate.phc.as_ref()?)));
        let (owners, hashes): (Vec<Uuid>, Vec<&str>) = with_password.map(|(id, phc)| (id, phc.expose())).unzip();
        sql::CREATE_PASSWORDS.execute(tx, &[&owners, &hashes]).await.map_err(db_error)?;
        let granted = users.iter().map(|user| (user.id, user.candidate.roles.as_slice()));
        self.grant(tx, memberships(granted)).await?;

        let aliased: Vec<&NewUser> = users.iter().filter(|user| user.has_alias).collect();
        if !aliased.is_empty() {
            let spellings: Vec<&str> = aliased.iter().map(|user| user.candidate.username.as_str()).collect();
            let owners: Vec<Uuid> = aliased.iter().map(|user| *user.id.as_uuid()).collect();
            let keys: Vec<&str> = aliased.iter().map(|user| user.candidate.username_key.as_str()).collect();
            let added = alias::sql::ADD.rows(tx, &[&spellings, &owners, &keys]).await?;
            require_all(&added, aliased.len())?;
        }
        let written = users.iter().map(|user| Recorded {
            candidate: &user.candidate,
            user: user.id,
            password_set: None,
            sets_password: user.candidate.phc.is_some(),
            email_written: Some(digest_of(&user.email_key)),
            email_digest: Some(&user.candidate.digests.email),
            is_pending: user.is_email_pending,
        });
        self.record(tx, &written.collect::<Vec<_>>()).await?;
        let events = users.iter().map(|user| self.event(user.id, &user.candidate.roles, &[]));
        self.append(tx, events.collect()).await
    }

    /// Changes users, whose rows are locked.
    pub(super) async fn update(&self, tx: &Tx<'_>, updates: &[&Update]) -> Result<()> {
        let changes: Vec<&Update> = updates.iter().copied().filter(|update| !update.changed.is_empty()).collect();
        if !changes.is_empty() {
            self.change(tx, &changes).await?;
        }
        let written = updates.iter().map(|update| Recorded {
            candidate: &update.candidate,
            user: update.user,
            password_set: update.password_set,
            sets_password: matches!(update.password, PasswordChange::Set),
            email_written: update.email_written.clone(),
            email_digest: update.email_digest.as_deref(),
            is_pending: update.is_email_pending,
        });
        self.record(tx, &written.collect::<Vec<_>>()).await
    }

    async fn change(&self, tx: &Tx<'_>, updates: &[&Update]) -> Result<()> {
        let of = |which: &dyn Fn(&Update) -> bool| -> Vec<Uuid> {
            updates.iter().filter(|update| which(update)).map(|update| *update.user.as_uuid()).collect()
        };
        let revoked = of(&Update::begins_epoch);
        if !revoked.is_empty() {
            sql::REVOKE_CODES.execute(tx, &[&revoked]).await.map_err(db_error)?;
            sql::END_SESSIONS.execute(tx, &[&of(&Update::ends_sessions)]).await.map_err(db_error)?;
        }
        let created: Vec<_> = updates.iter().map(|update| update.created).collect();
        let last_login: Vec<_> = updates.iter().map(|update| update.last_login).collect();
        let emails: Vec<_> = updates.iter().map(|update| update.email.as_ref().map(|(email, _)| email)).collect();
        let keys: Vec<_> = updates.iter().map(|update| update.email.as_ref().map(|(_, key)| key)).collect();
        let validated_at: Vec<_> = updates.iter().map(|update| update.validated_at).collect();
        let deleted_at: Vec<_> = updates.iter().map(|update| update.deleted_at).collect();
        let restored: Vec<_> = updates.iter().map(|update| update.is_restored).collect();
        let epochs: Vec<_> = updates.iter().map(|update| update.begins_epoch()).collect();
        let params: Params<'_> =
            &[&of(&|_| true), &created, &last_login, &emails, &keys, &validated_at, &deleted_at, &restored, &epochs];
        sql::UPDATE.execute(tx, params).await.map_err(unless_taken)?;

        let set = updates.iter().filter(|update| matches!(update.password, PasswordChange::Set));
        let set = set.filter_map(|update| Some((*update.user.as_uuid(), update.candidate.phc.as_ref()?)));
        let (owners, hashes): (Vec<Uuid>, Vec<&str>) = set.map(|(id, phc): (_, &Secret)| (id, phc.expose())).unzip();
        sql::SET_PASSWORDS.execute(tx, &[&owners, &hashes]).await.map_err(db_error)?;
        // Behind the change, whose lock no fallback hash of the old password passes.
        fallback_hash::sql::FORGET.execute(tx, &[&owners]).await.map_err(db_error)?;
        let removed = of(&|update| matches!(update.password, PasswordChange::Removed));
        sql::REMOVE_PASSWORDS.execute(tx, &[&removed]).await.map_err(db_error)?;
        self.grant(tx, memberships(updates.iter().map(|update| (update.user, update.granted.as_slice())))).await?;
        let (users, roles) = memberships(updates.iter().map(|update| (update.user, update.revoked.as_slice())));
        sql::REVOKE_ROLES.execute(tx, &[&users, &roles]).await.map_err(db_error)?;

        // Behind the changes, because it reads the new epochs. Not applied here at once: the next poll finds them.
        sql::REVOKE_USERS.execute(tx, &[&revoked]).await.map_err(db_error)?;
        let events = updates.iter().map(|update| self.event(update.user, &update.candidate.roles, &update.changed));
        self.append(tx, events.collect()).await
    }

    async fn grant(&self, tx: &Tx<'_>, (users, roles): (Vec<Uuid>, Vec<i32>)) -> Result<()> {
        sql::GRANT.execute(tx, &[&users, &roles]).await.map(drop).map_err(db_error)
    }

    /// Stores what this import has read and written, for the next one.
    async fn record<'a>(&self, tx: &Tx<'_>, written: &'a [Recorded<'a>]) -> Result<()> {
        let origin = |user: &'a Recorded<'a>| RecordedOrigin {
            user: user.user,
            source_id: &user.candidate.source_id,
            digest: Some(user.candidate.digests.all.as_slice()).filter(|_| !user.is_pending),
            password_digest: Some(&user.candidate.digests.password),
            email_digest: user.email_digest,
            password_set: user.password_set,
            sets_password: user.sets_password,
            email_written: user.email_written.as_deref(),
            is_deleted: user.candidate.deleted_at.is_some(),
            roles: &user.candidate.roles,
        };
        let origins: Vec<_> = written.iter().map(origin).collect();
        origin::record(tx, (self.source, self.is_first_authy), &origins).await
    }

    /// Returns the subject and the detail of an event.
    fn event(&self, user: UserId, roles: &[i32], changed: &[&'static str]) -> (Uuid, String) {
        let mut detail = json!({ "source": self.source, "roles": self.roles.names(roles) });
        if let (false, Some(detail)) = (changed.is_empty(), detail.as_object_mut()) {
            detail.insert("changed".to_owned(), json!(changed));
        }
        (*user.as_uuid(), detail.to_string())
    }

    async fn append(&self, tx: &Tx<'_>, events: Vec<(Uuid, String)>) -> Result<()> {
        let ids: Vec<Uuid> = events.iter().map(|_| Uuid::now_v7()).collect();
        let (subjects, details): (Vec<Uuid>, Vec<String>) = events.into_iter().unzip();
        let ClientInfo { ip, user_agent, request_id, .. } = self.actor.client_info();
        let params: Params<'_> = &[
            &ids,
            &subjects,
            &details,
            &EventKind::UserImported.as_str(),
            &self.actor.kind(),
            ip,
            user_agent,
            request_id,
        ];
        sql::APPEND.execute(tx, params).await.map(drop).map_err(db_error)
    }
}

/// Returns a user and a role for each membership.
fn memberships<'r>(users: impl Iterator<Item = (UserId, &'r [i32])>) -> (Vec<Uuid>, Vec<i32>) {
    users.flat_map(|(user, roles)| roles.iter().map(move |role| (*user.as_uuid(), *role))).unzip()
}

/// Returns an error when not all rows were written, because somebody else wrote one with the same key at the same time.
fn require_all(written: &[Row], wanted: usize) -> Result<()> {
    match written.len() == wanted {
        true => Ok(()),
        false => Err(meanwhile_taken()),
    }
}

fn unless_taken(cause: tokio_postgres::Error) -> Error {
    match cause.code() {
        Some(&tokio_postgres::error::SqlState::UNIQUE_VIOLATION) => meanwhile_taken(),
        _ => db_error(cause),
    }
}

fn meanwhile_taken() -> Error {
    Error::new(ErrorKind::Unavailable, "another user got the same name or address at the same time")
}
