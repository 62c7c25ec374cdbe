//! The address of the client, also behind proxies: forwarded addresses count only from trusted proxies.

use std::{
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// The header in which a proxy names the client whose request it passes on.
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The header in which some proxies name the client instead. It is a single address, without the proxies in between.
pub const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The address of a client, and how its request arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    /// The address of the client.
    pub ip: IpAddr,
    /// Whether the request arrived over https.
    pub https: bool,
}

/// The proxies whose forwarded addresses count. The default trusts none.
#[derive(Debug, Default)]
pub struct TrustedProxies {
    trusted: Vec<IpNet>,
    warned: AtomicBool,
}

impl TrustedProxies {
    /// Trusts the proxies in these networks.
    pub fn new(trusted: Vec<IpNet>) -> Self {
        Self { trusted, warned: AtomicBool::new(false) }
    }

    /// Returns the client whose request `peer` delivered.
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            self.warn(headers);
            return ClientAddress { ip: peer, https: false };
        }
        // Every proxy appends, so the rightmost entry was written by the peer itself.
        let proto = values(headers, &FORWARDED_PROTO).next();
        let https = proto.is_some_and(|proto| proto.eq_ignore_ascii_case("https"));
        let ip = match headers.contains_key(FORWARDED_FOR) {
            true => self.rightmost_untrusted(peer, values(headers, &FORWARDED_FOR)),
            // A proxy that writes `X-Forwarded-For` passes on whatever `X-Real-IP` the client sent, so it comes second.
            false => real_ip(headers).unwrap_or(peer),
        };
        ClientAddress { ip, https }
    }

    /// Returns whether `peer` is a trusted proxy that says by which protocol the request arrived. Only then
    /// [`ClientAddress::https`] is its word; otherwise the connection to the peer itself decides.
    pub fn names_protocol(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        headers.contains_key(FORWARDED_PROTO) && self.trusts(peer.to_canonical())
    }

    /// Returns the first hop from the right that is not a trusted proxy: a client can forge all entries to its left.
    fn rightmost_untrusted<'a>(&self, peer: IpAddr, hops: impl Iterator<Item = &'a str>) -> IpAddr {
        let mut last = peer;
        for hop in hops {
            // An entry that is not an address ends the chain that can be trusted.
            let Some(hop) = address(hop) else { break };
            last = hop;
            if !self.trusts(hop) {
                break;
            }
        }
        last
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    fn warn(&self, headers: &HeaderMap) {
        let trusts_none = self.trusted.is_empty() && !self.warned.load(Ordering::Relaxed);
        if trusts_none && [FORWARDED_FOR, FORWARDED_PROTO, REAL_IP].iter().any(|name| headers.contains_key(name)) {
            self.warned.store(true, Ordering::Relaxed);
            tracing::warn!(
                "a request has the header X-Real-IP or an X-Forwarded one, and no proxy is trusted: behind a proxy, every client seems to \
                 have the proxy's address until AUTHY_TRUSTED_PROXIES names it (in a program: `TrustedProxies`)"
            );
        }
    }
}

/// Returns the comma-separated entries of a header from right to left, over all its lines.
fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().rev();
    // A line that is not text is an invalid entry.
    lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(',').map(str::trim))
}

/// Returns the address in `X-Real-IP`; `None` when there is none, and when there are several: a proxy that adds a line
/// to that of the client does not say which is its own.
fn real_ip(headers: &HeaderMap) -> Option<IpAddr> {
    let mut lines = headers.get_all(REAL_IP).into_iter();
    let only = lines.next().filter(|_| lines.next().is_none())?;
    address(only.to_str().ok()?.trim())
}

