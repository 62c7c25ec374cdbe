//! `authy-server import`

use std::{fs, path::PathBuf, process::ExitCode};

use authy_core::{
    Authy,
    engine::{Caller, FirebaseHash, ImportFormat, ImportOptions, ImportProgress, ImportReport, ImportSource},
};
use clap::{Arg, ArgMatches, Command, value_parser};

use super::{
    arguments::{json, print, print_json},
    progress::ProgressLine,
    transfer::{batch, batch_size, exit_code, first_authy, flag, map_role, note_lines, report_text, role_names, text},
};
use crate::{
    config::{DatabaseUrl, Settings},
    start::BoxError,
};

mod place;

pub(super) use place::Place;

pub(super) fn command() -> Command {
    Command::new("import")
        .about("Import users from another system, once or repeatedly, with their passwords and roles")
        .after_help(
            "The exit code is 0 when everything was imported, 3 when rows, roles or mappings of roles were left out, which the report \
             names, and 1 when the import failed: run it again, and it continues.",
        )
        .arg(text(
            "from",
            "URL|FILE",
            "The PostgreSQL URL of the first authy, or a file. A password in it can be read by other users of this machine: \
             leave it out and set AUTHY_IMPORT_FROM",
        ))
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .value_parser(str::parse::<ImportFormat>)
                .help("The format of the file: jsonl, keycloak, auth0, firebase or supabase [default: jsonl]"),
        )
        .arg(flag("dry-run", "Import nothing, and report what would be done"))
        .arg(json())
        .arg(text(
            "app-time-zone",
            "ZONE",
            "The time zone of the program that wrote the database, such as Europe/Berlin [default: UTC]",
        ))
        .arg(text(
            "database-time-zone",
            "ZONE",
            "The time zone of its database sessions [default: that of a session of this role]",
        ))
        .arg(flag(
            "correct-times",
            "Take the times as they are read now, although those of most users differ from those of the last import as in \
             another time zone: the last import had a wrong one",
        ))
        .arg(map_role("Users with the role OLD there get the role NEW here, which must exist. Can be repeated"))
        .arg(text(
            "source",
            "NAME",
            "The name of the source, by which the next import recognizes its users [default: authy-1, or the format]",
        ))
        .arg(
            Arg::new("firebase-hash-config")
                .long("firebase-hash-config")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("A file with the password hash parameters of the Firebase project, as its console shows them"),
        )
        .arg(flag("wrap",
            "Compute argon2id over every hash of another program at once, so that no weak hash is stored until its user logs \
             in, also over those that an earlier import has stored; it takes as long as a login per user",
        ))
        .arg(batch("ROWS", "2000", "The number of rows per transaction"))
}

/// Imports, prints the report, and returns the exit code.
pub(super) async fn run(
    authy: &Authy,
    caller: &Caller,
    matches: &ArgMatches,
    source: ImportSource,
) -> Result<ExitCode, BoxError> {
    let options = ImportOptions {
        dry_run: matches.get_flag("dry-run"),
        role_names: role_names(matches),
        wrap: matches.get_flag("wrap"),
        correct_times: matches.get_flag("correct-times"),
        batch: batch_size(matches),
    };
    let mut line = ProgressLine::new();
    let on_progress = |progress: &ImportProgress| {
        let ImportProgress { read, total, wrapped, to_wrap, .. } = progress;
        let is_last = if to_wrap.is_some() { *to_wrap == Some(*wrapped) } else { *total == Some(*read) };
        line.show(is_last, |seconds| progress_text(progress, seconds));
    };
    let imported = authy.import(caller, source, &options, on_progress).await;
    line.end();
    let report = imported?;
    match matches.get_flag("json") {
        true => print_json(&report)?,
        false => print(&describe(&report))?,
    }
    Ok(exit_code(report.is_complete()))
}

/// Returns the source that the arguments name.
///
/// # Errors
/// When they do not go together, or name none.
pub(super) fn source(matches: &ArgMatches, settings: &Settings) -> Result<ImportSource, BoxError> {
    let source = unnamed_source(matches, settings)?;
    Ok(match matches.get_one::<String>("source") {
        Some(name) => source.named(name),
        None => source,
    })
}

fn unnamed_source(matches: &ArgMatches, settings: &Settings) -> Result<ImportSource, BoxError> {
    let from = matches.get_one::<String>("from");
    let format = matches.get_one::<ImportFormat>("format").cloned();
    let is_url = |from: &str| from.starts_with("postgresql://") || from.starts_with("postgres://");
    let url = match (from, &settings.import_from) {
        (Some(from), _) if !is_url(from) => {
            return Ok(ImportSource::file(from, file_format(matches, format.unwrap_or(ImportFormat::JsonLines))?));
        }
        (Some(from), _) => DatabaseUrl::read(from).map_err(|problem| format!("--from {problem}"))?,
        (None, Some(url)) => url.clone(),
        (None, None) => return Err("--from or AUTHY_IMPORT_FROM is required".into()),
    };
    if let Some(format) = format {
        return Err(format!("--format {format} is for a file, and --from is the URL of a database").into());
    }
    Ok(ImportSource::first_authy(first_authy(url, matches, settings)))
}

/// Adds the parameters of the hashes of Firebase, which are not in its export.
fn file_format(matches: &ArgMatches, format: ImportFormat) -> Result<ImportFormat, BoxError> {
    match (format, matches.get_one::<PathBuf>("firebase-hash-config")) {
        (ImportFormat::Firebase(_), Some(path)) => {
            let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let hash: FirebaseHash = text.parse().map_err(|error| format!("{}: {error}", path.display()))?;
            Ok(ImportFormat::Firebase(Some(hash)))
        }
        (format, Some(_)) => Err(format!("--firebase-hash-config is not for --format {format}").into()),
        (format, None) => Ok(format),
    }
}

fn progress_text(progress: &ImportProgress, seconds: u64) -> String {
    let ImportProgress { read, total, created, changed, refused, wrapped, to_wrap, .. } = progress;
    if let Some(to_wrap) = to_wrap {
        return format!("wrapped {wrapped} of {to_wrap} hashes that an earlier import has stored, after {seconds} s");
    }
    let of_total = total.map(|total| format!(" of {total}")).unwrap_or_default();
    format!("read {read}{of_total} rows: {created} created, {changed} changed, {refused} left out, after {seconds} s")
}

/// Returns the report for people.
fn describe(report: &ImportReport) -> String {
    let ImportReport { source, read, created, changed, unchanged, refused, roles_created, .. } = report;
    let mut lines = Vec::new();
    if report.is_dry_run {
        lines.push("dry run: nothing was written".to_owned());
    }
    lines.push(format!(
        "{source}: read {read} users: {created} created, {changed} changed, {unchanged} unchanged, {refused} left out; \
         {roles_created} roles created"
    ));
    if let (Some(app), Some(database)) = (&report.app_time_zone, &report.database_time_zone) {
        lines.push(format!(
            "times of sign-ups and deletions are in {app}, those of logins in {database}: import again with --app-time-zone \
             {app} --database-time-zone {database}"
        ));
    }
    if report.wrapped > 0 {
        lines.push(format!("wrapped {} hashes that an earlier import has stored", report.wrapped));
    }
    lines.extend(report.hashes.iter().map(|(format, count)| format!("password hashes: {count} {format}")));
    lines.extend(note_lines(&report.counts, &report.notes));
    report_text(&lines)
}
