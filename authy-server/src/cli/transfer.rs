//! What `import` and `export` have in common.

use std::{collections::BTreeMap, fmt, process::ExitCode};

use authy_core::{
    RoleName,
    engine::{FirstAuthy, Note},
};
use clap::{Arg, ArgAction, ArgMatches, builder::NonEmptyStringValueParser, value_parser};

use super::arguments::plain;
use crate::config::{DatabaseUrl, Settings};

/// The exit code when the report names something that was left out.
const INCOMPLETE: u8 = 3;

/// An option with a text.
pub(super) fn text(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help).value_parser(NonEmptyStringValueParser::new())
}

/// An option without a value.
pub(super) fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// `--map-role`, whose value is read by [`role_names`].
pub(super) fn map_role(help: &'static str) -> Arg {
    let arg = Arg::new("map-role").long("map-role").value_name("OLD=NEW").help(help);
    arg.action(ArgAction::Append).value_parser(mapped_role)
}

/// `--batch`, whose value is read by [`batch_size`].
pub(super) fn batch(value: &'static str, default: &'static str, help: &'static str) -> Arg {
    let arg = Arg::new("batch").long("batch").value_name(value).default_value(default).help(help);
    arg.value_parser(value_parser!(u16).range(1..=10_000))
}

/// Reads `OLD=NEW`. The old name may contain an equals sign.
fn mapped_role(text: &str) -> Result<(String, RoleName), String> {
    let (old, new) = text.rsplit_once('=').ok_or("must be OLD=NEW")?;
    Ok((old.to_owned(), RoleName::existing(new).map_err(|error| error.to_string())?))
}

pub(super) fn role_names(matches: &ArgMatches) -> BTreeMap<String, RoleName> {
    matches.get_many::<(String, RoleName)>("map-role").into_iter().flatten().cloned().collect()
}

pub(super) fn batch_size(matches: &ArgMatches) -> usize {
    matches.get_one::<u16>("batch").copied().unwrap_or_default().into()
}

/// Returns the database of the first authy at a URL, with the time zones of the options.
pub(super) fn first_authy(url: DatabaseUrl, matches: &ArgMatches, settings: &Settings) -> FirstAuthy {
    let zone = |name| matches.get_one::<String>(name).cloned();
    FirstAuthy {
        roots: url.roots.unwrap_or_else(|| settings.roots()),
        database: url.config,
        app_time_zone: zone("app-time-zone"),
        database_time_zone: zone("database-time-zone"),
    }
}

/// Returns the lines about the notes of a report.
pub(super) fn note_lines<K: fmt::Display>(counts: &BTreeMap<K, u64>, notes: &[Note<K>]) -> Vec<String> {
    let mut lines: Vec<_> = counts.iter().map(|(kind, count)| format!("notes: {count} {kind}")).collect();
    lines.extend(notes.iter().map(ToString::to_string));
    let noted: u64 = counts.values().sum();
    let omitted = noted.saturating_sub(u64::try_from(notes.len()).unwrap_or(u64::MAX));
    if omitted > 0 {
        lines.push(format!("and {omitted} further notes"));
    }
    lines
}

/// Returns the text of a report. A name in it may contain what acts on a terminal.
pub(super) fn report_text(lines: &[String]) -> String {
    lines.iter().map(|line| plain(line)).collect::<Vec<_>>().join("\n")
}

pub(super) fn exit_code(is_complete: bool) -> ExitCode {
    if is_complete { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) }
}
