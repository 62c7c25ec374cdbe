//! The audit trail as a file, CSV or JSON lines: written while it is sent, page by page, so that its memory does not depend
//! on the number of events.

use std::{borrow::Cow, collections::HashMap};

use authy_core::{
    Access, Authy, Error, ErrorKind, Identity, Result, UserId, Username,
    access::ADMIN,
    api::{
        event::{EventPage, EventQuery, EventView},
        page::PageSize,
    },
    time::Timestamp,
};
use bytes::Bytes;
use chrono::DateTime;
use futures_util::stream::{empty, try_unfold};
use http::{
    HeaderValue,
    header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
};
use tokio::sync::OwnedSemaphorePermit;

use super::filter::TrailFilter;
use crate::{
    reply,
    ui::{
        MAX_DOWNLOADS,
        answer::{Answer, Shown},
        view::{Link, MessageView},
        visit::Visit,
    },
};

/// Number of pages after which it is checked again that the caller may read events.
const PAGES_BETWEEN_CHECKS: u32 = 20;

const COLUMNS: [&str; 13] = [
    "event_id",
    "happened",
    "kind",
    "actor_kind",
    "actor",
    "actor_name",
    "subject",
    "subject_name",
    "session_id",
    "ip",
    "user_agent",
    "request_id",
    "detail",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileFormat {
    Csv,
    JsonLines,
}

/// A download under way.
struct Download {
    authy: Authy,
    caller: Identity,
    query: EventQuery,
    format: FileFormat,
    pages: u32,
    _slot: OwnedSemaphorePermit,
}

/// Answers with the events of a filter as a file, the newest first.
pub(super) async fn download(visit: &Visit<'_>) -> Shown {
    let format = match visit.query.get("format") {
        None | Some("csv") => FileFormat::Csv,
        Some("jsonl") => FileFormat::JsonLines,
        Some(_) => return Err(Error::new(ErrorKind::InvalidInput, "events can be downloaded as csv or jsonl").into()),
    };
    let filter = TrailFilter::read(visit).await?;
    if !filter.is_good() {
        return Err(Error::new(ErrorKind::InvalidInput, "a filter of events is wrong").into());
    }
    let mut response = match visit.is_head {
        true => reply::chunked::<EventPage>(empty()),
        false => {
            let Ok(slot) = visit.site.downloads.clone().try_acquire_owned() else { return Ok(busy(visit)) };
            let download = Download {
                authy: visit.authy.clone(),
                caller: visit.identity()?.clone(),
                query: filter.query(PageSize::MAX),
                format,
                pages: 0,
                _slot: slot,
            };
            reply::chunked::<EventPage>(try_unfold(Some(download), next))
        }
    };
    let (media_type, disposition) = match format {
        FileFormat::Csv => ("text/csv; charset=utf-8; header=present", "attachment; filename=\"events.csv\""),
        FileFormat::JsonLines => ("application/x-ndjson", "attachment; filename=\"events.jsonl\""),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static(disposition));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    Ok(Answer::raw(response))
}

/// Says that enough downloads are running. What else is overloaded is the hashing of passwords, whose page says that.
fn busy(visit: &Visit<'_>) -> Answer {
    let texts = &visit.language.texts;
    let page = Answer::page(&MessageView {
        title: texts.get("wrong.title"),
        paragraphs: vec![texts.format("events.busy", &[("number", &MAX_DOWNLOADS.to_string())])],
        link: Some(Link { path: "/admin/events".to_owned(), text: texts.get("events.title") }),
    });
    page.refused(Error::new(ErrorKind::Overloaded, "too many downloads of events are running"))
}

/// Returns the next part of the file. No connection to the database is held while the client reads it.
async fn next(download: Option<Download>) -> Result<Option<(Bytes, Option<Download>)>> {
    let Some(mut download) = download else { return Ok(None) };
    if download.pages.is_multiple_of(PAGES_BETWEEN_CHECKS) {
        download.check_caller().await?;
    }
    let page = download.authy.events().list(&download.query).await?;
    let part = match download.format {
        FileFormat::Csv => {
            let names = download.names(&page.events).await?;
            csv_part(&page.events, &names, download.pages == 0)?
        }
        FileFormat::JsonLines => json_part(&page.events)?,
    };
    download.pages = download.pages.saturating_add(1);
    let Some(after) = page.next else { return Ok(Some((part.into(), None))) };
    download.query.after = Some(after);
    Ok(Some((part.into(), Some(download))))
}

impl Download {
    /// Checks that the session goes on, and that its user may still read events: a download takes as long as the client reads.
    async fn check_caller(&self) -> Result<()> {
        let over = || Error::new(ErrorKind::InvalidToken, "the login of a download has ended");
        let sessions = self.authy.sessions().list(&self.caller).await?;
        if !sessions.iter().any(|session| session.current) {
            return Err(over());
        }
        let user =
            self.authy.users().find(self.caller.public_id).await?.filter(|user| !user.deleted).ok_or_else(over)?;
        let level = user.level.ok_or_else(over)?;
        Access::Level(ADMIN).permit(&Identity { level, ..self.caller.clone() }, None)
    }

    /// Returns the names of those who are in events.
    async fn names(&self, events: &[EventView]) -> Result<HashMap<UserId, Username>> {
        let mut users: Vec<_> = events.iter().flat_map(|event| [event.actor, event.subject]).flatten().collect();
        users.sort_unstable();
        users.dedup();
        self.authy.users().find_usernames(&users).await
    }
}

fn json_part(events: &[EventView]) -> Result<Vec<u8>> {
    let mut part = Vec::new();
    for event in events {
        serde_json::to_writer(&mut part, event).map_err(unwritable)?;
        part.push(b'\n');
    }
    Ok(part)
}

fn csv_part(events: &[EventView], names: &HashMap<UserId, Username>, has_head: bool) -> Result<Vec<u8>> {
    // RFC 4180 ends lines so.
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    if has_head {
        writer.write_record(COLUMNS).map_err(unwritable)?;
    }
    let name = |user: Option<UserId>| user.and_then(|user| names.get(&user)).map(|name| name.as_str().to_owned());
    for event in events {
        let happened = DateTime::from_timestamp_micros(event.happened_micros).unwrap_or(event.happened);
        let columns: [String; COLUMNS.len()] = [
            event.event_id.to_string(),
            Timestamp(happened).to_string(),
            event.kind.to_string(),
            event.actor_kind.clone(),
            event.actor.map(|user| user.to_string()).unwrap_or_default(),
            name(event.actor).unwrap_or_default(),
            event.subject.map(|user| user.to_string()).unwrap_or_default(),
            name(event.subject).unwrap_or_default(),
            event.session_id.map(|session| session.to_string()).unwrap_or_default(),
            event.ip.clone().unwrap_or_default(),
            event.user_agent.clone().unwrap_or_default(),
            event.request_id.clone().unwrap_or_default(),
            serde_json::to_string(&event.detail).map_err(unwritable)?,
        ];
        writer.write_record(columns.iter().map(|column| cell(column).into_owned())).map_err(unwritable)?;
    }
    writer.into_inner().map_err(|cause| unwritable(cause.into_error()))
}

/// What a formula begins with.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '|', '%', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// What ends a cell for some spreadsheet: in German and French it divides at semicolons, and when it is told to at tabs. The quotes
/// around the whole text do not count for it, because its cell has begun before them.
const ENDS: [char; 4] = [';', '\t', '\r', '\n'];

/// Returns a text as a spreadsheet shows it and does not calculate it: a user agent or a name is a stranger's. Each part that can
/// be the beginning of a cell and a formula gets an apostrophe.
fn cell(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let (mut taken, mut begins) = (0, true);
    for (at, character) in text.char_indices() {
        if begins && FORMULA.contains(&character) {
            shown.push_str(text.get(taken..at).unwrap_or_default());
            shown.push('\'');
            (taken, begins) = (at, false);
        }
        // Spaces are left out, and of a quotation mark, which the file has twice, a reader can make an empty beginning.
        let may_begin = begins && (character.is_whitespace() || character == '"');
        begins = may_begin || ENDS.contains(&character);
    }
    match taken {
        0 if shown.is_empty() => Cow::Borrowed(text),
        _ => Cow::Owned(shown + text.get(taken..).unwrap_or_default()),
    }
}

fn unwritable(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::with_source(ErrorKind::Internal, "an event cannot be written into a file", cause)
}

#[cfg(test)]
mod tests;
