//! `authy-server event …`

use authy_core::{
    Authy, EventId,
    api::{
        event::{EventKind, EventQuery, EventView},
        page::PageSize,
    },
    engine::Caller,
    time::HttpDate,
};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::arguments::{about_user, given, id_of_user, json, print, print_list, required};
use crate::start::BoxError;

mod delivery;
mod tail;

pub(super) fn command() -> Command {
    let sink = || required::<String>("sink", "The sink's name, as `event list --stuck` shows it");
    let event =
        || Arg::new("event").value_name("EVENT").required(true).value_parser(str::parse::<EventId>).help("Which event");
    let user =
        || about_user("Only events about this user, or by them: a username or a public ID, deleted users included");
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
        .help("Only events that a sink has not accepted: those that are repeated, then those that were given up");
    let of_sink = Arg::new("sink").long("sink").value_name("NAME").help("With --stuck: only those to this sink");
    let given_up = Arg::new("given-up")
        .long("given-up")
        .action(ArgAction::SetTrue)
        .help("With --stuck: only those that were given up");
    let all = Arg::new("all").long("all").action(ArgAction::SetTrue).help("Everything that was given up until now");
    let one = Arg::new("event")
        .value_name("EVENT")
        .value_parser(str::parse::<EventId>)
        .required_unless_present("all")
        .conflicts_with("all")
        .help("Which event");
    let list = Command::new("list").about("List events, the newest first");
    let tail = Command::new("tail").about("Print events as they happen; with --json, one document a line");
    let sinks = Command::new("sinks").about("List the sinks, and how many events wait for each");
    Command::new("event")
        .about("Show the audit trail and the deliveries to sinks, and retry deliveries")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(list.args([
            user(),
            kind(),
            limit,
            stuck,
            of_sink.requires("stuck"),
            given_up.requires("stuck"),
            json(),
        ]))
        .subcommand(tail.args([user(), kind(), json()]))
        .subcommand(sinks.arg(json()))
        .subcommand(Command::new("retry").about("Deliver a stuck event again, now").arg(sink()).arg(event()))
        .subcommand(Command::new("skip").about("Give up the delivery of a stuck event").arg(sink()).arg(event()))
        .subcommand(Command::new("dismiss").about("Stop listing an event whose delivery was given up").args([
            sink(),
            one,
            all,
        ]))
}

pub(super) async fn run(authy: &Authy, caller: &Caller, matches: &ArgMatches) -> Result<(), BoxError> {
    match matches.subcommand() {
        Some(("list", matches)) if matches.get_flag("stuck") => delivery::list_stuck(authy, matches).await,
        Some(("list", matches)) => {
            let query =
                EventQuery { limit: Some(PageSize::new(given(matches, "limit")?)?), ..query(authy, matches).await? };
            print_list(matches, &authy.events().list(&query).await?.events, line)
        }
        Some(("tail", matches)) => {
            let is_json = matches.get_flag("json");
            tail::run(authy, query(authy, matches).await?, |event| match is_json {
                true => print(&serde_json::to_string(event)?),
                false => print(&line(event)),
            })
            .await
        }
        Some(("sinks", matches)) => delivery::list_sinks(authy, matches).await,
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
        Some(("dismiss", matches)) => {
            let sink: String = given(matches, "sink")?;
            if let Some(event) = matches.get_one::<EventId>("event") {
                authy.deliveries().dismiss(caller, &sink, *event).await?;
                return print(&format!("{event} is dismissed"));
            }
            // This machine's clock may be another.
            let (until, mut dismissed) = (authy.deliveries().database_time().await?, 0);
            loop {
                match authy.deliveries().dismiss_all(caller, &sink, until).await? {
                    0 => return print(&format!("{dismissed} deliveries to {sink} are dismissed")),
                    more => dismissed += more,
                }
            }
        }
        _ => Ok(()),
    }
}

async fn query(authy: &Authy, matches: &ArgMatches) -> Result<EventQuery, BoxError> {
    let (user, kind) = (id_of_user(authy, matches).await?, matches.get_one("kind").cloned());
    Ok(EventQuery { user, kind, ..EventQuery::default() })
}

fn line(event: &EventView) -> String {
    let actor = event.actor.map_or_else(|| event.actor_kind.clone(), |actor| actor.to_string());
    let about = event.subject.map(|subject| format!(" of {subject}")).unwrap_or_default();
    let from = event.ip.as_ref().map(|ip| format!(" from {ip}")).unwrap_or_default();
    let detail = serde_json::Value::Object(event.detail.clone());
    format!("{}  {}  {}{about} by {actor}{from} {detail}", HttpDate(event.happened), event.event_id, event.kind)
}
