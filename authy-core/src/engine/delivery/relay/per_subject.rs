//! Delivers each event independently: an event that the sink does not accept delays only events about the same user.

use futures_util::{FutureExt as _, StreamExt as _, future::try_join_all, stream::FuturesUnordered};
use tokio::{sync::Notify, time::sleep};
use uuid::Uuid;

use super::{EVENT_POLL_INTERVAL, deliver, lease::Lease, reader::Reader, retry_wait, sql, stop::Stop};
use crate::{
    Result, UserId,
    api::event::EventView,
    engine::{
        delivery::sink::{DeliveryError, Sink},
        journal::event,
        storage::{db::Db, statement::Params},
    },
};

/// Queues the new events, and notifies the worker.
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

/// Delivers the events that are due. To stop, it waits for the deliveries under way.
pub(super) async fn work(
    db: &Db,
    lease: &Lease,
    sink: &dyn Sink,
    in_flight: usize,
    queued: &Notify,
    stop: &Stop,
) -> Result<()> {
    // The events under way, and whom they are about.
    let mut begun: Vec<(Uuid, Option<UserId>)> = Vec::new();
    let mut under_way = FuturesUnordered::new();
    loop {
        let stops = stop.is_requested();
        if stops && under_way.is_empty() {
            return Ok(());
        }
        let free = if stops { 0 } else { in_flight.max(1).saturating_sub(begun.len()) };
        let room = i64::try_from(free).unwrap_or(i64::MAX);
        if room > 0 {
            let ids: Vec<Uuid> = begun.iter().map(|(id, _)| *id).collect();
            let users: Vec<Uuid> = begun.iter().filter_map(|(_, user)| user.map(|user| *user.as_uuid())).collect();
            for row in lease.read_in_order(&sql::LIST_DUE, &[&sink.name(), &room, &ids, &users]).await? {
                let (event, attempts) = (event::view(&row), row.get::<_, i32>("attempts"));
                begun.push((*event.event_id.as_uuid(), event.subject));
                under_way.push(attempt(lease, sink, event, attempts));
            }
        }
        tokio::select! {
            Some(first) = under_way.next(), if !under_way.is_empty() => {
                let mut ended = vec![first];
                // With whatever else has ended meanwhile: their commits share a flush of the disk, and one look for more.
                while let Some(Some(next)) = under_way.next().now_or_never() {
                    ended.push(next);
                }
                begun.retain(|(id, _)| ended.iter().all(|ended| ended.event.event_id.as_uuid() != id));
                try_join_all(ended.into_iter().map(|ended| settle(db, sink, ended))).await?;
            }
            () = stop.requested(), if !stops => {}
            () = queued.notified() => {}
            // An operator may have requested another attempt.
            () = sleep(EVENT_POLL_INTERVAL) => {}
        }
    }
}

struct Attempted {
    event: EventView,
    attempts: i32,
    outcome: Result<(), DeliveryError>,
}

async fn attempt(lease: &Lease, sink: &dyn Sink, event: EventView, attempts: i32) -> Attempted {
    let outcome = deliver(lease, sink, &event).await;
    Attempted { event, attempts, outcome }
}

/// Records how a delivery ended. A success does not wake the relay: the worker looks for the user's next event itself.
async fn settle(db: &Db, sink: &dyn Sink, Attempted { event, attempts, outcome }: Attempted) -> Result<()> {
    let (id, give_up_after) = (event.event_id.as_uuid(), sink.give_up_after());
    let sink = sink.name();
    let Err(failure) = outcome else {
        let params: Params<'_> = &[&sink, id, &"delivered", &None::<&str>];
        return db.write_quietly(&sql::FINISH, params).await.map(drop);
    };
    let reason = failure.describe();
    if failure.is_permanent() {
        // The ID is a part of the text, so that no log takes two of these for the same.
        tracing::warn!(sink, kind = event.kind.as_str(), reason, "the event {} was given up", event.event_id);
        let params: Params<'_> = &[&sink, id, &"given_up", &reason];
        return db.write_quietly(&sql::FINISH, params).await.map(drop);
    }
    let wait = retry_wait(usize::try_from(attempts).unwrap_or_default());
    let limit = give_up_after.map(|limit| limit.as_secs_f64());
    let params: Params<'_> = &[&sink, id, &reason, &wait.as_secs_f64(), &limit];
    let postponed = db.write(&sql::POSTPONE, params).await?;
    let (kind, attempts) = (event.kind.as_str(), attempts + 1);
    match postponed.is_some_and(|row| row.get("is_given_up")) {
        true => tracing::warn!(
            sink,
            event = %event.event_id,
            kind,
            reason,
            attempts,
            "an event was given up, because it was not accepted for too long: `authy-server event list --stuck` shows it"
        ),
        false => tracing::warn!(
            sink,
            event = %event.event_id,
            kind,
            reason,
            attempts,
            wait_seconds = wait.as_secs_f64(),
            "an event was not accepted: retrying"
        ),
    }
    Ok(())
}
