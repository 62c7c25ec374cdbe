//! The subjects of authy. Each module contains the handle, the rules and the SQL of one subject.

pub(in crate::engine) mod alias;
pub(in crate::engine) mod code;
pub(in crate::engine) mod credential;
pub(in crate::engine) mod epoch;
pub(in crate::engine) mod erased_name;
pub(in crate::engine) mod export;
pub(in crate::engine) mod fallback_hash;
pub(in crate::engine) mod going_back;
pub(in crate::engine) mod import;
pub(in crate::engine) mod instance;
pub(in crate::engine) mod issuer;
pub(in crate::engine) mod lookalike;
pub(in crate::engine) mod note;
pub(in crate::engine) mod recovery;
pub(in crate::engine) mod role;
pub(in crate::engine) mod session;
pub(in crate::engine) mod signing_key;
pub(in crate::engine) mod throttle;
pub(in crate::engine) mod user;
