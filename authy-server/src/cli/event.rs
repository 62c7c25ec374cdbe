//! `authy-server event …`

use std::{collections::HashSet, time::Duration};

use authy_core::{
    Authy, EventId, UserId,
    api::{
        event::{EventKind, EventQuery, EventView},
        page::PageSize,
    },
    engine::Caller,
    time::HttpDate,
};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::arguments::{given, print, required};
use crate::start::BoxError;

/// Interval at which `tail` reads new events.
const TAIL_INTERVAL: Duration = Duration::from_millis(500);

pub(super) fn command() -> Command {
    let sink = || required::<String>("sink", "The sink's name, as `event list --stuck` shows it");
    let event =
        || Arg::new("event").value_name("EVENT").required(true).value_parser(str::parse::<EventId>).help("Which event");
    let user = || {
        Arg::new("user")
            .long("user")
            .value_name("PUBLIC_ID")
            .value_parser(str::parse::<UserId>)
            .help("Only this user's")
    };
    let kind = || {
        Arg::new("kind").long("kind").value_name("KIND").value_parser(str::parse::<EventKind>).help("Only this kind")
    };
    let limit = Arg::new("limit")
        .long("limit")
        .value_name("NUMBER")
        .value_parser(value_parser!(u32).range(1..=100))
        .default_value("20")
        .help("How many");
    let stuck = Arg::new("stuck")
        .long("stuck")
        .action(ArgAction::SetTrue)
        .conflicts_with_all(["user", "kind"])
        .help("Only events that a sink has not accepted, the oldest first");
    Command::new("event")
        .about("Show the audit trail and the deliveries to sinks, and retry deliveries")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("list").about("List events, the newest first").args([user(), kind()]).args([limit, stuck]),
        )
        .subcommand(Command::new("tail").about("Print events as they happen").args([user(), kind()]))
        .subcommand(Command::new("sinks").about("List the sinks, and how many events wait for each"))
        .subcommand(Command::new("retry").about("Deliver a stuck event again, now").arg(sink()).arg(event()))
        .subcommand(Command::new("skip").about("Give up the delivery of a stuck event").arg(sink()).arg(event()))
}

pub(super) async fn run(authy: &Authy, caller: &Caller, matches: &ArgMatches) -> Result<(), BoxError> {
    match matches.subcommand() {
        Some(("list", matches)) if matches.get_flag("stuck") => list_stuck(authy, given(matches, "limit")?).await,
        Some(("list", matches)) => {
            let query = EventQuery { limit: Some(PageSize::new(given(matches, "limit")?)?), ..query(matches) };
            authy.events().list(&query).await?.events.iter().try_for_each(|event| print(&line(event)))
        }
        Some(("tail", matches)) => tail(authy, query(matches)).await,
        Some(("sinks", _)) => {
            for sink in authy.deliveries().list_sinks().await? {
                let oldest =
                    sink.oldest.map(|oldest| format!(", the oldest of {}", HttpDate(oldest))).unwrap_or_default();
                let error = sink.error.map(|error| format!("; it accepts nothing: {error}")).unwrap_or_default();
                print(&format!("{}  {} waiting{oldest}, {} stuck{error}", sink.sink, sink.waiting, sink.stuck))?;
            }
            Ok(())
        }
        Some(("retry", matches)) => {
            let (sink, event): (String, EventId) = (given(matches, "sink")?, given(matches, "event")?);
            authy.deliveries().retry(caller, &sink, event).await?;
            print(&format!("{event} is handed to {sink} again"))
        }
        Some(("skip", matches)) => {
            let (sink, event): (String, EventId) = (given(matches, "sink")?, given(matches, "event")?);
            authy.deliveries().skip(caller, &sink, event).await?;
            print(&format!("{event} is not handed to {sink} any more"))
        }
        _ => Ok(()),
    }
}

fn query(matches: &ArgMatches) -> EventQuery {
    let (user, kind) = (matches.get_one("user").copied(), matches.get_one("kind").cloned());
    EventQuery { user, kind, ..EventQuery::default() }
}

async fn list_stuck(authy: &Authy, limit: u32) -> Result<(), BoxError> {
    for stuck in authy.deliveries().list_stuck(limit).await? {
        let kind = stuck.kind.as_deref().unwrap_or("?");
        let about = stuck.subject.map(|subject| format!(" of {subject}")).unwrap_or_default();
        let next = match stuck.is_given_up {
            true => "given up".to_owned(),
            false => format!("next attempt {}", HttpDate(stuck.next_attempt)),
        };
        let error = stuck.error.as_deref().unwrap_or_default();
        let (sink, event, attempts) = (&stuck.sink, stuck.event_id, stuck.attempts);
        print(&format!("{event}  {sink}  {kind}{about}  {attempts} attempts, {next}: {error}"))?;
    }
    Ok(())
}

/// Prints new events until the process is stopped.
async fn tail(authy: &Authy, query: EventQuery) -> Result<(), BoxError> {
    // A transaction that commits late is listed behind one that committed early. So each time the newest events are
    // read, as many pages as are new, and events that were printed are skipped.
    let query = EventQuery { limit: Some(PageSize::new(100)?), ..query };
    let ids = |events: &[EventView]| events.iter().map(|event| event.event_id).collect::<HashSet<_>>();
    let first = authy.events().list(&query).await?.events;
    // Events behind this one are old; in an empty database all events are new.
    let mut newest = first.first().map(|event| event.event_id);
    let mut printed = ids(&first);
    loop {
        tokio::time::sleep(TAIL_INTERVAL).await;
        let mut page = authy.events().list(&query).await?;
        let mut events = std::mem::take(&mut page.events);
        while let Some(next) = page.next.filter(|_| !events.iter().any(|event| Some(event.event_id) == newest)) {
            page = authy.events().list(&EventQuery { after: Some(next), ..query.clone() }).await?;
            events.append(&mut page.events);
        }
        for event in events.iter().rev().filter(|event| !printed.contains(&event.event_id)) {
            print(&line(event))?;
        }
        newest = events.first().map(|event| event.event_id).or(newest);
        printed = ids(&events);
    }
}

fn line(event: &EventView) -> String {
    let actor = event.actor.map_or_else(|| event.actor_kind.clone(), |actor| actor.to_string());
    let about = event.subject.map(|subject| format!(" of {subject}")).unwrap_or_default();
    let from = event.ip.as_ref().map(|ip| format!(" from {ip}")).unwrap_or_default();
    let detail = serde_json::Value::Object(event.detail.clone());
    format!("{}  {}  {}{about} by {actor}{from} {detail}", HttpDate(event.happened), event.event_id, event.kind)
}
