//! The URL of the database.

use std::fmt;

use authy_core::engine::check_encryption;
use zeroize::Zeroizing;

/// A PostgreSQL URL whose encryption has been checked. It contains a password, so it is never shown.
#[derive(Clone)]
pub(crate) struct DatabaseUrl(pub(crate) tokio_postgres::Config);

impl DatabaseUrl {
    /// Reads the URL; the message never repeats the text.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "must be a PostgreSQL URL, such as postgresql://authy@db.example/authy";
        // Anything else goes to the library's other parser, which panics at letters that are not ASCII.
        if !text.is_ascii() || !text.starts_with("postgresql://") && !text.starts_with("postgres://") {
            return Err(EXPECTED.to_owned());
        }
        // The library's message may quote the part that is wrong, so it is not repeated.
        let config = verifying(text).parse::<tokio_postgres::Config>().map_err(|_| EXPECTED)?;
        if config.get_hosts().is_empty() {
            return Err("must name a host".to_owned());
        }
        check_encryption(&config).map_err(|refused| refused.to_string())?;
        Ok(Self(config))
    }
}

/// Returns the URL with `sslmode=require` in place of `sslmode=verify-full`, which the library does not know: a
/// certificate is always verified in full.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_url_of_a_database_is_refused_and_its_password_not_repeated() {
        for text in ["", "db", "mysql://db", "postgresql://"] {
            assert!(DatabaseUrl::read(text).is_err(), "{text}");
        }
        for secret in ["mysql://user:hunter2@db", "postgresql://user:hunter2@db:port/x"] {
            assert!(!DatabaseUrl::read(secret).unwrap_err().contains("hunter2"));
        }
    }

    proptest! {
        #[test]
        fn no_url_panics(text: String, rest in "[ -~]{0,40}") {
            let _ = DatabaseUrl::read(&text);
            let _ = DatabaseUrl::read(&format!("postgresql://{text}"));
            let _ = DatabaseUrl::read(&format!("postgresql://{rest}"));
        }
    }
}
