//! Which requests are refused because another site sent them, and which paths a page may lead back to.

use authy_core::api::Method;
use http::{HeaderName, header::ORIGIN, request::Parts};

use super::{Site, form::Form, owns};
use crate::listener::Listener;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Maximum length of a path to lead back to, in bytes. Those of ours are shorter.
const MAX_PATH_BYTES: usize = 1000;

/// Returns whether a request may change something and did not come from a page of ours (cross-site request forgery).
///
/// `Sec-Fetch-Site` decides, which no page can set. Browsers leave it out where a connection is not secure, and old ones
/// always: then `Origin` must be the origin of the public URL. A request with neither is refused as well.
pub(super) fn is_foreign(head: &Parts, origin: &str) -> bool {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(&head.method) {
        return false;
    }
    match head.headers.get(SEC_FETCH_SITE) {
        Some(site) => site != "same-origin",
        None => head.headers.get(ORIGIN).is_none_or(|sent| sent != origin),
    }
}

/// Returns whether a text is the path of a page of ours that can be opened, with a query or none. Everything else would
/// let a link to our login lead to another site.
pub(super) fn is_own_page(site: &Site, target: &str) -> bool {
    let has_page = |path| site.find(Listener::Sole, path).is_some_and(|page| page.row.has_get() && !page.row.is_asset);
    is_own_path(target) && has_page(path_of(target))
}

/// Returns whether a text is a path where our pages are, with a query or none, whether or not there is a page at it.
pub(super) fn is_own_path(target: &str) -> bool {
    let path = path_of(target);
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#' | b'<' | b'>' | b'"');
    // A browser leaves out such segments, however they are written.
    let is_dots = |segment: &str| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        segment == "." || segment == ".."
    };
    target.len() <= MAX_PATH_BYTES && target.bytes().all(is_plain) && owns(path) && !path.split('/').any(is_dots)
}

/// Returns what a request has opened, for the switch of languages; empty when it cannot be opened again. What was answered
/// with an error can, unless it was a form.
pub(super) fn reopened<'a>(site: &Site, target: &'a str, is_form: bool) -> &'a str {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    // A parameter that leads elsewhere is not repeated.
    let leads_elsewhere = Form::parse(query.as_bytes()).get("return").is_some_and(|path| !is_own_page(site, path));
    let target = if leads_elsewhere { path_of(target) } else { target };
    let can_be_opened = if is_form { is_own_page(site, target) } else { is_own_path(target) };
    if can_be_opened { target } else { "" }
}

fn path_of(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};
    use proptest::prelude::*;

    use super::*;
    use crate::ui::Pages;

    fn site() -> Site {
        Site::new(&Pages::new("https://auth.example").unwrap())
    }

    #[test]
    fn a_page_may_lead_back_to_a_page_of_ours_alone() {
        let site = site();
        for path in [
            "/authy/ui",
            "/authy/ui/account",
            "/authy/ui/account/email?a=b%2F..%2F",
            "/authy/ui/reset/abc",
            "/authy/docs",
            "/authy/docs/events?x",
        ] {
            assert!(is_own_page(&site, path) && is_own_path(path), "{path}");
        }
        for path in ["/authy/ui/nothing", "/authy/ui/logout", "/authy/docs/nothing", "/authy/ui/assets/x/app.css"] {
            assert!(!is_own_page(&site, path) && is_own_path(path), "{path}");
        }
        for path in [
            "",
            "/",
            "//evil.example/authy/ui",
            "https://evil.example/authy/ui/account",
            "/authy/ui/../../evil",
            "/authy/ui/reset/..",
            "/authy/ui/reset/%2E%2e",
            "/authy/ui/reset/.%2e?x",
            "/authy/ui\\account",
            "/authy/ui/account#x",
            "/authy/ui/account x",
            "/authy/uiaccount",
            "/authy/user",
            "/authy/docsx",
            "/authy/docs/../../evil",
            "\t/authy/ui",
            "javascript:alert(1)",
        ] {
            assert!(!is_own_page(&site, path) && !is_own_path(path), "{path}");
        }
    }

    #[test]
    fn the_switch_of_languages_leads_back_to_what_was_opened() {
        let site = site();
        for (target, is_form, expected) in [
            ("/authy/docs/events", false, "/authy/docs/events"),
            ("/authy/ui/nothing?x=y", false, "/authy/ui/nothing?x=y"),
            ("/authy/ui/logout", true, ""),
            ("/authy/ui/login?return=/authy/docs", true, "/authy/ui/login?return=/authy/docs"),
            ("/authy/ui/login?return=//evil.example", true, "/authy/ui/login"),
            ("/authy/ui/nothing?return=https://evil.example", false, "/authy/ui/nothing"),
            ("/authy/user", false, ""),
            ("//evil.example/authy/ui", false, ""),
        ] {
            assert_eq!(reopened(&site, target, is_form), expected, "{target}");
        }
    }

    #[test]
    fn a_form_of_another_site_is_refused() {
        let is_refused = |method: Method, site: Option<&'static str>, origin: Option<&'static str>| {
            let mut head = Request::new(()).into_parts().0;
            head.method = method;
            site.map(|site| head.headers.insert(SEC_FETCH_SITE, HeaderValue::from_static(site)));
            origin.map(|origin| head.headers.insert(ORIGIN, HeaderValue::from_static(origin)));
            is_foreign(&head, "https://auth.example")
        };
        for (site, origin, refused) in [
            (Some("same-origin"), None, false),
            (Some("same-origin"), Some("null"), false),
            (Some("same-site"), Some("https://auth.example"), true),
            (Some("cross-site"), Some("https://auth.example"), true),
            (Some("none"), Some("https://auth.example"), true),
            (Some(""), Some("https://auth.example"), true),
            (None, Some("https://auth.example"), false),
            (None, Some("https://auth.example.evil"), true),
            (None, Some("http://auth.example"), true),
            (None, Some("null"), true),
            (None, None, true),
        ] {
            assert_eq!(is_refused(Method::POST, site, origin), refused, "{site:?} {origin:?}");
            assert_eq!(is_refused(Method::PUT, site, origin), refused, "{site:?} {origin:?}");
            assert!(!is_refused(Method::GET, site, origin));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn wherever_a_page_leads_back_to_is_below_our_root(
            path in "(/authy/ui|/authy/docs)?(/|\\\\|%2e|\\.|%2F|account|reset|x|:|@|\\?|#|//|evil\\.example|\t| ){0,8}|\\PC*",
        ) {
            prop_assert!(is_own_path(&path) || !is_own_page(site_once(), &path), "{}", path);
            if is_own_path(&path) {
                let base = url::Url::parse("https://auth.example/authy/ui/login").unwrap();
                let url = base.join(&path).unwrap();
                prop_assert_eq!(url.origin(), base.origin());
                prop_assert!(owns(url.path()), "{}", url);
            }
        }
    }

    fn site_once() -> &'static Site {
        static SITE: std::sync::LazyLock<Site> = std::sync::LazyLock::new(site);
        &SITE
    }
}
