//! `authy-server doctor`: looks for what is wrong with the settings, the machine, and the services that the server uses.
//! It changes nothing, and shows no secret.

use std::{future::Future, process::ExitCode, time::Duration};

use clap::{ArgMatches, Command};
use tokio::time::timeout;

use super::arguments::{json, print, print_json};
use crate::{
    config::{Problems, Settings},
    start::BoxError,
};

#[cfg(feature = "amqp")]
mod broker;
mod clock;
mod compat;
mod configuration;
mod database;
mod disk;
mod finding;
mod keys;
mod limits;
#[cfg(feature = "mail")]
mod mail;
mod schema;
#[cfg(feature = "tls")]
mod tls;
mod url;
#[cfg(feature = "webhook")]
mod webhook;

pub(super) use configuration::{problems as configuration_problems, unreadable};
pub(super) use finding::{Finding, FindingLevel};

/// Maximum time of a check of another server. Longer than each of its own limits, so that their messages are seen.
const CHECK_TIMEOUT: Duration = Duration::from_secs(15);

/// Maximum time until the server's own PostgreSQL has started, perhaps after a crash, and answers.
const OWN_DATABASE_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn command() -> Command {
    Command::new("doctor")
        .about("Look for what is wrong with the settings, the machine, and the services that the server uses")
        .long_about(
            "Look for what is wrong with the settings, the machine, and the services that the server uses: database, \
             RabbitMQ, mail server and webhook. Changes nothing, and sends no mail and no message.\n\nThe exit code is 0 \
             when everything is well, also with notes about what the settings say, 1 with warnings, and 2 with problems.",
        )
        .arg(json())
}

/// Performs all checks at the same time, and prints what they find.
pub(super) async fn run(matches: &ArgMatches, settings: &Settings) -> Result<ExitCode, BoxError> {
    let (configuration, database, broker, mail, webhook) = tokio::join!(
        configuration::findings(settings),
        database::findings(settings),
        broker_findings(settings),
        mail_findings(settings),
        webhook_findings(settings),
    );
    let (url, disk, limits) = (url::findings(settings), disk::findings(settings), limits::findings());
    let compat = compat::findings(settings);
    #[cfg(feature = "tls")]
    let tls = tls::findings(settings);
    #[cfg(not(feature = "tls"))]
    let tls = Vec::new();
    let all = [configuration, compat, url, tls, database, broker, mail, webhook, disk, limits];
    print_findings(matches, &all.concat())
}

/// Prints the settings that cannot be read, which nothing can be checked without.
pub(super) fn print_problems(matches: &ArgMatches, problems: &Problems) -> Result<ExitCode, BoxError> {
    print_findings(matches, &problems.iter().map(unreadable).collect::<Vec<_>>())
}

/// Prints findings, and returns the exit code: 2 with a problem, 1 with a warning.
pub(super) fn print_findings(matches: &ArgMatches, findings: &[Finding]) -> Result<ExitCode, BoxError> {
    match matches.get_flag("json") {
        true => print_json(&findings)?,
        false => findings.iter().try_for_each(|finding| print(&finding.to_string()))?,
    }
    Ok(match findings.iter().map(|finding| finding.level).max() {
        Some(FindingLevel::Problem) => ExitCode::from(2),
        Some(FindingLevel::Warning) => ExitCode::from(1),
        Some(FindingLevel::Note | FindingLevel::Ok) | None => ExitCode::SUCCESS,
    })
}

#[cfg(feature = "amqp")]
async fn broker_findings(settings: &Settings) -> Vec<Finding> {
    bounded("broker", CHECK_TIMEOUT, broker::findings(settings)).await
}

#[cfg(not(feature = "amqp"))]
async fn broker_findings(_: &Settings) -> Vec<Finding> {
    Vec::new()
}

#[cfg(feature = "mail")]
async fn mail_findings(settings: &Settings) -> Vec<Finding> {
    bounded("mail", CHECK_TIMEOUT, mail::findings(settings)).await
}

#[cfg(not(feature = "mail"))]
async fn mail_findings(_: &Settings) -> Vec<Finding> {
    Vec::new()
}

#[cfg(feature = "webhook")]
async fn webhook_findings(settings: &Settings) -> Vec<Finding> {
    bounded("webhook", CHECK_TIMEOUT, webhook::findings(settings)).await
}

#[cfg(not(feature = "webhook"))]
async fn webhook_findings(_: &Settings) -> Vec<Finding> {
    Vec::new()
}

/// Bounds the time of a check.
async fn bounded(area: &'static str, limit: Duration, check: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    timeout(limit, check).await.unwrap_or_else(|_| {
        let message = format!("there was no answer within {} seconds", limit.as_secs());
        vec![Finding::problem(area, message, "look whether the network or a firewall drops the connection")]
    })
}
