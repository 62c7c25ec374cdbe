//! The signing keys: whether the master key decrypts them, and when the next one signs.

use authy_core::{
    engine::{DatabaseReport, InspectedKey, KeyState},
    time::{HttpDate, now},
};

use super::finding::Finding;
use crate::config::Settings;

const AREA: &str = "keys";

pub(super) fn findings(report: &DatabaseReport, settings: &Settings) -> Vec<Finding> {
    let in_use: Vec<_> = report.keys.iter().filter(|key| key.key.state != KeyState::Retired).collect();
    if report.schema.is_none() || in_use.is_empty() {
        return vec![Finding::ok(AREA, "there is no signing key yet: the first start creates one")];
    }
    let unreadable: Vec<_> = in_use.iter().filter(|key| !key.is_readable).map(|key| key.key.kid.as_str()).collect();
    let unreadable = (!unreadable.is_empty()).then(|| {
        Finding::problem(
            AREA,
            format!("the master key does not decrypt {}", unreadable.join(", ")),
            "set AUTHY_MASTER_KEY to the one that encrypted them, several separated by commas",
        )
    });
    let algorithm = settings.signing_alg.as_str();
    let active = in_use.iter().find(|key| key.key.state == KeyState::Active && key.key.algorithm == algorithm);
    let active = match active {
        Some(active) => rotation(active, settings),
        None => Finding::ok(AREA, format!("no {algorithm} key is active: the next start creates one")),
    };
    unreadable.into_iter().chain([active]).collect()
}

/// Returns when the next key replaces the active one.
fn rotation(active: &InspectedKey, settings: &Settings) -> Finding {
    let since = active.key.changed;
    let due = since + settings.key_rotation;
    let message = format!("{} signs since {}", active.key.kid, HttpDate(since));
    // The successor is published before it signs: give a running server the time for it.
    match now() > due + settings.key_rotation / 10 {
        true => Finding::warning(
            AREA,
            format!("{message}, and should have been replaced at {}", HttpDate(due)),
            "a running server rotates the keys: start one, or look for its errors in the log",
        ),
        false => Finding::ok(AREA, format!("{message}; the next key replaces it after {}", HttpDate(due))),
    }
}
