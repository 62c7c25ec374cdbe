//! `authy-server shadow`: replays recorded requests against two servers, and prints what differs.

use std::{fs::File, io::Read as _, path::PathBuf, process::ExitCode};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use zeroize::Zeroizing;

use super::arguments::{json, print, print_json};
use crate::{config::Settings, start::BoxError};

mod allow;
mod answer;
mod base_url;
mod compare;
mod recording;
mod redact;
mod replay;
mod report;
mod route;
mod tokens;

use allow::Rules;
use base_url::BaseUrl;
use recording::Recording;
use replay::Replay;

#[cfg(feature = "fuzz-entry-points")]
pub(crate) use recording::fuzz as fuzz_recording;

/// The exit code when the answers differ.
const DIFFERENT: u8 = 3;

/// Maximum size of a file of requests or of rules, in bytes: all of it is read before the first request is sent.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// The old and the new of something.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sides<T> {
    old: T,
    new: T,
}

pub(super) fn command() -> Command {
    let url = |name: &'static str, help: &'static str| {
        let parser = value_parser!(BaseUrl);
        Arg::new(name)
            .long(name)
            .value_name("URL")
            .help(help)
            .value_parser(parser)
            .required_unless_present("show-allowed")
    };
    let file = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("FILE").help(help).value_parser(value_parser!(PathBuf))
    };
    Command::new("shadow")
        .about("Replay recorded requests against an old and a new server, and print what differs")
        .after_help(
            "Only requests that are safe to repeat are replayed: GET and HEAD, except of a link that confirms an address, and \
             logins.\nThe exit code is 0 when all answers are the same, 3 when something differs or could not be compared, and 1 \
             when the replay failed.",
        )
        .arg(url("old", "The base URL of the old server, such as https://old.example"))
        .arg(url("new", "The base URL of the new server; to a plain http:// one of another machine, append #tls=none"))
        .arg(
            file("requests", "The recorded requests: a HAR file, or an object of JSON per line")
                .required_unless_present("show-allowed"),
        )
        .arg(file("allow", "A file with the differences that are intended, a rule per line"))
        .arg(
            Arg::new("rate")
                .long("rate")
                .value_name("N")
                .value_parser(value_parser!(u16).range(1..=1000))
                .default_value("5")
                .help("The maximum number of requests per second; one at a time is sent to each server"),
        )
        .arg(Arg::new("dangerous-replay-writes").long("dangerous-replay-writes").action(ArgAction::SetTrue).help(
            "Replay all other requests too: sign-ups, changes and deletions happen again, on both servers. For two servers \
             that nobody uses",
        ))
        .arg(
            Arg::new("show-allowed")
                .long("show-allowed")
                .action(ArgAction::SetTrue)
                .help("Print the rules that always apply, in the format of --allow, and replay nothing"),
        )
        .arg(json())
}

/// Replays the requests, prints the report, and returns the exit code.
pub(super) async fn run(matches: &ArgMatches, settings: &Settings) -> Result<ExitCode, BoxError> {
    if matches.get_flag("show-allowed") {
        return print(allow::built_in_text().trim_end()).map(|()| ExitCode::SUCCESS);
    }
    let given = |name: &str| matches.get_one::<PathBuf>(name);
    let rules = match given("allow") {
        Some(path) => {
            let text = read(path)?;
            let text = str::from_utf8(&text).map_err(|_| format!("{} is not UTF-8", path.display()))?;
            Rules::parse(text).map_err(|error| format!("{}: {error}", path.display()))?
        }
        None => Rules::default(),
    };
    let path = given("requests").ok_or("--requests is required")?;
    let recording = Recording::parse(&read(path)?).map_err(|error| format!("{}: {error}", path.display()))?;
    let base = |name: &str| matches.get_one::<BaseUrl>(name).cloned().ok_or_else(|| format!("--{name} is required"));
    let replay = Replay {
        servers: Sides { old: base("old")?, new: base("new")? },
        rate: matches.get_one::<u16>("rate").copied().unwrap_or(1),
        is_with_writes: matches.get_flag("dangerous-replay-writes"),
        rules,
    };
    let report = replay.run(recording, &settings.roots()).await?;
    match matches.get_flag("json") {
        true => print_json(&report)?,
        false => print(&report.text())?,
    }
    Ok(if report.is_same() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}

fn read(path: &PathBuf) -> Result<Zeroizing<Vec<u8>>, BoxError> {
    let unreadable = |error| format!("{} cannot be read: {error}", path.display());
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path).map_err(unreadable)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let limit = MAX_FILE_BYTES >> 20;
        return Err(format!("{} is larger than {limit} MiB: divide it", path.display()).into());
    }
    Ok(bytes)
}
