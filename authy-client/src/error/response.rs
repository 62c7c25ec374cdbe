//! The error of a call as the response of a web server that called for one of its users.

use std::time::Duration;

use authy_core::{
    ErrorKind,
    api::{Problem, challenge, failure},
};
use bytes::Bytes;
use http::{
    HeaderValue, Response,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
};

use super::{CallFailure, Error};

impl Error {
    /// Returns the response with which a web server passes the error on to the user for whom it
    /// [called](crate::Client::on_behalf_of): the server's problem document, with its status, `Retry-After` and
    /// `WWW-Authenticate`. Without an answer from authy it is a 503, and the log has the cause.
    ///
    /// Not for calls with a token of the web server itself: their errors do not concern the user.
    ///
    /// ```
    /// use authy_client::{Client, ClientInfo, api::session::Credentials};
    /// use bytes::Bytes;
    /// use http::Response;
    ///
    /// async fn log_in(authy: &Client, browser: ClientInfo, form: Credentials) -> Response<Bytes> {
    ///     match authy.on_behalf_of(browser).login(form).await {
    ///         Ok(tokens) => Response::new(format!("hello, {}", tokens.public_id).into()),
    ///         Err(error) => error.into_response(),
    ///     }
    /// }
    /// ```
    pub fn into_response<B: From<Bytes>>(self) -> Response<B> {
        let response = match &self.0.failure {
            CallFailure::Problem(problem) => passed_on(problem, self.0.retry_after),
            CallFailure::UnexpectedResponse { .. } | CallFailure::NoResponse(_) => {
                refused(ErrorKind::Unavailable, "authy cannot be asked", self)
            }
            CallFailure::Misuse(_) => refused(ErrorKind::Internal, "the call of authy was wrong", self),
        };
        response.map(|document| B::from(document.into()))
    }
}

fn passed_on(problem: &Problem, wait: Option<Duration>) -> Response<Vec<u8>> {
    let mut response = failure::document(problem);
    let headers = response.headers_mut();
    if let Some(challenge) = problem.kind().and_then(challenge) {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if let Some(wait) = wait {
        headers.insert(RETRY_AFTER, failure::whole_seconds(wait).into());
    }
    response
}

fn refused(kind: ErrorKind, detail: &'static str, cause: Error) -> Response<Vec<u8>> {
    failure::response(&authy_core::Error::with_source(kind, detail, cause), "", None)
}

/// [`Error::into_response`], for a handler that returns the error of a call for its user.
#[cfg(feature = "axum")]
impl axum::response::IntoResponse for Error {
    fn into_response(self) -> axum::response::Response {
        self.into_response()
    }
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;

    fn response(error: Error) -> Response<Bytes> {
        error.into_response()
    }

    #[test]
    fn the_answer_of_the_server_is_passed_on_with_its_wait_and_its_challenge() {
        let problem = |kind| Problem::of(&authy_core::Error::new(kind, "a detail"), "the-id");
        let limited = response(Error::problem(problem(ErrorKind::RateLimited), Some(Duration::from_secs(7))));
        assert_eq!((limited.status().as_u16(), &limited.headers()[RETRY_AFTER]), (429, &HeaderValue::from(7)));
        assert_eq!(limited.headers()[CONTENT_TYPE], "application/problem+json");
        let document: Problem = serde_json::from_slice(limited.body()).unwrap();
        assert_eq!((document.kind(), document.request_id.as_str()), (Some(ErrorKind::RateLimited), "the-id"));
        let invalid = response(Error::problem(problem(ErrorKind::InvalidToken), None));
        assert_eq!(invalid.headers()[WWW_AUTHENTICATE], r#"Bearer error="invalid_token""#);
        assert!(!invalid.headers().contains_key(RETRY_AFTER));
    }

    #[test]
    fn a_problem_of_a_later_version_is_passed_on() {
        let known = Problem::of(&authy_core::Error::new(ErrorKind::NotFound, "a detail"), "");
        let problem = Problem { status: 418, code: "teapot".to_owned(), ..known };
        let response = response(Error::problem(problem, None));
        assert_eq!(response.status(), 418);
        assert!(response.body().windows(6).any(|word| word == b"teapot"));
    }

    #[test]
    fn without_an_answer_the_user_gets_no_cause() {
        for (error, status) in [
            (Error::no_response("a cause", true), 503),
            (Error::unexpected_response(404, "a cause"), 503),
            (Error::misuse("a cause"), 500),
        ] {
            let response = response(error);
            assert_eq!(response.status(), status);
            assert!(!response.body().windows(7).any(|word| word == b"a cause"));
        }
    }
}
