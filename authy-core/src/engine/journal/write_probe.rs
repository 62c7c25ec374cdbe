//! Whether the database accepts writes: what it says, what writes have shown, and a write that finds out.

use std::{sync::Arc, time::Duration};

use deadpool_postgres::Object;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;

use crate::{
    Error, ErrorKind, Result, SessionId,
    engine::{
        journal::{event, revocation, write::Journal},
        storage::{
            connector::{db_error, not_in_time},
            db::Db,
            session::SET_LOCAL,
            statement::Params,
        },
    },
};

/// Time for which writes have to fail before the database counts as not writable: one that failed because of a lock, or in
/// the moment of a failover, is soon followed by a success, of another write or of the probe.
const FAILING_TIME: Duration = Duration::from_secs(3);

/// Minimum pause between two probes.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// Maximum time of a probe. Longer than that of other writes: PostgreSQL does not notice that nobody waits any more for a
/// commit that waits for a standby, and each such commit keeps a connection of its server.
const PROBE_TIMEOUT: Duration = Duration::from_secs(60);

/// Returns a transaction that needs all that a write needs and leaves nothing behind: new space on the disk (the pages of other
/// tables may have some left), the write-ahead log, and the synchronous standbys. Nobody else ever sees the table. It is not
/// temporary, because a role that can make tables in the schema may have no right to temporary ones, and it is unlogged, so that
/// no subscriber of all tables gets its rows.
fn probe(settings: &str) -> String {
    let table = format!("authy.write_probe_{}", SessionId::random().as_uuid().simple());
    format!(
        "BEGIN READ WRITE; {settings};
         CREATE UNLOGGED TABLE {table} AS SELECT number FROM pg_catalog.generate_series(1, 4000) AS number;
         DROP TABLE {table}; COMMIT"
    )
}

impl Journal {
    /// Checks that writes would succeed. Reads, unless a write has failed since the last success: then it probes, and
    /// the database counts as not writable when all have failed for [`FAILING_TIME`].
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is not available, is a standby, or writes fail.
    pub(in crate::engine) async fn check_writable(&self) -> Result<()> {
        // The connections of reads have the settings of those of writes, and are not all in use when those are.
        let row = self.db.read_one(&event::sql::IS_READ_ONLY, &[]).await?;
        if row.get("is_read_only") {
            return Err(Error::new(ErrorKind::Unavailable, "the database accepts no writes"));
        }
        let Some(time) = self.db.writes().failing_for() else { return Ok(()) };
        // A task of its own: the caller may wait for a shorter time than a probe takes.
        let probe = self.db.writes().begin_probe(PROBE_INTERVAL).map(|probe| {
            let db = self.db.clone();
            tokio::spawn(async move {
                match run(&db).await {
                    Ok(()) => db.writes().succeeded(),
                    Err(error) => tracing::warn!(%error, "writes fail, and so does a probe"),
                }
                drop(probe);
            })
        });
        if time < FAILING_TIME {
            return Ok(());
        }
        if let Some(probe) = probe {
            let _ = probe.await;
        }
        match self.db.writes().failing_for() {
            None => Ok(()),
            Some(_) => Err(Error::new(ErrorKind::Unavailable, "writes to the database fail")),
        }
    }
}

/// Probes on a connection of the pool, because a write needs one too.
async fn run(db: &Arc<Db>) -> Result<()> {
    let generation = db.generation();
    let connection = db.connection().await?;
    let sql = probe(if db.shares_sessions() { SET_LOCAL } else { "" });
    let probed = timeout(PROBE_TIMEOUT, connection.batch_execute(&sql)).await;
    if matches!(probed, Ok(Ok(()))) {
        return Ok(());
    }
    // It may wait for its answer, or be in a transaction that failed.
    drop(Object::take(connection));
    let Ok(Err(error)) = probed else { return Err(not_in_time()) };
    if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
        // The role may create no table: another one migrates. A row shows everything except, perhaps, that the disk is full.
        let (session, seconds) = (SessionId::random(), Duration::from_secs(1).as_secs_f64());
        let params: Params<'_> = &[session.as_uuid(), &seconds];
        return db.write_quietly(&revocation::sql::REVOKE_TEST_SESSION, params).await.map(drop);
    }
    let error = db_error(error);
    db.leave_if_demoted(generation, &error);
    Err(error)
}
