//! Ends the waits that wrong passwords have caused.

use super::Users;
use crate::{
    Result, UserId,
    api::event::EventKind,
    engine::journal::{caller::Caller, event::Event},
};

impl Users {
    /// Forgets the wrong passwords at a user's account, so that the next attempt is verified at once: those of logins
    /// from unknown devices, and those before a change of the account. A known device has a count of its own, and so
    /// has an address; both end by themselves.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound),
    /// [`ErrorKind::AlreadyDeleted`](crate::ErrorKind::AlreadyDeleted),
    /// [`ErrorKind::InsufficientLevel`](crate::ErrorKind::InsufficientLevel),
    /// [`ErrorKind::BeyondYourLevel`](crate::ErrorKind::BeyondYourLevel).
    pub async fn unlock(&self, caller: &Caller, user: UserId) -> Result<()> {
        self.journal
            .write(caller, async |tx| {
                let (actor, subject) = tx.prove_on(user).await?;
                actor.require_power_over(subject.live()?.level)?;
                self.passwords.limiter.forget_all_guesses(tx, user).await?;
                Ok(Event::new(EventKind::AccountUnlocked, &actor).about(user))
            })
            .await
    }
}
