//! Times: chrono's `DateTime<Utc>` in the API, whole seconds in tokens and responses, and HTTP dates on the wire.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize as _, Deserializer, Serialize, Serializer, de::Error as _};

use crate::Invalid;

/// The last second of the year 9999: an HTTP date has four digits for the year.
const LAST_SECOND: u64 = 253_402_300_799;

/// Returns the current time of this machine's clock, in whole seconds, as tokens count time. See [`unix_now`] for a
/// clock that is set before 1970.
pub fn now() -> DateTime<Utc> {
    from_unix_seconds(unix_now())
}

/// Returns the whole seconds since 1970 by this machine's clock.
///
/// Returns 0 for a clock that is set before 1970: every token then counts as not yet issued, and is refused. chrono's
/// `Utc::now` would panic.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Returns the time `seconds` after the beginning of 1970, but at most the last second of the year 9999.
pub fn from_unix_seconds(seconds: u64) -> DateTime<Utc> {
    let seconds = i64::try_from(seconds.min(LAST_SECOND)).unwrap_or(i64::MAX);
    DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Returns the whole seconds from the beginning of 1970 until `time`; 0 for an earlier time.
pub fn unix_seconds(time: DateTime<Utc>) -> u64 {
    u64::try_from(time.timestamp()).unwrap_or(0)
}

/// Returns `time` with the precision of the wire: whole seconds, from 1970 to 9999. The engine returns times with this
/// precision, so that they equal those that a client reads.
pub fn to_second(time: DateTime<Utc>) -> DateTime<Utc> {
    from_unix_seconds(unix_seconds(time))
}

/// A time in the format of HTTP, the IMF-fixdate of RFC 9110 (RFC 1123): `Tue, 11 Jun 2019 10:03:09 GMT`.
///
/// The format has whole seconds: fractions are cut off, and times before 1970 or after 9999 are written as the nearest
/// time within that range. Fields of wire types use it through `#[serde(with = "HttpDate")]`. chrono's RFC 2822 format
/// is not usable, because it ends in `+0000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpDate(pub DateTime<Utc>);

impl HttpDate {
    /// Serializes a time, for `#[serde(with)]`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Self(*time))
    }

    /// Deserializes a time, for `#[serde(with)]`.
    ///
    /// # Errors
    /// When the value is not text, or the text is not an HTTP date.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
        let Self(time) = String::deserialize(deserializer)?.parse().map_err(D::Error::custom)?;
        Ok(time)
    }
}

impl fmt::Display for HttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // httpdate panics before 1970 and after 9999.
        let seconds = unix_seconds(self.0).min(LAST_SECOND);
        httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(seconds)).fmt(f)
    }
}

impl FromStr for HttpDate {
    type Err = httpdate::Error;

    fn from_str(text: &str) -> Result<Self, httpdate::Error> {
        httpdate::parse_http_date(text).map(|time| Self(time.into()))
    }
}

/// An optional time, as [`HttpDate`] or `null`: `#[serde(default, with = "OptionalHttpDate")]`. Without `default`,
/// serde refuses a response that omits the field. The schema is that of an `Option<HttpDate>`.
#[derive(Clone, Copy, Debug)]
pub struct OptionalHttpDate;

impl OptionalHttpDate {
    /// Serializes a time or `null`, for `#[serde(with)]`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => HttpDate::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Deserializes a time or `null`, for `#[serde(with)]`.
    ///
    /// # Errors
    /// When the value is neither `null` nor text, or the text is not an HTTP date.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let date = text.map(|text| text.parse::<HttpDate>()).transpose().map_err(D::Error::custom)?;
        Ok(date.map(|HttpDate(time)| time))
    }
}

