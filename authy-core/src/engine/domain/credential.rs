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
            throttle::{Attempt, GuessLimiter, GuessTarget, LoginKeys, MAX_ATTEMPT_TIME, Outcome, Standing},
        },
        journal::{
            caller::Caller,
            write::{Journal, Written},
        },
        storage::{connector::db_error, row::user_id, statement::Params},
    },
};

pub(in crate::engine) mod sql;
mod under_way;

use under_way::{Turn, VerificationsUnderWay};

/// Finds credentials, and verifies passwords.
#[derive(Clone)]
pub(in crate::engine) struct PasswordVerifier {
    journal: Arc<Journal>,
    pub(in crate::engine) passwords: Arc<Passwords>,
    pub(in crate::engine) limiter: GuessLimiter,
    pub(in crate::engine) fallback: FallbackHashes,
    under_way: Arc<VerificationsUnderWay>,
}

/// What a login finds before it verifies the password.
pub(in crate::engine) struct LoginData {
    /// The credential, unless the account does not exist or is deleted.
    pub(in crate::engine) credential: Option<Credential>,
    /// What is on record about guesses without a known device.
    pub(in crate::engine) standing: Standing,
    /// What is on record about guesses on the device whose token was presented, if that is valid.
    pub(in crate::engine) standing_on_device: Standing,
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
    ) -> Result<Self> {
        Ok(Self { journal, passwords, limiter, fallback, under_way: Arc::new(VerificationsUnderWay::new()?) })
    }

    /// Finds the credential of a username, and what is on record about guesses at it. A username that cannot exist
    /// (`None`) is searched for like any other.
    pub(in crate::engine) async fn find(&self, name: Option<&Username>, keys: &LoginKeys) -> Result<LoginData> {
        let (spelling, key) = (name.map_or("", Username::as_str), name.map(Username::key).unwrap_or_default());
        let longest = MAX_ATTEMPT_TIME.as_secs_f64();
        let params: Params<'_> = &[&spelling, &key, &keys.unknown, &keys.address, &keys.device, &longest];
        let row = self.journal.db.read_one(&sql::FIND, params).await?;
        let credential = row.get::<_, bool>("has_login").then(|| Credential {
            user: user_id(&row, "public_id"),
            ver: row.get("ver"),
            has_role: row.get("has_role"),
            is_validated: row.get("validated"),
            phc: row.get("phc"),
            password_since: row.get("changed"),
        });
        let (standing, standing_on_device) = (keys.standing(&row), keys.standing_on_device(&row));
        Ok(LoginData { credential, standing, standing_on_device })
    }

    /// Verifies the caller's own password again. See
    /// [`Sessions::verify_password`](super::session::Sessions::verify_password).
    pub(in crate::engine) async fn verify_again(&self, caller: &Caller, password: &Secret) -> Result<()> {
        let user = caller.require_identity()?.public_id;
        self.passwords.require_room(caller.hash_requester())?;
        let row = self.journal.db.read_opt(&sql::FIND_PASSWORD, &[user.as_uuid()]).await?;
        let phc = row.map(|row| Zeroizing::new(row.get::<_, String>("phc")));
        let attempt = self.limiter.attempt(caller, GuessTarget::password_again(user), None).await?;
        // The caller has a token, so the refusal may be faster than a hash, unlike at a login.
        if let Some(wait) = attempt.wait() {
            attempt.retract().await;
            let error = Error::new(ErrorKind::RateLimited, "too many wrong passwords: wait before the next attempt");
            return Err(error.with_retry_after(wait));
        }
        let phc = phc.as_ref().map(|phc| phc.as_str());
        let (attempt, _) = self.verify_alone(caller.hash_requester(), attempt, &[password], phc, false).await?;
        attempt.end(Outcome::Succeeded).await
    }

    /// Verifies a password, of which any of these forms may be the one that was hashed, as one attempt. A failed attempt
    /// is ended; otherwise returns the attempt, and the hash that should replace an outdated one. An attempt that is not
    /// admitted costs the same hash as a wrong password, and has the same result.
    pub(in crate::engine) async fn verify(
        &self,
        requester: HashRequester,
        mut attempt: Attempt,
        forms: &[&Secret],
        phc: Option<&str>,
    ) -> Result<(Attempt, Option<String>)> {
        let (mut leader, mut is_compared) = (None, false);
        // A reserved attempt is verified by itself: it is on record, and so are those that it could wait for.
        while leader.is_none() && attempt.is_unreserved() {
            match self.under_way.join(attempt.key(), phc, forms) {
                Turn::Leads(own, with_another) => (leader, is_compared) = (Some(own), with_another),
                Turn::Follows(identical) => {
                    attempt.pause();
                    if identical.succeeds().await {
                        attempt.resume().await?;
                        return Ok((attempt, None));
                    }
                    attempt.begin_again().await?;
                }
            }
        }
        let verified = self.verify_alone(requester, attempt, forms, phc, is_compared).await?;
        if let Some(leader) = leader {
            leader.succeed();
        }
        Ok(verified)
    }

    /// Verifies a password without regard to others. An attempt that was compared with another one counts as failed when
    /// it cannot be verified, or its caller does not wait for that: otherwise the comparison would be a guess that costs
    /// nothing.
    async fn verify_alone(
        &self,
        requester: HashRequester,
        attempt: Attempt,
        forms: &[&Secret],
        phc: Option<&str>,
        is_compared: bool,
    ) -> Result<(Attempt, Option<String>)> {
        let phc = phc.filter(|_| attempt.is_admitted());
        let begin = attempt.queued(is_compared);
        let new_phc = match self.passwords.verify_any(requester, forms, phc, begin).await {
            Ok(Verdict::Match) => None,
            Ok(Verdict::MatchButOutdated { new_phc }) => Some(new_phc),
            Ok(Verdict::Mismatch) => {
                attempt.end(Outcome::Failed).await?;
                return Err(refused());
            }
            Err(error) if is_compared => {
                attempt.end(Outcome::Failed).await?;
                return Err(error);
            }
            Err(error) => {
                attempt.retract().await;
                return Err(error);
            }
        };
        attempt.passed();
        Ok((attempt, new_phc))
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
