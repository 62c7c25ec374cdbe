//! `authy-server config`: the settings in force, and a check of all of them.

use std::process::ExitCode;

use clap::{ArgMatches, Command};
use serde::Serialize;

use super::{
    arguments::{json, print, print_list},
    doctor::{self, Finding, FindingLevel},
    flags, in_force,
};
use crate::{
    config::{Problems, Resolved, Settings, ShownSetting},
    start::BoxError,
};

/// The source of a value that is computed.
const COMPUTED: &str = "computed";

/// The source of the issuer when the database has said it.
const DATABASE: &str = "the database";

/// Returns the command. Its help shows the flags of the settings.
pub(super) fn command() -> Command {
    Command::new("config")
        .about("Show every setting in force and its source; its --help describes every setting")
        .args(flags::shown())
        .arg(json())
        .subcommand(
            Command::new("check")
                .about("Check the settings, and the files that they name, without starting anything")
                .long_about(
                    "Check the settings, and the files that they name, without starting anything or connecting to \
                     another server: `doctor` does that, too.\n\nThe exit code is 0 when the settings can be used, and 1 \
                     when there is a problem. All problems are reported at once.",
                )
                .args(flags::hidden())
                .arg(json()),
        )
}

/// A setting, as it is printed.
#[derive(Serialize)]
struct ListedSetting {
    setting: String,
    value: Option<String>,
    source: &'static str,
}

/// Shows the settings in force.
pub(super) async fn show(matches: &ArgMatches, resolved: &Resolved, settings: &Settings) -> Result<(), BoxError> {
    let mut computed = in_force::computed(settings);
    let mut kept = in_force::kept_issuer(settings).await;
    let listed: Vec<_> = resolved
        .rows()
        .map(|ShownSetting { key, variable: setting, value, source }| match value {
            Some(value) => ListedSetting { setting, value: Some(value.to_owned()), source },
            None if key == "issuer" && kept.is_some() => {
                ListedSetting { setting, value: kept.take(), source: DATABASE }
            }
            None => {
                let value = computed.remove(key);
                ListedSetting { setting, source: if value.is_some() { COMPUTED } else { source }, value }
            }
        })
        .collect();
    print_list(matches, &listed, |ListedSetting { setting, value, source }| {
        format!("{setting:<26} {}    # {source}", value.as_deref().unwrap_or("(none)"))
    })
}

/// Checks settings that can be read.
pub(super) async fn check(matches: &ArgMatches, settings: &Settings) -> Result<ExitCode, BoxError> {
    print_problems(matches, doctor::configuration_problems(settings).await)
}

/// Reports settings that cannot be read.
pub(super) fn refuse(matches: &ArgMatches, problems: &Problems) -> Result<ExitCode, BoxError> {
    print_problems(matches, problems.iter().map(doctor::unreadable).collect())
}

fn print_problems(matches: &ArgMatches, problems: Vec<Finding>) -> Result<ExitCode, BoxError> {
    let has_problem = problems.iter().any(|problem| problem.level == FindingLevel::Problem);
    if problems.is_empty() && !matches.get_flag("json") {
        print("every setting can be used")?;
    } else {
        doctor::print_findings(matches, &problems)?;
    }
    Ok(if has_problem { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
