//! Whether the settings suit the clients of an earlier system, where there are any.

use std::time::Duration;

use authy_core::claims::SigningAlgorithm;

use super::finding::Finding;
use crate::config::Settings;

const AREA: &str = "compatibility";

/// Lifetime of the access tokens of the first authy: with shorter ones, users who never refresh have to log in more often than before.
const OLD_SESSION: Duration = Duration::from_secs(4 * 3600);

/// The status with which the service that the webhook calls says that it has the user already.
#[cfg(feature = "webhook")]
const HAS_USER: u16 = 500;

pub(super) fn findings(settings: &Settings) -> Vec<Finding> {
    let mut findings = legacy_tokens(settings);
    if settings.compat.is_none() {
        if findings.is_empty() {
            findings.push(Finding::ok(AREA, "not used (AUTHY_COMPAT)"));
        }
        return findings;
    }
    if settings.require_validated {
        findings.push(Finding::note(
            AREA,
            "a sign-up answers an access token, so that users can act before they have confirmed their address",
            "it is what the earlier clients need; with AUTHY_REQUIRE_VALIDATED their users can log in again only afterwards",
        ));
    }
    let mut warnings = clients(settings);
    warnings.extend(webhook(settings));
    if warnings.is_empty() {
        warnings.push(Finding::ok(AREA, "the settings suit the clients of the earlier system"));
    }
    findings.extend(warnings);
    findings
}

/// Whether tokens of the earlier system are accepted. They are for some time and no longer, so neither is a warning.
fn legacy_tokens(settings: &Settings) -> Vec<Finding> {
    if settings.legacy_hs512_secret.is_some() {
        return vec![Finding::note(
            AREA,
            "tokens of an earlier system are accepted: with AUTHY_LEGACY_HS512_SECRET, anybody can make a token for any user",
            "leave it out once the last of them has expired",
        )];
    }
    match settings.compat {
        None => Vec::new(),
        Some(_) => vec![Finding::note(
            AREA,
            "tokens of the earlier system are refused, so that its users have to log in again",
            "before a switch, set AUTHY_LEGACY_HS512_SECRET to its secret; when its last token has expired, nothing is to be done",
        )],
    }
}

fn clients(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut warn = |message: &str, remedy: &str| findings.push(Finding::warning(AREA, message, remedy));
    if settings.access_ttl < OLD_SESSION {
        warn(
            "the clients of the earlier system do not refresh, so that their users log in again after AUTHY_ACCESS_TTL",
            "set AUTHY_ACCESS_TTL to 4h while AUTHY_COMPAT is set",
        );
    }
    if settings.signing_alg != SigningAlgorithm::EdDSA {
        warn(
            "with the longer signatures of AUTHY_SIGNING_ALG, long usernames do not fit into a token of 1000 characters",
            "set AUTHY_SIGNING_ALG to EdDSA",
        );
    }
    if settings.trusted_proxies.0.is_empty() {
        warn(
            "no proxy is trusted, so that all clients behind the gateway count as one: the guesses of one slow down all",
            "name the gateway in AUTHY_TRUSTED_PROXIES",
        );
    }
    findings
}

/// What the service with the details of users needs, where there is one.
#[cfg(feature = "webhook")]
fn webhook(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    if settings.webhook_url.is_none() {
        return findings;
    }
    let mut warn = |message: &str, remedy: &str| findings.push(Finding::warning(AREA, message, remedy));
    if !settings.webhook_accept.0.iter().any(|accepted| accepted.0 == HAS_USER) {
        warn(
            "the service of the earlier system answers 500 for a user whom it has already, and such a sign-up is sent again and again",
            "set AUTHY_WEBHOOK_ACCEPT to 201,500",
        );
    }
    if settings.webhook_give_up.is_none() {
        warn(
            "a sign-up that the service of the earlier system never accepts is never given up",
            "set AUTHY_WEBHOOK_GIVE_UP, for example to 2d",
        );
    }
    findings
}

#[cfg(not(feature = "webhook"))]
fn webhook(_: &Settings) -> Vec<Finding> {
    Vec::new()
}
