//! Signatures of webhook requests, as Standard Webhooks 1.0 specifies them.
//!
//! `webhook-signature` is `v1,` and base64 of the HMAC-SHA256 of `<webhook-id>.<webhook-timestamp>.<body>`, one for
//! each secret.

use std::{fmt, str::FromStr};

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use zeroize::Zeroizing;

use super::setting::InvalidWebhook;

/// Secrets used to sign webhook requests, each `whsec_` and base64 of 24 to 64 random bytes. Every request is signed
/// with all of them, so that a secret can be replaced without a refused request.
#[derive(Clone)]
pub struct WebhookSecrets(Vec<hmac::Key>);

impl WebhookSecrets {
    /// Returns the value of `webhook-signature`.
    pub(super) fn sign(&self, id: &str, timestamp: u64, body: &str) -> String {
        let message = format!("{id}.{timestamp}.{body}");
        let signatures = self.0.iter().map(|key| {
            let mac = hmac::sign(key, message.as_bytes());
            format!("v1,{}", BASE64_STANDARD.encode(mac))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

impl FromStr for WebhookSecrets {
    type Err = InvalidWebhook;

    fn from_str(text: &str) -> Result<Self, InvalidWebhook> {
        let keys = text.trim().split(',').map(|part| {
            let encoded = part.trim().strip_prefix("whsec_").ok_or(InvalidWebhook::Secret)?;
            let bytes = Zeroizing::new(BASE64_STANDARD.decode(encoded).map_err(|_| InvalidWebhook::Secret)?);
            // Base64 of zeros is a placeholder, not a secret.
            let is_random = bytes.iter().any(|byte| Some(byte) != bytes.first());
            match (24..=64).contains(&bytes.len()) && is_random {
                true => Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes)),
                false => Err(InvalidWebhook::Secret),
            }
        });
        keys.collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookSecrets({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of the specification's reference libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_signature_is_that_of_the_reference_libraries() {
        let secrets: WebhookSecrets = SECRET.parse().unwrap();
        let signature = secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_secret_signs_and_none_is_shown() {
        let other = format!("whsec_{}", BASE64_STANDARD.encode(*b"another secret of 32 bytes, fine"));
        let both: WebhookSecrets = format!("{SECRET}, {other}").parse().unwrap();
        let alone: WebhookSecrets = other.parse().unwrap();
        assert!(both.sign("id", 1, "{}").ends_with(&format!(" {}", alone.sign("id", 1, "{}"))));
        assert_eq!(format!("{both:?}"), "WebhookSecrets(2)");
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        let short = format!("whsec_{}", BASE64_STANDARD.encode(b"short"));
        let zeros = format!("whsec_{}", BASE64_STANDARD.encode([0; 32]));
        for wrong in ["", "hunter2", "whsec_", "whsec_?", &SECRET[6..], &short, &zeros, &format!("{SECRET},")] {
            assert_eq!(wrong.parse::<WebhookSecrets>().unwrap_err(), InvalidWebhook::Secret, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_secret_or_none(text in "\\PC*|(whsec_[A-Za-z0-9+/=]{0,90},?){1,3}") {
            let _ = text.parse::<WebhookSecrets>();
        }
    }
}
