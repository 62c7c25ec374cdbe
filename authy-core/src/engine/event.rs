//! Events: no commit without one. An event is the audit record and the outgoing message of a change, written by the
//! transaction that makes the change.

use std::net::IpAddr;

use deadpool_postgres::{Object, Transaction};
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Caller, Origin,
    db::{LOCK_PATIENCE, Params, db_error},
    feed,
};
use crate::{
    Result, SessionId, UserId,
    revocation::{Revocation, Void},
};

pub(super) mod sql;

/// What can happen. The name is also the key that messages are routed by.
#[derive(Clone, Copy, Debug)]
pub(super) enum EventKind {
    UserRegistered,
    UserDeleted,
    SessionOpened,
    SessionRefreshed,
    SessionReplayed,
    SessionEnded,
    SessionsEnded,
    RoleCreated,
    RoleDeleted,
    RoleGranted,
    RoleRevoked,
    KeyCreated,
    KeyActivated,
    KeyRetired,
    KeyRevoked,
    KeyResealed,
}

impl EventKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::UserRegistered => "user.registered",
            Self::UserDeleted => "user.deleted",
            Self::SessionOpened => "session.opened",
            Self::SessionRefreshed => "session.refreshed",
            Self::SessionReplayed => "session.replayed",
            Self::SessionEnded => "session.ended",
            Self::SessionsEnded => "sessions.ended",
            Self::RoleCreated => "role.created",
            Self::RoleDeleted => "role.deleted",
            Self::RoleGranted => "role.granted",
            Self::RoleRevoked => "role.revoked",
            Self::KeyCreated => "key.created",
            Self::KeyActivated => "key.activated",
            Self::KeyRetired => "key.retired",
            Self::KeyRevoked => "key.revoked",
            Self::KeyResealed => "key.resealed",
        }
    }
}

/// Something that happened: by whom, to whom, and what else there is to know. Never a secret.
#[must_use = "a change without its event must not be committed"]
pub(super) struct Event<'a> {
    kind: EventKind,
    caller: &'a Caller,
    subject: Option<UserId>,
    session: Option<SessionId>,
    detail: Value,
    void: Vec<Void>,
}

impl<'a> Event<'a> {
    pub(super) fn new(kind: EventKind, caller: &'a Caller) -> Self {
        let session = caller.identity().map(|identity| identity.session_id);
        Self { kind, caller, subject: None, session, detail: json!({}), void: Vec::new() }
    }

    pub(super) fn about(mut self, user: UserId) -> Self {
        self.subject = Some(user);
        self
    }

    pub(super) fn session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    pub(super) fn detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }

    /// Tokens that the change makes void.
    pub(super) fn voiding(mut self, void: Void) -> Self {
        self.void.push(void);
        self
    }

    /// Writes the event, and what it makes void, into the transaction of its change; what became void.
    pub(super) async fn append(self, tx: &tokio_postgres::Transaction<'_>) -> Result<Vec<Revocation>> {
        let Columns { event_id, kind, actor, origin, ip, user_agent, request_id } = self.columns();
        let (subject, session) = (self.subject.map(|user| *user.as_uuid()), self.session.map(|id| *id.as_uuid()));
        let params: Params<'_> =
            &[&event_id, &kind, &actor, &origin, &subject, &session, &ip, &user_agent, &request_id, &self.detail];
        sql::APPEND.execute(tx, params).await.map_err(db_error)?;
        feed::revoke(tx, self.void).await
    }

    /// What every event tells, for a statement that writes its event itself.
    pub(super) fn columns(&self) -> Columns<'a> {
        let Origin { ip, user_agent, request_id } = self.caller.origin();
        Columns {
            // Version 7: in the order of time, so that the index grows at its end.
            event_id: Uuid::now_v7(),
            kind: self.kind.as_str(),
            actor: self.caller.id().map(|id| *id.as_uuid()),
            origin: self.caller.kind(),
            ip: *ip,
            user_agent: user_agent.as_deref(),
            request_id: request_id.as_deref(),
        }
    }
}

/// The columns of an event that do not depend on what happened.
pub(super) struct Columns<'a> {
    pub(super) event_id: Uuid,
    pub(super) kind: &'static str,
    pub(super) actor: Option<Uuid>,
    pub(super) origin: &'static str,
    pub(super) ip: Option<IpAddr>,
    pub(super) user_agent: Option<&'a str>,
    pub(super) request_id: Option<&'a str>,
}

/// A transaction whose only way to commit is with its event. Dropped, it is rolled back.
pub(super) struct Write<'a>(Transaction<'a>);

impl<'a> Write<'a> {
    pub(super) async fn begin(connection: &'a mut Object) -> Result<Self> {
        let tx = connection.transaction().await.map_err(db_error)?;
        // Whoever waits longer for a row than a caller waits for an answer only holds a connection. Sent with the first
        // statement and not waited for: should it fail, so does the transaction.
        let _ = tx.batch_execute(&format!("SET LOCAL lock_timeout = {}", LOCK_PATIENCE.as_millis())).now_or_never();
        Ok(Self(tx))
    }

    pub(super) fn tx(&self) -> &tokio_postgres::Transaction<'a> {
        &self.0
    }

    /// Commits with the event; what became void.
    pub(super) async fn commit(self, event: Event<'_>) -> Result<Vec<Revocation>> {
        let revoked = event.append(&self.0).await?;
        self.0.commit().await.map_err(db_error)?;
        Ok(revoked)
    }

    /// Commits what changes nothing that anybody could see, such as throwing away what has expired.
    pub(super) async fn commit_without_event(self) -> Result<()> {
        self.0.commit().await.map_err(db_error)
    }
}
