//! What a setting's value can be, and how it is read from text.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use authy_core::{
    claims::SigningAlgorithm,
    engine::{Argon2Params, MasterKeys, check_encryption},
    file::{self, Content},
    tls::Roots,
};
use http::Uri;
use ipnet::IpNet;
use tracing_subscriber::{EnvFilter, filter::ParseError};
use zeroize::Zeroizing;

use crate::{
    limit::RateLimit,
    sink::{AmqpUrl, Link, PublicUrl, Sender, SmtpUrl, Templates, WebhookSecrets, WebhookUrl},
};

/// A type that a setting can have.
pub(crate) trait Value: Sized {
    /// Reads it; the error says what is allowed, and never repeats the text, which may be a secret.
    fn parse(text: &str) -> Result<Self, String>;
}

/// What can be left out.
impl<T: Value> Value for Option<T> {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { T::parse(text).map(Some) }
    }
}

/// Several, separated by commas.
#[derive(Clone, Debug)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T: Value> Value for List<T> {
    fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(T::parse).collect::<Result<_, _>>().map(Self)
    }
}

macro_rules! values {
    ($($type:ty: $expected:literal;)+) => { $(
        impl Value for $type {
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| $expected.to_owned())
            }
        }
    )+ };
}

values! {
    SocketAddr: "must be an address and a port, such as 127.0.0.1:8080 or [::1]:8080";
    bool: "must be true or false";
    IpNet: "must be a network, such as 10.0.0.0/8";
}

/// Text that is not empty, as it is.
impl Value for String {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) }
    }
}

impl Value for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("must be a path".to_owned()) } else { Ok(text.into()) }
    }
}

impl Value for usize {
    fn parse(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|number| (1..=1_000_000).contains(number));
        number.ok_or_else(|| "must be a whole number from 1 to 1000000".to_owned())
    }
}

impl Value for Duration {
    fn parse(text: &str) -> Result<Self, String> {
        let duration = humantime::parse_duration(text).ok();
        let century = Duration::from_secs(100 * 365 * 24 * 3600);
        let duration = duration.filter(|duration| (Duration::from_secs(1)..=century).contains(duration));
        duration.ok_or_else(|| "must be a time of at least a second, such as 30s, 15m, 12h or 14d".to_owned())
    }
}

macro_rules! told {
    ($($type:ty),+) => { $(
        impl Value for $type {
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|error: <Self as FromStr>::Err| error.to_string())
            }
        }
    )+ };
}

told!(RateLimit, SigningAlgorithm, Argon2Params, AmqpUrl, Link, PublicUrl, Sender, SmtpUrl, WebhookSecrets, WebhookUrl);

impl Value for MasterKeys {
    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.detail().to_owned())
    }
}

/// A folder, read at once: what is wrong in it is told before anything starts.
impl Value for Templates {
    fn parse(text: &str) -> Result<Self, String> {
        let folder = (!text.is_empty()).then_some(Path::new(text));
        Self::load(folder).map_err(|error| format!("cannot be used: {error}"))
    }
}

/// A file of certificates, read at once. It says whom to believe, so nobody else may write it.
#[derive(Clone, Debug)]
pub(crate) struct TlsCa(pub(crate) Roots);

impl Value for TlsCa {
    fn parse(text: &str) -> Result<Self, String> {
        let pem = file::read(Path::new(text), Content::Trusted).map_err(|error| format!("cannot be used: {error}"))?;
        let roots = Roots::platform().with_pem(&pem).map_err(|error| format!("cannot be used: {error}"))?;
        Ok(Self(roots))
    }
}

/// Where a database is, as a URL.
#[derive(Clone)]
pub(crate) struct DatabaseUrl(pub(crate) tokio_postgres::Config);

impl Value for DatabaseUrl {
    fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "must be a PostgreSQL URL, such as postgresql://authy@db.example/authy";
        // Anything else goes to the library's other parser, which panics at letters that are not ASCII.
        if !text.is_ascii() || !text.starts_with("postgresql://") && !text.starts_with("postgres://") {
            return Err(EXPECTED.to_owned());
        }
        // The library's own words name the part that is wrong; they may quote it, so they are not repeated.
        let config = verifying(text).parse::<tokio_postgres::Config>().map_err(|_| EXPECTED)?;
        if config.get_hosts().is_empty() {
            return Err("must name a host".to_owned());
        }
        check_encryption(&config).map_err(|refused| refused.to_string())?;
        Ok(Self(config))
    }
}

