//! Times as people read them: how long ago, and exactly.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::texts::Texts;

/// A time, as a page shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Moment {
    /// As RFC 3339 has it, for programs.
    pub(super) iso: String,
    /// Exactly, for people.
    pub(super) exact: String,
    /// How long ago, or in how long.
    pub(super) relative: String,
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const MONTH: i64 = 30 * DAY;
const YEAR: i64 = 365 * DAY;

impl Moment {
    pub(super) fn new(time: DateTime<Utc>, now: DateTime<Utc>, texts: &Texts) -> Self {
        Self {
            iso: time.to_rfc3339_opts(SecondsFormat::Secs, true),
            exact: time.format("%Y-%m-%d %H:%M UTC").to_string(),
            relative: relative((now - time).num_seconds(), texts),
        }
    }
}

fn relative(seconds: i64, texts: &Texts) -> String {
    let direction = if seconds >= 0 { "ago" } else { "in" };
    let seconds = seconds.abs();
    let units = [("year", YEAR), ("month", MONTH), ("day", DAY), ("hour", HOUR), ("minute", MINUTE)];
    let largest = units.into_iter().find(|(_, length)| seconds >= *length);
    let Some((unit, length)) = largest else { return texts.get("time.now") };
    let count = seconds / length;
    let number = if count == 1 { "one" } else { "many" };
    texts.format(&format!("time.{unit}_{direction}_{number}"), &[("count", &count.to_string())])
}

#[cfg(test)]
mod tests {
    use authy_core::time::from_unix_seconds;

    use super::*;
    use crate::ui::Looks;

    #[test]
    fn a_time_is_shown_in_the_largest_unit_that_fits() {
        let looks = Looks::built_in().parts();
        let (english, german) = (looks.texts("en").unwrap(), looks.texts("de").unwrap());
        for (seconds, in_english, in_german) in [
            (0, "just now", "gerade eben"),
            (-59, "just now", "gerade eben"),
            (60, "1 minute ago", "vor 1 Minute"),
            (3599, "59 minutes ago", "vor 59 Minuten"),
            (3600, "1 hour ago", "vor 1 Stunde"),
            (2 * DAY, "2 days ago", "vor 2 Tagen"),
            (40 * DAY, "1 month ago", "vor 1 Monat"),
            (800 * DAY, "2 years ago", "vor 2 Jahren"),
            (-14 * DAY, "in 14 days", "in 14 Tagen"),
            (-HOUR, "in 1 hour", "in 1 Stunde"),
        ] {
            assert_eq!(relative(seconds, english), in_english);
            assert_eq!(relative(seconds, german), in_german);
        }
        let (time, now) = (from_unix_seconds(1_560_247_389), from_unix_seconds(1_560_247_389 + 7200));
        let moment = Moment::new(time, now, english);
        assert_eq!((moment.iso.as_str(), moment.exact.as_str()), ("2019-06-11T10:03:09Z", "2019-06-11 10:03 UTC"));
        assert_eq!(moment.relative, "2 hours ago");
    }
}
