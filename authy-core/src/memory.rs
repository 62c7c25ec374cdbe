//! Tokens whose signature was verified before: the steady state of a check is a hash and a look-up.

use std::{fmt, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::sync::Cache;

use crate::{Timestamp, claims::Token};

/// How many tokens are remembered: some 60 MB when all are in use.
const CAPACITY: usize = 100_000;

/// Remembers verified tokens by their SHA-256 until they expire. That one is void is not its business: ask the
/// [`RevocationSet`](crate::revocation::RevocationSet) each time.
pub struct TokenMemory(Cache<[u8; 32], Arc<Token>>);

impl TokenMemory {
    /// An empty memory.
    pub fn new() -> Self {
        Self(Cache::new(CAPACITY))
    }

    /// What that token says, when it was verified before and has not expired; else what `verify` finds, remembered.
    ///
    /// # Errors
    /// As `verify`.
    pub fn recall<E>(&self, token: &str, verify: impl FnOnce() -> Result<Token, E>) -> Result<Arc<Token>, E> {
        let digest = name(token);
        if let Some(known) = self.0.get(&digest)
            && known.identity.expires > Timestamp::now()
        {
            return Ok(known);
        }
        let verified = Arc::new(verify()?);
        self.0.insert(digest, verified.clone());
        Ok(verified)
    }
}

impl Default for TokenMemory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TokenMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenMemory").field("tokens", &self.0.len()).finish()
    }
}

// Not the token itself: a dump of the memory holds nothing that anybody could present.
fn name(token: &str) -> [u8; 32] {
    let mut name = [0; 32];
    digest(&SHA256, token.as_bytes()).as_ref().iter().zip(&mut name).for_each(|(from, to)| *to = *from);
    name
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::{Identity, Level, SessionId, UserId};

    fn token(expires: u64) -> Token {
        let identity = Identity {
            public_id: UserId::random(),
            username: None,
            level: Level::clamped(10),
            roles: None,
            ver: 1,
            session_id: SessionId::random(),
            expires: Timestamp::from_unix(expires),
        };
        Token::new(identity, "key".into())
    }

    #[test]
    fn a_token_is_verified_once_and_again_after_it_expired() {
        let (memory, times) = (TokenMemory::new(), Cell::new(0));
        let verify = |expires| {
            times.set(times.get() + 1);
            Ok::<_, ()>(token(expires))
        };
        memory.recall("a", || verify(u64::MAX)).unwrap();
        memory.recall("a", || verify(u64::MAX)).unwrap();
        assert_eq!(times.get(), 1);
        memory.recall("b", || verify(0)).unwrap();
        assert_eq!(memory.recall("b", || Err("expired")), Err("expired"));
    }
}
