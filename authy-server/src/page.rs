//! Pages for people who follow a link in a mail: plain HTML, without a script, a style or anything else that has to be
//! loaded.
//!
//! Their forms need no defence against requests forged by other sites: there is no login in a browser, and no cookie is
//! read. The code in the link is the only permission, and an attacker who has it can send it without a browser.

use std::sync::LazyLock;

use authy_core::{
    Error, ErrorKind, Result,
    api::{
        account::{Validated, ValidationPurpose, ValidationView},
        status,
    },
};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY, X_FRAME_OPTIONS},
};
use http_body_util::Full;
use minijinja::{Environment, context};

use crate::reply::FullResponse;

/// A page may contain a form that sends to this server, and nothing else. It is shown in no frame, against
/// clickjacking. No referrer is sent, because the address of the page contains the code.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"),
    ),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (VARY, HeaderValue::from_static("accept")),
];

/// The name of the template: because it ends in `.html`, what is put into it is escaped.
const TEMPLATE: &str = "page.html";

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    // A template that cannot be parsed is missing when the page is rendered, which fails the tests.
    let _ = environment.add_template(TEMPLATE, include_str!("../templates/ui/page.html"));
    environment
});

/// A page: a title, paragraphs, and a button or none.
pub(crate) struct HtmlPage {
    title: &'static str,
    paragraphs: Vec<String>,
    /// The text of the button that sends the page's form.
    button: Option<&'static str>,
}

/// An answer that browsers get as a page.
pub(crate) trait ToHtmlPage {
    /// Returns the page.
    fn to_html_page(&self) -> HtmlPage;
}

impl ToHtmlPage for ValidationView {
    fn to_html_page(&self) -> HtmlPage {
        if self.already_confirmed {
            return already_confirmed();
        }
        let hint = &self.email_hint;
        let (what, warning) = match self.purpose {
            ValidationPurpose::SignUp => (
                format!("An account was made here with the address {hint}."),
                "Confirm it only if you made the account yourself: who made it knows its password. If it was not you, close \
                 this page, and nothing happens.",
            ),
            ValidationPurpose::NewAddress => (
                format!("{hint} was named as the new address of an account here."),
                "Confirm it only if the account is yours. If it is not, close this page, and nothing happens.",
            ),
        };
        let paragraphs = vec![what, warning.to_owned()];
        HtmlPage { title: "Confirm your address", paragraphs, button: Some("Confirm this address") }
    }
}

impl ToHtmlPage for Validated {
    fn to_html_page(&self) -> HtmlPage {
        match self.already_confirmed {
            true => already_confirmed(),
            false => message_page("Your address is confirmed", "You can close this page."),
        }
    }
}

fn already_confirmed() -> HtmlPage {
    message_page("Your address was confirmed before", "There is nothing left to do: you can close this page.")
}

/// Returns the page about an error.
pub(crate) fn error_page(kind: ErrorKind) -> HtmlPage {
    match kind {
        ErrorKind::NotFound => message_page(
            "This link does not work",
            "It has expired, or a newer one has replaced it: use the last mail. In your account you can ask for another.",
        ),
        ErrorKind::AlreadyRegistered => {
            message_page("This address is taken", "Another account has confirmed it meanwhile. Choose another address.")
        }
        ErrorKind::RateLimited => message_page("Too many attempts", "Wait a while, then open the link again."),
        kind if status(kind).is_client_error() => message_page("This did not work", "Open the link in the mail again."),
        _ => message_page(
            "This did not work",
            "Something is wrong here, not with your link. Open it again in a few minutes.",
        ),
    }
}

fn message_page(title: &'static str, paragraph: &str) -> HtmlPage {
    HtmlPage { title, paragraphs: vec![paragraph.to_owned()], button: None }
}

impl HtmlPage {
    /// Returns the page as an answer.
    ///
    /// # Errors
    /// None, unless its template is wrong.
    pub(crate) fn into_response(self, status: StatusCode) -> Result<FullResponse> {
        let Self { title, paragraphs, button } = self;
        let html = TEMPLATES
            .get_template(TEMPLATE)
            .and_then(|page| page.render(context! { title, paragraphs, button }))
            .map_err(|cause| Error::with_source(ErrorKind::Internal, "a page cannot be written", cause))?;
        let mut response = FullResponse::new(Full::from(html));
        *response.status_mut() = status;
        response.headers_mut().extend(HEADERS);
        Ok(response)
    }
}

/// Returns whether a client prefers a page to JSON: a browser asks for HTML, and programs do not.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let lines = || headers.get_all(ACCEPT).into_iter().filter_map(|line| line.to_str().ok());
    let quality = |wanted: &str| {
        let ranges = lines().flat_map(|line| line.split(','));
        let qualities = ranges.filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            parts.next().filter(|name| name.eq_ignore_ascii_case(wanted))?;
            let quality = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
            Some(quality.map_or(1.0, |quality| quality.trim().parse::<f32>().unwrap_or(0.0)))
        });
        qualities.fold(0.0, f32::max)
    };
    let html = quality("text/html");
    html > 0.0 && html >= quality("application/json")
}

#[cfg(test)]
mod tests {
    use authy_core::UserId;

    use super::*;

    fn wanted(accept: &'static str) -> bool {
        is_wanted(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]))
    }

    #[test]
    fn a_page_is_for_clients_that_prefer_html() {
        for accept in [
            "text/html",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
            "application/json;q=0.5, Text/HTML; q=0.9",
        ] {
            assert!(wanted(accept), "{accept}");
        }
        for accept in
            ["", "*/*", "application/json", "text/html;q=0", "application/json, text/html;q=0.9", "text/htmlx"]
        {
            assert!(!wanted(accept), "{accept}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }

    #[test]
    fn a_page_loads_nothing_and_what_is_in_it_is_escaped() {
        let view = ValidationView {
            email_hint: "<…@example.org".to_owned(),
            purpose: ValidationPurpose::SignUp,
            already_confirmed: false,
        };
        let page = format!("{:?}", view.to_html_page().into_response(StatusCode::OK).unwrap());
        assert!(page.contains("&lt;") && page.contains("<form method=\\\"post\\\">"), "{page}");
        for word in ["<script", "<style", "style=", "src=", "href=", "onclick"] {
            assert!(!page.contains(word), "{word}: {page}");
        }
    }
    #[test]
    fn an_error_page_blames_the_link_only_for_errors_of_the_link() {
        let text = |kind| {
            let page = error_page(kind);
            assert!(page.button.is_none(), "{kind}");
            format!("{}: {}", page.title, page.paragraphs.concat())
        };
        for &kind in ErrorKind::ALL {
            assert_eq!(text(kind).contains("not with your link"), status(kind).is_server_error(), "{kind}");
        }
        assert!(text(ErrorKind::NotFound).contains("has expired"));
        assert!(text(ErrorKind::AlreadyRegistered).contains("another address"));
        assert!(text(ErrorKind::RateLimited).contains("Wait"));
        for (already_confirmed, title) in
            [(false, "Your address is confirmed"), (true, "Your address was confirmed before")]
        {
            let validated = Validated { message: String::new(), public_id: UserId::random(), already_confirmed };
            assert_eq!(validated.to_html_page().title, title);
        }
    }
}
