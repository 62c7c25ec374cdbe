//! What the hashing threads tell about themselves.

use crate::histogram::HistogramSnapshot;

/// The password hashing at one time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HashStatistics {
    /// The number of passwords that wait to be hashed.
    pub waiting: usize,
    /// The number of passwords that are being hashed.
    pub running: usize,
    /// The number of hashing threads.
    pub threads: usize,
    /// The time that each password waited before its hash began, or was refused because it had waited for too long.
    pub waits: HistogramSnapshot,
}
