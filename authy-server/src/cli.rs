//! The command line: starts the server, and calls the engine for an operator.

use std::process::ExitCode;

use authy_core::{ClientInfo, engine::Caller, error::chain};
use clap::{Arg, ArgMatches, Command, parser::ValueSource, value_parser};

use crate::{
    config::{Resolved, Settings, Sources, TABLE},
    openapi,
    start::{self, BoxError, Database, Sharing},
};

mod arguments;
mod event;
mod health;
mod key;
mod log;
mod role;
mod user;

use arguments::print;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        // Prints the error or the help, and exits with 2 or 0.
        Err(error) => error.exit(),
    };
    match run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(matches: &ArgMatches) -> Result<(), BoxError> {
    // Needs no settings, so that it works on a build machine.
    if let Some(("openapi", _)) = matches.subcommand() {
        return print(&serde_json::to_string_pretty(&openapi::document())?);
    }
    let (resolved, settings) = settings(matches)?;
    let repetitions = log::start(&settings.log, settings.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.spawn(repetitions.clone().report_at_intervals());
    let ended = runtime.block_on(dispatch(matches, &resolved, &settings));
    repetitions.report();
    ended
}

async fn dispatch(matches: &ArgMatches, resolved: &Resolved, settings: &Settings) -> Result<(), BoxError> {
    match matches.subcommand() {
        None | Some(("serve", _)) => start::serve(settings).await,
        Some(("config", _)) => print(resolved.show().trim_end()),
        Some(("health", _)) => health::run(settings).await,
        Some(("migrate", _)) => migrate(settings).await,
        Some((noun, matches)) => command_on_engine(noun, matches, settings).await,
    }
}

fn command() -> Command {
    let settings = TABLE.iter().filter(|setting| !setting.is_secret).map(|setting| {
        let default =
            if setting.default.is_empty() { String::new() } else { format!(" [default: {}]", setting.default) };
        Arg::new(setting.key)
            .long(setting.flag())
            .value_name("VALUE")
            .help(format!("{}{default} [env: {}]", setting.meaning.trim(), setting.variable()))
            .help_heading("Settings")
            .hide_short_help(true)
            .global(true)
    });
    let file = Arg::new("config-file")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(std::path::PathBuf))
        .help("A TOML file with settings [env: AUTHY_CONFIG]")
        .global(true);
    Command::new("authy-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Authentication and authorization over HTTP")
        .long_about(
            "Authentication and authorization over HTTP.\n\nWithout a command it starts the server. Every \
             setting is a flag, a variable and a key of the file; a flag overrides the environment, and the environment \
             the file. Secrets are never flags: AUTHY_DATABASE_URL, AUTHY_MASTER_KEY, AUTHY_AMQP_URL, AUTHY_SMTP_URL, AUTHY_WEBHOOK_SECRET, or with _FILE \
             behind.",
        )
        .arg(file)
        .args(settings)
        .subcommand(Command::new("serve").about("Start the server (the default)"))
        .subcommand(Command::new("migrate").about("Migrate the schema of the database"))
        .subcommand(Command::new("config").about("Show every setting and its source"))
        .subcommand(Command::new("health").about("Check whether the server on AUTHY_LISTEN answers"))
        .subcommand(Command::new("openapi").about("Print the OpenAPI document"))
        .subcommand(user::command())
        .subcommand(role::command())
        .subcommand(key::command())
        .subcommand(event::command())
}

fn settings(matches: &ArgMatches) -> Result<(Resolved, Settings), BoxError> {
    // clap returns global flags at the innermost command.
    let mut innermost = matches;
    while let Some((_, inner)) = innermost.subcommand() {
        innermost = inner;
    }
    let flags = TABLE.iter().filter(|setting| !setting.is_secret).filter_map(|setting| {
        let given = innermost.value_source(setting.key) == Some(ValueSource::CommandLine);
        let text = innermost.get_one::<String>(setting.key).filter(|_| given)?;
        Some((setting.key.to_owned(), text.clone()))
    });
    let sources = Sources {
        flags: flags.collect(),
        environment: Sources::environment(),
        file: innermost.get_one("config-file").cloned(),
    };
    Ok(sources.settings().map_err(|problems| format!("the settings are wrong:\n{problems}"))?)
}

async fn migrate(settings: &Settings) -> Result<(), BoxError> {
    let database = Database::open(settings, Sharing::Beside).await?;
    let report = database.engine(settings, "").migrate().await;
    database.close().await?;
    let report = report?;
    for name in &report.applied {
        print(&format!("applied {name}"))?;
    }
    print(&format!("the schema is at version {}", report.version))
}

async fn command_on_engine(noun: &str, matches: &ArgMatches, settings: &Settings) -> Result<(), BoxError> {
    let database = Database::open(settings, Sharing::Beside).await?;
    let done = async {
        let authy = database.engine(settings, "").without_background().start().await?;
        let caller = Caller::operator(ClientInfo::default());
        match noun {
            "user" => user::run(&authy, &caller, matches, settings.reset_url.as_ref()).await,
            "role" => role::run(&authy, &caller, matches).await,
            "event" => event::run(&authy, &caller, matches).await,
            _ => key::run(&authy, &caller, matches).await,
        }
    };
    let done = done.await;
    let closed = database.close().await;
    done.and(closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn a_setting_can_stand_before_or_behind_the_command() {
        for line in [["authy-server", "--audience", "shop", "config"], ["authy-server", "config", "--audience", "shop"]]
        {
            let matches = command().try_get_matches_from(line).unwrap();
            assert_eq!(settings(&matches).unwrap().1.audience, "shop");
        }
    }
}
