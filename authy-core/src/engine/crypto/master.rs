//! The master keys, and the keys derived from them (HKDF-SHA256, RFC 5869), one per purpose.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey},
    hkdf, rand,
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use zeroize::Zeroizing;

use crate::{Error, ErrorKind, Result};

const KEY_LENGTH: usize = 32;
const NONCE_LENGTH: usize = 12;

/// A key of 32 bytes, overwritten when it is dropped.
pub(in crate::engine) type Key = Zeroizing<[u8; KEY_LENGTH]>;

/// The master keys. The first encrypts, all decrypt, so that a key can be replaced without downtime.
#[derive(Clone)]
pub struct MasterKeys(Vec<Key>);

impl MasterKeys {
    /// Generates one random master key.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the system's random number generator fails.
    pub fn generate() -> Result<Self> {
        let mut key = Key::default();
        rand::fill(&mut *key)
            .map_err(|_| Error::new(ErrorKind::Internal, "the system's random number generator failed"))?;
        Ok(Self(vec![key]))
    }

    /// Parses master keys: base64 of 32 bytes each, separated by commas. The first encrypts, all decrypt.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when a part is not base64 of 32 bytes, or all of its bytes are equal.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || Error::new(ErrorKind::InvalidInput, "a master key must be base64 of 32 random bytes");
        let keys = text.trim().split(',').map(|part| {
            let bytes = Zeroizing::new(BASE64_STANDARD.decode(part.trim()).map_err(|_| wrong())?);
            let key = Zeroizing::new(<[u8; KEY_LENGTH]>::try_from(bytes.as_slice()).map_err(|_| wrong())?);
            // 32 zero bytes are valid base64, too.
            if key.iter().all(|byte| Some(byte) == key.first()) { Err(wrong()) } else { Ok(key) }
        });
        keys.collect::<Result<_>>().map(Self)
    }

    /// Returns the keys in the format of [`parse`](Self::parse), to store them.
    pub fn to_base64(&self) -> Zeroizing<String> {
        let parts: Vec<_> = self.0.iter().map(|key| Zeroizing::new(BASE64_STANDARD.encode(**key))).collect();
        Zeroizing::new(parts.iter().map(|part| part.as_str()).collect::<Vec<_>>().join(","))
    }

    /// Derives the keys for a purpose, one per master key. The first is used for new data, the others only for existing
    /// data.
    pub(in crate::engine) fn derive(&self, purpose: &'static str) -> Result<Vec<Key>> {
        self.0.iter().map(|master| derive(master, purpose)).collect()
    }

    /// Returns an ID per master key, in order. It reveals nothing about the key.
    pub(in crate::engine) fn ids(&self) -> Result<Vec<[u8; 4]>> {
        self.derive("authy key id")?
            .iter()
            .map(|id| id.first_chunk().copied().ok_or_else(|| Error::new(ErrorKind::Internal, "a key is too short")))
            .collect()
    }

    /// Encrypts bytes with AES-256-GCM. Decryption requires the same `context`.
    pub(in crate::engine) fn seal(&self, context: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let failed = |_| Error::new(ErrorKind::Internal, "sealing failed");
        let (Some(key), Some(id)) = (self.derive(SEALING)?.into_iter().next(), self.ids()?.first().copied()) else {
            return Err(Error::new(ErrorKind::Internal, "there is no master key"));
        };
        let sealer = RandomizedNonceKey::new(&AES_256_GCM, &*key).map_err(failed)?;
        let mut sealed = plain.to_vec();
        let nonce = sealer.seal_in_place_append_tag(Aad::from(context), &mut sealed).map_err(failed)?;
        Ok([&id[..], nonce.as_ref(), &sealed].concat())
    }

    /// Returns whether the data was encrypted with the first key.
    pub(in crate::engine) fn sealed_with_first(&self, sealed: &[u8]) -> Result<bool> {
        Ok(self.ids()?.first().is_some_and(|id| sealed.starts_with(id)))
    }

    /// Decrypts data that was encrypted with any of the keys.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when no key decrypts the data, or it was changed.
    pub(in crate::engine) fn open(&self, context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let wrong = || {
            Error::new(ErrorKind::Internal, "this master key is not the one that encrypted the keys in the database")
        };
        let (id, rest) = sealed.split_first_chunk::<4>().ok_or_else(wrong)?;
        let (nonce, boxed) = rest.split_first_chunk::<NONCE_LENGTH>().ok_or_else(wrong)?;
        let position = self.ids()?.iter().position(|known| known == id).ok_or_else(wrong)?;
        let key = self.derive(SEALING)?.into_iter().nth(position).ok_or_else(wrong)?;
        let opener = RandomizedNonceKey::new(&AES_256_GCM, &*key).map_err(|_| wrong())?;
        let mut boxed = Zeroizing::new(boxed.to_vec());
        let length =
            opener.open_in_place(Nonce::from(nonce), Aad::from(context), &mut boxed).map_err(|_| wrong())?.len();
        boxed.truncate(length);
        Ok(boxed)
    }
}

const SEALING: &str = "authy sealing of private keys";

fn derive(master: &Key, purpose: &'static str) -> Result<Key> {
    let failed = |_| Error::new(ErrorKind::Internal, "a key cannot be derived");
    let mut key = Key::default();
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"authy")
        .extract(&**master)
        .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
        .map_err(failed)?
        .fill(&mut *key)
        .map_err(failed)?;
    Ok(key)
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKeys({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_with_that_key_in_that_place_and_unchanged_only() {
        let (old, other) = (MasterKeys::generate().unwrap(), MasterKeys::generate().unwrap());
        let sealed = old.seal("kid", b"private").unwrap();
        assert_eq!(old.open("kid", &sealed).unwrap().as_slice(), b"private");
        let both = MasterKeys::parse(&format!("{},{}", *other.to_base64(), *old.to_base64())).unwrap();
        assert_eq!(both.open("kid", &sealed).unwrap().as_slice(), b"private");
        assert!(other.open("kid", &sealed).is_err());
        assert!(old.open("another kid", &sealed).is_err());
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(old.open("kid", &changed).is_err());
        }
    }

    #[test]
    fn invalid_keys_are_refused() {
        for wrong in ["", "AAAA", "no base64!", &BASE64_STANDARD.encode([0; 32]), &BASE64_STANDARD.encode([1; 33])] {
            assert_eq!(MasterKeys::parse(wrong).unwrap_err().kind(), ErrorKind::InvalidInput, "{wrong}");
        }
    }

    #[test]
    fn each_purpose_has_a_key_of_its_own() {
        let keys = MasterKeys::generate().unwrap();
        assert_ne!(*keys.derive("one").unwrap()[0], *keys.derive("two").unwrap()[0]);
    }
}
