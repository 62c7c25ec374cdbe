//! The verification of access tokens.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};

use super::{Claims, Header, MAX_TOKEN_LENGTH, SigningAlgorithm};
use crate::{Error, ErrorKind, Identity, Jwk, Result, id_hash::IdHash, time};

/// How far ahead of ours the clock of an issuer may be, in seconds.
const CLOCK_SKEW: u64 = 60;

/// Maximum lifetime of an access token: a day. It bounds the lifetime of tokens that are forged with a stolen key.
pub const MAX_ACCESS_LIFE: Duration = Duration::from_secs(24 * 3600);

/// An access token that was verified: what it says, and which key signed it.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Who it belongs to.
    pub identity: Identity,
    /// The key that signed it.
    pub kid: Arc<str>,
    // From `iat` to `exp`, in seconds.
    life: u64,
    // Hashed once, when it is verified: a check looks both up in what is void.
    pub(crate) session_hash: IdHash,
    pub(crate) user_hash: IdHash,
}

impl Token {
    /// Makes a verified token of the identity that it names and the key that signed it.
    pub fn new(identity: Identity, kid: Arc<str>) -> Self {
        let (session_hash, user_hash) = (IdHash::of_session(identity.session_id), IdHash::of_user(identity.public_id));
        Self { identity, kid, life: 0, session_hash, user_hash }
    }
}

/// Verifies access tokens: with exactly one algorithm a key, and `exp`, `iss`, `aud` and `sub` required. The default knows
/// no key, and so refuses every token.
#[derive(Default)]
pub struct Verifier {
    keys: HashMap<Arc<str>, (DecodingKey, Validation)>,
    longest_life: Duration,
}

/// The source of the error when an otherwise valid token has a longer lifetime than the issuer's tokens. Either it was forged
/// with a stolen key, or the issuer's configuration has changed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the token has a longer lifetime than any that is issued")]
pub struct LivesTooLong;

impl LivesTooLong {
    /// Returns whether a token was refused for this reason.
    pub fn is_cause_of(refused: &Error) -> bool {
        std::error::Error::source(refused).is_some_and(|source| source.is::<Self>())
    }
}

impl Verifier {
    /// A verifier of the tokens that `issuer` issues for `audience` under these keys. Keys of an algorithm that is not on
    /// the list are left out. A token whose `exp` is more than `longest_life`, or more than a
    /// day, after its `iat` is refused: with a stolen key somebody could otherwise forge one that is valid for years.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when a key of a known algorithm cannot be read.
    pub fn new<'a>(
        issuer: &str,
        audience: &str,
        longest_life: Duration,
        keys: impl IntoIterator<Item = &'a Jwk>,
    ) -> Result<Self> {
        let mut verifier = Self { keys: HashMap::new(), longest_life: longest_life.min(MAX_ACCESS_LIFE) };
        for key in keys {
            let Ok(algorithm) = key.alg.parse::<SigningAlgorithm>() else { continue };
            let mut validation = Validation::new(match algorithm {
                SigningAlgorithm::EdDSA => Algorithm::EdDSA,
                SigningAlgorithm::ES256 => Algorithm::ES256,
                SigningAlgorithm::RS256 => Algorithm::RS256,
            });
            // The library's defaults are a minute of leeway, and `iss` and `aud` checked only where they are present.
            validation.leeway = 0;
            validation.validate_nbf = true;
            validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
            validation.set_issuer(&[issuer]);
            validation.set_audience(&[audience]);
            let decoding_key = decoding_key(key, algorithm)
                .map_err(|cause| Error::with_source(ErrorKind::Internal, "a public key cannot be read", cause))?;
            verifier.keys.insert(key.kid.as_str().into(), (decoding_key, validation));
        }
        Ok(verifier)
    }

    /// Whether a key with this `kid` is known.
    pub fn knows(&self, kid: &str) -> bool {
        self.keys.contains_key(kid)
    }

    /// Returns whether a token that was verified earlier would still be accepted, apart from its expiry: its key is known, and
    /// its lifetime is allowed.
    pub(crate) fn still_accepts(&self, token: &Token) -> bool {
        token.life <= self.longest_life.as_secs() && self.knows(&token.kid)
    }

    /// Returns the longest time from `iat` to `exp` that a token may have.
    pub fn longest_life(&self) -> Duration {
        self.longest_life
    }

    /// What the token says, when its signature and its claims are good.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidToken`] otherwise; what exactly is wrong is in the source, for the log.
    pub fn verify(&self, token: &str) -> Result<Token> {
        let header = header(token)?;
        let known = self.keys.get_key_value(header.kid.as_str());
        let (kid, (key, validation)) = known.ok_or_else(|| invalid("no key has the token's kid"))?;
        let claims = jsonwebtoken::decode::<Claims>(token, key, validation)
            .map_err(|cause| Error::with_source(ErrorKind::InvalidToken, "the token is not valid", cause))?
            .claims;
        if claims.sub != claims.public_id {
            return Err(invalid("sub and public_id differ"));
        }
        if claims.iat > time::unix_now() + CLOCK_SKEW {
            return Err(invalid("the token was issued in the future"));
        }
        let life = claims.exp.saturating_sub(claims.iat);
        if life > self.longest_life.as_secs() {
            return Err(Error::with_source(ErrorKind::InvalidToken, "the token is not valid", LivesTooLong));
        }
        Ok(Token { life, ..Token::new(claims.into_identity(), kid.clone()) })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys.keys()).finish()
    }
}

