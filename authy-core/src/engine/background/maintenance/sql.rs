//! The lock of the maintenance. The other statements belong to the subjects that are maintained.

use crate::engine::storage::statement::statements;

statements! {
    /// Lets one instance at a time perform the maintenance.
    LOCK() = "SELECT pg_advisory_xact_lock(418313730683)";
}
