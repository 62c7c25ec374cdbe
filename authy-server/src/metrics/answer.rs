//! The answer to a request for metrics, and who may ask for them.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderValue, Version,
    header::{CACHE_CONTROL, CONTENT_TYPE, HOST},
    request::Parts,
    uri::Authority,
};
use http_body_util::{Either, Full};

use super::scrape::{Format, Scrape};
use crate::{reply::Response, table::is_forwarded};

/// Returns the metrics in the format that a request asks for.
pub(crate) fn answer(request: &HeaderMap, scrape: Scrape) -> Response {
    let format = Format::wanted(request);
    let mut response = Response::new(Either::Left(Full::from(scrape.into_text(format))));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Returns whether a request came from a program on this machine, and not through a proxy on it: a proxy says so in a
/// header, or asks for the host that its client asked for. nginx does neither by default, and speaks HTTP/1.0.
pub(crate) fn is_local(peer: IpAddr, head: &Parts) -> bool {
    peer.to_canonical().is_loopback()
        && !is_forwarded(&head.headers)
        && head.version != Version::HTTP_10
        && names_this_machine(&head.headers)
}

/// Returns whether a request asks for this machine by a name that means it everywhere.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    host.is_some_and(|host| {
        let host = host.host().trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(lines: &[(&str, &str)]) -> Parts {
        let mut head = http::Request::new(()).into_parts().0;
        for (name, value) in lines {
            let name: http::HeaderName = name.parse().unwrap();
            head.headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        head
    }

    fn local(peer: &str, lines: &[(&str, &str)]) -> bool {
        is_local(peer.parse().unwrap(), &request(lines))
    }

    #[test]
    fn only_a_program_on_this_machine_is_local_and_not_a_proxy_on_it() {
        for peer in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert!(local(peer, &[("host", "localhost:8080")]), "{peer}");
        }
        for peer in ["192.0.2.1", "10.0.0.1", "::ffff:192.0.2.1", "fe80::1", "0.0.0.0"] {
            assert!(!local(peer, &[("host", "localhost:8080")]), "{peer}");
        }
        for host in ["127.0.0.1:8080", "[::1]:8080", "LOCALHOST", "127.0.0.1"] {
            assert!(local("127.0.0.1", &[("host", host)]), "{host}");
        }
        for host in ["auth.example.org", "localhost.example.org", "192.0.2.1", "127.0.0.1.example.org", "a b", ""] {
            assert!(!local("127.0.0.1", &[("host", host)]), "{host}");
        }
        for header in ["forwarded", "via", "x-real-ip", "x-forwarded-for", "x-forwarded-proto", "x-original-uri"] {
            assert!(!local("127.0.0.1", &[("host", "localhost"), (header, "127.0.0.1")]), "{header}");
        }
        assert!(!local("127.0.0.1", &[]), "without a host");
        let mut old = request(&[("host", "localhost")]);
        old.version = Version::HTTP_10;
        assert!(!is_local("127.0.0.1".parse().unwrap(), &old), "nginx without a header");
    }

    #[test]
    fn the_format_is_the_one_that_is_asked_for() {
        let wanted = |accept: &str| Format::wanted(&request(&[("accept", accept)]).headers);
        let prometheus = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(wanted(prometheus), Format::OpenMetrics);
        for accept in ["*/*", "text/plain", ""] {
            assert_eq!(wanted(accept), Format::Prometheus, "{accept}");
        }
    }

    proptest! {
        #[test]
        fn no_host_that_a_browser_may_send_for_another_site_is_this_machine(site in "[a-z0-9.-]{0,20}\\.[a-z]{2,5}(:[0-9]{1,5})?") {
            prop_assert!(!local("127.0.0.1", &[("host", &site)]));
        }

        #[test]
        fn no_host_panics(host in "[ -~]{0,40}") {
            let _ = local("127.0.0.1", &[("host", &host)]);
        }
    }
}
