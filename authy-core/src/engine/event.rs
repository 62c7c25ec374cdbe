//! Events: no commit without one. An event is the audit record and the outgoing message of a change, written by the
//! transaction that makes the change.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use deadpool_postgres::{Object, Transaction};
use futures_util::FutureExt as _;
use serde_json::{Map, Value, json};
use tokio_postgres::{IsolationLevel, Row};
use uuid::Uuid;

use super::{
    Authy, Origin,
    actor::Actor,
    caller::cut_user_agent,
    db::{LOCK_PATIENCE, Params, db_error},
    fault,
    feed::{self, Void},
};
use crate::{
    Result, SessionId, UserId,
    api::{
        event::{EventCursor, EventKind, EventPage, EventQuery, EventView},
        page::PageSize,
    },
    revocation::Revocation,
};

pub(super) mod sql;

/// How long a statement of a write may take, unless it says otherwise.
const STATEMENT_PATIENCE: Duration = Duration::from_secs(10);

impl Authy {
    /// A page of the audit trail, newest first.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is away.
    pub async fn list_events(&self, query: &EventQuery) -> Result<EventPage> {
        let limit = i64::from(query.limit.unwrap_or(PageSize::DEFAULT).get());
        let (before, event_id) = match &query.after {
            Some(cursor) => (instant(cursor.happened), *cursor.event_id.as_uuid()),
            // Clocks differ, and nothing happens a day ahead.
            None => (SystemTime::now() + Duration::from_secs(24 * 3600), Uuid::max()),
        };
        let kind = query.kind.map(EventKind::as_str);
        // One more than is shown tells whether there are more.
        let more = limit + 1;
        let rows = match query.user {
            Some(user) => {
                let params: Params<'_> = &[&before, &event_id, &kind, &more, user.as_uuid()];
                self.db().list(&sql::LIST_OF_USER, params).await?
            }
            None => self.db().list(&sql::LIST, &[&before, &event_id, &kind, &more]).await?,
        };
        let shown = usize::try_from(limit).unwrap_or(usize::MAX);
        let next = rows.get(shown).and_then(|_| rows.get(shown.saturating_sub(1))).map(cursor);
        Ok(EventPage { events: rows.iter().take(shown).map(view).collect(), next })
    }
}

/// An event as the user may see it whom it is about: from where somebody else acted is nobody else's business.
pub(super) fn shown_to(user: UserId, event: EventView) -> EventView {
    match event.actor {
        Some(actor) if actor != user => EventView { ip: None, user_agent: None, request_id: None, ..event },
        _ => event,
    }
}

/// An event from its row.
pub(super) fn view(row: &Row) -> EventView {
    let detail = match row.get("detail") {
        Value::Object(detail) => detail,
        _ => Map::new(),
    };
    EventView {
        event_id: row.get::<_, Uuid>("event_id").into(),
        kind: row.get("kind"),
        happened: row.get::<_, SystemTime>("happened").into(),
        happened_micros: micros(row),
        actor: row.get::<_, Option<Uuid>>("actor").map(UserId::from),
        origin: row.get("origin"),
        subject: row.get::<_, Option<Uuid>>("subject").map(UserId::from),
        session_id: row.get::<_, Option<Uuid>>("session_id").map(SessionId::from),
        ip: row.get("ip"),
        user_agent: row.get("user_agent"),
        request_id: row.get("request_id"),
        detail,
    }
}

/// Where a page ends that ends with this row.
fn cursor(row: &Row) -> EventCursor {
    EventCursor { happened: micros(row), event_id: row.get::<_, Uuid>("event_id").into() }
}

/// When an event happened, in microseconds since 1970.
fn micros(row: &Row) -> i64 {
    let since = row.get::<_, SystemTime>("happened").duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Microseconds since 1970 as a point in time.
fn instant(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros.unsigned_abs())
}

/// Something that happened: by whom, to whom, and what else there is to know. Never a secret.
#[must_use = "a change without its event must not be committed"]
pub(super) struct Event<'a> {
    kind: EventKind,
    actor: Actor<'a>,
    subject: Option<UserId>,
    session: Option<SessionId>,
    detail: Value,
    void: Vec<Void>,
}

impl<'a> Event<'a> {
    pub(super) fn new(kind: EventKind, actor: &Actor<'a>) -> Self {
        let (actor, session) = (*actor, actor.session());
        Self { kind, actor, subject: None, session, detail: json!({}), void: Vec::new() }
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

    /// The same of several.
    pub(super) fn voiding_all(mut self, void: Vec<Void>) -> Self {
        self.void.extend(void);
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
        let Origin { ip, user_agent, request_id, .. } = self.actor.caller().origin();
        Columns {
            // Version 7: in the order of time, so that the index grows at its end.
            event_id: Uuid::now_v7(),
            kind: self.kind.as_str(),
            actor: self.actor.user().map(|id| *id.as_uuid()),
            origin: self.actor.kind(),
            ip: *ip,
            user_agent: user_agent.as_deref().map(cut_user_agent),
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
        // Whatever the database's default is: what was read after a lock must be what the lock's last holder committed.
        let begin = connection.build_transaction().isolation_level(IsolationLevel::ReadCommitted).read_only(false);
        let tx = fault::around("begin", begin.start()).await.map_err(db_error)?;
        let write = Self(tx);
        write.within(STATEMENT_PATIENCE);
        Ok(write)
    }

    /// Gives each statement so much time. Whoever waits longer for a row than a caller waits for an answer only holds a
    /// connection.
    pub(super) fn within(&self, time: Duration) {
        let (lock, time) = (LOCK_PATIENCE.as_millis(), time.as_millis());
        // Sent with the next statement and not waited for: should it fail, so does the transaction.
        let set = format!("SET LOCAL lock_timeout = {lock}; SET LOCAL statement_timeout = {time}");
        let _ = self.0.batch_execute(&set).now_or_never();
    }

    pub(super) fn tx(&self) -> &tokio_postgres::Transaction<'a> {
        &self.0
    }

    /// Commits with the event; what became void.
    pub(super) async fn commit(self, event: Event<'_>) -> Result<Vec<Revocation>> {
        let revoked = event.append(&self.0).await?;
        fault::point("the commit");
        fault::around("commit", self.0.commit()).await.map_err(db_error)?;
        Ok(revoked)
    }

    /// Commits what changes nothing that anybody could see, such as throwing away what has expired.
    pub(super) async fn commit_without_event(self) -> Result<()> {
        fault::point("the commit");
        fault::around("commit", self.0.commit()).await.map_err(db_error)
    }
}
