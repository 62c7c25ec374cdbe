//! A few long-lived connections that many reads share, each with its prepared statements.

use std::{
    collections::HashMap,
    sync::{
        Arc, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio_postgres::{Client, Row};

use super::{
    db::{Connector, PATIENCE, Params, bounded_by},
    fault,
    statements::Statement,
};
use crate::{Error, ErrorKind, Result};

/// As many as keep two cores busy (measured: more bring nothing, one is a third slower).
const LANES: usize = 4;

/// After a failed attempt to connect, the database counts as away for so long: a crowd does not queue up to find out.
const COOLDOWN: Duration = Duration::from_millis(200);

pub(super) struct Lanes {
    connector: Arc<Connector>,
    lanes: [Lane; LANES],
    next: AtomicUsize,
}

#[derive(Default)]
struct Lane {
    open: ArcSwapOption<Prepared>,
    failed: Mutex<Option<Instant>>,
}

/// A connection with the statements that were prepared on it.
pub(super) struct Prepared {
    pub(super) client: Client,
    prepared: RwLock<HashMap<&'static str, tokio_postgres::Statement>>,
}

impl Lanes {
    pub(super) fn new(connector: Arc<Connector>) -> Self {
        Self { connector, lanes: Default::default(), next: AtomicUsize::new(0) }
    }

    pub(super) async fn read(&self, statement: &'static Statement, params: Params<'_>) -> Result<Vec<Row>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % LANES;
        let Some(lane) = self.lanes.get(turn) else {
            return Err(Error::new(ErrorKind::Internal, "there is no such connection"));
        };
        let open = lane.open(&self.connector).await?;
        match open.read(statement, PATIENCE, params).await {
            // The connection died under the question. A read may be asked again, once, on a fresh one.
            Err(_) if open.client.is_closed() => {
                lane.open(&self.connector).await?.read(statement, PATIENCE, params).await
            }
            Err(error) if error.is_unavailable() => {
                // Nobody should wait behind a question that is not answered.
                lane.leave(&open);
                Err(error)
            }
            done => done,
        }
    }
}

impl Lanes {
    /// Has every further question go over a new connection.
    pub(super) fn leave_all(&self) {
        self.lanes.iter().for_each(|lane| lane.open.store(None));
    }
}

impl Lane {
    async fn open(&self, connector: &Connector) -> Result<Arc<Prepared>> {
        let live = || self.open.load_full().filter(|open| !open.client.is_closed());
        if let Some(open) = live() {
            return Ok(open);
        }
        let mut failed = self.failed.lock().await;
        if let Some(open) = live() {
            return Ok(open);
        }
        if failed.is_some_and(|when| when.elapsed() < COOLDOWN) {
            return Err(Error::new(ErrorKind::Unavailable, "the database is away").retry_after(Duration::from_secs(1)));
        }
        match connector.connect().await {
            Ok(client) => {
                *failed = None;
                let open = Arc::new(Prepared::new(client));
                self.open.store(Some(open.clone()));
                Ok(open)
            }
            Err(error) => {
                *failed = Some(Instant::now());
                Err(error)
            }
        }
    }

    /// Has the next question go over a new connection.
    fn leave(&self, open: &Arc<Prepared>) {
        if self.open.load().as_ref().is_some_and(|current| Arc::ptr_eq(current, open)) {
            self.open.store(None);
        }
    }
}

impl Prepared {
    pub(super) fn new(client: Client) -> Self {
        Self { client, prepared: RwLock::default() }
    }

    /// The rows of a statement, in so much time. It is planned once and for all, which for some takes longer than to run them.
    pub(super) async fn read(
        &self,
        statement: &'static Statement,
        patience: Duration,
        params: Params<'_>,
    ) -> Result<Vec<Row>> {
        let known = self.prepared.read().ok().and_then(|prepared| prepared.get(statement.name).cloned());
        bounded_by(patience, async {
            let prepared = match known {
                Some(prepared) => prepared,
                None => {
                    let prepared = self.client.prepare_typed(statement.sql, statement.types).await?;
                    if let Ok(mut all) = self.prepared.write() {
                        all.insert(statement.name, prepared.clone());
                    }
                    prepared
                }
            };
            fault::around(statement.name, self.client.query(&prepared, params)).await
        })
        .await
    }
}
