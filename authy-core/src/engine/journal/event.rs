//! Events. An event is the audit record and the outgoing message of a change, written in the transaction of the change.

use std::{net::IpAddr, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use tokio_postgres::{Row, Transaction};
use uuid::Uuid;

use crate::{
    ClientInfo, Result, SessionId, UserId,
    api::{
        event::{EventCursor, EventKind, EventOrder, EventPage, EventQuery, EventView},
        page::PageSize,
    },
    client_info::cut_user_agent,
    engine::{
        journal::{
            actor::Actor,
            revocation::target::{RevocationTarget, revoke},
        },
        storage::{
            connector::db_error,
            count::{BoundedCount, MAX_COUNTED},
            db::Db,
            statement::Params,
        },
    },
    revocation::Revocation,
    time::{Timestamp, now, to_second},
};

pub(in crate::engine) mod sql;

/// The audit trail: [`Authy::events`](crate::Authy::events).
///
/// ```
/// use authy_core::{Authy, Result, UserId, api::event::EventQuery};
///
/// # async fn events(authy: &Authy, ada: UserId) -> Result<()> {
/// let mut query = EventQuery { user: Some(ada), ..EventQuery::default() };
/// loop {
///     let page = authy.events().list(&query).await?;
///     for event in &page.events {
///         println!("{} {}", event.happened, event.event_id);
///     }
///     query.after = page.next;
///     if query.after.is_none() {
///         return Ok(());
///     }
/// }
/// # }
/// ```
pub struct Events {
    db: Arc<Db>,
}

impl Events {
    pub(in crate::engine) fn new(db: Arc<Db>) -> Self {
        Self { db }
    }

    /// Returns a page of the audit trail: newest first, or oldest first for an incremental export, which
    /// [`ListEvents`](crate::api::event::ListEvents) describes.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn list(&self, query: &EventQuery) -> Result<EventPage> {
        list(&self.db, query).await
    }

    /// Returns the number of events of a kind since a time, up to 10,000, so that it takes milliseconds. Not for the two most
    /// frequent kinds, logins and refreshes: all events since that time are searched for them.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn count(&self, kind: &EventKind, since: DateTime<Utc>) -> Result<BoundedCount> {
        let row = self.db.count_lagging(&sql::COUNT, &[&kind.as_str(), &since, &(MAX_COUNTED + 1)]).await?;
        let counted = row.get("counted");
        Ok(BoundedCount::new(counted, counted))
    }
}

/// A position in the trail: the time and the ID of an event.
type Position = (DateTime<Utc>, Uuid);

/// Time before a lost position from which an ascending list repeats events. The clock of a new primary may be behind that
/// of the lost one, by less than this.
const LOST_POSITION_REPEATS: Duration = Duration::from_secs(3600);

/// Returns a page of the audit trail.
pub(in crate::engine) async fn list(db: &Db, query: &EventQuery) -> Result<EventPage> {
    let order = query.order.unwrap_or_default();
    let (low, high) = range(db, query, order).await?;
    let kind = query.kind.as_ref().map(EventKind::as_str);
    let limit = query.limit.unwrap_or(PageSize::DEFAULT).get();
    // One more than requested, to find out whether there are more.
    let more = i64::from(limit) + 1;
    let (all, of_user) = match order {
        EventOrder::Descending => (&sql::LIST, &sql::LIST_OF_USER),
        EventOrder::Ascending => (&sql::LIST_ASCENDING, &sql::LIST_OF_USER_ASCENDING),
    };
    let (statement, params): (_, Params<'_>) = match &query.user {
        Some(user) => (of_user, &[&low.0, &low.1, &high.0, &high.1, &kind, &more, user.as_uuid()]),
        None => (all, &[&low.0, &low.1, &high.0, &high.1, &kind, &more]),
    };
    let rows = match order {
        EventOrder::Descending => db.list_lagging(statement, params).await?,
        // The primary said up to where the list is complete: a replica may have less than that.
        EventOrder::Ascending => db.list(statement, params).await?,
    };
    let shown = rows.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
    let last = shown.checked_sub(1).and_then(|last| rows.get(last)).map(cursor);
    let next = match order {
        EventOrder::Descending => last.filter(|_| shown < rows.len()),
        // Also when there are no more, to continue from later.
        EventOrder::Ascending => last.or(Some(EventCursor { happened: unix_micros(low.0), event_id: low.1.into() })),
    };
    Ok(EventPage { events: rows.iter().take(shown).map(view).collect(), next })
}

/// Returns the positions between which the events of a page are.
async fn range(db: &Db, query: &EventQuery, order: EventOrder) -> Result<(Position, Position)> {
    // No event has the smallest ID, so the first event of that time is included.
    let since = query.since.map_or(DateTime::UNIX_EPOCH, |Timestamp(time)| time.max(DateTime::UNIX_EPOCH));
    let since = (since, Uuid::nil());
    let after = query.after.map(|cursor| (instant(cursor.happened), *cursor.event_id.as_uuid()));
    Ok(match order {
        // A day ahead of the clock, because clocks differ.
        EventOrder::Descending => (since, after.unwrap_or((now() + Duration::from_secs(24 * 3600), Uuid::max()))),
        EventOrder::Ascending => {
            let mut low = after.map_or(since, |after| after.max(since));
            let row = db.read_one(&sql::FIND_SETTLED, &[&low.0, &low.1]).await?;
            if row.get("is_lost") {
                tracing::warn!(
                    position = %Timestamp(low.0),
                    "an export continues behind an event that does not exist any more, because the database has gone back in \
                     time: it repeats an hour"
                );
                low = (low.0 - LOST_POSITION_REPEATS, Uuid::nil());
            }
            (low, (row.get("settled"), Uuid::nil()))
        }
    })
}

