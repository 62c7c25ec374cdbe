//! Delivers all events as one stream: an event that the sink does not accept delays all later ones.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::sleep;

use super::{deliver, lease::Lease, reader::Reader, retry_wait, stop::Stop};
use crate::{
    Result,
    api::event::EventView,
    engine::delivery::sink::{DeliveryError, Sink},
};

/// Maximum wait between two attempts: after a broker returns, delivery should resume soon.
const MAX_STREAM_RETRY_WAIT: Duration = Duration::from_secs(30);

/// Delivers to the sink, until the database fails. To stop, it first delivers the rest of
/// its page, because the position is recorded page by page; unless the sink accepts nothing.
pub(super) async fn run(
    mut reader: Reader<'_>,
    lease: &Lease,
    sink: &dyn Sink,
    in_flight: usize,
    stop: &Stop,
) -> Result<()> {
    while let Some(page) = stop.or(reader.next()).await.transpose()? {
        let mut chains = chains(&page.events);
        let mut failures = 0;
        while let Some(failure) = deliver_chains(lease, sink, &mut chains, in_flight).await {
            let (wait, reason) = (retry_wait(failures), failure.describe());
            if failures == 0 {
                tracing::warn!(sink = sink.name(), reason, "a sink accepts nothing: retrying");
            }
            reader.store_error(&reason).await?;
            failures += 1;
            if stop.or(sleep(wait.min(MAX_STREAM_RETRY_WAIT))).await.is_none() {
                return Ok(());
            }
        }
        if failures > 0 {
            tracing::info!(sink = sink.name(), failures, "the sink accepts events again");
        }
        reader.commit(page).await?;
    }
    Ok(())
}

/// Returns the events about each user, in order. Events without a user form one more chain.
fn chains(events: &[EventView]) -> Vec<VecDeque<&EventView>> {
    let mut places = HashMap::new();
    let mut chains: Vec<VecDeque<_>> = Vec::new();
    for event in events {
        let place = *places.entry(event.subject).or_insert(chains.len());
        match chains.get_mut(place) {
            Some(chain) => chain.push_back(event),
            None => chains.push(VecDeque::from([event])),
        }
    }
    chains
}

/// Delivers the chains, and removes accepted events. Returns the last failure, if any.
async fn deliver_chains(
    lease: &Lease,
    sink: &dyn Sink,
    chains: &mut Vec<VecDeque<&EventView>>,
    in_flight: usize,
) -> Option<DeliveryError> {
    let mut waiting = std::mem::take(chains).into_iter();
    let mut under_way: FuturesUnordered<_> =
        waiting.by_ref().take(in_flight.max(1)).map(|chain| deliver_chain(lease, sink, chain)).collect();
    let mut last = None;
    while let Some(ended) = under_way.next().await {
        if let Some((chain, failure)) = ended {
            chains.push(chain);
            last = Some(failure);
        }
        under_way.extend(waiting.next().map(|chain| deliver_chain(lease, sink, chain)));
    }
    last
}

/// Delivers the events of a chain one after the other. Returns the rest when an event was not accepted.
async fn deliver_chain<'a>(
    lease: &Lease,
    sink: &dyn Sink,
    mut chain: VecDeque<&'a EventView>,
) -> Option<(VecDeque<&'a EventView>, DeliveryError)> {
    while let Some(event) = chain.front() {
        if let Err(failure) = deliver(lease, sink, event).await {
            return Some((chain, failure));
        }
        chain.pop_front();
    }
    None
}
