//! Readers of the stream of revocations and of the file of a verifier, for fuzz targets.

use std::convert::Infallible;

use authy_core::revocation::{Cursor, RevocationSet};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use sse_stream::SseStream;

use super::{follow::read, snapshot_file::SavedSnapshot};

/// The state after a stream ended or broke.
#[derive(Debug, Default)]
pub struct Followed {
    /// The revocations.
    pub set: RevocationSet,
    /// The cursor of the last complete batch.
    pub cursor: Option<Cursor>,
    /// Number of events that were read.
    pub events: usize,
    /// Whether the stream broke before its end.
    pub broke: bool,
}

/// Follows a stream of events whose bytes come in pieces of this length.
pub fn follow(bytes: &[u8], piece: usize) -> Followed {
    let pieces =
        bytes.chunks(piece.max(1)).map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece))));
    let mut events = Box::pin(SseStream::new(StreamBody::new(stream::iter(pieces))));
    let mut followed = Followed::default();
    // All bytes are there, so no poll waits.
    while let Some(Some(event)) = events.next().now_or_never() {
        let Some((page, is_last)) = event.ok().and_then(|event| read(event).ok()) else {
            followed.broke = true;
            break;
        };
        for revocation in &page.revocations {
            followed.set.insert(revocation);
        }
        followed.events += 1;
        if is_last {
            followed.cursor = Some(page.cursor);
        }
    }
    followed
}

/// Returns the number of keys and of revocations in a file of a verifier; `None` when it cannot be parsed.
pub fn remembered(bytes: &[u8]) -> Option<(usize, usize)> {
    let saved: SavedSnapshot = serde_json::from_slice(bytes).ok()?;
    Some((saved.keys.keys.len(), saved.revocations.len()))
}
