//! Recorded requests: a HAR file, or an object of JSON per line. They contain passwords and tokens, so that no error quotes
//! them.

use std::fmt;

use authy_core::Secret;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE},
    uri::PathAndQuery,
};
use serde_json::error::Category;
use zeroize::Zeroizing;

mod har;
mod lines;

/// Maximum length of a line of JSON in bytes.
const MAX_LINE_BYTES: usize = 1 << 20;

/// The header that clients of the first authy send their token in.
pub(super) const ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-access-token");

/// The headers that are replayed. All others are about the recorded connection, or, as cookies, about other services.
const REPLAYED_HEADERS: [HeaderName; 5] = [ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, ACCESS_TOKEN];

/// Recorded requests, in their order.
#[derive(Debug, Default)]
pub(super) struct Recording {
    pub(super) requests: Vec<RecordedRequest>,
    /// The number of requests to paths that are not authy's, as a browser records them.
    pub(super) elsewhere: u64,
}

/// A recorded request.
#[derive(Debug)]
pub(super) struct RecordedRequest {
    /// Where it is in the file.
    pub(super) place: Place,
    pub(super) method: Method,
    /// Path and query, from `/authy` on.
    pub(super) target: PathAndQuery,
    pub(super) headers: HeaderMap,
    pub(super) body: Zeroizing<Vec<u8>>,
    /// The user whose replayed login yields the token that is sent.
    pub(super) token_of: Option<String>,
    /// The token in the recorded answer.
    pub(super) answered_token: Option<Secret>,
}

/// Where something is in a file, counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// An entry of a HAR file.
    Entry(usize),
    Line(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(number) => write!(f, "entry {number}"),
            Self::Line(number) => write!(f, "line {number}"),
        }
    }
}

/// A recording that cannot be read. It quotes nothing of it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidRecording {
    #[error("{0}: {1}")]
    At(Place, InvalidRequest),
    #[error("is no HAR file: {0}")]
    Har(InvalidJson),
    #[error("contains no requests")]
    Empty,
}

/// A recorded request that cannot be replayed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidRequest {
    #[error("is longer than 1 MiB")]
    TooLong,
    #[error("{0}")]
    Json(InvalidJson),
    #[error("has a method that is none of HTTP's")]
    Method,
    #[error("has a path that cannot be sent")]
    Path,
    #[error("has a header {0} whose value cannot be sent")]
    Header(HeaderName),
}

/// Why a text is not the JSON that is expected: by its place, and not by what is there.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidJson {
    #[error("is no JSON in line {0}, column {1}")]
    Syntax(usize, usize),
    #[error("has no field {0}")]
    Missing(&'static str),
    #[error("has a field that is unknown or has a wrong type, before line {0}, column {1}: fields are {2}")]
    Shape(usize, usize, &'static str),
}

impl InvalidJson {
    /// `fields` are the fields that there can be. The text of the error would quote a wrong value.
    fn new(error: &serde_json::Error, fields: &'static str, required: &[&'static str]) -> Self {
        let message = error.to_string();
        let missing = required.iter().find(|name| message.starts_with(&format!("missing field `{name}`")));
        match (error.classify(), missing) {
            (Category::Data, Some(name)) => Self::Missing(name),
            (Category::Data, None) => Self::Shape(error.line(), error.column(), fields),
            _ => Self::Syntax(error.line(), error.column()),
        }
    }
}

impl Recording {
    /// Reads a file.
    ///
    /// # Errors
    /// [`InvalidRecording`] about the first request that cannot be read: nothing has been sent then.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, InvalidRecording> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let recording = match is_har(bytes) {
            true => har::parse(bytes)?,
            false => lines::parse(bytes)?,
        };
        match recording.requests.is_empty() && recording.elsewhere == 0 {
            true => Err(InvalidRecording::Empty),
            false => Ok(recording),
        }
    }
}

/// Returns whether the first object begins with the field `log`, the only one of a HAR file. A line has no such field.
fn is_har(bytes: &[u8]) -> bool {
    let rest = bytes.trim_ascii_start().strip_prefix(b"{");
    rest.is_some_and(|rest| rest.trim_ascii_start().starts_with(b"\"log\""))
}

/// Returns the path and the query of a URL or path, from `/authy` on: the gateway may have put something before it. `None` when
/// it is none of authy's.
fn target(url: &str) -> Result<Option<PathAndQuery>, InvalidRequest> {
    let url = url.split('#').next().unwrap_or_default();
    let path = match url.split_once("://") {
        _ if url.starts_with('/') => url,
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
        None => return Ok(None),
    };
    let end = path.find('?').unwrap_or(path.len());
    let only_path = path.get(..end).unwrap_or_default();
    let begins = |(at, _): &(usize, &str)| {
        let rest = only_path.get(*at..).unwrap_or_default();
        let is_authy = rest.strip_prefix("/authy").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        is_authy || rest.starts_with("/.well-known/")
    };
    let Some((at, _)) = only_path.match_indices('/').find(begins) else { return Ok(None) };
    let target = path.get(at..).unwrap_or_default();
    PathAndQuery::try_from(target).map(Some).map_err(|_| InvalidRequest::Path)
}

fn method(text: &str) -> Result<Method, InvalidRequest> {
    text.to_ascii_uppercase().parse().map_err(|_| InvalidRequest::Method)
}

/// Keeps the headers that are replayed.
fn headers<'a>(recorded: impl Iterator<Item = (&'a str, &'a str)>) -> Result<HeaderMap, InvalidRequest> {
    let mut headers = HeaderMap::new();
    for (name, value) in recorded {
        let Some(name) = REPLAYED_HEADERS.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(name)) else {
            continue;
        };
        let mut value = HeaderValue::try_from(value).map_err(|_| InvalidRequest::Header(name.clone()))?;
        value.set_sensitive([AUTHORIZATION, ACCESS_TOKEN].contains(&name));
        headers.append(name, value);
    }
    Ok(headers)
}

/// Reads bytes as a recording, for fuzz targets: the error is what an operator is shown.
#[cfg(feature = "fuzz-entry-points")]
pub(crate) fn fuzz(bytes: &[u8]) -> Result<Vec<String>, String> {
    let recording = Recording::parse(bytes).map_err(|error| error.to_string())?;
    Ok(recording.requests.iter().map(|request| request.target.to_string()).collect())
}

#[cfg(test)]
mod tests;
