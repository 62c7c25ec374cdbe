//! Key pairs for signatures: creation, serialization and the public key.

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
        RsaPublicKeyComponents,
    },
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use zeroize::Zeroizing;

use crate::{Error, ErrorKind, Jwk, Result, claims::SigningAlgorithm};

/// A private key.
pub(in crate::engine) enum KeyPair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl KeyPair {
    /// Creates a key pair. Returns it with its private key in PKCS #8.
    pub(in crate::engine) fn generate(algorithm: SigningAlgorithm) -> Result<(Self, Zeroizing<Vec<u8>>)> {
        let failed = |_| Error::new(ErrorKind::Internal, "a signing key cannot be created");
        Ok(match algorithm {
            SigningAlgorithm::EdDSA => {
                let pair = Ed25519KeyPair::generate().map_err(failed)?;
                let private = pair.to_pkcs8().map_err(failed)?.as_ref().to_vec();
                (Self::Ed25519(pair), Zeroizing::new(private))
            }
            SigningAlgorithm::ES256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
                let private = pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec();
                (Self::P256(pair), Zeroizing::new(private))
            }
            SigningAlgorithm::RS256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
                let private: Pkcs8V1Der<'static> = pair.as_der().map_err(failed)?;
                let private = private.as_ref().to_vec();
                (Self::Rsa(Box::new(pair)), Zeroizing::new(private))
            }
        })
    }

    /// Parses a private key in PKCS #8.
    pub(in crate::engine) fn from_pkcs8(algorithm: SigningAlgorithm, private: &[u8]) -> Result<Self> {
        let wrong = |cause| Error::with_source(ErrorKind::Internal, "a signing key cannot be parsed", cause);
        Ok(match algorithm {
            SigningAlgorithm::EdDSA => Self::Ed25519(Ed25519KeyPair::from_pkcs8(private).map_err(wrong)?),
            SigningAlgorithm::ES256 => {
                Self::P256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private).map_err(wrong)?)
            }
            SigningAlgorithm::RS256 => Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(private).map_err(wrong)?)),
        })
    }

    /// Returns the signature of a message in the format of JWTs.
    pub(in crate::engine) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let failed = |_| Error::new(ErrorKind::Internal, "signing failed");
        Ok(match self {
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::P256(pair) => pair.sign(&SystemRandom::new(), message).map_err(failed)?.as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).map_err(failed)?;
                signature
            }
        })
    }

    /// Returns the public key. Its `kid` is its RFC 7638 thumbprint.
    pub(in crate::engine) fn jwk(&self) -> Result<Jwk> {
        let base64 = |bytes: &[u8]| Some(BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let blank = Jwk {
            kty: String::new(),
            kid: String::new(),
            usage: "sig".into(),
            alg: String::new(),
            crv: None,
            x: None,
            y: None,
            n: None,
            e: None,
        };
        let mut jwk = match self {
            Self::Ed25519(pair) => Jwk {
                kty: "OKP".into(),
                alg: SigningAlgorithm::EdDSA.to_string(),
                crv: Some("Ed25519".into()),
                x: base64(pair.public_key().as_ref()),
                ..blank
            },
            Self::P256(pair) => {
                // The uncompressed point of SEC 1: 4, x, y.
                let point = pair.public_key().as_ref();
                let (x, y) = (point.get(1..33).unwrap_or_default(), point.get(33..).unwrap_or_default());
                Jwk {
                    kty: "EC".into(),
                    alg: SigningAlgorithm::ES256.to_string(),
                    crv: Some("P-256".into()),
                    x: base64(x),
                    y: base64(y),
                    ..blank
                }
            }
            Self::Rsa(pair) => {
                let parts = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                let (alg, n, e) = (SigningAlgorithm::RS256.to_string(), base64(&parts.n), base64(&parts.e));
                Jwk { kty: "RSA".into(), alg, n, e, ..blank }
            }
        };
        jwk.kid = thumbprint(&jwk);
        Ok(jwk)
    }
}

/// Returns the SHA-256 of the required members, in the order of their names, without spaces (RFC 7638, section 3).
fn thumbprint(jwk: &Jwk) -> String {
    let Jwk { kty, crv, x, y, n, e, .. } = jwk;
    let members = [("crv", crv), ("e", e), ("kty", &Some(kty.clone())), ("n", n), ("x", x), ("y", y)]
        .into_iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("\"{name}\":\"{value}\"")))
        .collect::<Vec<_>>()
        .join(",");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, format!("{{{members}}}").as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::Verifier;

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        let (pair, _) = KeyPair::generate(SigningAlgorithm::EdDSA).unwrap();
        let mut jwk = pair.jwk().unwrap();
        jwk.x = Some("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into());
        assert_eq!(thumbprint(&jwk), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_key_of_each_algorithm_signs_what_its_public_half_verifies() {
        for algorithm in [SigningAlgorithm::EdDSA, SigningAlgorithm::ES256, SigningAlgorithm::RS256] {
            let (pair, private) = KeyPair::generate(algorithm).unwrap();
            let again = KeyPair::from_pkcs8(algorithm, &private).unwrap();
            let jwk = pair.jwk().unwrap();
            assert_eq!(again.jwk().unwrap(), jwk);
            assert_eq!((jwk.alg.as_str(), jwk.kid.len()), (algorithm.as_str(), 43));
            assert!(Verifier::new("issuer", "audience", std::time::Duration::ZERO, [&jwk]).unwrap().knows(&jwk.kid));
            assert!(!again.sign(b"message").unwrap().is_empty());
        }
    }
}
