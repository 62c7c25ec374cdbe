//! The types of settings, and how they are read from text.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use authy_core::{
    Secret,
    claims::SigningAlgorithm,
    engine::{Argon2Params, MIN_CONNECTIONS, MasterKeys, Pooler},
    file::{self, Content},
    http_url::{HttpUrl, InvalidHttpUrl},
    tls::Roots,
};
#[cfg(feature = "webhook")]
use http::StatusCode;
use ipnet::IpNet;

use crate::{compat::Compat, cors, limit::RateLimit, link_template::LinkTemplate};

mod database_url;
mod listen;
mod log_filter;
mod network;

pub(crate) use database_url::{DatabaseUrl, ReplicaUrl};
pub(crate) use listen::ListenAddress;
pub(crate) use log_filter::LogFilter;

/// A type that a setting can have.
pub(crate) trait SettingValue: Sized {
    /// Reads a value. The error says what is allowed, and never repeats the text, which may be a secret.
    fn parse(text: &str) -> Result<Self, String>;
}

/// A setting that can be left out.
impl<T: SettingValue> SettingValue for Option<T> {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { T::parse(text).map(Some) }
    }
}

/// What is wrong with a list such as `a,,b` or `,`: a variable that is not defined where it is passed on, for example. Without it the
/// rest would be a list that nobody wrote, or an empty one.
pub(super) const EMPTY_PART: &str =
    "has an empty part before, behind or between its commas: give it a value, or leave the comma out";

/// Values separated by commas, none of them empty.
#[derive(Clone, Debug)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T: SettingValue> SettingValue for List<T> {
    fn parse(text: &str) -> Result<Self, String> {
        // A setting that is left out; one that is set but empty has been refused.
        if text.trim().is_empty() {
            return Ok(Self(Vec::new()));
        }
        let parts: Vec<_> = text.split(',').map(str::trim).collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(EMPTY_PART.to_owned());
        }
        let parse = |(position, part): (usize, &&str)| {
            T::parse(part).map_err(|why| match parts.len() {
                1 => why,
                count => format!("{why} (number {} of {count})", position + 1),
            })
        };
        parts.iter().enumerate().map(parse).collect::<Result<_, _>>().map(Self)
    }
}

/// One or more values, separated by commas.
#[derive(Clone, Debug)]
pub(crate) struct NonEmptyList<T>(pub(crate) Vec<T>);

impl<T: SettingValue> SettingValue for NonEmptyList<T> {
    fn parse(text: &str) -> Result<Self, String> {
        match List::<T>::parse(text)?.0 {
            // The message says what is expected of one.
            none if none.is_empty() => T::parse("").map(|one| Self(vec![one])),
            several => Ok(Self(several)),
        }
    }
}

macro_rules! values {
    ($($type:ty: $expected:literal;)+) => { $(
        impl SettingValue for $type {
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| $expected.to_owned())
            }
        }
    )+ };
}

values! {
    bool: "must be true or false";
}

/// Text that is not empty.
impl SettingValue for String {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) }
    }
}

impl SettingValue for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("must be a path".to_owned()) } else { Ok(text.into()) }
    }
}

impl SettingValue for usize {
    fn parse(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|number| (1..=1_000_000).contains(number));
        number.ok_or_else(|| "must be a whole number from 1 to 1000000".to_owned())
    }
}

/// The number of database connections for transactions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DatabaseConnections(pub(crate) usize);

impl SettingValue for DatabaseConnections {
    fn parse(text: &str) -> Result<Self, String> {
        // PostgreSQL has at most 262143.
        let number = text.parse().ok().filter(|number| (MIN_CONNECTIONS..=100_000).contains(number));
        number.map(Self).ok_or_else(|| format!("must be a whole number from {MIN_CONNECTIONS} to 100000"))
    }
}

impl SettingValue for Duration {
    fn parse(text: &str) -> Result<Self, String> {
        let duration = humantime::parse_duration(text).ok();
        let century = Duration::from_secs(100 * 365 * 24 * 3600);
        let duration = duration.filter(|duration| (Duration::from_secs(1)..=century).contains(duration));
        duration.ok_or_else(|| "must be a time of at least a second, such as 30s, 15m, 12h or 14d".to_owned())
    }
}

