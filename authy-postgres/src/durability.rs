//! How safely a cluster is written to disk.

/// Durability of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// A crash loses no committed transaction.
    Full,
    /// A crash may destroy the cluster.
    None,
}
