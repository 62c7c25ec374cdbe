//! The access token: a JWT (RFC 7519, profile RFC 9068) that other services decode, and its verification.
//!
//! The payload is ASCII JSON and contains only strings, integers and arrays of strings: browsers decode it with `atob`,
//! and the parser of one service does not support `true`, `false` or `null`. A token has at most 1000 characters.

use std::{fmt, io, str::FromStr};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Identity, Invalid, Level, Result, RoleName, SessionId, UserId, Username, time};

mod mismatch;
mod verifier;

pub use verifier::{
    LifetimeTooLong, MAX_TOKEN_LIFETIME, Token, Verifier, dangerous_unverified_claims, is_refused_for_time,
    unverified_kid,
};

/// Maximum length of a token, in characters.
pub const MAX_TOKEN_LENGTH: usize = 1000;

/// The supported signature algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SigningAlgorithm {
    /// Ed25519 (RFC 8037): short signatures, fast to create. The default.
    #[default]
    EdDSA,
    /// ECDSA with P-256 and SHA-256 (RFC 7518).
    ES256,
    /// RSA PKCS #1 with 2048 bits and SHA-256 (RFC 7518).
    RS256,
}

impl SigningAlgorithm {
    /// Returns the name of the algorithm in a token header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDSA => "EdDSA",
            Self::ES256 => "ES256",
            Self::RS256 => "RS256",
        }
    }

    /// Returns the length of a signature, in bytes.
    fn signature_length(self) -> usize {
        match self {
            Self::EdDSA | Self::ES256 => 64,
            Self::RS256 => 256,
        }
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SigningAlgorithm {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        [Self::EdDSA, Self::ES256, Self::RS256]
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
            .ok_or(Invalid::new("unknown_algorithm", "must be EdDSA, ES256 or RS256"))
    }
}

/// The header of a token. It has exactly these three fields, so that an attacker cannot supply a key, URL or extension.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
    typ: String,
}

/// The claims of an access token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// The account.
    pub public_id: UserId,
    /// The account's name. Omitted only when the token would exceed 1000 characters even without the roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<Username>,
    /// The account's level. Never omitted.
    pub level: Level,
    /// The names of the account's roles. Omitted when the token would exceed 1000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<RoleName>>,
    /// The account's epoch. A token of an older epoch is revoked.
    pub ver: u64,
    /// The session that the token belongs to.
    pub sid: SessionId,
    /// The issuer.
    pub iss: String,
    /// The audience.
    pub aud: String,
    /// The account, as RFC 9068 requires it. Equals `public_id`.
    pub sub: UserId,
    /// The time of issue, in seconds since 1970.
    pub iat: u64,
    /// The expiry time, in seconds since 1970.
    pub exp: u64,
    /// The token's ID.
    pub jti: String,
}