/// A time in a query: RFC 3339, such as `2019-06-11T10:03:09.123456Z`, or the format of responses, an [`HttpDate`].
///
/// A `+` of an offset has to be percent-encoded in a query; `Z` needs no encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp(pub DateTime<Utc>);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Timestamp {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let exact = DateTime::parse_from_rfc3339(text).map(|time| time.with_timezone(&Utc));
        let time = exact.ok().or_else(|| text.parse().ok().map(|HttpDate(time)| time));
        time.map(Self).ok_or(Invalid::new("invalid_time", "must be a time, such as 2019-06-11T10:03:09Z"))
    }
}

described!(Timestamp, { "type": "string", "examples": ["2019-06-11T10:03:09Z"] });

described!(HttpDate, { "type": "string", "examples": ["Tue, 11 Jun 2019 10:03:09 GMT"] });

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;

    #[test]
    fn is_written_and_read_as_rfc_1123_says() {
        let time = from_unix_seconds(1_560_247_389);
        assert_eq!(HttpDate(time).to_string(), "Tue, 11 Jun 2019 10:03:09 GMT");
        assert_eq!(HttpDate(time).to_string().parse().ok(), Some(HttpDate(time)));
        assert_eq!(HttpDate(from_unix_seconds(u64::MAX)).to_string(), "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn any_time_that_chrono_knows_can_be_written() {
        for (time, text) in [
            (DateTime::<Utc>::MIN_UTC, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (DateTime::<Utc>::MAX_UTC, "Fri, 31 Dec 9999 23:59:59 GMT"),
            // A fraction is cut off, not rounded up: a revocation does not last longer than its tokens.
            (DateTime::from_timestamp(1_560_247_389, 999_999_999).unwrap(), "Tue, 11 Jun 2019 10:03:09 GMT"),
        ] {
            assert_eq!(HttpDate(time).to_string(), text);
        }
    }

    #[test]
    fn a_field_is_a_date_and_a_missing_one_is_none() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Times {
            #[serde(with = "HttpDate")]
            created: DateTime<Utc>,
            #[serde(default, with = "OptionalHttpDate")]
            ended: Option<DateTime<Utc>>,
        }
        let (created, date) = (from_unix_seconds(1_560_247_389), "Tue, 11 Jun 2019 10:03:09 GMT");
        for (ended, json) in [
            (Some(created), json!({ "created": date, "ended": date })),
            (None, json!({ "created": date, "ended": null })),
        ] {
            assert_eq!(serde_json::to_value(Times { created, ended }).unwrap(), json);
            assert_eq!(serde_json::from_value::<Times>(json).unwrap(), Times { created, ended });
        }
        let absent = serde_json::from_value::<Times>(json!({ "created": date })).unwrap();
        assert_eq!(absent, Times { created, ended: None });
        for wrong in ["2019-06-11T10:03:09Z", "", "Tue, 11 Jun 2019 10:03:09 +0000", "Tue, 11 Jun 1969 10:03:09 GMT"] {
            assert!(serde_json::from_value::<Times>(json!({ "created": wrong, "ended": null })).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_in_a_query_has_either_format() {
        let time = DateTime::from_timestamp(1_560_247_389, 0).unwrap();
        for text in ["2019-06-11T10:03:09Z", "2019-06-11t12:03:09.000+02:00", "Tue, 11 Jun 2019 10:03:09 GMT"] {
            assert_eq!(text.parse(), Ok(Timestamp(time)), "{text}");
        }
        for wrong in ["", "2019-06-11", "2019-06-11T10:03:09", "2019-06-11T10:03:09 02:00", "1560247389", "now"] {
            assert!(wrong.parse::<Timestamp>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_time_in_a_query_is_read_as_it_was_written(micros in -62_135_596_800_000_000..253_402_300_799_999_999_i64) {
            let time = Timestamp(DateTime::from_timestamp_micros(micros).unwrap());
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }

        #[test]
        fn any_text_is_a_time_or_none(text in "\\PC*|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{0,30}[Zz+-]?[0-9:]{0,6}") {
            if let Ok(time) = text.parse::<Timestamp>() {
                prop_assert_eq!(time.to_string().parse(), Ok(time));
            }
        }
    }
}
