//! A cache of verified tokens: in the steady state, a check costs one hash and one look-up.

use std::{fmt, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::sync::Cache;

use crate::{
    Result,
    claims::{Token, Verifier},
    time,
};

/// Maximum number of cached tokens: about 60 MB when the cache is full.
const MAX_CACHED_TOKENS: usize = 100_000;

/// Caches verified tokens by their SHA-256 until they expire, their key is no longer valid, or their lifetime is no
/// longer allowed. Does not check revocation: query the [`RevocationSet`](crate::revocation::RevocationSet) each time.
pub struct TokenCache(Cache<[u8; 32], Arc<Token>>);

impl TokenCache {
    /// Creates an empty cache.
    pub fn new() -> Self {
        Self(Cache::new(MAX_CACHED_TOKENS))
    }

    /// Returns the content of a token: from the cache when it was verified earlier, has not expired, and `verifier`
    /// still has its key and allows its lifetime; otherwise `verifier` verifies it. So a token is refused once its key
    /// has retired.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub fn get_or_verify(&self, token: &str, verifier: &Verifier) -> Result<Arc<Token>> {
        let digest = cache_key(token);
        if let Some(known) = self.0.get(&digest)
            // Compared in seconds: converting the clock's seconds into a date takes half as long again as reading the
            // clock.
            && time::unix_seconds(known.identity.expires) > time::unix_now()
            && verifier.still_accepts(&known)
        {
            return Ok(known);
        }
        let verified = Arc::new(verifier.verify(token)?);
        self.0.insert(digest, verified.clone());
        Ok(verified)
    }
}

impl Default for TokenCache {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("tokens", &self.0.len()).finish()
    }
}

// The key is a hash, so that a memory dump contains no usable token.
fn cache_key(token: &str) -> [u8; 32] {
    let mut name = [0; 32];
    digest(&SHA256, token.as_bytes()).as_ref().iter().zip(&mut name).for_each(|(from, to)| *to = *from);
    name
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

    use super::*;
    use crate::{
        ErrorKind, Jwk, Level, SessionId, UserId,
        claims::{Claims, SigningAlgorithm},
    };

    fn jwk(pair: &Ed25519KeyPair) -> Jwk {
        let x = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key());
        let (kty, usage, alg) = ("OKP".into(), "sig".into(), "EdDSA".into());
        let (crv, x) = (Some("Ed25519".into()), Some(x));
        Jwk { kty, kid: "key".into(), usage, alg, crv, x, y: None, n: None, e: None }
    }

    fn token(pair: &Ed25519KeyPair, lifetime: Duration) -> String {
        let (id, now) = (UserId::random(), time::unix_now());
        let claims = Claims {
            public_id: id,
            username: None,
            level: Level::clamped(10),
            roles: None,
            ver: 1,
            sid: SessionId::random(),
            iss: "issuer".into(),
            aud: "audience".into(),
            sub: id,
            iat: now,
            exp: now + lifetime.as_secs(),
            jti: "0123456789abcdef".into(),
        };
        claims.sign(SigningAlgorithm::EdDSA, "key", |input| Ok(pair.sign(input).as_ref().to_vec())).unwrap()
    }

    fn refusal(answer: Result<Arc<Token>>) -> ErrorKind {
        answer.unwrap_err().kind()
    }

    #[test]
    fn a_token_is_verified_once_and_not_returned_after_it_expired() {
        let (cache, pair) = (TokenCache::new(), Ed25519KeyPair::generate().unwrap());
        let verifier = Verifier::new("issuer", "audience", Duration::from_secs(900), [&jwk(&pair)]).unwrap();
        let long = token(&pair, Duration::from_secs(900));
        let first = cache.get_or_verify(&long, &verifier).unwrap();
        assert!(Arc::ptr_eq(&first, &cache.get_or_verify(&long, &verifier).unwrap()));
        let mut expired = (*first).clone();
        expired.identity.expires = time::from_unix_seconds(0);
        cache.0.insert(cache_key("expired"), Arc::new(expired));
        assert_eq!(refusal(cache.get_or_verify("expired", &verifier)), ErrorKind::InvalidToken);
    }

    #[test]
    fn a_token_is_returned_only_while_its_key_is_known() {
        let (cache, pair) = (TokenCache::new(), Ed25519KeyPair::generate().unwrap());
        let verifier = Verifier::new("issuer", "audience", Duration::from_secs(900), [&jwk(&pair)]).unwrap();
        let token = token(&pair, Duration::from_secs(900));
        cache.get_or_verify(&token, &verifier).unwrap();
        assert_eq!(refusal(cache.get_or_verify(&token, &Verifier::default())), ErrorKind::InvalidToken);
    }
    #[test]
    fn a_token_is_returned_only_while_its_lifetime_is_allowed() {
        let (cache, pair) = (TokenCache::new(), Ed25519KeyPair::generate().unwrap());
        let verifier =
            |seconds| Verifier::new("issuer", "audience", Duration::from_secs(seconds), [&jwk(&pair)]).unwrap();
        let token = token(&pair, Duration::from_secs(900));
        cache.get_or_verify(&token, &verifier(900)).unwrap();
        assert_eq!(refusal(cache.get_or_verify(&token, &verifier(600))), ErrorKind::InvalidToken);
    }
}
