//! The command line: the server, and the same engine functions for whoever runs it.

use std::{
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
};

use authy_core::{
    Authy, Invalid,
    engine::{Caller, ClientInfo},
    error::chain,
};
use clap::{Arg, ArgMatches, Command, parser::ValueSource, value_parser};

use crate::{
    config::{Resolved, Settings, Sources, TABLE},
    log, openapi,
    start::{self, Database, Failure, Sharing},
};

mod event;
mod health;
mod key;
mod role;
mod user;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        // Prints it, and ends with 0 for --help and 2 for what is wrong.
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

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    // Needs no settings: it is what a build machine asks for.
    if let Some(("openapi", _)) = matches.subcommand() {
        return print(&serde_json::to_string_pretty(&openapi::document())?);
    }
    let (resolved, settings) = settings(matches)?;
    log::start(&settings.log, settings.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(dispatch(matches, &resolved, &settings))
}

async fn dispatch(matches: &ArgMatches, resolved: &Resolved, settings: &Settings) -> Result<(), Failure> {
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
        .about("Who is this, and may they? Authentication and authorization over HTTP")
        .long_about(
            "Who is this, and may they? Authentication and authorization over HTTP.\n\nWithout a command it serves. Every \
             setting is a flag, a variable and a key of the file; a flag goes before the environment, the environment \
             before the file. Secrets are never flags: AUTHY_DATABASE_URL, AUTHY_MASTER_KEY, AUTHY_AMQP_URL, AUTHY_SMTP_URL, AUTHY_WEBHOOK_SECRET, or with _FILE \
             behind.",
        )
        .arg(file)
        .args(settings)
        .subcommand(Command::new("serve").about("Serve: what happens without a command"))
        .subcommand(Command::new("migrate").about("Bring the database's schema up to date"))
        .subcommand(Command::new("config").about("Show every setting, and where it came from"))
        .subcommand(Command::new("health").about("Ask the server that listens on AUTHY_LISTEN whether it answers"))
        .subcommand(Command::new("openapi").about("Print the OpenAPI document"))
        .subcommand(user::command())
        .subcommand(role::command())
        .subcommand(key::command())
        .subcommand(event::command())
}

fn settings(matches: &ArgMatches) -> Result<(Resolved, Settings), Failure> {
    // Global flags are found at the command that they stand behind.
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

async fn migrate(settings: &Settings) -> Result<(), Failure> {
    let database = Database::open(settings, Sharing::Beside).await?;
    let report = database.engine(settings, "").migrate().await;
    database.close().await?;
    let report = report?;
    for name in &report.applied {
        print(&format!("applied {name}"))?;
    }
    print(&format!("the schema is at version {}", report.version))
}

async fn command_on_engine(noun: &str, matches: &ArgMatches, settings: &Settings) -> Result<(), Failure> {
    let database = Database::open(settings, Sharing::Beside).await?;
    let done = async {
        let authy = database.engine(settings, "").start().await?;
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

/// A required argument that is a checked type.
fn required<T>(name: &'static str, help: &'static str) -> Arg
where
    T: std::str::FromStr<Err: Error + Send + Sync + 'static> + Clone + Send + Sync + 'static,
{
    Arg::new(name).long(name).value_name(name.to_uppercase()).help(help).required(true).value_parser(str::parse::<T>)
}

/// A required argument that names what there is already, and so may have been named under an earlier rule.
fn existing<T>(name: &'static str, help: &'static str, parse: fn(&str) -> Result<T, Invalid>) -> Arg
where
    T: Clone + Send + Sync + 'static,
{
    Arg::new(name).long(name).value_name(name.to_uppercase()).help(help).required(true).value_parser(parse)
}

/// The value of a required argument.
fn given<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Result<T, Failure> {
    Ok(matches.get_one::<T>(name).cloned().ok_or_else(|| format!("--{name} is required"))?)
}

/// Who has that name.
async fn user_named(authy: &Authy, matches: &ArgMatches) -> Result<authy_core::UserId, Failure> {
    let name = given::<authy_core::Username>(matches, "username")?;
    let id = authy.users().find_id(&name).await?;
    Ok(id.ok_or_else(|| format!("there is no user {name}"))?)
}

/// Prints a line. Not by `println!`, which panics when the reader has gone.
fn print(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
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
