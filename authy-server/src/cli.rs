//! The command line: starts the server, and calls the engine for an operator.

use std::process::ExitCode;

use authy_core::{Authy, ClientInfo, engine::Caller, error::chain};
use clap::{ArgMatches, Command};

use crate::{
    config::{Resolved, Settings},
    openapi,
    start::{self, BoxError, Database, Sharing},
};

mod arguments;
mod config;
mod doctor;
mod event;
mod export;
mod flags;
mod health;
mod import;
mod in_force;
mod issuer;
mod key;
mod log;
mod password;
mod progress;
mod recover;
mod role;
mod session;
mod shadow;
mod shell;
mod transfer;
mod user;

use arguments::{print, print_result};
#[cfg(feature = "fuzz-entry-points")]
pub(crate) use shadow::fuzz_recording;

/// The version, with the commit that it was built from when that is known.
const VERSION: &str = env!("PROGRAM_VERSION");

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        // Prints the error or the help, and exits with 2 or 0.
        Err(error) => error.exit(),
    };
    match run(&matches) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(matches: &ArgMatches) -> Result<ExitCode, BoxError> {
    // These need no settings, so that they work on a build machine.
    match matches.subcommand() {
        Some(("openapi", _)) => return done(print(&serde_json::to_string_pretty(&openapi::document())?)),
        Some(("completions", matches)) => return done(print(shell::completions(matches, command())?.trim_end())),
        Some(("man", matches)) => return done(shell::man(matches, command())),
        _ => {}
    }
    let (resolved, settings) = match (flags::sources(matches).settings(), matches.subcommand()) {
        (Ok(settings), _) => settings,
        (Err(problems), Some(("doctor", matches))) => return doctor::print_problems(matches, &problems),
        (Err(problems), Some(("config", matches))) if matches.subcommand().is_some() => {
            return config::refuse(innermost(matches), &problems);
        }
        (Err(problems), _) => return Err(format!("the settings are wrong:\n{problems}").into()),
    };
    let is_server = matches!(matches.subcommand(), None | Some(("serve", _)));
    let repetitions = log::start(&settings, resolved.is_default("log") && !is_server);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.spawn(repetitions.clone().report_at_intervals());
    let ended = runtime.block_on(dispatch(matches, &resolved, &settings));
    repetitions.report();
    ended
}

fn done(result: Result<(), BoxError>) -> Result<ExitCode, BoxError> {
    result.map(|()| ExitCode::SUCCESS)
}

/// Returns the matches of the innermost command.
fn innermost(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, inner)| innermost(inner))
}

async fn dispatch(matches: &ArgMatches, resolved: &Resolved, settings: &Settings) -> Result<ExitCode, BoxError> {
    match matches.subcommand() {
        None | Some(("serve", _)) => done(start::serve(settings).await),
        Some(("config", matches)) => match matches.subcommand() {
            Some((_, matches)) => config::check(matches, settings).await,
            None => done(config::show(matches, resolved, settings).await),
        },
        Some(("doctor", matches)) => doctor::run(matches, settings).await,
        Some(("health", matches)) => done(health::run(matches, settings).await),
        Some(("migrate", matches)) => done(migrate(matches, settings).await),
        Some(("import", matches)) => import(matches, settings).await,
        Some(("shadow", matches)) => shadow::run(matches, settings).await,
        Some(("export", matches)) => export(matches, settings).await,
        Some((noun, matches)) => done(command_on_engine(noun, matches, settings).await),
    }
}

