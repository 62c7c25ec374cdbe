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
    time::now,
};

/// How many revocations of the last polls are kept one by one. A follower with an older cursor gets all revocations.
const REMEMBERED: usize = 1_000;

/// How many revocations since a cursor are written for one request: what takes less time than the request itself.
const FEW: usize = 100;

/// The revocations in force, or those since a cursor, as the body of an answer.
#[derive(Clone, Debug)]
pub struct RevocationSnapshot {
    /// A [`RevocationPage`](crate::api::session::RevocationPage) in JSON.
    pub body: Bytes,
    /// An entity tag (RFC 9110, section 8.8.3) of the revocations in it. It is weak: cursor and time differ after
    /// each poll, without a change of the revocations.
    pub etag: String,
}

/// What the last polls found.
#[derive(Default)]
pub(super) struct Snapshots(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// As of the last poll.
    polled: Option<(Cursor, u64)>,
    /// The set as it was last written, unless it has changed since.
    written: Option<Written>,
    recent: VecDeque<(Cursor, Vec<Revocation>)>,
    remembered: usize,
    /// Every revocation after this cursor is in `recent`.
    floor: Option<Cursor>,
}

/// The revocations as a JSON array, and the page they were last put into.
struct Written {
    list: Vec<u8>,
    etag: String,
    page: Option<((Cursor, u64), Bytes)>,
}

impl Snapshots {
    /// The set has changed.
    pub(super) fn outdate(&self) {
        self.lock().written = None;
    }

    /// Takes in what a poll found that was not known before.
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
        // What has expired matters to nobody any more.
        let now = now();
        while inner.remembered > REMEMBERED
            || inner.recent.front().is_some_and(|(_, batch)| batch.iter().all(|revocation| revocation.until < now))
        {
            let Some((cursor, dropped)) = inner.recent.pop_front() else { break };
            inner.remembered -= dropped.len();
            inner.floor = Some(cursor);
        }
        inner.polled = Some((found.cursor, found.as_of_ms));
    }

    /// Returns the revocations since a cursor when the last polls tell; else, or without a cursor, the whole set.
    pub(super) fn since(&self, set: &RwLock<RevocationSet>, after: Option<&Cursor>) -> Result<RevocationBatch> {
        let inner = self.lock();
        let (cursor, as_of_ms) = inner.polled.ok_or_else(unpolled)?;
        let revocations = match after.and_then(|after| inner.after(after)) {
            Some(recent) => recent.cloned().collect(),
            None => set.read().unwrap_or_else(PoisonError::into_inner).iter().collect(),
        };
        Ok(RevocationBatch::new(revocations, cursor, as_of_ms))
    }

    /// Returns the same as the body of an answer.
    pub(super) fn snapshot(&self, set: &RwLock<RevocationSet>, after: Option<&Cursor>) -> Result<RevocationSnapshot> {
        let mut inner = self.lock();
        let polled = inner.polled.ok_or_else(unpolled)?;
        // A few are written for who asks; of many the page is sent that is ready.
        let recent = after.and_then(|after| Some(inner.after(after)?.take(FEW + 1).cloned().collect::<Vec<_>>()));
        if let Some(few) = recent.filter(|recent| recent.len() <= FEW) {
            drop(inner);
            let (list, etag) = write(few.into_iter())?;
            return Ok(RevocationSnapshot { body: page(&list, polled), etag });
        }
        let written = match &mut inner.written {
            Some(written) => written,
            none => {
                let revocations: Vec<_> = set.read().unwrap_or_else(PoisonError::into_inner).iter().collect();
                let (list, etag) = write(revocations.into_iter())?;
                none.insert(Written { list, etag, page: None })
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

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Returns every revocation after a cursor, when the last polls tell. A poll with that cursor or a later one may have found
    /// what was not committed yet at the cursor.
    fn after(&self, after: &Cursor) -> Option<impl Iterator<Item = &Revocation>> {
        let (floor, (polled, _), after) = (self.floor?, self.polled?, *after);
        // A cursor that is ahead of us is of a sibling, or of a time that was undone by a restore: then nothing is known of it.
        if after.is_elsewhere(&floor) || after.xmin == floor.xmin || polled.is_elsewhere(&after) {
            return None;
        }
        let recent = self.recent.iter().filter(move |(cursor, _)| cursor.xmin >= after.xmin);
        Some(recent.flat_map(|(_, revocations)| revocations))
    }
}

/// The JSON array of revocations in one order, so that all instances give it the same tag.
fn write(revocations: impl Iterator<Item = Revocation>) -> Result<(Vec<u8>, String)> {
    let texts: serde_json::Result<Vec<String>> =
        revocations.map(|revocation| serde_json::to_string(&revocation)).collect();
    let mut texts =
        texts.map_err(|cause| Error::with_source(ErrorKind::Internal, "the revocations cannot be written", cause))?;
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
    Error::new(ErrorKind::Unavailable, "revocations are not followed here yet")
}
