//! Telling a sink everything, as one stream: what it does not take holds up all that comes after.

use std::collections::{HashMap, VecDeque};

use futures_util::{StreamExt as _, stream::FuturesUnordered};

use super::{cursor::Reader, *};
use crate::api::event::EventView;

/// Tells the sink, until something goes wrong with the database or another instance takes over.
pub(super) async fn run(mut reader: Reader<'_>, lead: &Lead, sink: &dyn Sink, in_flight: usize) -> Result<()> {
    loop {
        let page = reader.next().await?;
        let mut chains = chains(&page.events);
        let mut failures = 0;
        while let Some(failure) = tell(sink, &mut chains, in_flight).await {
            let (wait, reason) = (wait(failures), failure.describe());
            if failures == 0 {
                tracing::warn!(sink = sink.name(), reason, "a sink takes nothing: trying again");
            }
            reader.blame(&reason).await?;
            failures += 1;
            sleep(wait.min(Duration::from_secs(30))).await;
            lead.holds()?;
        }
        if failures > 0 {
            tracing::info!(sink = sink.name(), failures, "the sink takes events again");
        }
        reader.commit(page).await?;
    }
}

/// The events of each user, in order; those of nobody are one more chain.
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

/// Tells what is left of the chains; the last failure, when there was one. What was taken is not in them any more.
async fn tell(sink: &dyn Sink, chains: &mut Vec<VecDeque<&EventView>>, in_flight: usize) -> Option<Undelivered> {
    let mut waiting = std::mem::take(chains).into_iter();
    let mut told: FuturesUnordered<_> =
        waiting.by_ref().take(in_flight.max(1)).map(|chain| tell_chain(sink, chain)).collect();
    let mut last = None;
    while let Some(ended) = told.next().await {
        if let Some((chain, failure)) = ended {
            chains.push(chain);
            last = Some(failure);
        }
        told.extend(waiting.next().map(|chain| tell_chain(sink, chain)));
    }
    last
}

/// Tells the events of a chain, one after the other; what is left of it when one was not taken.
async fn tell_chain<'a>(
    sink: &dyn Sink,
    mut chain: VecDeque<&'a EventView>,
) -> Option<(VecDeque<&'a EventView>, Undelivered)> {
    while let Some(event) = chain.front() {
        if let Err(failure) = deliver(sink, event).await {
            return Some((chain, failure));
        }
        chain.pop_front();
    }
    None
}
