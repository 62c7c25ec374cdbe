//! `authy-server export`

use std::{collections::BTreeMap, process::ExitCode};

use authy_core::{
    Authy, RoleName,
    engine::{Caller, ExportNoteKind, ExportOptions, ExportReport, FirstAuthy},
};
use clap::{Arg, ArgAction, ArgMatches, Command, builder::NonEmptyStringValueParser, value_parser};

use super::{
    arguments::{json, plain, print, print_json},
    import::{INCOMPLETE, mapped_role},
    progress::ProgressLine,
};
use crate::{
    config::{DatabaseUrl, Settings},
    start::BoxError,
};

pub(super) fn command() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).value_parser(NonEmptyStringValueParser::new())
    };
    Command::new("export")
        .about("Write users who were created or changed here into the database of the first authy, to start it again")
        .after_help(
            "The exit code is 0 when everything was written, 3 when the report names what was not, and 1 when the export \
             failed: run it again, and it continues.",
        )
        .arg(text(
            "to",
            "URL",
            "The PostgreSQL URL of the first authy. A password in it can be read by other users of this machine: leave it \
             out and set AUTHY_EXPORT_TO",
        ))
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Write nothing, and report what would be done"),
        )
        .arg(json())
        .arg(text(
            "app-time-zone",
            "ZONE",
            "The time zone of the program that wrote the database, as at the import [default: UTC]",
        ))
        .arg(text(
            "database-time-zone",
            "ZONE",
            "The time zone of its database sessions, as at the import [default: that of a session of this role]",
        ))
        .arg(
            Arg::new("map-role")
                .long("map-role")
                .value_name("OLD=NEW")
                .action(ArgAction::Append)
                .value_parser(mapped_role)
                .help("The role OLD there is the role NEW here, as at the import. Can be repeated"),
        )
        .arg(text("source", "NAME", "The name of the source, as at the import").default_value("authy-1"))
        .arg(
            Arg::new("batch")
                .long("batch")
                .value_name("USERS")
                .value_parser(value_parser!(u16).range(1..=10_000))
                .default_value("500")
                .help("The number of users per transaction"),
        )
        .arg(
            Arg::new("forget")
                .long("forget")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["to", "dry-run", "app-time-zone", "database-time-zone", "map-role", "json"])
                .help(
                    "Delete the password hashes that were kept for the first authy, when it will not be started again. Leave \
                     AUTHY_COMPAT out of the settings of every server before",
                ),
        )
}

/// Exports, prints the report, and returns the exit code.
pub(super) async fn run(
    authy: &Authy,
    caller: &Caller,
    matches: &ArgMatches,
    settings: &Settings,
) -> Result<ExitCode, BoxError> {
    if matches.get_flag("forget") {
        return forget(authy, caller, settings).await;
    }
    let mapped = matches.get_many::<(String, RoleName)>("map-role").into_iter().flatten().cloned();
    let options = ExportOptions {
        dry_run: matches.get_flag("dry-run"),
        source: matches.get_one::<String>("source").cloned().unwrap_or_default(),
        role_names: mapped.collect::<BTreeMap<_, _>>(),
        batch: matches.get_one::<u16>("batch").copied().unwrap_or_default().into(),
    };
    let target = target(matches, settings)?;
    let mut line = ProgressLine::new();
    let exported = authy.export(caller, &target, &options, |progress| {
        let (read, total, created) = (progress.read, progress.total, progress.created);
        let (changed, refused) = (progress.changed, progress.refused);
        line.show(read >= total, |seconds| {
            format!("{read} of {total} users: {created} created, {changed} changed, {refused} not written, after {seconds} s")
        });
    });
    let exported = exported.await;
    line.end();
    let report = exported?;
    match matches.get_flag("json") {
        true => print_json(&report)?,
        false => print(&text(&report))?,
    }
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) })
}

async fn forget(authy: &Authy, caller: &Caller, settings: &Settings) -> Result<ExitCode, BoxError> {
    let forgotten = authy.forget_fallback_hashes(caller).await?;
    print(&format!("hashes for the first authy that were kept and are deleted: {forgotten}"))?;
    if settings.compat.is_some() {
        print("AUTHY_COMPAT is set: servers with it keep new ones")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn target(matches: &ArgMatches, settings: &Settings) -> Result<FirstAuthy, BoxError> {
    let url = match (matches.get_one::<String>("to"), &settings.export_to) {
        (Some(to), _) => DatabaseUrl::read(to).map_err(|problem| format!("--to {problem}"))?,
        (None, Some(url)) => url.clone(),
        (None, None) => return Err("--to or AUTHY_EXPORT_TO is required".into()),
    };
    let zone = |name| matches.get_one::<String>(name).cloned();
    Ok(FirstAuthy {
        roots: url.roots.unwrap_or_else(|| settings.roots()),
        database: url.config,
        app_time_zone: zone("app-time-zone"),
        database_time_zone: zone("database-time-zone"),
    })
}

/// Returns the report for people.
fn text(report: &ExportReport) -> String {
    let ExportReport { source, read, created, changed, unchanged, refused, roles_created, .. } = report;
    let mut lines = Vec::new();
    if report.is_dry_run {
        lines.push("dry run: nothing was written".to_owned());
    }
    lines.push(format!(
        "{source}: {read} users: {created} created, {changed} changed, {unchanged} unchanged, {refused} not written; \
         {roles_created} roles created"
    ));
    let (app, database) = (&report.app_time_zone, &report.database_time_zone);
    lines.push(format!("times of sign-ups and deletions are in {app}, those of logins in {database}"));
    if let Some(count) = report.counts.get(&ExportNoteKind::MustReset) {
        lines.push(format!(
            "{count} users have to reset the password: no hash that the first authy understands is known"
        ));
    }
    lines.extend(report.counts.iter().map(|(kind, count)| format!("notes: {count} {kind}")));
    lines.extend(report.notes.iter().map(ToString::to_string));
    let noted: u64 = report.counts.values().sum();
    let omitted = noted.saturating_sub(u64::try_from(report.notes.len()).unwrap_or(u64::MAX));
    if omitted > 0 {
        lines.push(format!("and {omitted} further notes"));
    }
    // A name may contain what acts on a terminal.
    lines.iter().map(|line| plain(line)).collect::<Vec<_>>().join("\n")
}
