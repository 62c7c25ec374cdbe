//! Writes and their events: the actor, the event, and the revoked tokens.

pub(in crate::engine) mod actor;
pub(in crate::engine) mod caller;
pub(in crate::engine) mod event;
pub(in crate::engine) mod revocation;
pub(in crate::engine) mod write;
mod write_probe;
