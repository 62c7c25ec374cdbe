//! Answers to requests that failed: problem documents (RFC 9457), and pages for people.

use authy_core::{
    Error, ErrorKind,
    api::{failure, status},
};
use http::{HeaderName, HeaderValue};
use http_body_util::{Either, Full};

use crate::{page, reply::Response};

/// An error that is about to be answered, with what only this occurrence has.
pub(crate) struct ErrorReply {
    error: Error,
    message: Option<String>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl From<Error> for ErrorReply {
    fn from(error: Error) -> Self {
        Self { error, message: None, header: None }
    }
}

impl ErrorReply {
    pub(crate) fn new(kind: ErrorKind, detail: &'static str) -> Self {
        Error::new(kind, detail).into()
    }

    /// Sets a message about this request. It is never logged, because it may quote the request.
    pub(crate) fn with_message(mut self, message: String) -> Self {
        self.message = Some(message);
        self
    }

    /// Sets a header of the answer.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// Returns whether the log has a warning or an error about it.
    pub(crate) fn is_server_error(&self) -> bool {
        status(self.error.kind()).is_server_error()
    }

    /// Logs the error, once, and returns its problem document. That of a server error says nothing about the cause.
    pub(crate) fn into_response(self, request_id: &str) -> Response {
        let mut response = failure::response(&self.error, request_id, self.message).map(Full::from);
        response.headers_mut().extend(self.header);
        response.map(Either::Left)
    }

    /// Logs the error, once, and returns the page of the user interface about it.
    #[cfg(feature = "ui")]
    pub(crate) fn into_site_page(
        self,
        site: &crate::ui::Site,
        head: &http::request::Parts,
        request_id: &str,
    ) -> Response {
        let mut response = site.error(head, self.error, request_id);
        response.headers_mut().extend(self.header);
        response
    }

    /// Logs the error, once, and returns a page about it.
    pub(crate) fn into_page(self, request_id: &str) -> Response {
        let Ok(mut response) = page::error_page(self.error.kind()).into_response(status(self.error.kind())) else {
            return self.into_response(request_id);
        };
        failure::log(&self.error, request_id);
        failure::add_headers(&self.error, response.headers_mut());
        response.headers_mut().extend(self.header);
        response.map(Either::Left)
    }
}
