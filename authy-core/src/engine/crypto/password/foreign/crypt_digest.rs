//! The last part of the texts of crypt, which is the digest in an encoding of its own.

use base64ct::{Base64ShaCrypt, Encoding as _};
use zeroize::Zeroizing;

use super::Result;
use crate::engine::crypto::password::format::UnusableHash;

/// Returns the last part of the text of a hash.
pub(super) fn bcrypt_digest(hash: &bcrypt::HashParts) -> Result<Zeroizing<Vec<u8>>> {
    let text = Zeroizing::new(hash.format_for_version(bcrypt::Version::TwoB));
    // `$2b$12$`, and 22 characters of the salt.
    let digest = text.as_bytes().get(7 + 22..).ok_or(UnusableHash::Malformed)?;
    Ok(Zeroizing::new(digest.to_vec()))
}

/// Returns the text of a hash as crypt writes it: three bytes at a time, one from each third.
pub(super) fn sha_crypt_text(digest: &[u8]) -> Zeroizing<Vec<u8>> {
    // With 32 bytes the groups are (20, 10, 0), (11, 1, 21), …: each position moves by 21 of 30. With 64 bytes they are
    // (42, 21, 0), (1, 43, 22), …: each moves by 22 of 63.
    let grouped = digest.len() - digest.len() % 3;
    let (third, step) = (grouped / 3, if grouped == 30 { 21 } else { 22 });
    let order = (0..third).flat_map(|group| [2 * third, third, 0].map(|start| (start + group * step) % grouped));
    let order = order.chain(grouped..digest.len());
    let ordered: Zeroizing<Vec<u8>> = Zeroizing::new(order.filter_map(|index| digest.get(index).copied()).collect());
    Zeroizing::new(Base64ShaCrypt::encode_string(&ordered).into_bytes())
}
