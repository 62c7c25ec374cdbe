//! What a handler answers, and how it becomes a response.

use authy_core::{Error, api::failure};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, VARY, X_FRAME_OPTIONS},
};
use http_body_util::{Either, Full};
use minijinja::{Value, value::Serde};

use super::{cookie::SetCookies, view::View};
use crate::reply::{FullResponse, Response};

/// What a handler returns.
pub(super) type Shown = Result<Answer, Interruption>;

/// Why a handler does not answer itself.
#[derive(Debug)]
pub(super) enum Interruption {
    /// An error, which becomes a page.
    Error(Error),
    /// Another page comes first.
    Redirect(String),
}

impl From<Error> for Interruption {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// The answer of a handler.
pub(super) struct Answer {
    pub(super) content: Content,
    pub(super) status: StatusCode,
    pub(super) cookies: Option<SetCookies>,
    /// Why a form was refused.
    pub(super) refusal: Option<Error>,
    /// The content policy, where it is not that of all pages.
    pub(super) policy: Option<HeaderValue>,
}

/// The content of an answer.
pub(super) enum Content {
    /// A template, and what it shows.
    Page(&'static str, Value),
    /// Another page of ours.
    Redirect(String),
    /// A response as it is.
    Raw(Response),
}

impl Answer {
    /// Shows a page.
    pub(super) fn page<V: View>(view: &V) -> Self {
        Self::new(Content::Page(V::TEMPLATE, Value::from(Serde(view))), StatusCode::OK)
    }

    /// Leads to a page of ours.
    pub(super) fn redirect(path: impl Into<String>) -> Self {
        Self::new(Content::Redirect(path.into()), StatusCode::SEE_OTHER)
    }

    /// Answers with a response as it is.
    pub(super) fn raw(response: Response) -> Self {
        let status = response.status();
        Self::new(Content::Raw(response), status)
    }

    fn new(content: Content, status: StatusCode) -> Self {
        Self { content, status, cookies: None, refusal: None, policy: None }
    }

    /// Sets another content policy than that of all pages.
    pub(super) fn with_policy(self, policy: HeaderValue) -> Self {
        Self { policy: Some(policy), ..self }
    }

    /// Sets the status.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Sets cookies.
    pub(super) fn with_cookies(self, cookies: SetCookies) -> Self {
        Self { cookies: Some(cookies), ..self }
    }

    /// Gives the status, and the headers that say how to continue, of an error that the page shows.
    pub(super) fn refused(self, error: Error) -> Self {
        Self { refusal: Some(error), ..self }
    }
}

/// The headers of every page. Nothing is loaded from elsewhere, nothing inline is run or applied, no frame shows it.
///
/// The referrer goes to our own pages alone: addresses contain codes, and with `no-referrer` a browser would send its
/// forms with `Origin: null`, which is refused where `Sec-Fetch-Site` is missing.
const HEADERS: [(HeaderName, HeaderValue); 7] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
             trusted-types 'none'",
        ),
    ),
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("publickey-credentials-get=(self), publickey-credentials-create=(self)"),
    ),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
];

/// Returns the response of a page.
pub(super) fn html(status: StatusCode, html: String) -> Response {
    let mut response = FullResponse::new(Full::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.extend(HEADERS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(VARY, HeaderValue::from_static("accept-language, cookie"));
    response.map(Either::Left)
}

/// Returns the response that leads to another page.
pub(super) fn see_other(url: &str) -> Response {
    let mut response = FullResponse::default();
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.extend(HEADERS);
    // A path that was checked, or one of the table: neither has a character that a header cannot have.
    headers.insert(LOCATION, HeaderValue::try_from(url).unwrap_or(HeaderValue::from_static("/authy/ui")));
    response.map(Either::Left)
}

/// Adds to the response of a page what the error says that it shows, and logs the error.
pub(super) fn add_refusal(response: &mut Response, error: &Error, request_id: &str) {
    failure::log(error, request_id);
    failure::add_headers(error, response.headers_mut());
}
