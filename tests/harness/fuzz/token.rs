//! The access token, and the headers that it comes in.

use std::{sync::LazyLock, time::Duration};

use authy_core::{
    Jwk, Level, SessionId, UserId,
    api::access_token,
    claims::{Claims, SigningAlgorithm, Verifier, dangerous_unverified_claims, unverified_kid},
    time,
};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};

use super::FuzzTarget;

const ISSUER: &str = "http://authy.test";
const AUDIENCE: &str = "authy";

/// The only token that is good here, and what knows it.
pub(super) struct KnownToken {
    pub(super) key: Jwk,
    pub(super) token: String,
    verifier: Verifier,
}

pub(super) static KNOWN: LazyLock<KnownToken> = LazyLock::new(|| {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let kid = BASE64_URL_SAFE_NO_PAD.encode([9; 32]);
    let key = Jwk {
        kty: "OKP".into(),
        kid: kid.clone(),
        usage: "sig".into(),
        alg: "EdDSA".into(),
        crv: Some("Ed25519".into()),
        x: Some(BASE64_URL_SAFE_NO_PAD.encode(pair.public_key())),
        y: None,
        n: None,
        e: None,
    };
    let (id, now) = (UserId::from(uuid::Uuid::from_u128(1 << 78 | 2 << 62)), time::unix_now());
    let claims = Claims {
        public_id: id,
        username: "Ольга".parse().ok(),
        level: Level::clamped(10),
        roles: Some(vec!["user".parse().unwrap()]),
        ver: 1,
        sid: SessionId::from(uuid::Uuid::from_u128(3)),
        iss: ISSUER.into(),
        aud: AUDIENCE.into(),
        sub: id,
        iat: now,
        exp: now + 900,
        jti: "0123456789abcdef".into(),
    };
    let sign = |input: &[u8]| Ok(pair.sign(input).as_ref().to_vec());
    let token = claims.sign(SigningAlgorithm::EdDSA, &kid, sign).unwrap();
    let verifier = Verifier::new(ISSUER, AUDIENCE, Duration::from_secs(900), [&key]).unwrap();
    // Otherwise nothing here would be a test.
    assert!(verifier.verify(&token).is_ok());
    KnownToken { key, token, verifier }
});

pub(super) const TOKEN: FuzzTarget = FuzzTarget {
    name: "token",
    run: |input| {
        let (known, text) = (&*KNOWN, String::from_utf8_lossy(input));
        if known.verifier.verify(&text).is_ok() {
            assert_eq!(text, known.token, "it was never signed");
        }
        if let Ok(kid) = unverified_kid(&text) {
            assert_eq!(kid.len(), 43);
        }
        // Whatever is in it, it is read or refused.
        let _ = dangerous_unverified_claims(&text);
    },
    seeds: || {
        let forged = |payload: &str| {
            let header = KNOWN.token.split('.').next().unwrap();
            format!("{header}.{}.AAAA", BASE64_URL_SAFE_NO_PAD.encode(payload)).into_bytes()
        };
        vec![KNOWN.token.clone().into_bytes(), forged("{}"), forged(r#"{"exp":1e99,"aud":["authy"],"sub":null}"#)]
    },
    words: &[".", "eyJ", "e30", "AAAA", "eyJhbGciOiJub25lIn0", "=", "-_"],
    dearest: |length| {
        let nested = BASE64_URL_SAFE_NO_PAD.encode("[".repeat(length * 3 / 4));
        let names = BASE64_URL_SAFE_NO_PAD.encode(super::numbered(length * 3 / 4, |n| format!("{{\"k{n}\":")));
        [nested, names].into_iter().map(|payload| format!("e30.{payload}.AAAA").into_bytes()).collect()
    },
};

/// Lines: those that begin with `x` are of `x-access-token`, those with `i` of `x-request-id`, others of
/// `authorization`.
pub(super) const HEADERS: FuzzTarget = FuzzTarget {
    name: "headers",
    run: |input| {
        let mut headers = HeaderMap::new();
        for line in input.split(|&byte| byte == b'\n').take(100) {
            let Some((first, value)) = line.split_first() else { continue };
            let name = match first {
                b'x' => HeaderName::from_static("x-access-token"),
                b'i' => HeaderName::from_static("x-request-id"),
                _ => AUTHORIZATION,
            };
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.append(name, value);
            }
        }
        if let Ok(token) = access_token(&headers) {
            assert!(!token.is_empty() && token.trim_ascii() == token, "{token:?}");
        }
        let id = authy_server::fuzz::request_id(&headers);
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        assert!((1..=64).contains(&id.len()) && id.as_bytes().iter().all(is_plain), "{id:?}");
    },
    seeds: || {
        let token = &KNOWN.token;
        vec![format!("x{token}").into(), format!("aBearer {token}\nx{token}\ni0123").into(), b"aBasic YTpi".to_vec()]
    },
    words: &["\n", "x", "a", "i", "Bearer ", "bearer", "BEARER  ", "Basic ", " ", "\t", ",", "é"],
    dearest: |length| {
        vec![
            super::numbered(length, |n| format!("x{n}\n")).into(),
            super::numbered(length, |n| format!("aBearer {n}\n")).into(),
        ]
    },
};
