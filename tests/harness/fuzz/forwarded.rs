//! The headers in which proxies say where a request came from.

use std::{net::IpAddr, sync::LazyLock};

use authy_server::fuzz::client;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::FuzzTarget;

const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const UNTRUSTED: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));

static TRUSTED: LazyLock<Vec<ipnet::IpNet>> =
    LazyLock::new(|| ["10.0.0.0/8", "fd00::/8"].iter().map(|text| text.parse().unwrap()).collect());

/// Lines: those that begin with `p` are of `x-forwarded-proto`, with `r` of `x-real-ip`, others of `x-forwarded-for`.
pub(super) const FORWARDED: FuzzTarget = FuzzTarget {
    name: "forwarded",
    run: |input| {
        let forwarded_for = HeaderName::from_static("x-forwarded-for");
        let mut headers = HeaderMap::new();
        for line in input.split(|&byte| byte == b'\n').take(100) {
            let Some((first, value)) = line.split_first() else { continue };
            let name = match *first {
                b'p' => HeaderName::from_static("x-forwarded-proto"),
                b'r' => HeaderName::from_static("x-real-ip"),
                _ => forwarded_for.clone(),
            };
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.append(name, value);
            }
        }
        // An untrusted peer is the client, whatever its headers say.
        assert_eq!(client(&TRUSTED, UNTRUSTED, &headers), (UNTRUSTED, false));
        let (ip, _) = client(&TRUSTED, PROXY, &headers);
        assert_eq!(ip, ip.to_canonical());
        // Behind a proxy it is who the proxy says, whatever stood there before.
        headers.append(&forwarded_for, HeaderValue::from_str(&UNTRUSTED.to_string()).unwrap());
        assert_eq!(client(&TRUSTED, PROXY, &headers).0, UNTRUSTED);
    },
    seeds: || {
        [
            "f203.0.113.9, 198.51.100.1, 10.0.0.2\npHTTPS",
            "f[2001:db8::1]:4711,fd00::1\nf198.51.100.1:1\nphttps, http",
            "f",
            "r198.51.100.1:1",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into()
    },
    words: &[
        "\n",
        "f",
        "p",
        "r",
        ",",
        " ",
        "10.0.0.2",
        "fd00::1",
        "[::1]:80",
        "::ffff:10.0.0.1",
        "198.51.100.1",
        "https",
        "http",
        ":",
        "é",
    ],
    dearest: |length| {
        ["f10.0.0.2", "f,", "f10.0.0.2\n", "f[fd00::1]:80,"]
            .map(|part| {
                let (first, rest) = part.split_at(1);
                match part.ends_with('\n') {
                    true => part.repeat(length / part.len()).into_bytes(),
                    false => format!("{first}{}", format!("{rest},").repeat(length / (rest.len() + 1))).into_bytes(),
                }
            })
            .into()
    },
};
