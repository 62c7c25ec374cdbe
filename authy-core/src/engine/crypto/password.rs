//! Passwords: required strength, hashing, and verification.
//!
//! All of it runs on the threads of a [`Hasher`], with one job per request: a sign-up waits once for the strength check
//! and the hash, a login once for the verification and the new hash that replaces an outdated one.

use std::{fmt, io, ops::ControlFlow, path::Path, sync::Arc};

use zeroize::Zeroizing;

use crate::{
    Result, Secret,
    engine::crypto::{
        hash_config::HashConfig,
        hasher::{HashRequester, Hasher, Workspace, statistics::HashStatistics},
        master::MasterKeys,
    },
};

mod argon2id;
mod breached;
mod fallback;
mod foreign;
pub(in crate::engine) mod format;
#[cfg(feature = "fuzz-entry-points")]
pub(in crate::engine) mod fuzz;
pub(in crate::engine) mod stored;
mod strength;
mod wrapped;

use argon2id::{Argon2id, Pepper};
use breached::Breached;
use fallback::FallbackHash;
use stored::StoredHash;
use wrapped::Wrapped;

pub(in crate::engine) use fallback::is_werkzeug;
pub(in crate::engine) use strength::UserInputs;

/// Checks a file of breached passwords: opens it, and reads some of its lines.
///
/// # Errors
/// The error of the system, or [`io::ErrorKind::InvalidData`] when a line is not `HASH:COUNT`.
pub fn check_breached_passwords(file: &Path) -> io::Result<()> {
    Breached::check(file)
}

/// Checks the strength of passwords, hashes and verifies them.
#[derive(Debug)]
pub(in crate::engine) struct Passwords {
    hasher: Hasher,
    current: Arc<Argon2id>,
    breached: Option<Arc<Breached>>,
}

/// The result of verifying a password.
#[derive(PartialEq, Eq)]
pub(in crate::engine) enum Verdict {
    /// The password is correct, and its hash is up to date.
    Match,
    /// The password is correct, but its algorithm, parameters or pepper are outdated: `new_phc` should replace the
    /// hash.
    MatchButOutdated {
        /// The hash of the same password with the current parameters.
        new_phc: String,
    },
    /// The password is wrong, or there is no hash to compare it with.
    Mismatch,
}

impl Passwords {
    /// Starts the hashing threads. New hashes use the pepper of the first master key. Hashes with any of the peppers,
    /// or with none, can be verified.
    ///
    /// # Errors
    /// `internal` when a thread cannot be started.
    pub(in crate::engine) fn start(config: &HashConfig, keys: &MasterKeys) -> Result<Self> {
        let peppers = keys.ids()?.into_iter().zip(keys.derive("authy password pepper")?);
        let peppers = peppers.map(|(id, key)| Pepper::new(id, key)).collect();
        let current = Arc::new(Argon2id::new(config.argon2, peppers)?);
        Ok(Self { hasher: Hasher::start(config)?, current, breached: None })
    }

    /// Sets the file of breached passwords, which are refused. No file when `None`.
    pub(in crate::engine) fn refusing_breached(self, path: Option<&Path>) -> Self {
        Self { breached: Breached::open(path).map(Arc::new), ..self }
    }

    /// Returns the ID of the current pepper: the `keyid` of PHC strings.
    pub(in crate::engine) fn pepper_id(&self) -> String {
        self.current.pepper_id()
    }

    /// Checks whether the queue has room, before a guess is counted, so that a flood of logins is refused without
    /// further cost.
    ///
    /// # Errors
    /// `overloaded` when too many hashes wait.
    pub(in crate::engine) fn require_room(&self, requester: HashRequester) -> Result<()> {
        self.hasher.require_room(requester)
    }

    /// Returns the state of the hashing threads.
    pub(in crate::engine) fn statistics(&self) -> HashStatistics {
        self.hasher.statistics()
    }

    /// Hashes a password without checking its strength. Returns a PHC string.
    ///
    /// # Errors
    /// `overloaded` when the queue is full; `internal` when the random number generator fails.
    pub(in crate::engine) async fn hash(
        &self,
        requester: HashRequester,
        password: Zeroizing<String>,
    ) -> Result<String> {
        let current = Arc::clone(&self.current);
        self.hasher.run(requester, move |workspace| current.hash(workspace, password.as_bytes())).await?
    }

    /// Verifies whether `stored` is a hash of a password, of which any of these forms may be the one that was hashed. They
    /// are tried in this order, as one job, which calls `begin` first. `None` stands for an unknown user and takes as long as a known one: one hash
    /// with the current parameters for each form.
    ///
    /// Our own hashes are of the password in NFC. Other programs hash what they receive, so their hashes are compared with
    /// the password as it is first, and then in NFC. A stored hash that cannot be parsed, or whose cost exceeds the limits,
    /// matches no password.
    ///
    /// # Errors
    /// `overloaded` when the queue is full; `internal` when the pepper of the hash is not configured.
    pub(in crate::engine) async fn verify_any(
        &self,
        requester: HashRequester,
        forms: &[&Secret],
        stored: Option<&str>,
        begin: impl FnOnce() + Send + 'static,
    ) -> Result<Verdict> {
        let current = Arc::clone(&self.current);
        let stored = stored.map(str::to_owned);
        let forms: Vec<_> = forms.iter().map(|password| PasswordForms::new(password)).collect();
        let verify_each = move |workspace: &mut Workspace| {
            begin();
            for form in &forms {
                match verify(&current, workspace, form, stored.as_deref())? {
                    Verdict::Mismatch => {}
                    matched => return Ok(matched),
                }
            }
            Ok(Verdict::Mismatch)
        };
        self.hasher.run(requester, verify_each).await?
    }

