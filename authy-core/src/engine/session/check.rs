//! Checking a token: a hash, two look-ups, and nothing else, as long as somebody follows what becomes void.

use super::*;
use crate::api::system::ServerMetadata;

#[async_trait]
impl Authenticator for Authy {
    async fn authenticate(&self, token: &str) -> Result<Identity> {
        let verified = match self.ring().recall(self.memory(), token) {
            Ok(verified) => verified,
            // Whatever is rare is boxed, so that what is frequent stays small.
            Err(refused) => Arc::new(Box::pin(self.ring().verify_anew(self.db(), token, refused)).await?),
        };
        let is_good = match self.feed().is_current(self.config().max_staleness) {
            true => !self.feed().voids(&verified),
            // Nobody follows in this process, or the database has been away for too long to answer for anything.
            false => Box::pin(self.is_good_by_database(&verified)).await?,
        };
        if is_good { Ok(verified.identity.clone()) } else { Err(void()) }
    }
}

impl Authy {
    async fn is_good_by_database(&self, token: &Token) -> Result<bool> {
        let Identity { session_id, public_id, .. } = &token.identity;
        let params: Params<'_> = &[session_id.as_uuid(), public_id.as_uuid(), &&*token.kid];
        let row = self.db().read_opt(&sql::FIND_EPOCH, params).await?;
        Ok(row.is_some_and(|row| row.get::<_, i64>("ver").unsigned_abs() == token.identity.ver))
    }

    /// What a caller who is powerful enough is told. The name and the roles are looked up only where they did not fit
    /// into the token.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when they have to be looked up and the database is away.
    pub async fn access_granted(&self, caller: &Identity) -> Result<AccessGranted> {
        let (username, roles) = match (&caller.username, &caller.roles) {
            (Some(username), Some(roles)) => (username.clone(), roles.clone()),
            _ => {
                let found = Box::pin(self.find_user_roles(caller.public_id)).await?.ok_or_else(void)?;
                (found.username, found.roles.into_iter().map(|role| role.name).collect())
            }
        };
        Ok(AccessGranted { public_id: caller.public_id, username, level: caller.level, roles })
    }

    /// Returns what a verifier of access tokens must know of this instance, and of all others on its database.
    pub fn metadata(&self) -> ServerMetadata {
        let (config, keys) = (self.config(), self.keys());
        let mut algorithms: Vec<String> = keys.keys.iter().map(|key| key.alg.clone()).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        let is_url = config.issuer.starts_with("https://") || config.issuer.starts_with("http://");
        ServerMetadata {
            jwks_uri: is_url.then(|| format!("{}/authy/.well-known/jwks.json", config.issuer.trim_end_matches('/'))),
            issuer: config.issuer.clone(),
            access_token_audience: config.audience.clone(),
            access_token_signing_alg_values_supported: algorithms,
            access_token_max_lifetime: self.ring().longest_life().as_secs(),
            max_age: keys.max_age,
        }
    }

    /// The public keys that verify access tokens.
    pub fn keys(&self) -> Arc<JwkSet> {
        self.ring().published()
    }
}

fn void() -> Error {
    Error::new(ErrorKind::InvalidToken, "the token is no longer valid")
}
