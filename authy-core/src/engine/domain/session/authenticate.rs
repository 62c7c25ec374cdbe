//! Token checks: one hash and two look-ups, while this process follows the revocations.

use std::sync::Arc;

use super::{Sessions, sql};
use crate::{
    Error, ErrorKind, Identity, Level, Result, UserId,
    api::session::{AccessGranted, EncodedGrant},
    claims::Token,
    engine::{domain::user, storage::statement::Params},
};

impl Sessions {
    /// Returns who a token belongs to: the work of [`Authenticator`](crate::Authenticator) for an embedded authy.
    pub(in crate::engine) async fn authenticate(&self, token: &str) -> Result<Identity> {
        let verified = match self.keys.get_or_verify(&self.cache, token) {
            Ok(verified) => verified,
            // The rare case is boxed, so that the future of the frequent one stays small.
            Err(refused) => match Box::pin(self.keys.verify_again(token, refused)).await {
                Ok(verified) => Arc::new(verified.into()),
                Err(refused) => {
                    let refused = self.journal.feed.explain(refused);
                    return Box::pin(self.authenticate_legacy(token, refused)).await;
                }
            },
        };
        let feed = &self.journal.feed;
        let is_good = match feed.is_current() {
            true => !feed.revokes(&verified),
            // This process does not follow the revocations, or the database was not available for too long.
            false => Box::pin(self.is_good_by_database(&verified)).await?,
        };
        if is_good { Ok(verified.identity.clone()) } else { Err(revoked()) }
    }

    async fn is_good_by_database(&self, token: &Token) -> Result<bool> {
        let Identity { session_id, public_id, .. } = &token.identity;
        let params: Params<'_> = &[session_id.as_uuid(), public_id.as_uuid(), &&*token.kid];
        let row = self.db().read_opt(&sql::FIND_EPOCH, params).await?;
        Ok(row.is_some_and(|row| row.get::<_, i64>("ver").unsigned_abs() == token.identity.ver))
    }

    /// Returns the response to a check of `token` for a level, and the owner of the token, when memory suffices for it: the token was
    /// verified earlier and is not revoked, its owner has the level, and name and roles are in the token. `None` in all other cases,
    /// also for a token that is not valid: then use [`Authenticator::authenticate`](crate::Authenticator::authenticate) and
    /// [`access_granted`](Self::access_granted).
    ///
    /// Does not wait for anything, and allocates nothing after the first response for a token.
    pub fn grant_from_memory(&self, token: &str, level: Level) -> Option<(UserId, EncodedGrant)> {
        let feed = &self.journal.feed;
        // One reading of the clocks for both questions.
        let now = feed.now();
        let verified = self.keys.get(&self.cache, token, now.wall.as_secs())?;
        let Identity { public_id, level: own, .. } = verified.identity;
        if !own.at_least(level) || !feed.is_current_at(now) || feed.revokes(&verified) {
            return None;
        }
        let grant = verified.derived(|token| {
            let Identity { username, roles, .. } = token.identity.clone();
            let granted = AccessGranted { public_id, username: username?, level: own, roles: roles? };
            EncodedGrant::new(&granted).ok()
        });
        Some((public_id, grant.clone()?))
    }

    /// Returns the response to a caller whose access was granted. Looks up name and roles only when they did not fit
    /// into the token.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when a look-up is necessary and the database is not available.
    pub async fn access_granted(&self, caller: &Identity) -> Result<AccessGranted> {
        let (username, roles) = match (&caller.username, &caller.roles) {
            (Some(username), Some(roles)) => (username.clone(), roles.clone()),
            _ => {
                let found = Box::pin(user::find_roles(self.db(), caller.public_id)).await?.ok_or_else(revoked)?;
                (found.username, found.roles.into_iter().map(|role| role.name).collect())
            }
        };
        Ok(AccessGranted { public_id: caller.public_id, username, level: caller.level, roles })
    }
}

pub(super) fn revoked() -> Error {
    Error::new(ErrorKind::InvalidToken, "the token is no longer valid")
}