/// Reads an address with or without a port, as proxies write it.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn client(peer: &str, lines: &[(&HeaderName, &str)]) -> (String, bool) {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let lines = lines.iter().map(|(name, value)| ((*name).clone(), HeaderValue::from_str(value).unwrap()));
        let ClientAddress { ip, https } = proxies.client_address(peer.parse().unwrap(), &lines.collect());
        (ip.to_string(), https)
    }

    fn forwarded(peer: &str, line: &str) -> String {
        client(peer, &[(&FORWARDED_FOR, line)]).0
    }

    #[test]
    fn only_a_trusted_peer_names_another_client() {
        assert_eq!(forwarded("192.0.2.1", "198.51.100.1"), "192.0.2.1");
        assert_eq!(forwarded("10.0.0.1", "198.51.100.1"), "198.51.100.1");
        assert_eq!(forwarded("::ffff:10.0.0.1", "198.51.100.1"), "198.51.100.1");
        assert_eq!(client("192.0.2.1", &[(&FORWARDED_PROTO, "https")]), ("192.0.2.1".to_owned(), false));
        assert_eq!(client("10.0.0.1", &[(&FORWARDED_PROTO, "HTTPS")]), ("10.0.0.1".to_owned(), true));
        assert!(!client("10.0.0.1", &[(&FORWARDED_PROTO, "https, http")]).1, "the last hop was not by https");
    }

    #[test]
    fn the_rightmost_hop_that_is_not_ours_is_the_client() {
        assert_eq!(forwarded("10.0.0.1", "203.0.113.9, 198.51.100.1, 10.0.0.2"), "198.51.100.1");
        assert_eq!(forwarded("10.0.0.1", "10.0.0.3, 10.0.0.2"), "10.0.0.3", "all are ours");
        assert_eq!(forwarded("10.0.0.1", "203.0.113.9, nonsense, 10.0.0.2"), "10.0.0.2");
        assert_eq!(forwarded("10.0.0.1", "203.0.113.9,, 10.0.0.2"), "10.0.0.2");
        assert_eq!(forwarded("10.0.0.1", ""), "10.0.0.1");
        let lines = [(&FORWARDED_FOR, "198.51.100.1"), (&FORWARDED_FOR, "203.0.113.9, 10.0.0.2")];
        assert_eq!(client("10.0.0.1", &lines).0, "203.0.113.9", "several lines are one list");
    }

    #[test]
    fn ports_and_brackets_are_read() {
        assert_eq!(forwarded("10.0.0.1", "198.51.100.1:4711"), "198.51.100.1");
        assert_eq!(forwarded("fd00::1", "[2001:db8::1]:4711"), "2001:db8::1");
        assert_eq!(forwarded("fd00::1", "[2001:db8::1]"), "2001:db8::1");
    }

    #[test]
    fn the_real_ip_counts_from_a_trusted_peer_when_nothing_was_forwarded() {
        let one = |peer, ip| client(peer, &[(&REAL_IP, ip)]).0;
        assert_eq!(one("10.0.0.1", "198.51.100.1"), "198.51.100.1");
        assert_eq!(one("10.0.0.1", "[2001:db8::1]:4711"), "2001:db8::1");
        assert_eq!(one("10.0.0.1", "::ffff:198.51.100.1"), "198.51.100.1");
        assert_eq!(one("192.0.2.1", "198.51.100.1"), "192.0.2.1", "not from a stranger");
        for nothing in ["", "nonsense", "198.51.100.1, 203.0.113.9"] {
            assert_eq!(one("10.0.0.1", nothing), "10.0.0.1", "{nothing}");
        }
        let lines = [(&REAL_IP, "203.0.113.9"), (&REAL_IP, "198.51.100.1")];
        assert_eq!(client("10.0.0.1", &lines).0, "10.0.0.1", "one of them is the client's own");
        for forwarded in ["198.51.100.1", ""] {
            let lines = [(&REAL_IP, "203.0.113.9"), (&FORWARDED_FOR, forwarded)];
            assert_ne!(client("10.0.0.1", &lines).0, "203.0.113.9", "{forwarded}");
        }
    }

    proptest! {
        #[test]
        fn a_real_ip_moves_nobody_who_was_forwarded_and_no_stranger(
            forged in prop_oneof![any::<IpAddr>().prop_map(|ip| ip.to_string()), "[ -~]{0,40}"],
            stranger in any::<u32>().prop_map(|bits| IpAddr::from(bits.to_be_bytes())),
        ) {
            prop_assume!(!stranger.to_string().starts_with("10."));
            let stranger = stranger.to_string();
            prop_assert_eq!(client(&stranger, &[(&REAL_IP, &forged)]).0, stranger.clone());
            let lines = [(&REAL_IP, &*forged), (&FORWARDED_FOR, &*stranger)];
            prop_assert_eq!(client("10.0.0.1", &lines).0, stranger);
        }

        #[test]
        fn nothing_a_client_writes_moves_it(
            forged in "[ -~]{0,40}",
            client in any::<u32>().prop_map(|bits| IpAddr::from(bits.to_be_bytes())),
            ours in prop::collection::vec(any::<[u8; 3]>(), 0..4),
        ) {
            prop_assume!(!client.to_string().starts_with("10."));
            let mut line = format!("{forged}, {client}");
            for [a, b, c] in ours {
                line.push_str(&format!(",10.{a}.{b}.{c}"));
            }
            prop_assert_eq!(forwarded("10.0.0.1", &line), client.to_string());
        }
    }
}
