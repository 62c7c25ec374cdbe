//! Verifying a password: the one way to it, counted as a guess.

use zeroize::Zeroizing;

use super::*;
use crate::engine::{hasher::Asker, password::Verdict, throttle::Attempt};

impl Authy {
    /// Verifies the caller's own password again, before a change that matters.
    ///
    /// Wrong guesses are slowed like those of a login, in a count of their own: guesses at the login do not keep a user from
    /// changing the password, and a stolen token does not permit faster guesses.
    ///
    /// # Errors
    /// [`ErrorKind::TokenRequired`] without a token; [`ErrorKind::InvalidCredentials`] when the password is wrong or the user was
    /// deleted; [`ErrorKind::RateLimited`] with a time to wait after too many wrong ones; [`ErrorKind::Overloaded`] when too many
    /// passwords wait to be verified; [`ErrorKind::Unavailable`] when the database is away.
    pub async fn verify_password(&self, caller: &Caller, password: &Secret) -> Result<()> {
        let user = caller.id().ok_or_else(|| Error::new(ErrorKind::TokenRequired, "this needs a token"))?;
        self.passwords().has_room(caller.asker())?;
        let row = self.db().read_opt(&user::sql::FIND_PASSWORD, &[user.as_uuid()]).await?;
        let phc = row.map(|row| Zeroizing::new(row.get::<_, String>("phc")));
        let attempt = self.attempt(caller, Subject::password_again(user)).await?;
        // It is known who asks, so there is nothing to hide behind the work of a hash, unlike at a login.
        if let Some(wait) = attempt.wait() {
            attempt.retract().await;
            let error = Error::new(ErrorKind::RateLimited, "too many wrong passwords: wait before the next attempt");
            return Err(error.retry_after(wait));
        }
        let phc = phc.as_ref().map(|phc| phc.as_str());
        let (attempt, _) = self.try_password(caller.asker(), attempt, password, phc).await?;
        attempt.end(Outcome::Succeeded).await
    }

    /// Verifies a password as one attempt, which is over unless it was right; then with the hash that should replace an
    /// outdated one. An attempt that is not admitted costs the hash of one that is wrong, and gets its answer.
    pub(super) async fn try_password(
        &self,
        asker: Asker,
        attempt: Attempt,
        password: &Secret,
        phc: Option<&str>,
    ) -> Result<(Attempt, Option<String>)> {
        let phc = phc.filter(|_| attempt.is_admitted());
        match self.passwords().verify(asker, password.normalized(), phc).await {
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
}
