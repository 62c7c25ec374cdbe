//! Hashes of other programs inside of argon2id: `$authy-wrap$scheme$parameters$salt$argon2id$…`.
//!
//! The text has what is needed to compute the hash of the other program from a password, but not that hash: of that, it
//! has the argon2id. So the weak hash is not stored any more, although nobody has entered the password yet.

use super::{
    argon2id::{Argon2Hash, Argon2id},
    foreign::{Foreign, Scheme},
    format::UnusableHash,
};
use crate::{Result, engine::crypto::hasher::Workspace};

/// A parsed hash of this form, whose cost is within the limits.
pub(super) struct Wrapped {
    scheme: Scheme,
    hash: Argon2Hash,
}

impl Wrapped {
    /// The beginning of the text.
    pub(super) const PREFIX: &str = "$authy-wrap$";

    /// Creates the text for a hash of another program.
    pub(super) fn wrap(current: &Argon2id, workspace: &mut Workspace, foreign: &Foreign) -> Result<String> {
        let phc = current.hash(workspace, foreign.digest())?;
        Ok(format!("{}{}{phc}", Self::PREFIX, foreign.scheme().write()))
    }

    /// Parses what follows the prefix.
    pub(super) fn parse(text: &str) -> std::result::Result<Self, UnusableHash> {
        // Of the scheme, there are three parts.
        let (end, _) = text.match_indices('$').nth(2).ok_or(UnusableHash::Malformed)?;
        let (scheme, phc) = text.split_at_checked(end).ok_or(UnusableHash::Malformed)?;
        Ok(Self { scheme: Scheme::read(scheme)?, hash: Argon2Hash::parse(phc)? })
    }

    /// Returns whether this is the hash of `password`.
    pub(super) fn verify(&self, current: &Argon2id, workspace: &mut Workspace, password: &str) -> Result<bool> {
        let digest = self.scheme.digest(password.as_bytes());
        // Also without a digest, so that the time does not depend on it.
        let matches = current.verify(workspace, digest.as_deref().map_or(&[], Vec::as_slice), &self.hash)?;
        Ok(matches && digest.is_some())
    }

    pub(super) fn has_pepper(&self) -> bool {
        self.hash.has_pepper()
    }

    #[cfg(feature = "fuzz-entry-points")]
    pub(super) fn parts(&self) -> (&Scheme, &Argon2Hash) {
        (&self.scheme, &self.hash)
    }
}
