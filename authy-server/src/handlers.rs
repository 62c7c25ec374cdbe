//! The handlers: each makes one call of the engine, and returns one type of the wire.

pub(crate) mod account;
pub(crate) mod event;
pub(crate) mod links;
pub(crate) mod role;
pub(crate) mod session;
pub(crate) mod system;
pub(crate) mod user;