    #[cfg(test)]
    async fn verify(&self, requester: HashRequester, password: &Secret, stored: Option<&str>) -> Result<Verdict> {
        self.verify_any(requester, &[password], stored, || ()).await
    }

    /// Returns argon2id over a stored hash of another program, which is verified like the hash itself: what is stored is no
    /// longer a weak hash, although the password is not known. `None` when the hash is argon2 or wrapped already, or
    /// cannot be used.
    ///
    /// # Errors
    /// As [`hash`](Self::hash).
    pub(in crate::engine) async fn wrap(&self, requester: HashRequester, stored: &str) -> Result<Option<String>> {
        let Ok(StoredHash::Foreign(foreign)) = StoredHash::parse(stored) else { return Ok(None) };
        let current = Arc::clone(&self.current);
        let wrap = move |workspace: &mut Workspace| Wrapped::wrap(&current, workspace, &foreign);
        self.hasher.run(requester, wrap).await?.map(Some)
    }

    /// Hashes a password for the program that authy has replaced, as werkzeug does. Takes a few tenths of a second of one
    /// core, in slices that wait while any caller needs a hash.
    ///
    /// # Errors
    /// `overloaded` when too much work waits that no caller waits for; `internal` when the random number generator fails.
    pub(in crate::engine) async fn hash_for_fallback(&self, password: Secret) -> Result<Secret> {
        let mut hash = FallbackHash::begin(password.expose())?;
        drop(password);
        loop {
            let proceed = move |_: &mut Workspace| hash.proceed();
            match self.hasher.run(HashRequester::background(), proceed).await? {
                ControlFlow::Break(text) => return Ok(text),
                ControlFlow::Continue(rest) => hash = rest,
            }
        }
    }

    /// Checks the strength of a new password for its user, and hashes it. Returns a PHC string.
    ///
    /// # Errors
    /// `weak_password` with the estimate; `overloaded` when the queue is full; `internal` when the random number
    /// generator fails.
    pub(in crate::engine) async fn admit(
        &self,
        requester: HashRequester,
        password: Zeroizing<String>,
        inputs: UserInputs,
    ) -> Result<String> {
        let (current, breached) = (Arc::clone(&self.current), self.breached.clone());
        let admit = move |workspace: &mut Workspace| {
            let is_breached = breached.is_some_and(|breached| breached.contains(&password));
            strength::require(&password, &inputs, is_breached)?;
            current.hash(workspace, password.as_bytes())
        };
        self.hasher.run(requester, admit).await?
    }
}

/// A password as it was received, and in NFC.
struct PasswordForms {
    received: Zeroizing<String>,
    nfc: Zeroizing<String>,
}

impl PasswordForms {
    fn new(password: &Secret) -> Self {
        Self { received: Zeroizing::new(password.expose().to_owned()), nfc: password.normalized() }
    }

    /// Returns whether a foreign hash matches one of the forms.
    fn any(&self, mut matches: impl FnMut(&str) -> Result<bool>) -> Result<bool> {
        Ok(matches(&self.received)? || (self.nfc != self.received && matches(&self.nfc)?))
    }
}

fn verify(
    current: &Argon2id,
    workspace: &mut Workspace,
    password: &PasswordForms,
    stored: Option<&str>,
) -> Result<Verdict> {
    let nfc = password.nfc.as_bytes();
    let Some(stored) = stored else {
        current.verify_dummy(workspace, nfc)?;
        return Ok(Verdict::Mismatch);
    };
    let hash = match StoredHash::parse(stored) {
        Ok(hash) => hash,
        Err(reason) => {
            tracing::warn!(%reason, "a stored password hash cannot be used");
            current.verify_dummy(workspace, nfc)?;
            return Ok(Verdict::Mismatch);
        }
    };
    let matches = match &hash {
        StoredHash::Argon2(hash) if hash.has_pepper() => current.verify(workspace, nfc, hash)?,
        StoredHash::Argon2(hash) => password.any(|form| current.verify(workspace, form.as_bytes(), hash))?,
        StoredHash::Wrapped(hash) => password.any(|form| hash.verify(current, workspace, form))?,
        StoredHash::Foreign(hash) => password.any(|form| Ok(hash.verify(form)))?,
    };
    match (matches, hash) {
        (true, StoredHash::Argon2(hash)) if current.is_current(&hash) => Ok(Verdict::Match),
        (true, _) => current.hash(workspace, nfc).map(|new_phc| Verdict::MatchButOutdated { new_phc }),
        // As for an unknown user, beside the foreign hash: a cheap one does not show in the time.
        (false, StoredHash::Foreign(_)) => current.verify_dummy(workspace, nfc).map(|()| Verdict::Mismatch),
        (false, _) => Ok(Verdict::Mismatch),
    }
}

// Does not print the hash: with enough time, an attacker can find the password from it.
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
