//! Whether the database is there, and as it has to be.

use std::time::Duration;

use super::Authy;
use crate::{
    Result,
    engine::{check, domain::user, storage::wait},
};

impl Authy {
    /// Repeats a question to the database while it is not available, at most for a time, and logs that it waits. For the start of a
    /// program: [`Builder::start`](crate::engine::Builder::start) waits in the same way.
    ///
    /// # Errors
    /// The last error of the question. Every other one than [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) ends the wait.
    pub async fn until_available<T, F: Future<Output = Result<T>>>(
        &self,
        limit: Duration,
        question: impl Fn() -> F,
    ) -> Result<T> {
        wait::until_available(&self.handles.journal.db, limit, question).await
    }

    /// Checks that the database responds.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when it does not.
    pub async fn ping(&self) -> Result<()> {
        self.handles.journal.db.read(&user::sql::ANY, &[]).await.map(drop)
    }

    /// Checks that the database accepts writes: it responds, is no standby, and the writes of this process do not fail.
    ///
    /// It reads, unless a write has failed and none has succeeded since. Then it also creates a table and drops it
    /// in one transaction, which needs what any write needs. After 3 seconds without a success the database counts as
    /// not writable, until a write succeeds, this one or another.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when it does not.
    pub async fn check_writable(&self) -> Result<()> {
        self.handles.journal.check_writable().await
    }

    /// Prepares every SQL statement against the live schema, and returns their number.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](crate::ErrorKind::Internal) when a statement does not fit. The log contains its name.
    pub async fn check(&self) -> Result<usize> {
        check::check(&self.handles.journal.db.connect().await?).await
    }
}
