//! The URL of RabbitMQ.

use std::{borrow::Cow, fmt, net::Ipv6Addr, str::FromStr};

use authy_core::encryption::{self, ConnectionKind, Encryption};
use lapin::uri::{AMQPScheme, AMQPUri};

/// Interval of heartbeats in seconds, unless the URL sets one: a lost connection is noticed after twice this time.
/// RabbitMQ's default of 60 seconds would delay the stream of events.
const HEARTBEAT: u16 = 10;

/// A URL of RabbitMQ: `amqps`, or `amqp` to this machine, or `amqp` to another one with `?tls=none`. It contains a
/// password, so it is never shown.
///
/// ```
/// use authy_server::sink::AmqpUrl;
///
/// let url: AmqpUrl = "amqps://authy:p%2Fword@mq.example/shop".parse()?;
/// assert_eq!(format!("{url:?}"), "[secret]");
/// assert!("amqp://authy:p%2Fword@mq.example/shop".parse::<AmqpUrl>().is_err(), "it would send a password in plain text");
/// # Ok::<(), authy_server::sink::InvalidAmqpUrl>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct AmqpUrl(pub(super) AMQPUri);

/// A text that is not a URL of RabbitMQ. The message never repeats the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAmqpUrl(Cow<'static, str>);

const CONNECTION: ConnectionKind = ConnectionKind {
    carries: "a password and every event",
    encrypt_with: "amqps://",
    permit_plain_text_with: "amqp://…?tls=none",
};

impl AmqpUrl {
    /// Returns the host and the port.
    pub(super) fn host_and_port(&self) -> (&str, u16) {
        (&self.0.authority.host, self.0.authority.port)
    }

    /// Returns scheme, host and port, which can be shown.
    pub(crate) fn address(&self) -> String {
        let authority = &self.0.authority;
        let scheme = match self.0.scheme {
            AMQPScheme::AMQP => "amqp",
            AMQPScheme::AMQPS => "amqps",
        };
        format!("{scheme}://{}:{}", authority.host, authority.port)
    }
}

impl FromStr for AmqpUrl {
    type Err = InvalidAmqpUrl;

    fn from_str(text: &str) -> Result<Self, InvalidAmqpUrl> {
        const EXPECTED: InvalidAmqpUrl = InvalidAmqpUrl(Cow::Borrowed(
            "must be a URL of RabbitMQ, such as amqps://authy:password@mq.example, what is special in name, password and \
             virtual host percent-encoded",
        ));
        let rest = text.strip_prefix("amqp://").or_else(|| text.strip_prefix("amqps://")).ok_or(EXPECTED)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if host.is_empty() || host.starts_with(':') {
            return Err(InvalidAmqpUrl(Cow::Borrowed("must name a host")));
        }
        let mut uri: AMQPUri = text.parse().map_err(|_| EXPECTED)?;
        // The library reads an IPv6 address as `localhost`.
        if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            uri.authority.host = address.parse::<Ipv6Addr>().map_err(|_| EXPECTED)?.to_string();
        }
        let query = text.split_once('?').map_or("", |(_, query)| query);
        let tls: Vec<_> = query.split('&').filter_map(|pair| pair.strip_prefix("tls=")).collect();
        let encryption = match (&uri.scheme, &tls[..]) {
            (AMQPScheme::AMQPS, []) => Encryption::Required,
            (AMQPScheme::AMQP, []) => Encryption::Unspecified,
            (AMQPScheme::AMQP, ["none"]) => Encryption::Declined,
            _ => return Err(EXPECTED),
        };
        encryption::check(CONNECTION, encryption, [uri.authority.host.as_str()])
            .map_err(|refused| InvalidAmqpUrl(refused.to_string().into()))?;
        uri.query.heartbeat = uri.query.heartbeat.or(Some(HEARTBEAT));
        Ok(Self(uri))
    }
}

impl fmt::Debug for AmqpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_says_where_and_as_whom() {
        let url: AmqpUrl = "amqps://au%40thy:p%2Fw@mq.example/shop".parse().unwrap();
        let user = &url.0.authority.userinfo;
        assert_eq!((user.username.as_str(), user.password.as_str(), url.0.vhost.as_str()), ("au@thy", "p/w", "shop"));
        assert_eq!(url.address(), "amqps://mq.example:5671");
        assert_eq!(url.0.query.heartbeat, Some(HEARTBEAT));
        for (text, host, port, vhost) in [
            ("amqp://mq?tls=none", "mq", 5672, "/"),
            ("amqp://10.0.0.1:99/%2f?tls=none", "10.0.0.1", 99, "/"),
            ("amqp://a:b@[::1]:99/x", "::1", 99, "x"),
        ] {
            let AmqpUrl(uri) = text.parse().unwrap();
            assert_eq!((uri.authority.host.as_str(), uri.authority.port, uri.vhost.as_str()), (host, port, vhost));
        }
        assert_eq!("amqp://mq?heartbeat=3&tls=none".parse::<AmqpUrl>().unwrap().0.query.heartbeat, Some(3));
    }

    #[test]
    fn what_is_not_one_is_refused_and_never_repeated() {
        for text in [
            "",
            "mq",
            "http://u:hunter2@mq",
            "amqp://",
            "amqp://u:hunter2@",
            "amqp:///x",
            "amqp://u:hunter2@mq:port",
            "amqp://[::1",
            "amqp:mq",
            "amqps://u:hunter2@mq?tls=none",
            "amqp://u:hunter2@localhost?tls=required",
        ] {
            let error = text.parse::<AmqpUrl>().unwrap_err().to_string();
            assert!(error.starts_with("must ") && !error.contains("hunter2"), "{text}: {error}");
        }
        let url: AmqpUrl = "amqps://u:hunter2@mq".parse().unwrap();
        assert!(!format!("{url:?} {}", url.address()).contains("hunter2"));
    }

    proptest! {
        #[test]
        fn no_url_panics(rest in "[ -~]{0,40}|\\PC*") {
            let _ = format!("amqp://{rest}").parse::<AmqpUrl>();
            let _ = rest.parse::<AmqpUrl>();
        }
    }
}
