//! The names and email addresses of erased users, which stay taken as keyed hashes.

use crate::{
    Result, UserId,
    engine::crypto::{mac::MacKeys, master::MasterKeys},
};

/// No valid name or address has this prefix.
const ERASED_KEY_PREFIX: &str = "erased:";

/// Hashes the names and addresses of erased users.
#[derive(Clone)]
pub(in crate::engine) struct ErasedNames(MacKeys);

impl ErasedNames {
    pub(in crate::engine) fn new(keys: &MasterKeys) -> Result<Self> {
        Ok(Self(MacKeys::new(keys, "authy names of erased users")?))
    }

    /// Returns the replacement for the key of an erased name or address.
    pub(in crate::engine) fn hash(&self, key: &str) -> String {
        format!("{ERASED_KEY_PREFIX}{}", self.0.sign(key))
    }

    /// Returns all forms in which a name or an address may be taken: unchanged, and hashed with each key.
    pub(in crate::engine) fn forms(&self, key: &str) -> Vec<String> {
        let erased = self.0.sign_with_each(key).into_iter().map(|mac| format!("{ERASED_KEY_PREFIX}{mac}"));
        [key.to_owned()].into_iter().chain(erased).collect()
    }

    /// Returns the replacement for an address that was never confirmed. It does not keep the address taken.
    pub(in crate::engine) fn unconfirmed(user: UserId) -> String {
        format!("{ERASED_KEY_PREFIX}{}", user.as_uuid())
    }
}
