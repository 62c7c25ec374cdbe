//! The client that sent a request: what events, limits and mails know of it.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header::USER_AGENT};

use crate::Secret;

mod proxies;

pub use proxies::{ClientAddress, FORWARDED_FOR, REAL_IP, TrustedProxies};

/// The header with the ID of a request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The header of a login with the device token of an earlier one.
pub const DEVICE_TOKEN: HeaderName = HeaderName::from_static("x-device-token");

/// Maximum length of a stored user agent in bytes. No browser sends a longer one; a client that does may try to fill
/// the database.
const USER_AGENT_BYTES: usize = 256;

/// The client that sent a request.
#[derive(Clone, Debug, Default)]
pub struct ClientInfo {
    /// The remote address of the client.
    pub ip: Option<IpAddr>,
    /// The client's `User-Agent`.
    pub user_agent: Option<String>,
    /// The ID of the request in the logs.
    pub request_id: Option<String>,
    /// The device token in the request, from an earlier login. An invalid one is ignored.
    pub device_token: Option<Secret>,
}

impl ClientInfo {
    /// Returns the client of a request with these headers that arrived from `peer`, the address of the connection. The
    /// addresses in `X-Forwarded-For`, and without it the one in `X-Real-IP`, count only when they come from trusted proxies.
    pub fn from_request(headers: &HeaderMap, peer: IpAddr, proxies: &TrustedProxies) -> Self {
        let request_id = request_id(headers).and_then(|id| id.to_str().ok()).map(str::to_owned);
        Self { request_id, ..Self::from_headers(headers, proxies.client_address(peer, headers).ip) }
    }

    /// Returns the client at `ip`, with what the headers of its request say about it. Without a request ID: a server may
    /// give the request another one than the client.
    pub fn from_headers(headers: &HeaderMap, ip: IpAddr) -> Self {
        let agent = headers.get(USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        let device_token = headers.get(DEVICE_TOKEN).and_then(|token| token.to_str().ok()).map(Secret::new);
        Self {
            ip: Some(ip),
            user_agent: agent.map(|agent| cut_user_agent(&agent).to_owned()),
            request_id: None,
            device_token,
        }
    }

    /// Returns the network that counts as one address: an IPv4 address, or the /64 of one IPv6 client.
    #[cfg(feature = "engine")]
    pub(crate) fn network(&self) -> Option<String> {
        self.ip.map(|address| crate::network::of_client(address).to_string())
    }
}

/// Returns the ID in the headers of a request, when it has 1 to 64 characters, all of them `A-Z a-z 0-9 . _ -`.
pub fn request_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    let plain = |c: &u8| c.is_ascii_alphanumeric() || b"._-".contains(c);
    headers.get(REQUEST_ID).filter(|id| (1..=64).contains(&id.len()) && id.as_bytes().iter().all(plain))
}

/// Returns a user agent truncated to the stored length (256 bytes), at a character boundary.
pub(crate) fn cut_user_agent(agent: &str) -> &str {
    agent.get(..agent.floor_char_boundary(USER_AGENT_BYTES)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn read(lines: &[(HeaderName, &str)], proxies: &TrustedProxies) -> ClientInfo {
        let lines = lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
        ClientInfo::from_request(&lines.collect(), PEER, proxies)
    }

    #[test]
    fn a_user_agent_is_cut_by_bytes_between_characters() {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_bytes("€".repeat(300).as_bytes()).unwrap());
        assert_eq!(ClientInfo::from_headers(&headers, PEER).user_agent.unwrap(), "€".repeat(85));
    }

    #[test]
    fn a_request_says_who_sent_it_and_a_trusted_proxy_for_whom() {
        let lines =
            [(FORWARDED_FOR, "198.51.100.7"), (USER_AGENT, "curl/8"), (DEVICE_TOKEN, "known"), (REQUEST_ID, "r-1")];
        let client = read(&lines, &TrustedProxies::default());
        assert_eq!((client.ip, client.user_agent.as_deref()), (Some(PEER), Some("curl/8")));
        assert_eq!((client.request_id.as_deref(), client.device_token), (Some("r-1"), Some(Secret::new("known"))));
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(read(&lines, &proxies).ip, Some([198, 51, 100, 7].into()));
        assert_eq!(read(&[(REQUEST_ID, "not plain")], &proxies).request_id, None);
    }
}