/// Redacts IP address, user agent and request ID when someone else acted.
pub(in crate::engine) fn shown_to(user: UserId, event: EventView) -> EventView {
    match event.actor {
        Some(actor) if actor != user => EventView { ip: None, user_agent: None, request_id: None, ..event },
        _ => event,
    }
}

/// Returns the event in a row.
pub(in crate::engine) fn view(row: &Row) -> EventView {
    let detail = match row.get("detail") {
        Value::Object(detail) => detail,
        _ => Map::new(),
    };
    EventView {
        event_id: row.get::<_, Uuid>("event_id").into(),
        kind: EventKind::named(row.get("kind")),
        happened: to_second(row.get("happened")),
        happened_micros: micros(row),
        actor: row.get::<_, Option<Uuid>>("actor").map(UserId::from),
        actor_kind: match row.get("origin") {
            // Written by versions before the first release.
            "stranger" => "anonymous".to_owned(),
            kind => kind.to_owned(),
        },
        subject: row.get::<_, Option<Uuid>>("subject").map(UserId::from),
        session_id: row.get::<_, Option<Uuid>>("session_id").map(SessionId::from),
        ip: row.get("ip"),
        user_agent: row.get("user_agent"),
        request_id: row.get("request_id"),
        detail,
    }
}

/// Returns the cursor of a row.
fn cursor(row: &Row) -> EventCursor {
    EventCursor { happened: micros(row), event_id: row.get::<_, Uuid>("event_id").into() }
}

/// Returns the time of an event in microseconds since 1970.
fn micros(row: &Row) -> i64 {
    unix_micros(row.get("happened"))
}

fn unix_micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros().max(0)
}

/// Returns the time of a number of microseconds since 1970.
pub(in crate::engine) fn instant(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// An event: its actor, its subject, and details. Never contains a secret.
#[must_use = "a change must not be committed without its event"]
pub(in crate::engine) struct Event {
    kind: EventKind,
    actor: Actor,
    subject: Option<UserId>,
    session: Option<SessionId>,
    detail: Value,
    revokes: Vec<RevocationTarget>,
}

impl Event {
    pub(in crate::engine) fn new(kind: EventKind, actor: &Actor) -> Self {
        let (actor, session) = (actor.clone(), actor.session());
        Self { kind, actor, subject: None, session, detail: json!({}), revokes: Vec::new() }
    }

    pub(in crate::engine) fn about(mut self, user: UserId) -> Self {
        self.subject = Some(user);
        self
    }

    pub(in crate::engine) fn session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    pub(in crate::engine) fn detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }

    /// Adds the tokens that the change revokes.
    pub(in crate::engine) fn revoking(mut self, targets: impl IntoIterator<Item = RevocationTarget>) -> Self {
        self.revokes.extend(targets);
        self
    }

    /// Appends the event and its revocations to the transaction of the change. Returns its ID and the revocations.
    pub(in crate::engine) async fn append(self, tx: &Transaction<'_>) -> Result<(Uuid, Vec<Revocation>)> {
        let Columns { event_id, kind, actor, actor_kind, ip, user_agent, request_id } = self.columns();
        let (subject, session) = (self.subject.map(|user| *user.as_uuid()), self.session.map(|id| *id.as_uuid()));
        let params: Params<'_> =
            &[&event_id, &kind, &actor, &actor_kind, &subject, &session, &ip, &user_agent, &request_id, &self.detail];
        sql::APPEND.execute(tx, params).await.map_err(db_error)?;
        Ok((event_id, revoke(tx, self.revokes).await?))
    }

    /// Returns the columns of every event, for a statement that writes its event itself.
    pub(in crate::engine) fn columns(&self) -> Columns<'_> {
        let ClientInfo { ip, user_agent, request_id, .. } = self.actor.client_info();
        Columns {
            // UUID version 7: ordered by time, so that the index grows only at its end.
            event_id: Uuid::now_v7(),
            kind: self.kind.as_str(),
            actor: self.actor.user().map(|id| *id.as_uuid()),
            actor_kind: self.actor.kind(),
            ip: *ip,
            user_agent: user_agent.as_deref().map(cut_user_agent),
            request_id: request_id.as_deref(),
        }
    }
}

/// The columns of an event that do not depend on its kind.
pub(in crate::engine) struct Columns<'a> {
    pub(in crate::engine) event_id: Uuid,
    pub(in crate::engine) kind: &'a str,
    pub(in crate::engine) actor: Option<Uuid>,
    pub(in crate::engine) actor_kind: &'static str,
    pub(in crate::engine) ip: Option<IpAddr>,
    pub(in crate::engine) user_agent: Option<&'a str>,
    pub(in crate::engine) request_id: Option<&'a str>,
}
