//! Reads of rows by their IDs, sent together: what is asked while reads are under way is one statement as soon as one of them ends.
//!
//! Under load, most of the time of a read of one row is that of its messages and of its transaction, in PostgreSQL as here. Alone, a
//! read is sent at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    Result,
    engine::storage::{db::Db, statement::Statement},
};

/// Number of statements under way: while the rows of one are handed out, PostgreSQL runs the other. More would each read less.
const STATEMENTS_UNDER_WAY: usize = 2;

/// A statement that takes an array of IDs, and what its rows mean.
pub(in crate::engine) struct ReadsById<T> {
    db: Arc<Db>,
    statement: &'static Statement,
    view: fn(&Row) -> (Uuid, T),
    state: Mutex<PendingReads<T>>,
}

struct PendingReads<T> {
    waiting: Vec<Waiting<T>>,
    under_way: usize,
}

/// An ID that is asked for, and who asks.
type Waiting<T> = (Uuid, oneshot::Sender<Option<T>>);

impl<T: Clone + Send + 'static> ReadsById<T> {
    pub(in crate::engine) fn new(db: Arc<Db>, statement: &'static Statement, view: fn(&Row) -> (Uuid, T)) -> Arc<Self> {
        Arc::new(Self { db, statement, view, state: Mutex::new(PendingReads { waiting: Vec::new(), under_way: 0 }) })
    }

    /// Returns what the row with an ID means. The statement is sent after this is called, so it sees what was committed before.
    pub(in crate::engine) async fn find(self: &Arc<Self>, id: Uuid) -> Result<Option<T>> {
        let (answer, answered) = oneshot::channel();
        if let Some(run) = self.begin((id, answer)) {
            // A task: a caller that goes away must not take the reads of others along.
            tokio::spawn(run.send());
        }
        match answered.await {
            Ok(found) => Ok(found),
            // Read alone, for an error of its own.
            Err(_) => Ok(self.read(&[id]).await?.remove(&id)),
        }
    }

    /// Adds to what is waiting. Returns the right to send it, unless as many statements as useful are under way.
    fn begin(self: &Arc<Self>, waiting: Waiting<T>) -> Option<Run<T>> {
        let mut state = self.lock();
        state.waiting.push(waiting);
        let begins = state.under_way < STATEMENTS_UNDER_WAY;
        state.under_way += usize::from(begins);
        begins.then(|| Run(self.clone()))
    }

    async fn read(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, T>> {
        Ok(self.db.read(self.statement, &[&ids]).await?.iter().map(self.view).collect())
    }
}

impl<T> ReadsById<T> {
    // Nothing that could panic runs under the lock.
    fn lock(&self) -> MutexGuard<'_, PendingReads<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to send what is waiting.
struct Run<T>(Arc<ReadsById<T>>);

impl<T: Clone + Send + 'static> Run<T> {
    /// Sends what is waiting, until nothing is.
    async fn send(self) {
        loop {
            let asked = std::mem::take(&mut self.0.lock().waiting);
            if asked.is_empty() {
                return;
            }
            let mut ids: Vec<Uuid> = asked.iter().map(|(id, _)| *id).collect();
            ids.sort_unstable();
            ids.dedup();
            // After a failure, each of them reads alone.
            if let Ok(found) = self.0.read(&ids).await {
                for (id, answer) in asked {
                    // Fails when the caller no longer waits.
                    let _ = answer.send(found.get(&id).cloned());
                }
            }
        }
    }
}

impl<T> Drop for Run<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.under_way -= 1;
        // Added since the last look, or left by a task that was ended: each reads alone.
        let left = if state.under_way == 0 { std::mem::take(&mut state.waiting) } else { Vec::new() };
        drop(state);
        drop(left);
    }
}