impl Claims {
    /// Signs the claims and returns the token. Omits the roles, then the username, when the token would be too long.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the remaining claims exceed [`MAX_TOKEN_LENGTH`], or signing fails.
    pub fn sign(
        mut self,
        algorithm: SigningAlgorithm,
        kid: &str,
        signature: impl FnOnce(&[u8]) -> Result<Vec<u8>>,
    ) -> Result<String> {
        let header = Header { alg: algorithm.to_string(), kid: kid.to_owned(), typ: "at+jwt".to_owned() };
        let header = encode(&header)?;
        let room = MAX_TOKEN_LENGTH.saturating_sub(header.len() + 2 + base64_length(algorithm.signature_length()));
        let mut payload = encode(&self)?;
        if payload.len() > room {
            self.roles = None;
            payload = encode(&self)?;
        }
        if payload.len() > room {
            self.username = None;
            payload = encode(&self)?;
        }
        if payload.len() > room {
            return Err(Error::new(ErrorKind::Internal, "issuer and audience are too long for a token"));
        }
        let mut token = format!("{header}.{payload}");
        let signature = signature(token.as_bytes())?;
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// Returns the identity that the token belongs to.
    pub fn into_identity(self) -> Identity {
        Identity {
            public_id: self.public_id,
            username: self.username,
            level: self.level,
            roles: self.roles,
            ver: self.ver,
            session_id: self.sid,
            expires: time::from_unix_seconds(self.exp),
        }
    }
}

fn base64_length(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

fn encode(part: &impl Serialize) -> Result<String> {
    let mut json = Vec::with_capacity(512);
    part.serialize(&mut serde_json::Serializer::with_formatter(&mut json, AsciiJson))
        .map_err(|cause| Error::with_source(ErrorKind::Internal, "a part of a token cannot be serialized", cause))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(json))
}

/// Formats JSON as ASCII: every other character is escaped by its UTF-16 code units (RFC 8259, section 7).
struct AsciiJson;

impl serde_json::ser::Formatter for AsciiJson {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut units = [0; 2];
        fragment.chars().try_for_each(|c| match c {
            // DEL is ASCII, but not printable.
            ' '..='~' => write!(writer, "{c}"),
            _ => c.encode_utf16(&mut units).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::Jwk;

    fn key() -> (Ed25519KeyPair, Jwk) {
        let pair = Ed25519KeyPair::generate().unwrap();
        let x = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key());
        let jwk = Jwk {
            kty: "OKP".into(),
            kid: "k".repeat(43),
            usage: "sig".into(),
            alg: "EdDSA".into(),
            crv: Some("Ed25519".into()),
            x: Some(x),
            y: None,
            n: None,
            e: None,
        };
        (pair, jwk)
    }

    /// Lifetime of the tokens in these tests, which is also the maximum that the verifier accepts.
    const LIFETIME: Duration = Duration::from_secs(900);

    fn claims(username: &str, roles: &[String]) -> Claims {
        let (id, now) = (UserId::random(), time::unix_now());
        Claims {
            public_id: id,
            username: username.parse().ok(),
            level: Level::clamped(10),
            roles: Some(roles.iter().filter_map(|role| role.parse().ok()).collect()),
            ver: 1,
            sid: SessionId::random(),
            iss: "http://127.0.0.1:8080".into(),
            aud: "authy".into(),
            sub: id,
            iat: now,
            exp: now + LIFETIME.as_secs(),
            jti: "0123456789abcdef".into(),
        }
    }

    fn sign(claims: Claims, pair: &Ed25519KeyPair) -> String {
        claims.sign(SigningAlgorithm::EdDSA, &"k".repeat(43), |input| Ok(pair.sign(input).as_ref().to_vec())).unwrap()
    }

    fn payload(token: &str) -> Vec<u8> {
        BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()
    }

    #[test]
    fn a_token_with_too_long_a_lifetime_is_refused() {
        let (pair, jwk) = key();
        let verifier = Verifier::new("http://127.0.0.1:8080", "authy", LIFETIME, [&jwk]).unwrap();
        let mut claims = claims("ada", &[]);
        verifier.verify(&sign(claims.clone(), &pair)).unwrap();
        claims.exp += 1;
        let refused = verifier.verify(&sign(claims.clone(), &pair)).unwrap_err();
        assert!(refused.kind() == ErrorKind::InvalidToken && LifetimeTooLong::is_cause_of(&refused));
        // An earlier `iat` makes no difference. A token signed by another key is refused for its signature.
        claims.iat -= 100_000;
        assert!(LifetimeTooLong::is_cause_of(&verifier.verify(&sign(claims.clone(), &pair)).unwrap_err()));
        assert!(!LifetimeTooLong::is_cause_of(&verifier.verify(&sign(claims, &key().0)).unwrap_err()));
    }

    #[test]
    fn a_token_contains_the_signed_claims_and_a_changed_one_is_refused() {
        let (pair, jwk) = key();
        let verifier = Verifier::new("http://127.0.0.1:8080", "authy", LIFETIME, [&jwk]).unwrap();
        let claims = claims("Ольга", &["user".into()]);
        let token = sign(claims.clone(), &pair);
        assert_eq!(verifier.verify(&token).unwrap().identity, claims.into_identity());
        for position in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(verifier.verify(&changed).is_err(), "the character at {position} does not matter");
        }
    }