/// A time that can be none at all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause(pub(crate) Duration);

impl SettingValue for Pause {
    fn parse(text: &str) -> Result<Self, String> {
        let pause = humantime::parse_duration(text).ok();
        let pause = pause.filter(|pause| *pause <= Duration::from_secs(3600));
        pause.map(Self).ok_or_else(|| "must be a time of at most an hour, such as 0s, 5s or 1m".to_owned())
    }
}

macro_rules! parsed {
    ($($type:ty),+) => { $(
        impl SettingValue for $type {
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|error: <Self as FromStr>::Err| error.to_string())
            }
        }
    )+ };
}

parsed!(RateLimit, SigningAlgorithm, Argon2Params, Compat, LinkTemplate, Pooler);
#[cfg(feature = "amqp")]
parsed!(crate::sink::AmqpUrl);
#[cfg(feature = "mail")]
parsed!(crate::sink::Sender, crate::sink::SmtpUrl);
#[cfg(feature = "ui")]
parsed!(crate::ui::Color);
#[cfg(feature = "webhook")]
parsed!(crate::sink::WebhookSecrets, crate::sink::WebhookUrl);

/// A status of an HTTP answer that counts as success.
#[cfg(feature = "webhook")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct AcceptedStatus(pub(crate) StatusCode);

#[cfg(feature = "webhook")]
impl SettingValue for AcceptedStatus {
    fn parse(text: &str) -> Result<Self, String> {
        let status = text.parse().ok().filter(|status: &StatusCode| (200..600).contains(&status.as_u16()));
        status.map(Self).ok_or_else(|| "must be HTTP statuses from 200 to 599, such as 201,409".to_owned())
    }
}

/// The secret of tokens that another system has signed: any text.
#[derive(Clone, Debug)]
pub(crate) struct HmacSecret(pub(crate) Secret);

impl SettingValue for HmacSecret {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(Secret::new(text)))
    }
}

impl SettingValue for MasterKeys {
    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.detail().to_owned())
    }
}

/// A folder, read at once, so that errors in it are reported before anything starts.
#[cfg(feature = "mail")]
impl SettingValue for crate::sink::Templates {
    fn parse(text: &str) -> Result<Self, String> {
        let folder = (!text.is_empty()).then_some(Path::new(text));
        Self::load(folder).map_err(|error| format!("cannot be used: {}", authy_core::error::chain(&error)))
    }
}

/// A folder, read at once.
#[cfg(feature = "ui")]
impl SettingValue for crate::ui::Looks {
    fn parse(text: &str) -> Result<Self, String> {
        let folder = (!text.is_empty()).then_some(Path::new(text));
        Self::load(folder).map_err(|error| format!("cannot be used: {}", authy_core::error::chain(&error)))
    }
}

/// A file of certificates, read at once. It decides which servers are trusted, so no other user may write it.
#[derive(Clone, Debug)]
pub(crate) struct TlsCa(pub(crate) Roots);

impl SettingValue for TlsCa {
    fn parse(text: &str) -> Result<Self, String> {
        let pem = file::read(Path::new(text), Content::Trusted).map_err(|error| format!("cannot be used: {error}"))?;
        let roots = Roots::platform().with_pem(&pem).map_err(|error| format!("cannot be used: {error}"))?;
        Ok(Self(roots))
    }
}

impl SettingValue for HttpUrl {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: InvalidHttpUrl| error.to_string())
    }
}

/// A URL that paths are appended to, without a slash at its end.
#[derive(Clone, Debug)]
pub(crate) struct BaseUrl(pub(crate) HttpUrl);

impl SettingValue for BaseUrl {
    fn parse(text: &str) -> Result<Self, String> {
        HttpUrl::parse_base(text).map(Self).map_err(|error| error.to_string())
    }
}

/// The origin of a web page, as browsers send it.
#[derive(Clone, Debug)]
pub(crate) struct CorsOrigin(pub(crate) String);

