//! The revocations in force, serialized once per poll and served from memory.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError, RwLock},
};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;

use super::RevocationBatch;
use crate::{
    Error, ErrorKind, Result,
    revocation::{Cursor, Revocation, RevocationSet},
    time::from_unix_seconds,
};

/// Number of recent revocations that are kept individually. A follower with an older cursor gets all revocations.
const MAX_RECENT_REVOCATIONS: usize = 1_000;

/// Maximum number of revocations since a cursor that are serialized for one request: this takes less time than the
/// request itself.
const MAX_SERIALIZED_PER_REQUEST: usize = 100;

/// The revocations in force, or those since a cursor, as a response body.
#[derive(Clone, Debug)]
pub struct RevocationSnapshot {
    /// A [`RevocationPage`](crate::api::session::RevocationPage) as JSON.
    pub body: Bytes,
    /// The entity tag (RFC 9110, section 8.8.3) of the revocations. It is weak: cursor and time change with each poll,
    /// even when the revocations do not.
    pub etag: String,
}

/// The results of the last polls.
#[derive(Default)]
pub(super) struct Snapshots(Mutex<PollResults>);

#[derive(Default)]
struct PollResults {
    /// The cursor and the time of the last poll.
    polled: Option<(Cursor, u64)>,
    /// The serialized set, unless it has changed since.
    written: Option<SerializedSet>,
    recent: VecDeque<(Cursor, Vec<Revocation>)>,
    remembered: usize,
    /// All revocations after this cursor are in `recent`.
    floor: Option<Cursor>,
}

/// The revocations as a JSON array, and the page that was last made of it.
struct SerializedSet {
    list: Vec<u8>,
    etag: String,
    page: Option<((Cursor, u64), Bytes)>,
}

impl Snapshots {
    /// Discards the serialized set, because the set has changed.
    pub(super) fn outdate(&self) {
        self.lock().written = None;
    }

    /// Stores the new revocations of a poll.
    pub(super) fn polled(&self, found: &RevocationBatch) {
        let mut inner = self.lock();
        let is_elsewhere = inner.polled.is_some_and(|(before, _)| found.cursor.is_elsewhere(&before));
        if inner.polled.is_none() || is_elsewhere {
            inner.recent.clear();
            (inner.remembered, inner.floor) = (0, Some(found.cursor));
        } else if !found.revocations.is_empty() {
            inner.remembered += found.revocations.len();
            inner.recent.push_back((found.cursor, found.revocations.clone()));
        }
        // Expired revocations are no longer needed.
        let now = from_unix_seconds(found.as_of_ms / 1000);
        while inner.remembered > MAX_RECENT_REVOCATIONS
            || inner.recent.front().is_some_and(|(_, batch)| batch.iter().all(|revocation| revocation.until < now))
        {
            let Some((cursor, dropped)) = inner.recent.pop_front() else { break };
            inner.remembered -= dropped.len();
            inner.floor = Some(cursor);
        }
        inner.polled = Some((found.cursor, found.as_of_ms));
    }

    /// Returns the revocations since a cursor if the last polls cover it; otherwise, or without a cursor, the whole
    /// set.
    pub(super) fn since(&self, set: &RwLock<RevocationSet>, after: Option<&Cursor>) -> Result<RevocationBatch> {
        let inner = self.lock();
        let (cursor, as_of_ms) = inner.polled.ok_or_else(unpolled)?;
        let revocations = match after.and_then(|after| inner.after(after)) {
            Some(recent) => recent.cloned().collect(),
            None => set.read().unwrap_or_else(PoisonError::into_inner).iter().collect(),
        };
        Ok(RevocationBatch::new(revocations, cursor, as_of_ms))
    }

    /// Returns the same as a response body.
    pub(super) fn snapshot(&self, set: &RwLock<RevocationSet>, after: Option<&Cursor>) -> Result<RevocationSnapshot> {
        let mut inner = self.lock();
        let polled = inner.polled.ok_or_else(unpolled)?;
        // A few are serialized for the request; otherwise the prepared page is sent.
        let recent = after.and_then(|after| {
            Some(inner.after(after)?.take(MAX_SERIALIZED_PER_REQUEST + 1).cloned().collect::<Vec<_>>())
        });
        if let Some(few) = recent.filter(|recent| recent.len() <= MAX_SERIALIZED_PER_REQUEST) {
            drop(inner);
            let (list, etag) = write(few.into_iter())?;
            return Ok(RevocationSnapshot { body: page(&list, polled), etag });
        }
        let written = match &mut inner.written {
            Some(written) => written,
            none => {
                let revocations: Vec<_> = set.read().unwrap_or_else(PoisonError::into_inner).iter().collect();
                let (list, etag) = write(revocations.into_iter())?;
                none.insert(SerializedSet { list, etag, page: None })
            }
        };
        let body = match &written.page {
            Some((as_of, body)) if *as_of == polled => body.clone(),
            _ => {
                let body = page(&written.list, polled);
                written.page = Some((polled, body.clone()));
                body
            }
        };
        Ok(RevocationSnapshot { body, etag: written.etag.clone() })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, PollResults> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PollResults {
    /// Returns all revocations after a cursor if the last polls cover it. A poll with the same or a later cursor may
    /// have found what was not committed at the cursor.
    fn after(&self, after: &Cursor) -> Option<impl Iterator<Item = &Revocation>> {
        let (floor, (polled, _), after) = (self.floor?, self.polled?, *after);
        // A cursor ahead of this instance is from another instance, or from a time before a restore: nothing is known
        // about it.
        if after.is_elsewhere(&floor) || after.xmin == floor.xmin || polled.is_elsewhere(&after) {
            return None;
        }
        let recent = self.recent.iter().filter(move |(cursor, _)| cursor.xmin >= after.xmin);
        Some(recent.flat_map(|(_, revocations)| revocations))
    }
}

/// Serializes revocations as a JSON array, sorted, so that all instances produce the same tag.
fn write(revocations: impl Iterator<Item = Revocation>) -> Result<(Vec<u8>, String)> {
    let texts: serde_json::Result<Vec<String>> =
        revocations.map(|revocation| serde_json::to_string(&revocation)).collect();
    let mut texts = texts
        .map_err(|cause| Error::with_source(ErrorKind::Internal, "the revocations cannot be serialized", cause))?;
    texts.sort_unstable();
    texts.dedup();
    let list = format!("[{}]", texts.join(",")).into_bytes();
    let hash = digest(&SHA256, &list);
    let tag = hash.as_ref().get(..16).map(hex::encode).unwrap_or_default();
    Ok((list, format!("W/\"{tag}\"")))
}

fn page(list: &[u8], (cursor, as_of_ms): (Cursor, u64)) -> Bytes {
    let mut body = Vec::with_capacity(list.len() + 128);
    body.extend_from_slice(b"{\"revocations\":");
    body.extend_from_slice(list);
    body.extend_from_slice(format!(",\"cursor\":\"{cursor}\",\"as_of_ms\":{as_of_ms}}}").as_bytes());
    Bytes::from(body)
}

fn unpolled() -> Error {
    Error::new(ErrorKind::Unavailable, "this instance does not follow the revocations yet")
}
