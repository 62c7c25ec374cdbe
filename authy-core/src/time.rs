//! A point in time as the wire spells it: `Tue, 11 Jun 2019 10:03:09 GMT`.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// A point in time, to the second, UTC; on the wire the IMF-fixdate of RFC 9110 (RFC 1123's form).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(u64);

impl Timestamp {
    /// Now, by this machine's clock.
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// The point so many seconds after 1970 began.
    pub fn from_unix(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Seconds since 1970 began.
    pub fn as_unix(self) -> u64 {
        self.0
    }

    /// So much later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        // A clock before 1970 is a broken clock; every token counts as not yet issued then, which fails closed.
        Self(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}

impl From<Timestamp> for SystemTime {
    fn from(Timestamp(seconds): Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // httpdate knows the years up to 9999 and panics beyond.
        const LAST: u64 = 253_402_300_799;
        f.write_str(&httpdate::fmt_http_date(Timestamp(self.0.min(LAST)).into()))
    }
}

impl TryFrom<String> for Timestamp {
    type Error = httpdate::Error;

    fn try_from(text: String) -> Result<Self, httpdate::Error> {
        httpdate::parse_http_date(&text).map(Into::into)
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> String {
        time.to_string()
    }
}

described!(Timestamp, { "type": "string", "examples": ["Tue, 11 Jun 2019 10:03:09 GMT"] });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_and_read_as_rfc_1123_says() {
        let time = Timestamp::from_unix(1_560_247_389);
        assert_eq!(time.to_string(), "Tue, 11 Jun 2019 10:03:09 GMT");
        assert_eq!(Timestamp::try_from(time.to_string()).ok(), Some(time));
        assert_eq!(Timestamp::from_unix(u64::MAX).to_string(), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