    #[test]
    fn issuer_audience_expiry_and_subject_are_required() {
        let (pair, jwk) = key();
        let verifier = Verifier::new("http://127.0.0.1:8080", "authy", LIFETIME, [&jwk]).unwrap();
        let now = time::unix_now();
        let good = claims("ada", &[]);
        let wrong: [fn(&mut Claims, u64); 5] = [
            |claims, _| claims.iss = "http://elsewhere".into(),
            |claims, _| claims.aud = "shop".into(),
            |claims, now| claims.exp = now - 1,
            |claims, now| claims.iat = now + 600,
            |claims, _| claims.sub = UserId::random(),
        ];
        for change in wrong {
            let mut claims = good.clone();
            change(&mut claims, now);
            assert_eq!(verifier.verify(&sign(claims, &pair)).unwrap_err().kind(), ErrorKind::InvalidToken);
        }
    }

    #[test]
    fn a_token_that_is_refused_for_its_times_is_told_from_others() {
        let (pair, jwk) = key();
        let verifier = Verifier::new("http://127.0.0.1:8080", "authy", LIFETIME, [&jwk]).unwrap();
        let now = time::unix_now();
        let refused = |change: fn(&mut Claims, u64), pair: &Ed25519KeyPair| {
            let mut claims = claims("ada", &[]);
            change(&mut claims, now);
            is_refused_for_time(&verifier.verify(&sign(claims, pair)).unwrap_err())
        };
        let expired = |claims: &mut Claims, now: u64| claims.exp = now - 1;
        let future = |claims: &mut Claims, now: u64| (claims.iat, claims.exp) = (now + 600, now + 900);
        assert!(refused(expired, &pair) && refused(future, &pair));
        assert!(!refused(|claims, _| claims.aud = "shop".into(), &pair));
        // Nobody learns anything about clocks by a forged token.
        assert!(!refused(expired, &key().0) && !refused(future, &key().0));
    }

    #[test]
    fn roles_are_left_out_when_they_do_not_fit_and_the_level_never_is() {
        let (pair, jwk) = key();
        let verifier = Verifier::new("http://127.0.0.1:8080", "authy", LIFETIME, [&jwk]).unwrap();
        let roles: Vec<_> = (0..30).map(|n| format!("a-role-with-a-long-name-{n}")).collect();
        let read = verifier.verify(&sign(claims("ada", &roles), &pair)).unwrap();
        assert_eq!((read.identity.roles, read.identity.level), (None, Level::clamped(10)));
        assert!(read.identity.username.is_some());
        // Fifty letters of the Adlam script take twelve ASCII characters each.
        let read = verifier.verify(&sign(claims(&"𞤀".repeat(50), &roles), &pair)).unwrap();
        assert_eq!((read.identity.username, read.identity.level), (None, Level::clamped(10)));
    }

    fn holds_only_strings_numbers_and_arrays(value: &Value) -> bool {
        match value {
            Value::String(_) => true,
            Value::Number(number) => number.is_i64(),
            Value::Array(values) => values.iter().all(Value::is_string),
            Value::Object(fields) => fields.values().all(holds_only_strings_numbers_and_arrays),
            Value::Null | Value::Bool(_) => false,
        }
    }

    proptest! {
        #[test]
        fn every_token_is_short_ascii_and_of_simple_values(
            name in "[\\p{L}\\p{Nd}._-]{3,50}",
            roles in prop::collection::vec("[\\p{L}\\p{Nd}._-]{3,50}", 0..12),
        ) {
            let (pair, _) = key();
            let token = sign(claims(&name, &roles), &pair);
            prop_assert!(token.len() <= MAX_TOKEN_LENGTH && token.is_ascii());
            let payload = payload(&token);
            prop_assert!(payload.is_ascii());
            prop_assert!(holds_only_strings_numbers_and_arrays(&serde_json::from_slice(&payload).unwrap()));
        }

        #[test]
        fn any_text_is_verified_without_a_panic(text in "\\PC*") {
            let (_, jwk) = key();
            let verifier = Verifier::new("http://127.0.0.1:8080", "authy", LIFETIME, [&jwk]).unwrap();
            prop_assert!(verifier.verify(&text).is_err());
        }
    }
}
