//! The cookies of the pages.

use authy_core::{Secret, api::session::Tokens};
use http::{
    HeaderMap, HeaderValue,
    header::{COOKIE, SET_COOKIE},
};

/// A year in seconds.
const YEAR: u64 = 365 * 24 * 3600;

/// How long a form can be open before it is sent, in seconds: a page that was opened in the morning still works in the
/// evening. A shorter time would protect nobody, because the cookie does so by not being sent from another site.
const FLOW_SECONDS: u64 = 24 * 3600;

/// Before the refresh token of a session that the browser keeps when it is closed.
const KEPT: &str = "k~";

/// A cookie of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cookie {
    /// The refresh token.
    Refresh,
    /// The access token.
    Access,
    /// The device token, for a year.
    Device,
    /// Set by the forms of those who are not logged in. A browser does not send it with a form of another site, so
    /// nobody can be logged in to another person's account from there.
    Flow,
    /// The language that was chosen, for a year.
    Language,
}

impl Cookie {
    /// Returns the name. A browser keeps a cookie whose name begins with `__Host-` only when it came over https from
    /// this very host.
    fn name(self, is_secure: bool) -> &'static str {
        match (self, is_secure) {
            (Self::Refresh, true) => "__Host-authy",
            (Self::Access, true) => "__Host-authy-access",
            (Self::Device, true) => "__Host-authy-device",
            (Self::Flow, true) => "__Host-authy-flow",
            (Self::Language, true) => "__Host-authy-language",
            (Self::Refresh, false) => "authy",
            (Self::Access, false) => "authy-access",
            (Self::Device, false) => "authy-device",
            (Self::Flow, false) => "authy-flow",
            (Self::Language, false) => "authy-language",
        }
    }
}

/// The cookies of a request.
pub(super) struct CookieJar<'a> {
    headers: &'a HeaderMap,
    is_secure: bool,
}

impl<'a> CookieJar<'a> {
    pub(super) fn new(headers: &'a HeaderMap, is_secure: bool) -> Self {
        Self { headers, is_secure }
    }

    /// Returns the value of a cookie that is not empty.
    pub(super) fn get(&self, cookie: Cookie) -> Option<&'a str> {
        let wanted = cookie.name(self.is_secure);
        let lines = self.headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value).filter(|value| !value.is_empty())
    }

    /// Returns the refresh token, and whether the browser keeps it when it is closed.
    pub(super) fn refresh_token(&self) -> Option<(Secret, bool)> {
        let value = self.get(Cookie::Refresh)?;
        let kept = value.strip_prefix(KEPT);
        Some((Secret::new(kept.unwrap_or(value)), kept.is_some()))
    }
}

/// Cookies to set. The last one of a name counts.
#[derive(Debug)]
pub(super) struct SetCookies {
    set: Vec<(Cookie, HeaderValue)>,
    is_secure: bool,
}

impl SetCookies {
    pub(super) fn new(is_secure: bool) -> Self {
        Self { set: Vec::new(), is_secure }
    }

    /// Sets the tokens of a session.
    pub(super) fn set_tokens(&mut self, tokens: &Tokens, is_kept: bool) {
        let seconds = is_kept.then_some(tokens.refresh_expires_in);
        let prefix = if is_kept { KEPT } else { "" };
        self.set(Cookie::Refresh, &format!("{prefix}{}", tokens.refresh_token.expose()), seconds);
        self.set(Cookie::Access, tokens.token.expose(), seconds);
        if let Some(token) = &tokens.device_token {
            self.set(Cookie::Device, token.expose(), Some(YEAR));
        }
    }

    /// Removes the tokens of a session. The device stays known.
    pub(super) fn forget_tokens(&mut self) {
        self.forget(Cookie::Refresh);
        self.forget(Cookie::Access);
    }

    pub(super) fn forget(&mut self, cookie: Cookie) {
        self.set(cookie, "", Some(0));
    }

