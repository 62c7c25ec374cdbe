//! Credentials: the password of an account, and its verification, which counts as a guess.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use zeroize::Zeroizing;

use crate::{
    Error, ErrorKind, Result, Secret, UserId, Username,
    engine::{
        crypto::{
            hasher::HashRequester,
            password::{Passwords, Verdict},
        },
        domain::{
            fallback_hash::FallbackHashes,
            throttle::{Attempt, GuessLimiter, GuessTarget, Outcome},
        },
        journal::{
            caller::Caller,
            write::{Journal, Written},
        },
        storage::{connector::db_error, row::user_id, statement::Params},
    },
};

pub(in crate::engine) mod sql;

/// Finds credentials, and verifies passwords.
#[derive(Clone)]
pub(in crate::engine) struct PasswordVerifier {
    journal: Arc<Journal>,
    pub(in crate::engine) passwords: Arc<Passwords>,
    pub(in crate::engine) limiter: GuessLimiter,
    pub(in crate::engine) fallback: FallbackHashes,
}

/// The credential of an account, at the time when it was found.
pub(in crate::engine) struct Credential {
    pub(in crate::engine) user: UserId,
    pub(in crate::engine) ver: i64,
    pub(in crate::engine) has_role: bool,
    pub(in crate::engine) is_validated: bool,
    pub(in crate::engine) phc: String,
    /// The time when the password was set. A new hash of the same password does not change it.
    pub(in crate::engine) password_since: DateTime<Utc>,
}

impl PasswordVerifier {
    pub(in crate::engine) fn new(
        journal: Arc<Journal>,
        passwords: Arc<Passwords>,
        limiter: GuessLimiter,
        fallback: FallbackHashes,
    ) -> Self {
        Self { journal, passwords, limiter, fallback }
    }

    /// Finds the credential of a username, unless the account is deleted. `None` is a username that cannot exist;
    /// searching for it takes as long as any other refusal.
    pub(in crate::engine) async fn find(&self, name: Option<&Username>) -> Result<Option<Credential>> {
        let Some(name) = name else { return Ok(None) };
        let row = self.journal.db.read_opt(&sql::FIND, &[&name.as_str(), &name.key()]).await?;
        let row = row.filter(|row| row.get("is_found") && !row.get::<_, bool>("deleted"));
        Ok(row.and_then(|row| {
            let phc = row.get::<_, Option<String>>("phc")?;
            Some(Credential {
                user: user_id(&row, "public_id"),
                ver: row.get("ver"),
                has_role: row.get("has_role"),
                is_validated: row.get("validated"),
                phc,
                password_since: row.get("changed"),
            })
        }))
    }

    /// Verifies the caller's own password again. See
    /// [`Sessions::verify_password`](super::session::Sessions::verify_password).
    pub(in crate::engine) async fn verify_again(&self, caller: &Caller, password: &Secret) -> Result<()> {
        let user = caller.require_identity()?.public_id;
        self.passwords.has_room(caller.hash_requester())?;
        let row = self.journal.db.read_opt(&sql::FIND_PASSWORD, &[user.as_uuid()]).await?;
        let phc = row.map(|row| Zeroizing::new(row.get::<_, String>("phc")));
        let attempt = self.limiter.attempt(caller, GuessTarget::password_again(user)).await?;
        // The caller has a token, so the refusal may be faster than a hash, unlike at a login.
        if let Some(wait) = attempt.wait() {
            attempt.retract().await;
            let error = Error::new(ErrorKind::RateLimited, "too many wrong passwords: wait before the next attempt");
            return Err(error.with_retry_after(wait));
        }
        let phc = phc.as_ref().map(|phc| phc.as_str());
        let (attempt, _) = self.verify(caller.hash_requester(), attempt, &[password], phc).await?;
        attempt.end(Outcome::Succeeded).await
    }

    /// Verifies a password, of which any of these forms may be the one that was hashed, as one attempt. A failed attempt is
    /// ended; otherwise returns the attempt, and the hash that
    /// should replace an outdated one. An attempt that is not admitted costs the same hash as a wrong password, and has
    /// the same result.
    pub(in crate::engine) async fn verify(
        &self,
        requester: HashRequester,
        attempt: Attempt,
        forms: &[&Secret],
        phc: Option<&str>,
    ) -> Result<(Attempt, Option<String>)> {
        let phc = phc.filter(|_| attempt.is_admitted());
        match self.passwords.verify_any(requester, forms, phc).await {
            Ok(Verdict::Match) => Ok((attempt, None)),
            Ok(Verdict::MatchButOutdated { new_phc }) => Ok((attempt, Some(new_phc))),
            Ok(Verdict::Mismatch) => {
                attempt.end(Outcome::Failed).await?;
                Err(refused())
            }
            Err(error) => {
                attempt.retract().await;
                Err(error)
            }
        }
    }

    /// Replaces an outdated hash of the same password, which is kept aside when fallback hashes are.
    pub(in crate::engine) async fn rehash(&self, caller: &Caller, credential: &Credential, phc: &str) -> Result<()> {
        self.journal
            .write(caller, async |tx| {
                let params: Params<'_> = &[credential.user.as_uuid(), &credential.phc, &phc];
                sql::REHASH.execute(tx, params).await.map_err(db_error)?;
                self.fallback.keep_imported(tx, credential.user, &credential.phc, phc).await?;
                Ok(Written::without_event(()))
            })
            .await
    }
}

/// Returns the error for wrong credentials, which is the same for all reasons.
pub(in crate::engine) fn refused() -> Error {
    Error::new(ErrorKind::InvalidCredentials, "the username or the password is wrong")
}
