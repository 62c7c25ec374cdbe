//! The names and addresses of erased users: they stay taken, as keyed hashes.

use crate::{
    Result, UserId,
    engine::crypto::{mac::MacKeys, master::MasterKeys},
};

/// No name and no address begins like this.
const PREFIX: &str = "erased:";

/// Hashes names and addresses of erased users.
#[derive(Clone)]
pub(in crate::engine) struct ErasedNames(MacKeys);

impl ErasedNames {
    pub(in crate::engine) fn new(keys: &MasterKeys) -> Result<Self> {
        Ok(Self(MacKeys::new(keys, "authy names of erased users")?))
    }

    /// Returns what stands in for the key of a name or an address once it is erased.
    pub(in crate::engine) fn hash(&self, key: &str) -> String {
        format!("{PREFIX}{}", self.0.sign(key))
    }

    /// Returns every form in which a name or an address may be taken: as it is, and hashed with each of the keys.
    pub(in crate::engine) fn forms(&self, key: &str) -> Vec<String> {
        let erased = self.0.sign_with_each(key).into_iter().map(|mac| format!("{PREFIX}{mac}"));
        [key.to_owned()].into_iter().chain(erased).collect()
    }

    /// Returns what stands in for an address that was never confirmed: it stays taken by nobody.
    pub(in crate::engine) fn unconfirmed(user: UserId) -> String {
        format!("{PREFIX}{}", user.as_uuid())
    }
}
