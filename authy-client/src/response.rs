//! Reads answers: a reply, or a problem document with the time to wait.

use std::time::Duration;

use authy_core::{
    api::{Problem, Reply},
    time::{HttpDate, unix_now, unix_seconds},
};
use http::{
    HeaderMap, HeaderValue,
    header::{CACHE_CONTROL, RETRY_AFTER},
};

use crate::{Error, Result};

/// Reads an answer.
pub(crate) fn read<R: Reply>(status: u16, headers: &HeaderMap, body: &[u8]) -> Result<R> {
    // A server with compatibility answers a POST without content with an empty object.
    let is_empty_object = (status, R::STATUS, body) == (200, 204, b"{}");
    if status == R::STATUS || is_empty_object {
        // No content is an empty object.
        let json = if status == 204 { b"{}" } else { body };
        let reply = serde_json::from_slice(json).map(|reply: R| reply.cached(headers.get(CACHE_CONTROL)));
        return reply.map_err(|cause| {
            Error::unexpected_response(status, "the answer is not what this version expects").with_source(cause)
        });
    }
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => {
            Err(Error::problem(Problem { status, ..problem }, headers.get(RETRY_AFTER).and_then(retry_after)))
        }
        Err(_) => Err(Error::unexpected_response(status, "the answer is not authy's")),
    }
}

/// Reads the time to wait: seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?;
    let seconds = match text.parse::<HttpDate>() {
        Ok(HttpDate(date)) => unix_seconds(date).saturating_sub(unix_now()),
        Err(_) => text.parse().ok()?,
    };
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use authy_core::{
        ErrorKind,
        api::{Nothing, system::Status},
        time::from_unix_seconds,
    };
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_problem_is_read_with_its_wait() {
        let error = authy_core::Error::new(ErrorKind::Overloaded, "a detail");
        let body = serde_json::to_vec(&Problem::of(&error, "some-id")).unwrap();
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("3"))]);
        let error = read::<Status>(503, &headers, &body).unwrap_err();
        assert_eq!((error.kind(), error.status()), (Some(ErrorKind::Overloaded), Some(503)));
        assert_eq!((error.retry_after(), error.request_id()), (Some(Duration::from_secs(3)), Some("some-id")));
    }

    #[test]
    fn a_wait_is_a_number_of_seconds_or_a_date() {
        let wait = |text: &str| retry_after(&HeaderValue::from_str(text).unwrap());
        assert_eq!((wait("0"), wait("120")), (Some(Duration::ZERO), Some(Duration::from_secs(120))));
        let in_a_minute = HttpDate(from_unix_seconds(unix_now() + 60)).to_string();
        assert!((Duration::from_secs(55)..=Duration::from_secs(60)).contains(&wait(&in_a_minute).unwrap()));
        assert_eq!(wait("Tue, 11 Jun 2019 10:03:09 GMT"), Some(Duration::ZERO), "it has passed");
        for wrong in ["", "-1", "1.5", "soon", "99999999999999999999", "Tue, 11 Jun 2019 10:03:09 +0200"] {
            assert_eq!(wait(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_answer_that_is_not_from_authy_is_recognized() {
        for (status, body) in [(502, "<html>Bad Gateway</html>"), (200, "{}"), (301, ""), (204, "")] {
            let error = read::<Status>(status, &HeaderMap::new(), body.as_bytes()).unwrap_err();
            assert_eq!((error.kind(), error.status()), (None, Some(status)));
            assert!(error.is_unavailable());
        }
        assert!(read::<Nothing>(204, &HeaderMap::new(), b"").is_ok());
        assert!(read::<Nothing>(200, &HeaderMap::new(), b"{}").is_ok());
        for body in ["", "<html>", r#"{"message":"welcome to this hotel"}"#] {
            assert!(read::<Nothing>(200, &HeaderMap::new(), body.as_bytes()).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_read(status in 100..600_u16, body: Vec<u8>, wait: Vec<u8>) {
            let wait = HeaderValue::from_bytes(&wait).into_iter().map(|wait| (RETRY_AFTER, wait));
            let _ = read::<Status>(status, &wait.collect(), &body);
        }
    }
}
