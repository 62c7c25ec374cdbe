//! An object of JSON per line, as a program writes them from a log.

use std::collections::BTreeMap;

use http::{HeaderValue, header::CONTENT_TYPE};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    InvalidJson, InvalidRecording, InvalidRequest, MAX_LINE_BYTES, Place, RecordedRequest, Recording, headers, method,
    target,
};

const FIELDS: &str = "method, path, headers, body, token_of";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// GET when it is left out.
    method: Option<String>,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// A text is sent as it is, anything else as JSON.
    body: Option<Value>,
    token_of: Option<String>,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Recording, InvalidRecording> {
    let mut recording = Recording::default();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let place = Place::Line(number + 1);
        match request(place, line).map_err(|error| InvalidRecording::At(place, error))? {
            Some(request) => recording.requests.push(request),
            None => recording.elsewhere += 1,
        }
    }
    Ok(recording)
}

fn request(place: Place, line: &[u8]) -> Result<Option<RecordedRequest>, InvalidRequest> {
    if line.len() > MAX_LINE_BYTES {
        return Err(InvalidRequest::TooLong);
    }
    let line: Line = serde_json::from_slice(line)
        .map_err(|error| InvalidRequest::Json(InvalidJson::new(&error, FIELDS, &["path"])))?;
    let Some(target) = target(&line.path)? else { return Ok(None) };
    let mut headers = headers(line.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
    let body = match line.body {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => text.into_bytes(),
        Some(value) => {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
            value.to_string().into_bytes()
        }
    };
    Ok(Some(RecordedRequest {
        place,
        method: method(line.method.as_deref().unwrap_or("GET"))?,
        target,
        headers,
        body: Zeroizing::new(body),
        token_of: line.token_of,
        answered_token: None,
    }))
}
