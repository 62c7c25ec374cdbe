//! Telling a sink event by event, each repeated by itself: what is stuck holds up only its user.

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use uuid::Uuid;

use super::{cursor::Reader, *};
use crate::{
    api::event::EventView,
    engine::{db::Params, event},
};

/// Puts what is new on its way, and says so.
pub(super) async fn fill(mut reader: Reader<'_>, queued: &Notify) -> Result<()> {
    loop {
        let page = reader.next().await?;
        let has_events = !page.events.is_empty();
        reader.commit_queued(page).await?;
        if has_events {
            queued.notify_one();
        }
    }
}

/// Tells the sink what is due.
pub(super) async fn work(authy: &Authy, lead: &Lead, sink: &dyn Sink, in_flight: usize, queued: &Notify) -> Result<()> {
    let mut under_way: Vec<Uuid> = Vec::new();
    let mut telling = FuturesUnordered::new();
    loop {
        lead.holds()?;
        let room = i64::try_from(in_flight.max(1).saturating_sub(under_way.len())).unwrap_or(i64::MAX);
        if room > 0 {
            for row in lead.read(&sql::LIST_DUE, &[&sink.name(), &room, &under_way]).await? {
                let (event, attempts) = (event::view(&row), row.get::<_, i32>("attempts"));
                under_way.push(*event.event_id.as_uuid());
                telling.push(attempt(sink, event, attempts));
            }
        }
        tokio::select! {
            Some(Attempt { event, attempts, outcome }) = telling.next(), if !telling.is_empty() => {
                settle(authy, sink.name(), &event, attempts, outcome).await?;
                under_way.retain(|id| id != event.event_id.as_uuid());
            }
            () = queued.notified() => {}
            // An operator may have had something tried again.
            () = sleep(POLL) => {}
        }
    }
}

struct Attempt {
    event: EventView,
    attempts: i32,
    outcome: Result<(), Undelivered>,
}

async fn attempt(sink: &dyn Sink, event: EventView, attempts: i32) -> Attempt {
    let outcome = deliver(sink, &event).await;
    Attempt { event, attempts, outcome }
}

async fn settle(
    authy: &Authy,
    sink: &str,
    event: &EventView,
    attempts: i32,
    outcome: Result<(), Undelivered>,
) -> Result<()> {
    let id = event.event_id.as_uuid();
    let Err(failure) = outcome else {
        let params: Params<'_> = &[&sink, id, &"delivered", &None::<&str>];
        return authy.db().write(&sql::FINISH, params).await.map(drop);
    };
    let reason = failure.describe();
    if failure.is_final() {
        tracing::warn!(sink, event = %event.event_id, kind = event.kind, reason, "gave up on an event");
        let params: Params<'_> = &[&sink, id, &"given_up", &reason];
        return authy.db().write(&sql::FINISH, params).await.map(drop);
    }
    let wait = wait(usize::try_from(attempts).unwrap_or_default());
    tracing::warn!(
        sink,
        event = %event.event_id,
        kind = event.kind,
        reason,
        attempts = attempts + 1,
        wait_seconds = wait.as_secs_f64(),
        "an event was not taken: trying again"
    );
    let params: Params<'_> = &[&sink, id, &reason, &wait.as_secs_f64()];
    authy.db().write(&sql::POSTPONE, params).await.map(drop)
}