impl SettingValue for CorsOrigin {
    fn parse(text: &str) -> Result<Self, String> {
        cors::origin(text).map(Self).map_err(|error| error.to_string())
    }
}

impl SettingValue for IpNet {
    fn parse(text: &str) -> Result<Self, String> {
        network::read(text)
    }
}

impl SettingValue for DatabaseUrl {
    fn parse(text: &str) -> Result<Self, String> {
        Self::read(text)
    }
}

impl SettingValue for ReplicaUrl {
    fn parse(text: &str) -> Result<Self, String> {
        Self::read(text)
    }
}

impl SettingValue for LogFilter {
    fn parse(text: &str) -> Result<Self, String> {
        Self::read(text)
    }
}

/// A part of a whole, from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share(pub(crate) f64);

impl SettingValue for Share {
    fn parse(text: &str) -> Result<Self, String> {
        let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
        share.map(Self).ok_or_else(|| "must be a number from 0 to 1, such as 0.01".to_owned())
    }
}

/// How messages are written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs, a line of JSON each.
    Json,
}

impl SettingValue for LogFormat {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be text or json".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_wrong_is_refused() {
        fn refuses<T: SettingValue>(texts: &[&str]) {
            for text in texts {
                assert!(T::parse(text).is_err(), "{text}");
            }
        }
        refuses::<Duration>(&["", "0s", "10ms", "15", "-1s", "9999999999d"]);
        refuses::<Pause>(&["", "5", "-1s", "2h"]);
        refuses::<usize>(&["", "0", "-1", "1.5", "many"]);
        refuses::<DatabaseConnections>(&["", "0", "1", "-2", "1000000"]);
        refuses::<CorsOrigin>(&["", "*", "shop.example", "https://shop.example/", "https://shop.example/a", "ftp://a"]);
        refuses::<BaseUrl>(&[
            "",
            "shop.example",
            "https://shop.example/?a=b",
            "https://shop.example/{code}",
            "ftp://shop.example",
        ]);
        refuses::<HttpUrl>(&["", "shop.example/account", "https://", "/account"]);
        refuses::<Share>(&["", "-0.1", "1.1", "NaN", "inf", "1%"]);
        #[cfg(feature = "webhook")]
        refuses::<NonEmptyList<AcceptedStatus>>(&["", ",", "2xx", "100", "600", "201;202", "OK"]);
        refuses::<Option<Compat>>(&["flask", "Poptape", "true"]);
        refuses::<List<IpNet>>(&["10.0.0.0/8;11.0.0.0/8", "10.0.0.0/8,proxy"]);
        refuses::<LogFilter>(&[",", "info,", "info,,authy_core=debug"]);
        refuses::<NonEmptyList<ListenAddress>>(&["", ",", "8080", "localhost", "127.0.0.1", "127.0.0.1:99999"]);
    }

    #[test]
    fn a_base_url_has_no_slash_at_its_end() {
        let BaseUrl(url) = BaseUrl::parse("https://shop.example/auth/").unwrap();
        assert_eq!(url.as_str(), "https://shop.example/auth");
    }

    #[test]
    fn a_wrong_secret_is_not_repeated() {
        assert!(!<MasterKeys as SettingValue>::parse("hunter2").unwrap_err().contains("hunter2"));
    }

    #[test]
    fn a_pause_may_be_none() {
        assert_eq!(["0s", "0", "90s"].map(|text| Pause::parse(text).unwrap().0.as_secs()), [0, 0, 90]);
    }

    #[test]
    fn lists_are_separated_by_commas() {
        let list = List::<IpNet>::parse(" 10.0.0.0/8, fd00::/8 ").unwrap().0;
        assert_eq!(list.len(), 2);
        assert!(List::<IpNet>::parse("").unwrap().0.is_empty());
        let why = List::<IpNet>::parse("10.0.0.0/8, fd00::/8, 10.0.0.5/8").unwrap_err();
        assert!(why.ends_with("(number 3 of 3)"), "{why}");
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _ = (Duration::parse(&text), CorsOrigin::parse(&text), HttpUrl::parse(&text));
        }
    }
}
