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
use futures_util::{FutureExt as _, future::join3};
use tokio::sync::Mutex;
use tokio_postgres::{Client, Row};

use crate::{
    Error, ErrorKind, Result,
    engine::storage::{
        connector::{ANSWER_TIMEOUT, Connector, Opened, bounded_by},
        fault,
        generation::{Generation, shows_demotion},
        statement::{Params, Statement},
    },
};

/// Enough to keep two cores busy. Measured: more connections are not faster, and a single one is a third slower.
const READ_CONNECTIONS: usize = 4;

/// Otherwise PostgreSQL plans a statement with an array, or with a condition on a parameter, each time it runs: the estimate for its
/// values looks cheaper. For reads by keys, planning takes several times as long as reading.
const PLAN_ONCE: &str = "SET plan_cache_mode = force_generic_plan";

/// Time for which the database counts as unavailable after a failed connection attempt, so that callers do not queue
/// for it.
const CONNECT_COOLDOWN: Duration = Duration::from_millis(200);

pub(in crate::engine) struct ReadPool {
    connector: Arc<Connector>,
    slots: [Slot; READ_CONNECTIONS],
    next: AtomicUsize,
}

#[derive(Default)]
struct Slot {
    open: ArcSwapOption<Prepared>,
    failed: Mutex<Option<Instant>>,
}

/// A connection with its prepared statements.
pub(in crate::engine) struct Prepared {
    pub(in crate::engine) client: Client,
    pub(in crate::engine) generation: Generation,
    connector: Arc<Connector>,
    prepared: RwLock<HashMap<&'static str, tokio_postgres::Statement>>,
    /// Held by a statement that is run on its own.
    alone: Mutex<()>,
}

impl ReadPool {
    pub(in crate::engine) fn new(connector: Arc<Connector>) -> Self {
        Self { connector, slots: Default::default(), next: AtomicUsize::new(0) }
    }

    pub(in crate::engine) async fn read(&self, statement: &'static Statement, params: Params<'_>) -> Result<Vec<Row>> {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % READ_CONNECTIONS;
        let Some(slot) = self.slots.get(index) else {
            return Err(Error::new(ErrorKind::Internal, "there is no such connection"));
        };
        let open = slot.open(&self.connector).await?;
        match open.read(statement, ANSWER_TIMEOUT, params).await {
            // The connection was closed during the read. A read can be repeated, once, on a new connection.
            Err(_) if open.client.is_closed() => {
                slot.open(&self.connector).await?.read(statement, ANSWER_TIMEOUT, params).await
            }
            Err(error) if error.is_unavailable() => {
                if shows_demotion(&error) {
                    self.connector.generations().leave(open.generation);
                }
                // Other reads must not wait behind one that is not answered.
                slot.leave(&open);
                Err(error)
            }
            done => done,
        }
    }
}

impl Slot {
    async fn open(&self, connector: &Arc<Connector>) -> Result<Arc<Prepared>> {
        let is_live =
            |open: &Arc<Prepared>| !open.client.is_closed() && open.generation == connector.generations().present();
        let live = || self.open.load_full().filter(is_live);
        if let Some(open) = live() {
            return Ok(open);
        }
        let mut failed = self.failed.lock().await;
        if let Some(open) = live() {
            return Ok(open);
        }
        if failed.is_some_and(|when| when.elapsed() < CONNECT_COOLDOWN) {
            return Err(Error::new(ErrorKind::Unavailable, "the database is not available")
                .with_retry_after(Duration::from_secs(1)));
        }
        match connector.connect().await {
            Ok(opened) => {
                *failed = None;
                let open = Arc::new(Prepared::new(opened, connector.clone()));
                self.open.store(Some(open.clone()));
                Ok(open)
            }
            Err(error) => {
                *failed = Some(Instant::now());
                Err(error)
            }
        }
    }

