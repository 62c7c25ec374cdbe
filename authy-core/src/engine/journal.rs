//! The write with its event: who acts, what happened, and which tokens it revoked.

pub(in crate::engine) mod actor;
pub(in crate::engine) mod caller;
pub(in crate::engine) mod event;
pub(in crate::engine) mod revocation;
pub(in crate::engine) mod write;
