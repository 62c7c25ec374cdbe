//! The settings of rate limits: `500/minute,50/second`, or `off`.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

/// Maximum number of requests per address, for each class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Login attempts.
    pub login: RateLimit,
    /// Sign-ups.
    pub register: RateLimit,
    /// One-time codes presented or requested.
    pub validate: RateLimit,
    /// Password reset mails requested.
    pub forgot: RateLimit,
    /// Everything else that is limited.
    pub default: RateLimit,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            // Enough for an office behind one address, too few for guessing passwords.
            login: RateLimit(vec![Allowance::new(100, Unit::Hour)]),
            // Enough for the users behind one address, too few for filling the table of users.
            register: RateLimit(vec![Allowance::new(20, Unit::Hour)]),
            // A code is used once; a link is clicked a few times.
            validate: RateLimit(vec![Allowance::new(20, Unit::Hour)]),
            // Each request may send a mail to a user who did not ask for it.
            forgot: RateLimit(vec![Allowance::new(10, Unit::Hour)]),
            // The second allows the burst of a page that loads; the minute limits what continues.
            default: RateLimit(vec![Allowance::new(500, Unit::Minute), Allowance::new(50, Unit::Second)]),
        }
    }
}

#[cfg(feature = "test-util")]
impl RateLimits {
    /// Returns the limits that permit everything.
    pub(crate) fn off() -> Self {
        let [login, register, validate, forgot, default] = [const { RateLimit(Vec::new()) }; 5];
        Self { login, register, validate, forgot, default }
    }
}

/// Maximum number of requests per time: `100/hour`, several that all have to hold (`500/minute,50/second`), or `off`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit(Vec<Allowance>);

impl RateLimit {
    /// Returns the limits that all have to hold; none when the limit is off.
    pub(super) fn allowances(&self) -> &[Allowance] {
        &self.0
    }
}

/// A number of requests per unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    pub(super) count: NonZeroU32,
    pub(super) unit: Unit,
}

impl Allowance {
    const fn new(count: u32, unit: Unit) -> Self {
        Self { count: NonZeroU32::MIN.saturating_add(count.saturating_sub(1)), unit }
    }

    /// Returns its name in the headers of a class.
    pub(super) fn name(self, class: &str) -> String {
        format!("{class}-{}", self.unit.name())
    }

    /// Returns its part of the `RateLimit-Policy` field.
    pub(super) fn policy(self, class: &str) -> String {
        format!("\"{}\";q={};w={}", self.name(class), self.count, self.unit.duration().as_secs())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unit {
    Second,
    Minute,
    Hour,
    Day,
}

impl Unit {
    const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    pub(super) fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 60 * 60,
            Self::Day => 24 * 60 * 60,
        })
    }
}

/// A text that is not a rate limit; the message describes the syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a limit is written 100/hour, or 500/minute,50/second when both have to hold, or off; \
     the count is 1 to 1000000, the unit second, minute, hour or day, each at most once"
)]
pub struct InvalidRateLimit;

impl FromStr for RateLimit {
    type Err = InvalidRateLimit;

    fn from_str(text: &str) -> Result<Self, InvalidRateLimit> {
        if text == "off" {
            return Ok(Self(Vec::new()));
        }
        let mut allowances = Vec::<Allowance>::new();
        for part in text.split(',') {
            let (count, unit) = part.trim().split_once('/').ok_or(InvalidRateLimit)?;
            let count = count.bytes().all(|b| b.is_ascii_digit()).then(|| count.parse().ok()).flatten();
            let count = count.filter(|count: &NonZeroU32| count.get() <= 1_000_000).ok_or(InvalidRateLimit)?;
            let unit = Unit::ALL.into_iter().find(|known| known.name() == unit).ok_or(InvalidRateLimit)?;
            if allowances.iter().any(|other| other.unit == unit) {
                return Err(InvalidRateLimit);
            }
            allowances.push(Allowance { count, unit });
        }
        Ok(Self(allowances))
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("off");
        }
        for (position, Allowance { count, unit }) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "," };
            write!(f, "{separator}{count}/{}", unit.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_defaults_are_written_as_they_are_documented() {
        let RateLimits { login, register, validate, forgot, default } = RateLimits::default();
        assert_eq!(login.to_string(), "100/hour");
        assert_eq!(register.to_string(), "20/hour");
        assert_eq!(validate.to_string(), "20/hour");
        assert_eq!(forgot.to_string(), "10/hour");
        assert_eq!(default.to_string(), "500/minute,50/second");
    }

    #[test]
    fn what_is_no_limit_is_refused() {
        let wrong = [
            "",
            "100",
            "100/",
            "/hour",
            "0/hour",
            "-1/hour",
            "+1/hour",
            "1000001/hour",
            "99999999999/hour",
            "1/week",
            "1/Hour",
            "1/hour,",
            "1/hour,2/hour",
            "off,1/hour",
            "1 / hour",
            "Off",
        ];
        for text in wrong {
            assert_eq!(text.parse::<RateLimit>(), Err(InvalidRateLimit), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(minute in 1u32..=1_000_000, day in 1u32..=1_000_000) {
            let limit = RateLimit(vec![Allowance::new(minute, Unit::Minute), Allowance::new(day, Unit::Day)]);
            prop_assert_eq!(limit.to_string(), format!("{minute}/minute,{day}/day"));
            prop_assert_eq!(limit.to_string().parse(), Ok(limit));
        }

        #[test]
        fn any_text_is_a_limit_or_refused(text in "\\PC*") {
            if let Ok(limit) = text.parse::<RateLimit>() {
                prop_assert_eq!(limit.to_string().parse(), Ok(limit));
            }
        }
    }
}
