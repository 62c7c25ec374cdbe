//! `authy-server export`

use std::process::ExitCode;

use authy_core::{
    Authy,
    engine::{Caller, ExportNoteKind, ExportOptions, ExportReport, FirstAuthy},
};
use clap::{ArgMatches, Command};

use super::{
    arguments::{json, print, print_json},
    progress::ProgressLine,
    transfer::{batch, batch_size, exit_code, first_authy, flag, map_role, note_lines, report_text, role_names, text},
};
use crate::{
    config::{DatabaseUrl, Settings},
    start::BoxError,
};

pub(super) fn command() -> Command {
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
        .arg(flag("dry-run", "Write nothing, and report what would be done"))
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
        .arg(map_role("The role OLD there is the role NEW here, as at the import. Can be repeated"))
        .arg(text("source", "NAME", "The name of the source, as at the import").default_value("authy-1"))
        .arg(batch("USERS", "500", "The number of users per transaction"))
        .arg(
            flag(
                "forget",
                "Delete the password hashes that were kept for the first authy, when it will not be started again. Leave \
                 AUTHY_COMPAT out of the settings of every server before",
            )
            .conflicts_with_all(["to", "dry-run", "app-time-zone", "database-time-zone", "map-role", "json"]),
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
    let options = ExportOptions {
        dry_run: matches.get_flag("dry-run"),
        source: matches.get_one::<String>("source").cloned().unwrap_or_default(),
        role_names: role_names(matches),
        batch: batch_size(matches),
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
        false => print(&describe(&report))?,
    }
    Ok(exit_code(report.is_complete()))
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
    Ok(first_authy(url, matches, settings))
}

/// Returns the report for people.
fn describe(report: &ExportReport) -> String {
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
    lines.extend(note_lines(&report.counts, &report.notes));
    report_text(&lines)
}
