//! MACs of secrets that callers keep: refresh tokens, one-time codes, device tokens (HMAC-SHA256, RFC 2104).

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

use crate::{Result, engine::crypto::master::MasterKeys};

/// The keys that verify secrets which authy issues and does not store.
#[derive(Clone)]
pub(in crate::engine) struct MacKeys(Vec<hmac::Key>);

impl MacKeys {
    /// Derives the keys for a purpose. The first signs, all verify.
    pub(in crate::engine) fn new(keys: &MasterKeys, purpose: &'static str) -> Result<Self> {
        let keys = keys.derive(purpose)?;
        Ok(Self(keys.iter().map(|key| hmac::Key::new(hmac::HMAC_SHA256, &**key)).collect()))
    }

    /// Returns the MAC of a message, in base64url.
    pub(in crate::engine) fn sign(&self, message: &str) -> String {
        let mac = self.0.first().map(|key| hmac::sign(key, message.as_bytes()));
        BASE64_URL_SAFE_NO_PAD.encode(mac.as_ref().map_or(&[][..], AsRef::as_ref))
    }

    /// Returns the MACs of a message, one per key.
    pub(in crate::engine) fn sign_with_each(&self, message: &str) -> Vec<String> {
        self.0.iter().map(|key| BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(key, message.as_bytes()))).collect()
    }

    /// Returns whether this is the MAC of the message, in constant time.
    pub(in crate::engine) fn verifies(&self, message: &str, mac: &str) -> bool {
        let Ok(mac) = BASE64_URL_SAFE_NO_PAD.decode(mac) else { return false };
        self.0.iter().any(|key| hmac::verify(key, message.as_bytes(), &mac).is_ok())
    }
}
