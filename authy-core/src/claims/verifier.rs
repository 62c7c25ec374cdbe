//! The verification of access tokens.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, errors::ErrorKind as JwtErrorKind};

use super::{Claims, Header, MAX_TOKEN_LENGTH, SigningAlgorithm, mismatch::MismatchLog};
use crate::{Error, ErrorKind, Identity, Jwk, Result, id_hash::IdHash, time};

/// Maximum time by which an issuer's clock may be ahead of this machine's clock, in seconds.
const CLOCK_SKEW: u64 = 60;

/// Maximum lifetime of an access token: one day. It limits how long a token forged with a stolen key is valid.
pub const MAX_TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A verified access token: its identity and the key that signed it.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// The identity that the token belongs to.
    pub identity: Identity,
    /// The key that signed it.
    pub kid: Arc<str>,
    // Time from `iat` to `exp`, in seconds.
    lifetime: u64,
    // Hashed once, during verification: every check looks up both in the revocation set.
    pub(crate) session_hash: IdHash,
    pub(crate) user_hash: IdHash,
}

impl Token {
    /// Creates a verified token from an identity and the ID of the key that signed it.
    pub fn new(identity: Identity, kid: Arc<str>) -> Self {
        let (session_hash, user_hash) = (IdHash::of_session(identity.session_id), IdHash::of_user(identity.public_id));
        Self { identity, kid, lifetime: 0, session_hash, user_hash }
    }
}

/// Verifies access tokens. Each key has exactly one algorithm; `exp`, `iss`, `aud` and `sub` are required. The default
/// verifier has no keys, so it refuses every token.
#[derive(Default)]
pub struct Verifier {
    keys: HashMap<Arc<str>, (DecodingKey, Validation)>,
    longest_lifetime: Duration,
    issuer: String,
    audience: String,
    mismatch_log: Arc<MismatchLog>,
}

/// The source of the error when an otherwise valid token has a longer lifetime than the issuer's tokens. Either it was
/// forged with a stolen key, or the issuer's configuration has changed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the token has a longer lifetime than the issuer's tokens")]
pub struct LifetimeTooLong;

impl LifetimeTooLong {
    /// Returns whether `refused` has this cause.
    pub fn is_cause_of(refused: &Error) -> bool {
        std::error::Error::source(refused).is_some_and(|source| source.is::<Self>())
    }
}

/// The source of the error when an otherwise valid token is from the future.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the token was issued in the future")]
struct IssuedInFuture;

/// Returns whether an otherwise valid token was refused because it has expired or is from the future: if the clock of
/// this machine is wrong, the token may be valid.
pub fn is_refused_for_time(refused: &Error) -> bool {
    let Some(source) = std::error::Error::source(refused) else { return false };
    let by_library = source
        .downcast_ref::<jsonwebtoken::errors::Error>()
        .is_some_and(|cause| matches!(cause.kind(), JwtErrorKind::ExpiredSignature | JwtErrorKind::ImmatureSignature));
    by_library || source.is::<IssuedInFuture>()
}

