//! What a recorded request is about: its route, whether it may be repeated, and how it is shown without its secrets.

use authy_core::api::{Endpoint as _, account::GetValidation, session::Login};
use http::{Method, uri::PathAndQuery};

use crate::{routes, table::RouteTable};

/// Maximum length of a segment of an unknown path that is shown, in characters. Codes are longer.
const MAX_SHOWN_SEGMENT: usize = 24;

/// The routes of a server of today.
pub(super) struct Routes(RouteTable);

/// What happens when a request is sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repetition {
    /// Nothing changes.
    Safe,
    /// The user has one more session, and a later last login.
    Login,
    /// Something changes again.
    Write,
}

impl Routes {
    pub(super) fn new() -> Self {
        Self(RouteTable::new(routes::all()))
    }

    /// Returns the path with the parameters in braces. One that today's server does not know is shortened to what is no secret.
    pub(super) fn template(&self, target: &PathAndQuery) -> String {
        match self.0.find(target.path()) {
            Some((resource, _)) => resource.metrics.route.to_owned(),
            None => segments(target.path(), |_, segment| is_plain(segment)),
        }
    }

    pub(super) fn repetition(&self, method: &Method, target: &PathAndQuery) -> Repetition {
        let template = self.template(target);
        match *method {
            Method::POST if template == Login::INFO.path => Repetition::Login,
            // The first authy confirms the address already when the link of the mail is opened.
            Method::GET | Method::HEAD if template == GetValidation::INFO.path => Repetition::Write,
            Method::GET | Method::HEAD => Repetition::Safe,
            _ => Repetition::Write,
        }
    }

    /// Returns path and query for people. A code in the path and the values of a query are left out.
    pub(super) fn shown(&self, target: &PathAndQuery) -> String {
        let template = match self.0.find(target.path()) {
            Some((resource, _)) => resource.metrics.route,
            None => "",
        };
        let of_template: Vec<&str> = template.split('/').collect();
        let path = segments(target.path(), |number, segment| match of_template.get(number) {
            _ if template.is_empty() => is_plain(segment),
            Some(part) => *part != "{code}",
            None => false,
        });
        let names = target.query().unwrap_or_default().split('&').filter_map(|pair| {
            let name = pair.split('=').next().filter(|name| !name.is_empty())?;
            Some(if is_plain(name) { format!("{name}=…") } else { "…".to_owned() })
        });
        match names.collect::<Vec<_>>().join("&") {
            names if names.is_empty() => path,
            names => format!("{path}?{names}"),
        }
    }
}

/// Returns a path in which the segments that may not be shown are replaced.
fn segments(path: &str, may_be_shown: impl Fn(usize, &str) -> bool) -> String {
    let shown = path.split('/').enumerate().map(|(number, segment)| match may_be_shown(number, segment) {
        true => segment,
        false => "{…}",
    });
    shown.collect::<Vec<_>>().join("/")
}

/// Returns whether a text is a short word: an ID, a token or a code has digits, capital letters, or is longer.
fn is_plain(text: &str) -> bool {
    text.len() <= MAX_SHOWN_SEGMENT && text.bytes().all(|byte| byte.is_ascii_lowercase() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_safe_and_logins_are_repeated_without_being_asked() {
        use Repetition::*;
        let routes = Routes::new();
        for (method, target, expected) in [
            (Method::GET, "/authy/user", Safe),
            (Method::HEAD, "/authy/user", Safe),
            (Method::GET, "/authy/validate/abc", Write),
            (Method::HEAD, "/authy/validate/abc?x=y", Write),
            (Method::POST, "/authy/login", Login),
            (Method::POST, "/authy/login?next=x", Login),
            (Method::POST, "/authy/user", Write),
            (Method::POST, "/authy/token", Write),
            (Method::PUT, "/authy/login", Write),
            (Method::DELETE, "/authy/user", Write),
            (Method::OPTIONS, "/authy/user", Write),
            (Method::GET, "/authy/earlier/path", Safe),
        ] {
            assert_eq!(routes.repetition(&method, &target.parse().unwrap()), expected, "{method} {target}");
        }
    }

    #[test]
    fn no_code_and_no_value_of_a_query_is_shown() {
        let routes = Routes::new();
        for (target, template, shown) in [
            ("/authy/validate/hunter2", "/authy/validate/{code}", "/authy/validate/{code}"),
            ("/authy/fetch/Ada", "/authy/fetch/{username}", "/authy/fetch/Ada"),
            ("/authy/users?page=2&q=hunter2&", "/authy/users", "/authy/users?page=…&q=…"),
            ("/authy/users?hunter2", "/authy/users", "/authy/users?…"),
            ("/authy/reset/hunter2", "/authy/reset/{…}", "/authy/reset/{…}"),
            ("/authy/reset/hunter2/now", "/authy/reset/{…}/now", "/authy/reset/{…}/now"),
        ] {
            let target: PathAndQuery = target.parse().unwrap();
            assert_eq!(routes.template(&target), template);
            let shown = shown.replace("{code}", "{…}");
            assert_eq!(routes.shown(&target), shown);
        }
    }
}
