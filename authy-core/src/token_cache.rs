//! A cache of verified tokens: in the steady state, a check costs one hash and one look-up.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, OnceLock},
};

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::{Weighter, sync::Cache};

use crate::{
    Result,
    claims::{Token, Verifier},
    time,
};

mod size;

/// Maximum size of all cached tokens, in bytes. A token of a user with a name and a few roles takes 700 to 1000 bytes, with what is
/// made from it: there is room for about 100,000.
const MAX_CACHED_BYTES: u64 = 96 << 20;

/// Number of tokens that the cache expects. It may have more or fewer.
const EXPECTED_TOKENS: usize = 100_000;

/// Caches verified tokens by their SHA-256 until they expire, their key is no longer valid, or their lifetime is no
/// longer allowed. Does not check revocation: query the [`RevocationSet`](crate::revocation::RevocationSet) each time.
///
/// Beside each token it can keep a `T`, which is made once from the token. The size of the cache is bounded, and counts a `T` as an
/// [`EncodedGrant`](crate::api::session::EncodedGrant) with name and roles of the token, unless it is of size zero.
pub struct TokenCache<T = ()>(Cache<[u8; 32], Arc<CachedToken<T>>, BySize>);

/// Weighs tokens by their bytes.
#[derive(Clone)]
struct BySize;

impl<T> Weighter<[u8; 32], Arc<CachedToken<T>>> for BySize {
    fn weight(&self, _: &[u8; 32], cached: &Arc<CachedToken<T>>) -> u64 {
        cached.size
    }
}

/// A verified token, and what was made from it.
#[derive(Debug)]
pub struct CachedToken<T = ()> {
    token: Token,
    derived: OnceLock<T>,
    // In bytes, with what will be in `derived`: the weight in the cache must not change.
    size: u64,
}

impl<T> CachedToken<T> {
    /// Returns the result of the first call of `derive` for this token.
    pub fn derived(&self, derive: impl FnOnce(&Token) -> T) -> &T {
        self.derived.get_or_init(|| derive(&self.token))
    }
}

impl<T> From<Token> for CachedToken<T> {
    fn from(token: Token) -> Self {
        let size = size::of_entry::<T>(&token);
        Self { token, derived: OnceLock::new(), size }
    }
}

impl<T> Deref for CachedToken<T> {
    type Target = Token;

    fn deref(&self) -> &Token {
        &self.token
    }
}

impl<T> TokenCache<T> {
    /// Creates an empty cache.
    pub fn new() -> Self {
        Self::with_capacity(MAX_CACHED_BYTES)
    }

    fn with_capacity(bytes: u64) -> Self {
        Self(Cache::with_weighter(EXPECTED_TOKENS, bytes, BySize))
    }

    /// Returns the content of a token that was verified earlier, when it expires later than `now`, in seconds since 1970, and
    /// `verifier` still has its key and allows its lifetime.
    pub fn get(&self, token: &str, verifier: &Verifier, now: u64) -> Option<Arc<CachedToken<T>>> {
        self.get_by_key(&cache_key(token), verifier, now)
    }

    /// Returns the content of a token: from the cache when it was verified earlier, has not expired, and `verifier`
    /// still has its key and allows its lifetime; otherwise `verifier` verifies it. So a token is refused once its key
    /// has retired.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub fn get_or_verify(&self, token: &str, verifier: &Verifier) -> Result<Arc<CachedToken<T>>> {
        let key = cache_key(token);
        if let Some(known) = self.get_by_key(&key, verifier, time::unix_now()) {
            return Ok(known);
        }
        let verified = Arc::new(CachedToken::from(verifier.verify(token)?));
        self.0.insert(key, verified.clone());
        Ok(verified)
    }

    fn get_by_key(&self, key: &[u8; 32], verifier: &Verifier, now: u64) -> Option<Arc<CachedToken<T>>> {
        let known = self.0.get(key)?;
        // Compared in seconds: converting the clock's seconds into a date takes half as long again as reading the clock.
        if time::unix_seconds(known.identity.expires) <= now {
            // Nobody gets it again. The first who finds it makes room.
            self.0.remove_if(key, |cached| Arc::ptr_eq(cached, &known));
            return None;
        }
        verifier.still_accepts(&known).then_some(known)
    }
}

impl<T> Default for TokenCache<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for TokenCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("tokens", &self.0.len()).finish()
    }
}

