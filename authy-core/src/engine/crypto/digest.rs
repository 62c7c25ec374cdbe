//! Digests that tell whether a value has changed.

use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;

/// Returns the digest of a value: SHA-256, cut to 16 bytes, because only accidental matches matter.
///
/// Never of a secret: somebody who reads the digest can compute those of guesses and compare. For the hash of a password there is
/// [`password_digest`](super::password::stored::password_digest).
pub(in crate::engine) fn digest_of(value: &impl Serialize) -> Vec<u8> {
    let text = serde_json::to_vec(value).unwrap_or_default();
    digest(&SHA256, &text).as_ref().iter().take(16).copied().collect()
}