/// The `kid` in a token's header, before anything is verified: to find out which key is missing, and for nothing else.
///
/// # Errors
/// [`ErrorKind::InvalidToken`] when the header is not one of an access token, or its `kid` is no thumbprint as RFC 7638
/// makes them: no key of ours has another name, so there is no reason to look for one.
pub fn unverified_kid(token: &str) -> Result<String> {
    let kid = header(token)?.kid;
    match BASE64_URL_SAFE_NO_PAD.decode(&kid) {
        Ok(thumbprint) if thumbprint.len() == 32 => Ok(kid),
        _ => Err(invalid("the token's kid is no thumbprint")),
    }
}

/// What a token says, verified by nobody: for somebody who was told by the server that the token is good.
///
/// # Errors
/// [`ErrorKind::InvalidToken`] when it says nothing.
pub fn dangerous_unverified_claims(token: &str) -> Result<Claims> {
    let payload = token.split('.').nth(1).and_then(|payload| BASE64_URL_SAFE_NO_PAD.decode(payload).ok());
    let claims = payload.and_then(|json| serde_json::from_slice(&json).ok());
    claims.ok_or_else(|| invalid("the token has no claims of an access token"))
}

fn header(token: &str) -> Result<Header> {
    if token.len() > MAX_TOKEN_LENGTH {
        return Err(invalid("the token is too long"));
    }
    let header = token.split('.').next().unwrap_or_default();
    let header =
        BASE64_URL_SAFE_NO_PAD.decode(header).ok().and_then(|json| serde_json::from_slice::<Header>(&json).ok());
    match header {
        Some(header) if header.typ.eq_ignore_ascii_case("at+jwt") => Ok(header),
        _ => Err(invalid("the token has no header of an access token")),
    }
}

fn invalid(cause: &'static str) -> Error {
    Error::with_source(ErrorKind::InvalidToken, "the token is not valid", cause)
}

fn decoding_key(key: &Jwk, algorithm: SigningAlgorithm) -> jsonwebtoken::errors::Result<DecodingKey> {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    match algorithm {
        SigningAlgorithm::EdDSA => DecodingKey::from_ed_components(&part(&key.x)),
        SigningAlgorithm::ES256 => DecodingKey::from_ec_components(&part(&key.x), &part(&key.y)),
        SigningAlgorithm::RS256 => DecodingKey::from_rsa_components(&part(&key.n), &part(&key.e)),
    }
}