fn command() -> Command {
    Command::new("authy-server")
        .version(VERSION)
        .about("Authentication and authorization over HTTP")
        .long_about(
            "Authentication and authorization over HTTP.\n\nWithout a command it starts the server. Every setting is a \
             flag, a variable and a key of the file; a flag overrides the environment, and the environment the file: \
             `authy-server config --help` describes all of them. Secrets are never flags: AUTHY_DATABASE_URL, \
             AUTHY_MASTER_KEY, AUTHY_AMQP_URL, AUTHY_IMPORT_FROM, AUTHY_EXPORT_TO, AUTHY_SMTP_URL, AUTHY_WEBHOOK_SECRET, or with _FILE behind.",
        )
        .after_help(
            "Settings are flags of every command, such as --listen 127.0.0.1:8080: see `authy-server config --help`.\n\
             The exit code is 0, 1 when a command fails, and 2 when it is not understood.",
        )
        .arg(flags::file())
        .args(flags::hidden())
        .subcommand(Command::new("serve").about("Start the server (the default)"))
        .subcommand(Command::new("migrate").about("Migrate the schema of the database").arg(arguments::json()))
        .subcommand(config::command())
        .subcommand(doctor::command())
        .subcommand(
            Command::new("health")
                .about("Check whether the server on AUTHY_ADMIN_LISTEN or AUTHY_LISTEN is ready for requests")
                .arg(arguments::json()),
        )
        .subcommand(user::command())
        .subcommand(session::command())
        .subcommand(role::command())
        .subcommand(key::command())
        .subcommand(issuer::command())
        .subcommand(recover::command())
        .subcommand(event::command())
        .subcommand(import::command())
        .subcommand(shadow::command())
        .subcommand(export::command())
        .subcommand(Command::new("openapi").about("Print the OpenAPI document"))
        .subcommands(shell::commands())
}

async fn migrate(matches: &ArgMatches, settings: &Settings) -> Result<(), BoxError> {
    let database = Database::open(settings, Sharing::Beside).await?;
    let report = database.engine(settings).start_timeout(settings.start_timeout).migrate().await;
    database.close().await?;
    let report = report.map_err(start::explain)?;
    let value = serde_json::json!({ "applied": report.applied, "version": report.version });
    print_result(matches, &value, || {
        let mut lines: Vec<_> = report.applied.iter().map(|name| format!("applied {name}")).collect();
        lines.push(format!("the schema is at version {}", report.version));
        lines.join("\n")
    })
}

async fn command_on_engine(noun: &str, matches: &ArgMatches, settings: &Settings) -> Result<(), BoxError> {
    let (database, authy) = engine_beside(settings, Sharing::Beside).await?;
    let caller = Caller::operator(ClientInfo::default());
    let done = match noun {
        "user" => user::run(&authy, &caller, matches, start::reset_link(settings).await.as_ref()).await,
        "session" => session::run(&authy, &caller, matches).await,
        "role" => role::run(&authy, &caller, matches).await,
        "event" => event::run(&authy, &caller, matches).await,
        "issuer" => issuer::run(&authy, &caller, matches).await,
        "recover" => recover::run(&authy, &caller, matches).await,
        _ => key::run(&authy, &caller, matches).await,
    };
    drop(authy);
    let closed = database.close().await;
    done.and(closed)
}

async fn import(matches: &ArgMatches, settings: &Settings) -> Result<ExitCode, BoxError> {
    // Before a database is created for it.
    let source = import::source(matches, settings)?;
    let place = import::Place::of(matches, settings)?;
    let (database, authy) = engine_beside(place.settings(), Sharing::BesideOrFirst).await?;
    let imported = import::run(&authy, &Caller::operator(ClientInfo::default()), matches, source).await;
    drop(authy);
    let closed = database.close().await;
    imported.and_then(|code| closed.map(|()| code))
}

async fn export(matches: &ArgMatches, settings: &Settings) -> Result<ExitCode, BoxError> {
    let (database, authy) = engine_beside(settings, Sharing::Beside).await?;
    let exported = export::run(&authy, &Caller::operator(ClientInfo::default()), matches, settings).await;
    drop(authy);
    let closed = database.close().await;
    exported.and_then(|code| closed.map(|()| code))
}

/// Starts the engine of a command, perhaps beside a server.
async fn engine_beside(settings: &Settings, sharing: Sharing) -> Result<(Database, Authy), BoxError> {
    loop {
        let database = Database::open(settings, sharing).await?;
        let engine = database.engine(settings).start_timeout(settings.command_timeout()).beside_servers();
        match engine.start().await {
            Ok(authy) => return Ok((database, authy)),
            // The server was killed just before. Now the command starts the database itself.
            Err(error) if error.is_unavailable() && database.has_ended(settings) => {}
            Err(error) => return database.close().await.and(Err(start::explain(error))),
        }
    }
}

#[cfg(test)]
mod tests;
