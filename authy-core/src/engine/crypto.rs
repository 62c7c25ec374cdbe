//! Keys, hashes and passwords. This layer does not use the database.

pub(in crate::engine) mod digest;
pub(in crate::engine) mod hash_config;
pub(in crate::engine) mod hasher;
pub(in crate::engine) mod keypair;
pub(in crate::engine) mod mac;
pub(in crate::engine) mod master;
pub(in crate::engine) mod password;
pub(in crate::engine) mod random;