// A hash that nobody can invert or find a collision for, so that a memory dump contains no usable token: neither the token, which a
// faster hash would have to be compared with, nor a secret with which another text of the same hash is made, as SipHash and GHASH
// would have one. With the SHA instructions of a processor it takes 0.4 µs for a token, less than half of the time of BLAKE2s.
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
        ErrorKind, Identity, Jwk, Level, RoleName, SessionId, UserId,
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

    fn refusal(answer: Result<Arc<CachedToken>>) -> ErrorKind {
        answer.unwrap_err().kind()
    }

    #[test]
    fn a_token_is_verified_once_and_not_returned_after_it_expired() {
        let (cache, pair) = (TokenCache::<()>::new(), Ed25519KeyPair::generate().unwrap());
        let verifier = Verifier::new("issuer", "audience", Duration::from_secs(900), [&jwk(&pair)]).unwrap();
        let long = token(&pair, Duration::from_secs(900));
        let first = cache.get_or_verify(&long, &verifier).unwrap();
        assert!(Arc::ptr_eq(&first, &cache.get_or_verify(&long, &verifier).unwrap()));
        let mut expired = Token::clone(&first);
        expired.identity.expires = time::from_unix_seconds(0);
        cache.0.insert(cache_key("expired"), Arc::new(expired.into()));
        assert_eq!(refusal(cache.get_or_verify("expired", &verifier)), ErrorKind::InvalidToken);
        assert_eq!(cache.0.len(), 1, "it makes room");
    }

    #[test]
    fn the_cache_is_bounded_in_bytes() {
        let (id, role) = (UserId::random(), "a role of some length".parse::<RoleName>().unwrap());
        let identity = |roles: usize| Identity {
            public_id: id,
            username: None,
            level: Level::clamped(10),
            roles: Some(vec![role.clone(); roles]),
            ver: 1,
            session_id: SessionId::random(),
            expires: time::from_unix_seconds(0),
        };
        let fill = |roles: usize| {
            let cache = TokenCache::<()>::with_capacity(1 << 20);
            for number in 0..5000 {
                let cached = CachedToken::from(Token::new(identity(roles), "key".into()));
                cache.0.insert(cache_key(&format!("{roles} {number}")), Arc::new(cached));
            }
            assert!(cache.0.weight() <= 1 << 20, "{}", cache.0.weight());
            cache.0.len()
        };
        let (small, large) = (fill(0), fill(100));
        assert!(small > 1000 && (50..400).contains(&large), "{small} {large}");
    }

    #[test]
    fn a_token_is_returned_only_while_its_key_is_known() {
        let (cache, pair) = (TokenCache::<()>::new(), Ed25519KeyPair::generate().unwrap());
        let verifier = Verifier::new("issuer", "audience", Duration::from_secs(900), [&jwk(&pair)]).unwrap();
        let token = token(&pair, Duration::from_secs(900));
        cache.get_or_verify(&token, &verifier).unwrap();
        assert_eq!(refusal(cache.get_or_verify(&token, &Verifier::default())), ErrorKind::InvalidToken);
    }

    #[test]
    fn what_is_made_from_a_token_is_made_once_and_goes_with_it() {
        let (cache, pair) = (TokenCache::new(), Ed25519KeyPair::generate().unwrap());
        let verifier = Verifier::new("issuer", "audience", Duration::from_secs(900), [&jwk(&pair)]).unwrap();
        let token = token(&pair, Duration::from_secs(900));
        assert!(cache.get(&token, &verifier, time::unix_now()).is_none(), "it was not verified");
        let verified = cache.get_or_verify(&token, &verifier).unwrap();
        assert_eq!(*verified.derived(|token| token.identity.ver), 1);
        let known = || cache.get(&token, &verifier, time::unix_now());
        assert_eq!(*known().unwrap().derived(|_| unreachable!("it is there")), 1);
        assert!(cache.get(&token, &verifier, time::unix_now() + 900).is_none(), "it has expired");
        assert!(cache.get(&token, &Verifier::default(), time::unix_now()).is_none(), "its key has gone");
    }

    #[test]
    fn a_token_is_returned_only_while_its_lifetime_is_allowed() {
        let (cache, pair) = (TokenCache::<()>::new(), Ed25519KeyPair::generate().unwrap());
        let verifier =
            |seconds| Verifier::new("issuer", "audience", Duration::from_secs(seconds), [&jwk(&pair)]).unwrap();
        let token = token(&pair, Duration::from_secs(900));
        cache.get_or_verify(&token, &verifier(900)).unwrap();
        assert_eq!(refusal(cache.get_or_verify(&token, &verifier(600))), ErrorKind::InvalidToken);
    }
}