impl Verifier {
    /// Creates a verifier for the tokens that `issuer` issues for `audience` with these keys. Ignores keys whose
    /// algorithm is not a [`SigningAlgorithm`]. Refuses a token whose lifetime (`exp` minus `iat`) exceeds
    /// `longest_lifetime` or one day: otherwise an attacker with a stolen key could forge a token that is valid for
    /// years.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when a key of a known algorithm cannot be read.
    pub fn new<'a>(
        issuer: &str,
        audience: &str,
        longest_lifetime: Duration,
        keys: impl IntoIterator<Item = &'a Jwk>,
    ) -> Result<Self> {
        let mut verifier = Self {
            keys: HashMap::new(),
            longest_lifetime: longest_lifetime.min(MAX_TOKEN_LIFETIME),
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            mismatch_log: Arc::default(),
        };
        for key in keys {
            let Ok(algorithm) = key.alg.parse::<SigningAlgorithm>() else { continue };
            let mut validation = Validation::new(match algorithm {
                SigningAlgorithm::EdDSA => Algorithm::EdDSA,
                SigningAlgorithm::ES256 => Algorithm::ES256,
                SigningAlgorithm::RS256 => Algorithm::RS256,
            });
            // The library's defaults are 60 s of leeway, and it checks `iss` and `aud` only when they are present.
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

    /// Returns the verifier as the successor of an earlier one, with other keys: together they log at most once a minute
    /// that tokens have another issuer or audience, or are from the future.
    #[must_use]
    pub fn replacing(self, earlier: &Self) -> Self {
        Self { mismatch_log: earlier.mismatch_log.clone(), ..self }
    }

    /// Returns whether this verifier has a key with this `kid`.
    pub fn knows(&self, kid: &str) -> bool {
        self.keys.contains_key(kid)
    }

    /// Returns whether a token that was verified earlier would still be accepted, apart from its expiry: its key is
    /// still present, and its lifetime is allowed.
    pub(crate) fn still_accepts(&self, token: &Token) -> bool {
        token.lifetime <= self.longest_lifetime.as_secs() && self.knows(&token.kid)
    }

    /// Returns the maximum lifetime of a token, from `iat` to `exp`.
    pub fn longest_lifetime(&self) -> Duration {
        self.longest_lifetime
    }

    /// Verifies the signature and the claims of a token. Does not check revocation.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidToken`] when the token is not valid. The source contains the reason, for the log.
    pub fn verify(&self, token: &str) -> Result<Token> {
        let header = header(token)?;
        let known = self.keys.get_key_value(header.kid.as_str());
        let (kid, (key, validation)) = known.ok_or_else(|| invalid("no key has the kid of the token"))?;
        let claims =
            jsonwebtoken::decode::<Claims>(token, key, validation).map_err(|cause| self.refused(token, cause))?.claims;
        if claims.sub != claims.public_id {
            return Err(invalid("sub and public_id differ"));
        }
        if claims.iat > time::unix_now() + CLOCK_SKEW {
            self.mismatch_log.report_future(claims.iat);
            return Err(Error::with_source(ErrorKind::InvalidToken, "the token is not valid", IssuedInFuture));
        }
        let lifetime = claims.exp.saturating_sub(claims.iat);
        if lifetime > self.longest_lifetime.as_secs() {
            return Err(Error::with_source(ErrorKind::InvalidToken, "the token is not valid", LifetimeTooLong));
        }
        Ok(Token { lifetime, ..Token::new(claims.into_identity(), kid.clone()) })
    }

    /// Returns the error of a token that the library refused. Its claims were checked after its signature, so a wrong
    /// issuer is a wrong setting, and not an attack.
    fn refused(&self, token: &str, cause: jsonwebtoken::errors::Error) -> Error {
        let claims = || dangerous_unverified_claims(token).ok();
        match cause.kind() {
            JwtErrorKind::InvalidIssuer | JwtErrorKind::InvalidAudience => {
                claims().iter().for_each(|claims| self.mismatch_log.report(claims, &self.issuer, &self.audience));
            }
            // By `nbf`, which authy does not write.
            JwtErrorKind::ImmatureSignature => {
                claims().iter().for_each(|claims| self.mismatch_log.report_future(claims.iat))
            }
            _ => {}
        }
        Error::with_source(ErrorKind::InvalidToken, "the token is not valid", cause)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys.keys()).finish()
    }
}

/// Returns the `kid` of a token's header without verifying anything. Use it only to find out which key is missing.
///
/// # Errors
/// [`ErrorKind::InvalidToken`] when the header is not that of an access token, or when the `kid` is not an RFC 7638
/// thumbprint: every key of this issuer is named by its thumbprint, so there is no key to search for.
pub fn unverified_kid(token: &str) -> Result<String> {
    let kid = header(token)?.kid;
    match BASE64_URL_SAFE_NO_PAD.decode(&kid) {
        Ok(thumbprint) if thumbprint.len() == 32 => Ok(kid),
        _ => Err(invalid("the kid of the token is not a thumbprint")),
    }
}

/// Returns the claims of a token without verifying it. Use it only for a token that the server has just accepted.
///
/// # Errors
/// [`ErrorKind::InvalidToken`] when the token has no readable claims.
pub fn dangerous_unverified_claims(token: &str) -> Result<Claims> {
    let payload = token.split('.').nth(1).and_then(|payload| BASE64_URL_SAFE_NO_PAD.decode(payload).ok());
    let claims = payload.and_then(|json| serde_json::from_slice(&json).ok());
    claims.ok_or_else(|| invalid("the token does not have the claims of an access token"))
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
        _ => Err(invalid("the token does not have the header of an access token")),
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
