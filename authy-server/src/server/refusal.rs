//! Problem documents for heads that hyper refuses by itself.
//!
//! hyper answers a head that it cannot parse, or that is too large, without asking a service: with an error that has no
//! body. Such an answer is recognized as HTTP, by its status and length, and sent as the problem document that every
//! error has. An answer that is not recognized is sent as it is.

use authy_core::{Error, ErrorKind, api::Problem};
use http::HeaderMap;

use crate::request;

/// Number of fields that are read from an answer; hyper's own have three.
const MAX_FIELDS: usize = 8;

/// Returns the answer with a problem document, when it is an error without a body. Errors of the service all have a
/// body.
pub(super) fn with_problem(answer: &[u8]) -> Option<Vec<u8>> {
    // The first digit of the status (RFC 9112, section 4): other answers are not parsed.
    if answer.get(9) != Some(&b'4') {
        return None;
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let end = head.parse(answer).ok()?;
    let is_length = |field: &httparse::Header<'_>| field.name.eq_ignore_ascii_case("content-length");
    let is_empty = head.headers.iter().any(|field| is_length(field) && field.value == b"0");
    if !is_empty || end != httparse::Status::Complete(answer.len()) {
        return None;
    }
    let status = head.code?;
    let detail = match status {
        431 => "the head of the request is larger than 64 KiB, or has more than 100 fields",
        414 => "the path and query are too long",
        _ => "this is no HTTP request",
    };
    let id = request::id(&HeaderMap::new());
    let id = id.to_str().ok()?;
    let mut problem = Problem::of(&Error::new(ErrorKind::MalformedRequest, detail), id);
    // One kind of error has three statuses here.
    problem.status = status;
    let body = serde_json::to_vec(&problem).ok()?;
    tracing::debug!(request_id = id, status, detail, "refused a request");

    let mut refusal = format!("HTTP/1.{} {status} {}\r\n", head.version?, head.reason?).into_bytes();
    let mut add = |name: &str, value: &[u8]| {
        refusal.extend_from_slice(name.as_bytes());
        refusal.extend_from_slice(b": ");
        refusal.extend_from_slice(value);
        refusal.extend_from_slice(b"\r\n");
    };
    for field in head.headers.iter().filter(|field| !is_length(field)) {
        add(field.name, field.value);
    }
    add("content-length", body.len().to_string().as_bytes());
    add("content-type", b"application/problem+json");
    add("cache-control", b"no-store");
    add("x-content-type-options", b"nosniff");
    add("x-request-id", id.as_bytes());
    refusal.extend_from_slice(b"\r\n");
    refusal.extend_from_slice(&body);
    Some(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_without_a_body_gets_one_and_keeps_its_other_fields() {
        let answer = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        let refusal = String::from_utf8(with_problem(answer).unwrap()).unwrap();
        let (head, body) = refusal.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n"), "{head}");
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())) && !head.contains("Content-Length"),
            "{head}"
        );
        let problem: Problem = serde_json::from_str(body).unwrap();
        assert_eq!((problem.status, problem.code.as_str()), (431, "malformed_request"));
        assert!(head.ends_with(&format!("x-request-id: {}", problem.request_id)), "{head}");
    }

    #[test]
    fn other_answers_are_left_as_they_are() {
        for answer in [
            "",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 401 Unauthorized\r\ncontent-length: 10\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n",
            "{\"level\":4,\"a\":1}",
        ] {
            assert_eq!(with_problem(answer.as_bytes()), None, "{answer}");
        }
    }
}