    /// Makes the next read use a new connection.
    fn leave(&self, open: &Arc<Prepared>) {
        if self.open.load().as_ref().is_some_and(|current| Arc::ptr_eq(current, open)) {
            self.open.store(None);
        }
    }
}

impl Prepared {
    pub(in crate::engine) fn new(Opened { client, generation, .. }: Opened, connector: Arc<Connector>) -> Self {
        if connector.sessions.have_names() && !connector.sessions.are_shared() {
            // Sent with the first statement and not awaited: without it, reads are slower and not wrong.
            let _ = client.batch_execute(PLAN_ONCE).now_or_never();
        }
        Self { client, generation, connector, prepared: RwLock::default(), alone: Mutex::default() }
    }

    /// Returns the rows of a statement, within a time limit. The statement is planned once: for some, planning takes
    /// longer than running.
    pub(in crate::engine) async fn read(
        &self,
        statement: &'static Statement,
        limit: Duration,
        params: Params<'_>,
    ) -> Result<Vec<Row>> {
        bounded_by(limit, async {
            match self.connector.sessions.are_shared() {
                true => self.run_alone(statement, params, "").await,
                false => self.read_prepared(statement, params).await,
            }
        })
        .await
    }

    async fn run_alone(
        &self,
        statement: &'static Statement,
        params: Params<'_>,
        more_settings: &str,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let _alone = self.alone.lock().await;
        statement.run_alone(&self.client, self.connector.access(), params, more_settings).await
    }

    async fn read_prepared(
        &self,
        statement: &'static Statement,
        params: Params<'_>,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let prepared = self.prepare(statement).await?;
        fault::around(statement.name, self.run(statement, prepared.as_ref(), params)).await
    }

    /// Returns the prepared statement; `None` when connections have no names for them.
    async fn prepare(
        &self,
        statement: &'static Statement,
    ) -> Result<Option<tokio_postgres::Statement>, tokio_postgres::Error> {
        if !self.connector.sessions.have_names() {
            return Ok(None);
        }
        if let Some(known) = self.prepared.read().ok().and_then(|prepared| prepared.get(statement.name).cloned()) {
            return Ok(Some(known));
        }
        let prepared = self.client.prepare_typed(statement.sql, statement.types).await?;
        if let Ok(mut all) = self.prepared.write() {
            all.insert(statement.name, prepared.clone());
        }
        Ok(Some(prepared))
    }

    /// Runs a statement that has been prepared, if it can be: everything is sent at once.
    async fn run(
        &self,
        statement: &'static Statement,
        prepared: Option<&tokio_postgres::Statement>,
        params: Params<'_>,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let Some(prepared) = prepared else { return statement.run_unnamed(&self.client, params).await };
        let rows = self.client.query(prepared, params).await;
        rows.inspect_err(|error| _ = self.connector.sessions.are_lost(error))
    }

    /// The same, along an index: before a table has been analyzed, the planner would sort all of its rows instead.
    pub(in crate::engine) async fn read_in_order(
        &self,
        statement: &'static Statement,
        limit: Duration,
        params: Params<'_>,
    ) -> Result<Vec<Row>> {
        const ALONG_INDEX: &str = "SET LOCAL enable_sort = off";
        if self.connector.sessions.are_shared() {
            return bounded_by(limit, self.run_alone(statement, params, ALONG_INDEX)).await;
        }
        let begin = format!("BEGIN READ ONLY; {ALONG_INDEX}");
        bounded_by(limit, async {
            let _alone = self.alone.lock().await;
            let prepared = self.prepare(statement).await?;
            // Polled in this order, so they are sent in this order, and take one round trip.
            let work = join3(
                self.client.batch_execute(&begin),
                self.run(statement, prepared.as_ref(), params),
                self.client.batch_execute("COMMIT"),
            );
            let (begun, rows, ended) = fault::around(statement.name, work).await;
            begun?;
            let rows = rows?;
            ended.map(|()| rows)
        })
        .await
    }
}