/// The URL with `sslmode=require` in place of `sslmode=verify-full`, which the library does not know: what is required is
/// always verified in full.
fn verifying(url: &str) -> Zeroizing<String> {
    let Some((place, query)) = url.split_once('?') else { return Zeroizing::new(url.to_owned()) };
    let query = query.split('&').map(|pair| if pair == "sslmode=verify-full" { "sslmode=require" } else { pair });
    Zeroizing::new(format!("{place}?{}", query.collect::<Vec<_>>().join("&")))
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The address of a page.
#[derive(Clone, Debug)]
pub(crate) struct Page(pub(crate) String);

impl Value for Page {
    fn parse(text: &str) -> Result<Self, String> {
        let is_page = text.parse::<Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
        });
        match is_page {
            true => Ok(Self(text.to_owned())),
            false => Err("must be the address of a page, such as https://shop.example/account/password".to_owned()),
        }
    }
}

/// The origin of a page: a scheme and a host, and nothing behind them.
#[derive(Clone, Debug)]
pub(crate) struct Origin(pub(crate) String);

impl Value for Origin {
    fn parse(text: &str) -> Result<Self, String> {
        let is_origin = text.parse::<Uri>().is_ok_and(|uri| {
            let plain = uri.path() == "/" && uri.query().is_none() && !text.ends_with('/');
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && plain
        });
        match is_origin {
            true => Ok(Self(text.to_ascii_lowercase())),
            false => Err("must be origins, such as https://shop.example: no path, no star".to_owned()),
        }
    }
}

/// Which messages are logged, in the words of `tracing`.
#[derive(Clone, Debug)]
pub(crate) struct Filter(pub(crate) String);

impl Filter {
    /// The filter that it describes.
    pub(crate) fn build(&self) -> EnvFilter {
        // It was read before, when it was checked.
        filter(&self.0).unwrap_or_default()
    }
}

/// Reads a filter. No value of a field is a regular expression: one of a hundred bytes can take minutes to compile.
fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().with_regex(false).parse(text)
}

impl Value for Filter {
    fn parse(text: &str) -> Result<Self, String> {
        // The library cuts other characters in two, and panics.
        if !text.is_ascii() {
            return Err("must be a level or a filter, in ASCII".to_owned());
        }
        // As regular expressions they may take minutes, and as plain text the library's debug build panics at equal ones.
        let mut fields = text.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        if fields.any(|fields| fields.contains('=')) {
            return Err("must be a level or a filter without values of fields".to_owned());
        }
        match filter(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(format!("must be a level or a filter: {error}")),
        }
    }
}

/// How messages are written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs, a line each.
    Json,
}

impl Value for LogFormat {
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
        fn refuses<T: Value>(texts: &[&str]) {
            for text in texts {
                assert!(T::parse(text).is_err(), "{text}");
            }
        }
        refuses::<SocketAddr>(&["", "8080", "localhost", "127.0.0.1", "127.0.0.1:99999"]);
        refuses::<Duration>(&["", "0s", "10ms", "15", "-1s", "9999999999d"]);
        refuses::<usize>(&["", "0", "-1", "1.5", "many"]);
        refuses::<Origin>(&["", "*", "shop.example", "https://shop.example/", "https://shop.example/a", "ftp://a"]);
        refuses::<DatabaseUrl>(&["", "db", "mysql://db", "postgresql://"]);
        refuses::<List<IpNet>>(&["10.0.0.0", "10.0.0.0/8;11.0.0.0/8"]);
        refuses::<Filter>(&["authy_core=loud", "[[["]);
    }

    #[test]
    fn a_wrong_secret_is_not_repeated() {
        for secret in ["mysql://user:hunter2@db", "postgresql://user:hunter2@db:port/x"] {
            assert!(!DatabaseUrl::parse(secret).unwrap_err().contains("hunter2"));
        }
        assert!(!<MasterKeys as Value>::parse("hunter2").unwrap_err().contains("hunter2"));
    }

    #[test]
    fn lists_are_separated_by_commas() {
        let list = List::<IpNet>::parse(" 10.0.0.0/8, fd00::/8 ,").unwrap().0;
        assert_eq!(list.len(), 2);
        assert!(List::<IpNet>::parse("").unwrap().0.is_empty());
    }

    #[test]
    fn a_filter_that_the_library_would_cut_in_two_is_refused() {
        assert!(Filter::parse("\u{2000}\u{1bc9e}=").is_err());
        assert!(Filter::parse("info,authy_core=debug").is_ok());
        assert!(Filter::parse("info,authy_core[request{id}]=debug").is_ok());
        assert!(Filter::parse("info,authy_core[request{id=a}]=debug").is_err());
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text: String) {
            let _ = (Duration::parse(&text), Origin::parse(&text), DatabaseUrl::parse(&text), Filter::parse(&text));
            let _ = DatabaseUrl::parse(&format!("postgresql://{text}"));
        }

        #[test]
        fn no_url_is_too_much(rest in "[ -~]{0,40}") {
            let _ = DatabaseUrl::parse(&format!("postgresql://{rest}"));
        }
    }
}
