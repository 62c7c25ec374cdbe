//! What an instance knows about itself, for monitoring.

use std::time::Duration;

use super::Authy;
use crate::engine::{
    crypto::hasher::statistics::HashStatistics,
    delivery::relay::lag::RelayStatistics,
    domain::{
        session::statistics::SessionStatistics, signing_key::statistics::KeyStatistics,
        throttle::statistics::GuessStatistics,
    },
    journal::revocation::status::DatabaseStatus,
    storage::db::ConnectionStatistics,
};

/// What an instance knows about itself: counts since its start, and its state at one time. Contains nothing about users.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Statistics {
    /// Logins and refreshes.
    pub sessions: SessionStatistics,
    /// Guesses at passwords.
    pub guesses: GuessStatistics,
    /// The password hashing.
    pub hashing: HashStatistics,
    /// The connections of [`Authy::pool`].
    pub connections: ConnectionStatistics,
    /// The clock and the history of the database, as of the last poll.
    pub database: DatabaseStatus,
    /// The number of revocations in force.
    pub revocations: usize,
    /// The age of the known revocations; `None` without background work. Once it exceeds
    /// [`Config::max_staleness`](crate::engine::Config::max_staleness), every token check queries the database.
    pub revocation_age: Option<Duration>,
    /// The number of usable signing keys in each state, of all algorithms.
    pub keys: Vec<KeyStatistics>,
    /// How far the sinks are behind; `None` without sinks, and before the first measurement.
    pub relay: Option<RelayStatistics>,
}

impl Authy {
    /// Returns what this instance has counted since its start, and its state, for a monitoring system. Reads memory only:
    /// it answers at once, also while the database is not available.
    ///
    /// ```
    /// use authy_core::Authy;
    ///
    /// fn report(authy: &Authy) {
    ///     let statistics = authy.statistics();
    ///     for (outcome, count) in &statistics.sessions.logins {
    ///         println!("{count} logins: {}", outcome.as_str());
    ///     }
    ///     println!("{} passwords wait to be hashed", statistics.hashing.waiting);
    ///     for sink in statistics.relay.iter().flat_map(|relay| &relay.sinks) {
    ///         println!("{} is {} s behind", sink.sink, sink.lag.as_secs());
    ///     }
    /// }
    /// ```
    pub fn statistics(&self) -> Statistics {
        let handles = &self.handles;
        Statistics {
            sessions: handles.sessions.statistics(),
            guesses: handles.passwords.limiter.statistics(),
            hashing: handles.passwords.passwords.statistics(),
            connections: handles.journal.db.statistics(),
            database: handles.journal.feed.database_status(),
            revocations: handles.journal.feed.count(),
            revocation_age: handles.journal.feed.age(),
            keys: handles.keys.statistics(),
            relay: handles.relay_lag.statistics(),
        }
    }
}
