//! Whether another import reads the times of a source in the time zones in which the last one has read them.
//!
//! The times of the first authy have no zone. In another zone, those of all users differ by the same hours.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    candidate::Candidate,
    merge::{Here, Origin},
};
use crate::{Error, ErrorKind, Invalid, Result, UserId};

/// The unit of the offsets of all time zones since 1972.
const UNIT: TimeDelta = TimeDelta::minutes(15);

/// Maximum distance of two time zones: from -12 to +14 hours.
const MAX_SHIFT: TimeDelta = TimeDelta::hours(26);

/// Compares the times of users who were imported before. `unchanged` is the number of others whose times are the same.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] when those of most users differ as in another time zone.
pub(super) fn require_same(
    known: &[(Candidate, Origin)],
    here: &BTreeMap<UserId, Here>,
    unchanged: usize,
) -> Result<()> {
    let pairs = || known.iter().filter_map(|(candidate, origin)| Some((candidate, here.get(&origin.user)?)));
    let sign_ups = pairs().map(|(there, here)| is_shifted(there.created, here.created));
    if is_most(sign_ups, unchanged) {
        return Err(other_zone("app-time-zone"));
    }
    let logins = pairs().filter_map(|(there, here)| Some(is_shifted(there.last_login?, here.last_login?)));
    match is_most(logins, unchanged) {
        true => Err(other_zone("database-time-zone")),
        false => Ok(()),
    }
}

/// Returns whether more than a half are `true`, with as many further ones that are not.
fn is_most(values: impl Iterator<Item = bool>, further: usize) -> bool {
    let (mut shifted, mut all) = (0, further);
    for is_shifted in values {
        all += 1;
        shifted += usize::from(is_shifted);
    }
    shifted * 2 > all
}

fn is_shifted(there: DateTime<Utc>, here: DateTime<Utc>) -> bool {
    let shift = (there - here).abs();
    let is_whole = shift.num_microseconds().zip(UNIT.num_microseconds()).is_some_and(|(shift, unit)| shift % unit == 0);
    !shift.is_zero() && shift <= MAX_SHIFT && is_whole
}

fn other_zone(option: &str) -> Error {
    let cause = format!(
        "is --{option} another one than at the last import? When that one was wrong, --correct-times takes the times as they \
         are read now"
    );
    let detail =
        "the times of most users are not those of the last import, and all differ by whole quarters of an hour";
    let field = Invalid::new("other_time_zone", "must be the zone of the last import");
    Error::with_source(ErrorKind::InvalidInput, detail, cause).with_field(field.of(option))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_time_zone_is_told_from_other_changes() {
        let time = DateTime::<Utc>::UNIX_EPOCH;
        for (seconds, expected) in
            [(0, false), (900, true), (-7200, true), (26 * 3600, true), (27 * 3600, false), (3601, false)]
        {
            assert_eq!(is_shifted(time + TimeDelta::seconds(seconds), time), expected, "{seconds}");
        }
        assert!(is_most([true, true, false].into_iter(), 0) && !is_most([true, true].into_iter(), 2));
        assert!(!is_most([].into_iter(), 0));
    }
}
