//! Whether the settings suit the clients of an earlier system, where there are any.

use std::time::Duration;

use authy_core::claims::SigningAlgorithm;

use super::finding::Finding;
use crate::config::Settings;

const AREA: &str = "compatibility";

/// Lifetime of an access token below which users who never refresh have to log in too often.
const SHORT_SESSION: Duration = Duration::from_secs(3600);

pub(super) fn findings(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut warn = |message: &str, remedy: &str| findings.push(Finding::warning(AREA, message, remedy));
    if settings.legacy_hs512_secret.is_some() {
        warn(
            "tokens of an earlier system are accepted: whoever knows AUTHY_LEGACY_HS512_SECRET can be anybody",
            "leave it out once the last of them has expired",
        );
    }
    if settings.compat.is_none() {
        if findings.is_empty() {
            findings.push(Finding::ok(AREA, "not used (AUTHY_COMPAT)"));
        }
        return findings;
    }
    if settings.access_ttl < SHORT_SESSION {
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
    if settings.require_validated {
        warn(
            "a sign-up answers an access token, so that users can act before they have confirmed their address",
            "it is what the earlier clients need; with AUTHY_REQUIRE_VALIDATED their users can log in again only afterwards",
        );
    }
    if findings.is_empty() {
        findings.push(Finding::ok(AREA, "the settings suit the clients of the earlier system"));
    }
    findings
}
