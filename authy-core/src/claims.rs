//! The access token: a JWT (RFC 7519, profile RFC 9068) that other services decode, and its verification.
//!
//! The payload is ASCII JSON and holds only strings, whole numbers and arrays of strings: browsers read it with `atob`,
//! and one service's parser knows no `true`, `false` or `null`. A token has at most 1000 characters.

use std::{fmt, io, str::FromStr};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Identity, Invalid, Level, Result, RoleName, SessionId, UserId, Username, time};

mod verifier;

pub use verifier::{LivesTooLong, MAX_ACCESS_LIFE, Token, Verifier, dangerous_unverified_claims, unverified_kid};

/// The longest token there is, in characters.
pub const MAX_TOKEN_LENGTH: usize = 1000;

/// How access tokens are signed: a closed list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SigningAlgorithm {
    /// Ed25519 (RFC 8037): short signatures, quickly made. The default.
    #[default]
    EdDSA,
    /// ECDSA with P-256 and SHA-256 (RFC 7518).
    ES256,
    /// RSA PKCS #1 with 2048 bits and SHA-256 (RFC 7518).
    RS256,
}

impl SigningAlgorithm {
    /// Its name in a token's header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDSA => "EdDSA",
            Self::ES256 => "ES256",
            Self::RS256 => "RS256",
        }
    }

    /// How long a signature is, in bytes.
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

/// The header of a token: these three fields and no other, so that no key, URL or extension can be smuggled in.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
    typ: String,
}

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// The account.
    pub public_id: UserId,
    /// The account's name. Left out only when the token would be longer than 1000 characters even without the roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<Username>,
    /// The account's level. Never left out.
    pub level: Level,
    /// The names of the account's roles. Left out when they do not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<RoleName>>,
    /// The account's epoch: a token of an older one is void.
    pub ver: u64,
    /// The session that the token came from.
    pub sid: SessionId,
    /// Who issued the token.
    pub iss: String,
    /// Whom the token is for.
    pub aud: String,
    /// The account again, where RFC 9068 wants it.
    pub sub: UserId,
    /// When it was issued, in seconds since 1970.
    pub iat: u64,
    /// When it expires, in seconds since 1970.
    pub exp: u64,
    /// The token's own name.
    pub jti: String,
}

impl Claims {
    /// Makes a token of the claims with a key's signature. Roles, then the username, are left out when they do not fit.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when even the rest is longer than [`MAX_TOKEN_LENGTH`], or signing fails.
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
            return Err(Error::new(ErrorKind::Internal, "issuer and audience leave no room in a token"));
        }
        let mut token = format!("{header}.{payload}");
        let signature = signature(token.as_bytes())?;
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// Who the token belongs to.
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
        .map_err(|cause| Error::with_source(ErrorKind::Internal, "a part of a token cannot be written", cause))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(json))
}

/// Writes JSON in ASCII: everything else as `\uXXXX`.
struct AsciiJson;

impl serde_json::ser::Formatter for AsciiJson {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut units = [0; 2];
        fragment.chars().try_for_each(|c| match c {
            // DEL is ASCII, and yet nothing to print.
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

    /// How long the tokens of these tests live, which is also the longest that is accepted.
    const LIFE: Duration = Duration::from_secs(900);

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
            exp: now + LIFE.as_secs(),
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
    fn a_token_that_lives_longer_than_any_is_refused() {
        let (pair, jwk) = key();
        let verifier = Verifier::new("http://127.0.0.1:8080", "authy", LIFE, [&jwk]).unwrap();
        let mut claims = claims("ada", &[]);
        verifier.verify(&sign(claims.clone(), &pair)).unwrap();
        claims.exp += 1;
        let refused = verifier.verify(&sign(claims.clone(), &pair)).unwrap_err();
        assert!(refused.kind() == ErrorKind::InvalidToken && LivesTooLong::is_cause_of(&refused));
        // An earlier `iat` does not help, and a token that was signed by another key is refused for that.
        claims.iat -= 100_000;
        assert!(LivesTooLong::is_cause_of(&verifier.verify(&sign(claims.clone(), &pair)).unwrap_err()));
        assert!(!LivesTooLong::is_cause_of(&verifier.verify(&sign(claims, &key().0)).unwrap_err()));
    }

    #[test]
    fn a_token_says_what_was_signed_and_a_changed_one_nothing() {
        let (pair, jwk) = key();
        let verifier = Verifier::new("http://127.0.0.1:8080", "authy", LIFE, [&jwk]).unwrap();
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
        let verifier = Verifier::new("http://127.0.0.1:8080", "authy", LIFE, [&jwk]).unwrap();
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
    fn roles_are_left_out_when_they_do_not_fit_and_the_level_never_is() {
        let (pair, jwk) = key();
        let verifier = Verifier::new("http://127.0.0.1:8080", "authy", LIFE, [&jwk]).unwrap();
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
            Value::Number(number) => number.is_u64(),
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
        fn no_text_makes_the_verifier_fall_over(text in "\\PC*") {
            let (_, jwk) = key();
            let verifier = Verifier::new("http://127.0.0.1:8080", "authy", LIFE, [&jwk]).unwrap();
            prop_assert!(verifier.verify(&text).is_err());
        }
    }
}
