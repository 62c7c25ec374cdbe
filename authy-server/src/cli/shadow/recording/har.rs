//! HTTP Archive 1.2, as browsers and proxies export it. Only the needed fields are read: exporters disagree about the others.

use std::fmt;

use authy_core::Secret;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    InvalidJson, InvalidRecording, InvalidRequest, Place, RecordedRequest, Recording, headers, method, target,
};

const FIELDS: &str = "log.entries[].request.method, url, headers, postData, and log.entries[].response.content";

#[derive(Deserialize)]
struct Archive {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Entries,
}

#[derive(Deserialize)]
struct Entry {
    request: Request,
    response: Option<Response>,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Header>,
    #[serde(rename = "postData")]
    post_data: Option<PostData>,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct PostData {
    text: Option<String>,
}

#[derive(Deserialize)]
struct Response {
    content: Option<Content>,
}

#[derive(Deserialize)]
struct Content {
    text: Option<String>,
    encoding: Option<String>,
}

/// The entries, each converted as it is read: the answers, which are most of the file, are not kept.
#[derive(Default)]
struct Entries {
    recording: Recording,
    problem: Option<InvalidRecording>,
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Entries, A::Error> {
        let mut read = Entries::default();
        let mut number = 0;
        while let Some(entry) = entries.next_element::<Entry>()? {
            number += 1;
            let place = Place::Entry(number);
            match request(place, entry) {
                Ok(Some(request)) => read.recording.requests.push(request),
                Ok(None) => read.recording.elsewhere += 1,
                Err(problem) => {
                    read.problem = Some(InvalidRecording::At(place, problem));
                    while entries.next_element::<IgnoredAny>()?.is_some() {}
                }
            }
        }
        Ok(read)
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<Recording, InvalidRecording> {
    let required = ["log", "entries", "request", "method", "url", "name", "value"];
    let archive: Archive = serde_json::from_slice(bytes)
        .map_err(|error| InvalidRecording::Har(InvalidJson::new(&error, FIELDS, &required)))?;
    let Entries { recording, problem } = archive.log.entries;
    problem.map_or(Ok(recording), Err)
}

fn request(place: Place, Entry { request, response }: Entry) -> Result<Option<RecordedRequest>, InvalidRequest> {
    let Some(target) = target(&request.url)? else { return Ok(None) };
    let body = request.post_data.and_then(|data| data.text).unwrap_or_default();
    Ok(Some(RecordedRequest {
        place,
        method: method(&request.method)?,
        target,
        headers: headers(request.headers.iter().map(|header| (header.name.as_str(), header.value.as_str())))?,
        body: Zeroizing::new(body.into_bytes()),
        token_of: None,
        answered_token: response.and_then(|response| response.content).and_then(token),
    }))
}

/// Returns the token in a recorded answer.
fn token(Content { text, encoding }: Content) -> Option<Secret> {
    let text = Zeroizing::new(text?.into_bytes());
    let bytes = match encoding.as_deref() {
        Some("base64") => Zeroizing::new(BASE64_STANDARD.decode(&*text).ok()?),
        _ => text,
    };
    let answer: Value = serde_json::from_slice(&bytes).ok()?;
    answer.get("token")?.as_str().map(Secret::new)
}
