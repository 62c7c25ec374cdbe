//! The address of a listener: an IP address or the name of a host, and a port.

use std::{fmt, io, net::SocketAddr};

use tokio::net::lookup_host;

use super::SettingValue;

/// Where to listen. A name stands for every address that it resolves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListenAddress {
    /// An address and a port.
    Ip(SocketAddr),
    /// The name of a host and a port.
    Name(String, u16),
}

impl ListenAddress {
    /// Returns whether this stands for all addresses of the machine, so that it is nobody's URL.
    pub(crate) fn is_unspecified(&self) -> bool {
        matches!(self, Self::Ip(address) if address.ip().is_unspecified())
    }

    /// Returns the addresses, of which a name may have several.
    pub(crate) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Ip(address) => Ok(vec![*address]),
            Self::Name(host, port) => {
                let mut found: Vec<_> = lookup_host((host.as_str(), *port)).await?.collect();
                // The list of hosts may contain a name more than once.
                found.sort_unstable();
                found.dedup();
                Ok(found)
            }
        }
    }
}

impl SettingValue for ListenAddress {
    fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "must be an address and a port, such as 127.0.0.1:8080, [::1]:8080 or localhost:8080";
        const EVERYWHERE: &str =
            "must name the address, too: 0.0.0.0:PORT or [::]:PORT for all addresses of this machine";
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        let (host, port) = text.rsplit_once(':').ok_or(EXPECTED)?;
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| is_number).ok_or(EXPECTED)?;
        if matches!(host, "" | "*") {
            return Err(EVERYWHERE.to_owned());
        }
        // Without a letter it is an address that is not one.
        let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
            && host.bytes().any(|byte| byte.is_ascii_alphabetic());
        if is_name { Ok(Self::Name(host.to_owned(), port)) } else { Err(EXPECTED.to_owned()) }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Name(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test]
    async fn a_name_stands_for_its_addresses() {
        let addresses = ListenAddress::parse("localhost:8080").unwrap().resolve().await.unwrap();
        assert!(!addresses.is_empty() && addresses.iter().all(|address| address.ip().is_loopback()), "{addresses:?}");
        let address = ListenAddress::parse("[::1]:0").unwrap();
        assert_eq!(address.resolve().await.unwrap(), ["[::1]:0".parse().unwrap()]);
    }

    #[test]
    fn what_is_missing_is_named() {
        for text in [":8080", "*:8080"] {
            assert!(ListenAddress::parse(text).unwrap_err().contains("0.0.0.0:PORT"), "{text}");
        }
        for text in [
            "",
            "8080",
            "localhost",
            "localhost:",
            "localhost:http",
            "localhost:+80",
            "localhost:65536",
            "1.2.3:80",
            "::1:8080x",
            "http://localhost:80",
            "a b:80",
            "[::1]",
        ] {
            assert!(ListenAddress::parse(text).unwrap_err().contains("such as 127.0.0.1:8080"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_refused(text in "\\PC*|[a-z0-9.:\\[\\]*-]{0,20}") {
            if let Ok(address) = ListenAddress::parse(&text) {
                prop_assert_eq!(ListenAddress::parse(&address.to_string()), Ok(address));
            }
        }
    }
}
