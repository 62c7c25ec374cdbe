//! The export of all data stored about a user. It is written page by page, so its memory does not depend on the length
//! of the history.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Serialize;
use tokio::{sync::mpsc, time::timeout};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    Error, ErrorKind, Result, SessionId, UserId,
    api::{
        account::{Export, ExportedSession, ExportedUser},
        event::EventQuery,
        page::PageSize,
    },
    engine::{
        domain::{role, user::Users},
        journal::{actor::no_such_user, event},
        storage::{db::Db, row::stored, statement::Params},
    },
    time::{now, to_second},
};

pub(in crate::engine) mod sql;

/// Maximum number of concurrent exports, each of another user. Each holds two pages, about 100 KB.
const MAX_EXPORTS: usize = 64;

/// Time for which a page waits for its reader. A stalled reader would occupy a slot.
const READER_TIMEOUT: Duration = Duration::from_secs(30);

/// Number of sessions per page.
const SESSIONS_A_PAGE: i64 = 200;

/// The users whose exports are in progress in this process.
static RUNNING_EXPORTS: Mutex<BTreeSet<UserId>> = Mutex::new(BTreeSet::new());

impl Users {
    /// Returns all data stored about a user, except secrets such as the password hash. All of it is in memory at the
    /// same time; [`stream_export`](Self::stream_export) writes it page by page.
    ///
    /// # Errors
    /// As [`stream_export`](Self::stream_export), and the errors of its chunks.
    pub async fn export(&self, user: UserId) -> Result<Export> {
        let mut chunks = std::pin::pin!(self.stream_export(user).await?);
        let mut document = Vec::new();
        while let Some(chunk) = chunks.next().await {
            document.extend_from_slice(&chunk?);
        }
        serde_json::from_slice(&document)
            .map_err(|cause| Error::with_source(ErrorKind::Internal, "an export cannot be parsed", cause))
    }

    /// Returns the JSON document of an [`Export`], in chunks of one page each. It is complete only when the stream ends
    /// without an error. It is written while it is read, and aborted when nothing is read for 30 seconds.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::RateLimited`] while another export of the user is in progress in this
    /// process; [`ErrorKind::Overloaded`] during too many other exports; [`ErrorKind::Unavailable`] when the database
    /// is not available.
    pub async fn stream_export(&self, user: UserId) -> Result<impl Stream<Item = Result<Vec<u8>>> + Send + use<>> {
        let slot = ExportSlot::take(user)?;
        let head = read_head(self.db(), user).await?;
        let (sender, receiver) = mpsc::channel(1);
        let db = self.db().clone();
        tokio::spawn(async move {
            let chunks = Chunks(sender);
            let written = write_history(&db, user, head, &chunks).await;
            // The next export can begin as soon as the reader sees the end.
            drop(slot);
            match written {
                Ok(()) => chunks.send(Chunk::End).await,
                Err(error) => chunks.send(Chunk::Failed(error)).await,
            }
        });
        Ok(stream::unfold(Some(receiver), |receiver| async {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Some(Chunk::Part(part)) => Some((Ok(part), Some(receiver))),
                Some(Chunk::End) => None,
                Some(Chunk::Failed(error)) => Some((Err(error), None)),
                None => Some((Err(Error::new(ErrorKind::Unavailable, "the export was aborted")), None)),
            }
        }))
    }
}

/// Returns the beginning of the document, up to the sessions.
async fn read_head(db: &Db, user: UserId) -> Result<Vec<u8>> {
    let row = db.read_opt(&sql::FIND_USER, &[user.as_uuid()]).await?.ok_or_else(no_such_user)?;
    let pending = db.read_opt(&sql::FIND_PENDING_EMAIL, &[user.as_uuid()]).await?;
    let time = |column| row.get::<_, Option<DateTime<Utc>>>(column).map(to_second);
    let exported = ExportedUser {
        public_id: user,
        username: stored(&row, "username"),
        email: stored(&row, "email"),
        pending_email: pending.map(|row| stored(&row, "email")),
        created: to_second(row.get("created")),
        last_login: time("last_login"),
        validated: time("validated_at"),
        password_changed: time("changed"),
    };
    let roles = role::views(&db.read(&role::sql::LIST_OF_USER, &[user.as_uuid()]).await?);
    let mut head = b"{\"user\":".to_vec();
    write(&mut head, &exported)?;
    head.extend_from_slice(b",\"roles\":");
    write(&mut head, &roles)?;
    head.extend_from_slice(b",\"sessions\":[");
    Ok(head)
}

