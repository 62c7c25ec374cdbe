//! `authy-server event sinks` and `event list --stuck`.

use authy_core::{
    Authy, EventId, UserId,
    engine::{SinkStatus, StuckDelivery, StuckQuery, StuckState},
    time::HttpDate,
};
use clap::ArgMatches;
use serde::Serialize;

use crate::{
    cli::arguments::{given, print_list},
    start::BoxError,
};

/// A sink, as it is printed.
#[derive(Serialize)]
struct ListedSink {
    sink: String,
    waiting: u64,
    /// Whether there may be more.
    waiting_is_at_least: bool,
    oldest: Option<String>,
    stuck: u64,
    given_up: u64,
    error: Option<String>,
}

/// A delivery that failed, as it is printed.
#[derive(Serialize)]
struct ListedDelivery {
    event_id: EventId,
    sink: String,
    kind: Option<String>,
    subject: Option<UserId>,
    attempts: u32,
    /// Absent when the delivery was given up.
    next_attempt: Option<String>,
    error: Option<String>,
}

impl From<SinkStatus> for ListedSink {
    fn from(status: SinkStatus) -> Self {
        let SinkStatus { sink, waiting, waiting_is_at_least, oldest, stuck, given_up, error } = status;
        let oldest = oldest.map(|oldest| HttpDate(oldest).to_string());
        Self { sink, waiting, waiting_is_at_least, oldest, stuck, given_up, error }
    }
}

impl From<StuckDelivery> for ListedDelivery {
    fn from(delivery: StuckDelivery) -> Self {
        let StuckDelivery { event_id, sink, kind, subject, attempts, next_attempt, error, is_given_up, .. } = delivery;
        let next_attempt = (!is_given_up).then(|| HttpDate(next_attempt).to_string());
        Self { event_id, sink, kind, subject, attempts, next_attempt, error }
    }
}

pub(super) async fn list_sinks(authy: &Authy, matches: &ArgMatches) -> Result<(), BoxError> {
    let sinks: Vec<_> = authy.deliveries().list_sinks().await?.into_iter().map(ListedSink::from).collect();
    print_list(matches, &sinks, |sink| {
        let oldest = sink.oldest.as_ref().map(|oldest| format!(", the oldest of {oldest}")).unwrap_or_default();
        let error = sink.error.as_ref().map(|error| format!("; it accepts nothing: {error}")).unwrap_or_default();
        let waiting = if sink.waiting_is_at_least { "more than " } else { "" };
        let ListedSink { sink, waiting: number, stuck, given_up, .. } = sink;
        format!("{sink}  {waiting}{number} waiting{oldest}, {stuck} stuck, {given_up} given up{error}")
    })
}

pub(super) async fn list_stuck(authy: &Authy, matches: &ArgMatches) -> Result<(), BoxError> {
    let (limit, sink) = (given(matches, "limit")?, matches.get_one::<String>("sink").cloned());
    let list = async |state, limit| {
        let query = StuckQuery { sink: sink.clone(), limit, ..StuckQuery::new(state) };
        authy.deliveries().list(&query).await.map(|page| page.deliveries)
    };
    let mut stuck = match matches.get_flag("given-up") {
        true => Vec::new(),
        false => list(StuckState::Repeated, limit).await?,
    };
    let rest = limit.saturating_sub(u32::try_from(stuck.len()).unwrap_or(limit));
    if rest > 0 {
        stuck.extend(list(StuckState::GivenUp, rest).await?);
    }
    let stuck: Vec<_> = stuck.into_iter().map(ListedDelivery::from).collect();
    print_list(matches, &stuck, |stuck| {
        let kind = stuck.kind.as_deref().unwrap_or("?");
        let about = stuck.subject.map(|subject| format!(" of {subject}")).unwrap_or_default();
        let next = match &stuck.next_attempt {
            None => "given up".to_owned(),
            Some(next) => format!("next attempt {next}"),
        };
        let error = stuck.error.as_deref().unwrap_or_default();
        let (sink, event, attempts) = (&stuck.sink, stuck.event_id, stuck.attempts);
        format!("{event}  {sink}  {kind}{about}  {attempts} attempts, {next}: {error}")
    })
}
