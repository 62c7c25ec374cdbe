//! Passwords: how strong one must be, how it is hashed, and how it is verified.
//!
//! Everything here runs on the threads of a [`Hasher`], and an answer is one job: a sign-up waits once for strength
//! and hash, a login once for the verification and the hash that replaces an outdated one.

use std::{fmt, path::Path, sync::Arc};

use zeroize::Zeroizing;

use crate::{
    Result,
    engine::crypto::{
        hash_config::HashConfig,
        hasher::{Asker, Hasher, Workspace},
        master::MasterKeys,
    },
};

mod argon2id;
mod breached;
mod foreign;
#[cfg(feature = "fuzz-entry-points")]
pub(in crate::engine) mod fuzz;
mod strength;

use argon2id::{Argon2id, Pepper, Stored};
use breached::Breached;

pub(in crate::engine) use strength::UserInputs;

/// How passwords are judged, hashed and verified.
#[derive(Debug)]
pub(in crate::engine) struct Passwords {
    hasher: Hasher,
    today: Arc<Argon2id>,
    breached: Option<Arc<Breached>>,
}

/// Whether a password is the right one.
#[derive(PartialEq, Eq)]
pub(in crate::engine) enum Verdict {
    /// It is, and its hash is as a new one would be.
    Match,
    /// It is, and its hash should be replaced by `new_phc`: algorithm, parameters or pepper have changed since.
    MatchButOutdated {
        /// The hash of the same password as it is made today.
        new_phc: String,
    },
    /// It is not, or there is nothing to compare it with.
    Mismatch,
}

impl Passwords {
    /// Starts the hashing threads. New hashes are made with the pepper of the first master key; hashes with any of the
    /// peppers, or with none, are verified.
    ///
    /// # Errors
    /// `internal` when a thread cannot be started.
    pub(in crate::engine) fn start(config: &HashConfig, keys: &MasterKeys) -> Result<Self> {
        let peppers = keys.ids()?.into_iter().zip(keys.derive("authy password pepper")?);
        let peppers = peppers.map(|(id, key)| Pepper::new(id, key)).collect();
        let today = Arc::new(Argon2id::new(config.argon2, peppers)?);
        Ok(Self { hasher: Hasher::start(config)?, today, breached: None })
    }

    /// The same, refusing the passwords that are in a file of breached ones, when there is one at the path.
    pub(in crate::engine) fn refusing_breached(self, path: Option<&Path>) -> Self {
        Self { breached: Breached::open(path).map(Arc::new), ..self }
    }

    /// What names the pepper of today in a PHC string: its `keyid`.
    pub(in crate::engine) fn pepper_id(&self) -> String {
        self.today.pepper_id()
    }

    /// That there is room for one more. Asked before a guess is counted, so that a storm costs nothing but the answer.
    ///
    /// # Errors
    /// `overloaded` when too many hashes wait.
    pub(in crate::engine) fn has_room(&self, asker: Asker) -> Result<()> {
        self.hasher.has_room(asker)
    }

    /// Hashes a password whose strength is not asked for. Answers a PHC string.
    ///
    /// # Errors
    /// `overloaded` when too many hashes wait; `internal` when there is no randomness.
    pub(in crate::engine) async fn hash(&self, asker: Asker, password: Zeroizing<String>) -> Result<String> {
        let today = Arc::clone(&self.today);
        self.hasher.run(asker, move |workspace| today.hash(workspace, &password)).await?
    }

    /// Tells whether `password` is the one that `stored` was made from. `None` stands for a user that is unknown: the
    /// answer takes as long as for one who is known, which is one hash of today.
    ///
    /// What is stored and cannot be read, or asks for more than the caps allow, matches no password.
    ///
    /// # Errors
    /// `overloaded` when too many hashes wait; `internal` when the pepper of the hash is not configured.
    pub(in crate::engine) async fn verify(
        &self,
        asker: Asker,
        password: Zeroizing<String>,
        stored: Option<&str>,
    ) -> Result<Verdict> {
        let today = Arc::clone(&self.today);
        let stored = stored.map(str::to_owned);
        self.hasher.run(asker, move |workspace| verify(&today, workspace, &password, stored.as_deref())).await?
    }

    /// Hashes a password somebody chooses, when it is strong enough for that user. Answers a PHC string.
    ///
    /// # Errors
    /// `weak_password` with the estimate; `overloaded` when too many hashes wait; `internal` when there is no
    /// randomness.
    pub(in crate::engine) async fn admit(
        &self,
        asker: Asker,
        password: Zeroizing<String>,
        inputs: UserInputs,
    ) -> Result<String> {
        let (today, breached) = (Arc::clone(&self.today), self.breached.clone());
        let admit = move |workspace: &mut Workspace| {
            let is_breached = breached.is_some_and(|breached| breached.contains(&password));
            strength::require(&password, &inputs, is_breached)?;
            today.hash(workspace, &password)
        };
        self.hasher.run(asker, admit).await?
    }
}

fn verify(today: &Argon2id, workspace: &mut Workspace, password: &str, stored: Option<&str>) -> Result<Verdict> {
    let Some(stored) = stored else {
        today.spend(workspace, password)?;
        return Ok(Verdict::Mismatch);
    };
    let matches = match Stored::parse(stored) {
        Some(Stored::Argon2(hash)) => match today.verify(workspace, password, &hash)? {
            true if today.made(&hash) => return Ok(Verdict::Match),
            matches => matches,
        },
        Some(Stored::Foreign(hash)) => hash.verify(password),
        None => {
            tracing::warn!("a stored password hash cannot be read, or asks for more than is allowed");
            today.spend(workspace, password)?;
            false
        }
    };
    match matches {
        true => today.hash(workspace, password).map(|new_phc| Verdict::MatchButOutdated { new_phc }),
        false => Ok(Verdict::Mismatch),
    }
}

// Does not show the hash: it is as good as the password to somebody who has time.
impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Match => "Match",
            Self::MatchButOutdated { .. } => "MatchButOutdated",
            Self::Mismatch => "Mismatch",
        })
    }
}

#[cfg(test)]
mod tests;