async fn write_history(db: &Db, user: UserId, head: Vec<u8>, chunks: &Chunks) -> Result<()> {
    let mut part = head;
    let mut is_first = true;
    let mut before = (now() + Duration::from_secs(24 * 3600), Uuid::max());
    loop {
        let params: Params<'_> = &[user.as_uuid(), &before.0, &before.1, &SESSIONS_A_PAGE];
        let rows = db.list_lagging(&sql::LIST_SESSIONS, params).await?;
        for row in &rows {
            write_item(&mut part, &mut is_first, &session(row))?;
        }
        let Some(last) = rows.last() else { break };
        before = (last.get("created"), last.get("session_id"));
        chunks.part(&mut part).await?;
    }
    part.extend_from_slice(b"],\"events\":[");
    is_first = true;
    let mut query = EventQuery { user: Some(user), limit: Some(PageSize::MAX), ..EventQuery::default() };
    loop {
        let page = event::list(db, &query).await?;
        for event in page.events {
            write_item(&mut part, &mut is_first, &event::shown_to(user, event))?;
        }
        let Some(next) = page.next else { break };
        query.after = Some(next);
        chunks.part(&mut part).await?;
    }
    part.extend_from_slice(b"]}");
    chunks.part(&mut part).await
}

enum Chunk {
    Part(Vec<u8>),
    /// The document is complete. A stream that ends without this chunk is incomplete.
    End,
    Failed(Error),
}

/// The sender of the chunks.
struct Chunks(mpsc::Sender<Chunk>);

impl Chunks {
    async fn part(&self, part: &mut Vec<u8>) -> Result<()> {
        match self.send(Chunk::Part(std::mem::take(part))).await {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Unavailable, "the export is not being read")),
        }
    }

    async fn send(&self, chunk: Chunk) -> bool {
        timeout(READER_TIMEOUT, self.0.send(chunk)).await.is_ok_and(|sent| sent.is_ok())
    }
}

/// A slot among the exports under way, until it is dropped.
struct ExportSlot(UserId);

impl ExportSlot {
    fn take(user: UserId) -> Result<Self> {
        let mut running = RUNNING_EXPORTS.lock().unwrap_or_else(PoisonError::into_inner);
        let busy = |kind, detail| Err(Error::new(kind, detail).with_retry_after(Duration::from_secs(2)));
        if running.contains(&user) {
            return busy(ErrorKind::RateLimited, "another export of this user is running");
        }
        if running.len() >= MAX_EXPORTS {
            return busy(ErrorKind::Overloaded, "too many exports are running");
        }
        running.insert(user);
        Ok(Self(user))
    }
}

impl Drop for ExportSlot {
    fn drop(&mut self) {
        RUNNING_EXPORTS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

fn write(part: &mut Vec<u8>, value: &impl Serialize) -> Result<()> {
    serde_json::to_writer(part, value)
        .map_err(|cause| Error::with_source(ErrorKind::Internal, "an export cannot be serialized", cause))
}

fn write_item(part: &mut Vec<u8>, is_first: &mut bool, value: &impl Serialize) -> Result<()> {
    if !std::mem::take(is_first) {
        part.push(b',');
    }
    write(part, value)
}

fn session(row: &Row) -> ExportedSession {
    let time = |column| to_second(row.get(column));
    ExportedSession {
        session_id: SessionId::from(row.get::<_, Uuid>("session_id")),
        created: time("created"),
        last_used: time("last_used"),
        expires: time("expires"),
        ended: row.get::<_, Option<DateTime<Utc>>>("ended_at").map(to_second),
        ip: row.get("ip"),
        user_agent: row.get("user_agent"),
    }
}
