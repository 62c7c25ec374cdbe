//! Tokens as the first authy issued them: JWTs that are signed with HS512.

use std::time::Duration;

use authy_core::{Secret, UserId, engine::LegacyTokens, time::unix_now};
use aws_lc_rs::hmac;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};

/// A secret of the first authy.
pub const SECRET: &str = "27-characters-of-a-secret-x";

/// The setting that accepts tokens with that secret for an hour.
pub fn accepted() -> LegacyTokens {
    LegacyTokens { secret: Secret::new(SECRET), max_lifetime: Duration::from_secs(3600) }
}

/// A token of a user that lives for ten minutes. No two are the same.
pub fn token(user: UserId, username: &str) -> String {
    let exp = unix_now() + 600 + u64::from(rand::random::<u8>());
    let claims = json!({ "public_id": user, "username": username, "exp": exp, "nonce": rand::random::<u32>() });
    sign(&header(), &claims, SECRET.as_bytes())
}

/// The header of its tokens.
pub fn header() -> Value {
    json!({ "alg": "HS512", "typ": "JWT" })
}

/// Signs a token with HS512, whatever its header says.
pub fn sign(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", part(header), part(claims));
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, secret), input.as_bytes());
    format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac))
}
