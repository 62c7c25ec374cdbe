//! The URL of a mail server: its address, its encryption, and the login.

use std::{borrow::Cow, str::FromStr};

use authy_core::{
    Secret,
    encryption::{self, ConnectionKind, Encryption},
};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// The URL of a mail server.
#[derive(Clone, Debug)]
pub struct SmtpUrl {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: SmtpSecurity,
    /// The name in EHLO; the name of this machine when left out.
    pub(super) hello: Option<String>,
    pub(super) login: Option<(String, Secret)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum SmtpSecurity {
    /// Plain text.
    None,
    /// STARTTLS when the server offers it.
    Opportunistic,
    /// STARTTLS; without it there is no connection.
    Required,
    /// TLS from the first byte.
    Wrapper,
}

/// A text that is not an [`SmtpUrl`]. The message never repeats the text, which may contain a password.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSmtpUrl(Cow<'static, str>);

const CONNECTION: ConnectionKind = ConnectionKind {
    carries: "mails with one-time codes",
    encrypt_with: "smtps:// or smtp://…?tls=required",
    permit_plain_text_with: "smtp://…?tls=none",
};

impl SmtpUrl {
    /// Returns host, port and encryption, which can be shown.
    #[cfg(feature = "cli")]
    pub(crate) fn address(&self) -> String {
        let how = match self.security {
            SmtpSecurity::None => "without TLS",
            SmtpSecurity::Opportunistic => "with TLS where it is offered",
            SmtpSecurity::Required | SmtpSecurity::Wrapper => "with TLS",
        };
        format!("{}:{} {how}", self.host, self.port)
    }
}

impl FromStr for SmtpUrl {
    type Err = InvalidSmtpUrl;

    fn from_str(text: &str) -> Result<Self, InvalidSmtpUrl> {
        const EXPECTED: InvalidSmtpUrl = InvalidSmtpUrl(Cow::Borrowed(
            "must be the URL of a mail server: smtps://user:password@mail.example, smtp://mail.example?tls=required \
             (STARTTLS), or smtp://localhost",
        ));
        let url = Url::parse(text).map_err(|_| EXPECTED)?;
        let (mut tls, mut pairs) = (None, url.query_pairs());
        if let Some((key, value)) = pairs.next() {
            tls = Some((key == "tls").then_some(value).ok_or(EXPECTED)?);
        }
        // The ports of RFC 5321, RFC 6409 and RFC 8314.
        let (security, port, encryption) = match (url.scheme(), tls.as_deref()) {
            ("smtp", None) => (SmtpSecurity::None, 25, Encryption::Unspecified),
            ("smtp", Some("none")) => (SmtpSecurity::None, 25, Encryption::Declined),
            ("smtp", Some("opportunistic")) => (SmtpSecurity::Opportunistic, 587, Encryption::Unspecified),
            ("smtp", Some("required")) => (SmtpSecurity::Required, 587, Encryption::Required),
            ("smtps", None) => (SmtpSecurity::Wrapper, 465, Encryption::Required),
            _ => return Err(EXPECTED),
        };
        if pairs.next().is_some() || url.fragment().is_some() {
            return Err(EXPECTED);
        }
        let host = url.host().ok_or(EXPECTED)?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| EXPECTED);
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) if !user.is_empty() => Some((decoded(user)?, Secret::new(decoded(password)?))),
            _ => return Err(EXPECTED),
        };
        let hello = url.path().trim_matches('/');
        let hello = (!hello.is_empty()).then(|| decoded(hello)).transpose()?;
        if hello.as_ref().is_some_and(|name| !name.chars().all(|c| c.is_ascii_graphic())) {
            return Err(EXPECTED);
        }
        let host = match host {
            // Without the brackets of the URL.
            Host::Ipv6(address) => address.to_string(),
            Host::Domain(name) => ascii(&decoded(name)?).ok_or(EXPECTED)?,
            Host::Ipv4(address) => address.to_string(),
        };
        encryption::check(CONNECTION, encryption, [host.as_str()])
            .map_err(|refused| InvalidSmtpUrl(refused.to_string().into()))?;
        Ok(Self { host, port: url.port().unwrap_or(port), security, hello, login })
    }
}

/// Returns the ASCII form of a host name, as the DNS and certificates have it: the URL parser converts only hosts of
/// the web.
fn ascii(host: &str) -> Option<String> {
    match host.is_ascii() {
        true => Some(host.to_owned()),
        false => idna::domain_to_ascii_strict(host).ok(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_names_host_port_and_encryption() {
        let read = |text: &str| {
            let url: SmtpUrl = text.parse().unwrap();
            (url.host, url.port, url.security)
        };
        let host = |name: &str| name.to_owned();
        assert_eq!(read("smtp://mail.example?tls=none"), (host("mail.example"), 25, SmtpSecurity::None));
        assert_eq!(read("smtp://localhost:2525/me.example"), (host("localhost"), 2525, SmtpSecurity::None));
        assert_eq!(read("smtp://mail.example?tls=required"), (host("mail.example"), 587, SmtpSecurity::Required));
        assert_eq!(read("smtp://localhost?tls=opportunistic"), (host("localhost"), 587, SmtpSecurity::Opportunistic));
        assert_eq!(read("smtps://[::1]"), (host("::1"), 465, SmtpSecurity::Wrapper));
        assert_eq!(
            read("smtps://mail.bücher.example"),
            (host("mail.xn--bcher-kva.example"), 465, SmtpSecurity::Wrapper)
        );
        let url: SmtpUrl = "smtps://ada%40shop.example:p%40ss@mail.example".parse().unwrap();
        let (user, password) = url.login.clone().unwrap();
        assert_eq!((user.as_str(), password.expose()), ("ada@shop.example", "p@ss"));
        assert!(!format!("{url:?}").contains("p@ss"));
    }

    #[test]
    fn what_is_no_url_of_a_mail_server_is_refused_and_its_password_not_repeated() {
        for text in [
            "",
            "mail.example",
            "http://mail.example",
            "smtp://",
            "smtps://mail.example?tls=none",
            "smtp://mail.example?ssl=required",
            "smtps://mail.example?tls=required&tls=required",
            "smtps://user@mail.example",
            "smtps://:hunter2@mail.example",
            "smtps://user:hunter2@mail.example:port",
            "smtp://mail.example/me%0d%0aRSET",
            // The password and the codes in mails would be readable on the way.
            "smtp://mail.example",
            "smtp://mail.example?tls=opportunistic",
            "smtp://user:hunter2@mail.example",
            "smtp://user:hunter2@mail.example?tls=opportunistic",
            "smtp://user:hunter2@127.0.0.1.evil.example",
        ] {
            let error = text.parse::<SmtpUrl>().unwrap_err().to_string();
            assert!(error.starts_with("must be") || error.contains("without encryption"), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        for text in ["smtp://user:hunter2@localhost:2525", "smtp://user:hunter2@127.0.0.1", "smtp://user:hunter2@[::1]"]
        {
            assert!(text.parse::<SmtpUrl>().is_ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String, rest in "[ -~]{0,40}") {
            let _ = (text.parse::<SmtpUrl>(), format!("smtp://{rest}").parse::<SmtpUrl>());
        }
    }
}