    pub(super) fn set_flow(&mut self) {
        self.set(Cookie::Flow, &format!("{:032x}", rand::random::<u128>()), Some(FLOW_SECONDS));
    }

    pub(super) fn set_language(&mut self, code: &str) {
        self.set(Cookie::Language, code, Some(YEAR));
    }

    /// Sets a cookie for some seconds, or until the browser is closed.
    fn set(&mut self, cookie: Cookie, value: &str, seconds: Option<u64>) {
        let name = cookie.name(self.is_secure);
        let secure = if self.is_secure { "; Secure" } else { "" };
        let age = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
        // Lax: a link on another site, such as that in a mail, opens a page of the person who is logged in.
        let line = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}");
        self.set.retain(|(known, _)| *known != cookie);
        // Tokens consist of letters, digits, dots, dashes and underscores.
        if let Ok(mut value) = HeaderValue::try_from(line) {
            value.set_sensitive(true);
            self.set.push((cookie, value));
        }
    }

    /// Adds cookies that take the place of those with the same names.
    pub(super) fn extend(&mut self, later: Self) {
        self.set.retain(|(known, _)| !later.set.iter().any(|(cookie, _)| cookie == known));
        self.set.extend(later.set);
    }

    /// Writes the headers.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        for (_, value) in self.set {
            headers.append(SET_COOKIE, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn jar(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, HeaderValue::from_str(line).unwrap())).collect()
    }

    fn written(cookies: SetCookies) -> Vec<String> {
        let mut headers = HeaderMap::new();
        cookies.write(&mut headers);
        headers.get_all(SET_COOKIE).iter().map(|line| line.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let headers = jar(&["xauthy=1; authy-access=2;authy=k~3", "__Host-authy=4; authy-flow="]);
        let plain = CookieJar::new(&headers, false);
        assert_eq!((plain.get(Cookie::Access), plain.get(Cookie::Refresh)), (Some("2"), Some("k~3")));
        assert_eq!((plain.get(Cookie::Flow), plain.get(Cookie::Device)), (None, None));
        let (token, is_kept) = plain.refresh_token().unwrap();
        assert_eq!((token.expose(), is_kept), ("3", true));
        let secure = CookieJar::new(&headers, true);
        assert_eq!((secure.get(Cookie::Refresh), secure.get(Cookie::Access)), (Some("4"), None));
    }

    #[test]
    fn over_https_a_cookie_belongs_to_this_host_alone() {
        let mut cookies = SetCookies::new(true);
        cookies.set_language("de");
        cookies.set_language("en");
        cookies.forget(Cookie::Access);
        assert_eq!(
            written(cookies),
            [
                "__Host-authy-language=en; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=31536000",
                "__Host-authy-access=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0",
            ]
        );
        let mut plain = SetCookies::new(false);
        plain.set(Cookie::Refresh, "a", None);
        assert_eq!(written(plain), ["authy=a; Path=/; HttpOnly; SameSite=Lax"]);
    }

    #[test]
    fn a_later_cookie_takes_the_place_of_an_earlier_one() {
        let (mut first, mut later) = (SetCookies::new(false), SetCookies::new(false));
        first.set(Cookie::Access, "old", None);
        first.set(Cookie::Device, "kept", None);
        later.forget_tokens();
        first.extend(later);
        let names: Vec<_> = written(first).iter().map(|line| line.split(';').next().unwrap().to_owned()).collect();
        assert_eq!(names, ["authy-device=kept", "authy=", "authy-access="]);
    }

    proptest! {
        #[test]
        fn any_header_is_read(line in "[ -~]{0,60}|(authy(-access)?=?[;= ~k.]{0,5}){0,9}") {
            let headers = jar(&[&line]);
            let jar = CookieJar::new(&headers, false);
            for cookie in [Cookie::Refresh, Cookie::Access, Cookie::Device, Cookie::Flow, Cookie::Language] {
                prop_assert!(jar.get(cookie).is_none_or(|value| !value.is_empty() && line.contains(value)));
            }
            let _ = jar.refresh_token();
        }
    }
}
