//! The certificate of the listeners: until when it is valid. That the files can be used is checked with the configuration.

use authy_core::time::{HttpDate, now};
use chrono::{DateTime, Utc};

use super::finding::Finding;
use crate::{config::Settings, start};

const AREA: &str = "tls";

/// Number of days before the expiry from which an operator should act. Certificates are usually replaced 30 days before.
const WARNING_DAYS: i64 = 7;

pub(super) fn findings(settings: &Settings) -> Vec<Finding> {
    match start::open_tls(settings) {
        Ok(Some(tls)) => vec![of_expiry(tls.not_after(), now())],
        Ok(None) => vec![Finding::ok(AREA, "not used (AUTHY_TLS_CERT): the listeners speak plain HTTP/1.1")],
        // The configuration is what is wrong.
        Err(_) => Vec::new(),
    }
}

fn of_expiry(not_after: DateTime<Utc>, now: DateTime<Utc>) -> Finding {
    let days = (not_after - now).num_days();
    let until = HttpDate(not_after);
    if not_after <= now {
        let remedy = "replace the files: a running server uses the new ones within ten seconds";
        return Finding::problem(AREA, format!("the certificate has expired: {until}"), remedy);
    }
    let message = format!("the key is that of the certificate, which expires in {days} days: {until}");
    match days < WARNING_DAYS {
        true => Finding::warning(AREA, message, "look why it has not been renewed"),
        false => Finding::ok(AREA, message),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::cli::doctor::FindingLevel;

    #[test]
    fn a_certificate_that_ends_soon_is_found() {
        let now = now();
        for (days, level) in [(-1, FindingLevel::Problem), (3, FindingLevel::Warning), (40, FindingLevel::Ok)] {
            assert_eq!(of_expiry(now + TimeDelta::days(days), now).level, level, "{days}");
        }
    }
}
