//! The flags of the settings. Every command has them, and only the help of `config` shows them.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, value_parser};

use crate::config::{Setting, Sources, TABLE};

/// Returns the flag that names the file of settings.
pub(super) fn file() -> Arg {
    Arg::new("config-file")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("A TOML file with settings [env: AUTHY_CONFIG]")
        .global(true)
}

/// Returns the flags for every command.
pub(super) fn hidden() -> impl Iterator<Item = Arg> {
    settings().map(|setting| flag(setting).hide(true))
}

/// Returns the flags for the command whose help shows them.
pub(super) fn shown() -> impl Iterator<Item = Arg> {
    settings().map(|setting| flag(setting).help_heading("Settings"))
}

fn settings() -> impl Iterator<Item = &'static Setting> {
    TABLE.iter().filter(|setting| !setting.is_secret)
}

fn flag(setting: &Setting) -> Arg {
    let default = if setting.default.is_empty() { String::new() } else { format!(" [default: {}]", setting.default) };
    let help = format!("{}{default} [env: {}]", setting.meaning.trim(), setting.variable());
    Arg::new(setting.key).long(setting.flag()).value_name("VALUE").help(help).global(true)
}

/// Returns the sources of the settings: the flags, the environment, and the file that one of both names.
pub(super) fn sources(matches: &ArgMatches) -> Sources {
    let mut sources = Sources { environment: Sources::environment(), ..Sources::default() };
    add_flags(matches, &mut sources);
    sources
}

/// Adds the flags of a command, and those behind its subcommand, which go first.
fn add_flags(matches: &ArgMatches, sources: &mut Sources) {
    for setting in settings() {
        if let Ok(Some(text)) = matches.try_get_one::<String>(setting.key) {
            sources.flags.insert(setting.key.to_owned(), text.clone());
        }
    }
    if let Ok(Some(file)) = matches.try_get_one::<PathBuf>("config-file") {
        sources.file = Some(file.clone());
    }
    if let Some((_, inner)) = matches.subcommand() {
        add_flags(inner, sources);
    }
}
