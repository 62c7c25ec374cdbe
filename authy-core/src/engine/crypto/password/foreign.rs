//! Hashes of other programs: werkzeug, Django, passlib, PHC strings and bcrypt. They are verified, never created.
//!
//! They are imported, so a malicious one must neither panic nor exhaust the machine: the cost is limited when it is
//! parsed.

use std::num::NonZeroU32;

use aws_lc_rs::{
    constant_time, digest,
    pbkdf2::{self, PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA384, PBKDF2_HMAC_SHA512},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use bcrypt::HashParts;
use zeroize::Zeroizing;

/// A parsed hash of another program, whose cost is within the limits.
pub(super) enum Foreign {
    Pbkdf2 {
        algorithm: pbkdf2::Algorithm,
        iterations: NonZeroU32,
        salt: Vec<u8>,
        derived: Vec<u8>,
    },
    Scrypt {
        params: scrypt::Params,
        salt: Vec<u8>,
        derived: Vec<u8>,
    },
    Bcrypt {
        hash: String,
    },
    /// Django's `bcrypt_sha256`: bcrypt of the password's SHA-256 in hexadecimal.
    BcryptSha256 {
        hash: String,
    },
}

// The limits: each is about two to four seconds of one core, and several times the highest current recommendation.
const MAX_PBKDF2_ITERATIONS: u32 = 5_000_000;
const MAX_BCRYPT_COST: u32 = 15;
/// n times r. With 128 bytes each, this is 256 MiB.
const MAX_SCRYPT_MEMORY: u64 = 1 << 21;
/// n times r times p.
const MAX_SCRYPT_WORK: u64 = 1 << 22;
const MAX_SCRYPT_R_OR_P: u32 = 64;

impl Foreign {
    /// Parses a hash. `None` when its format is unknown, or it is malformed, or its cost exceeds the limits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once('$')?;
        match scheme {
            // `$id$…`: the modular crypt format and its successor, the PHC string.
            "" => match rest.split_once('$')? {
                ("2a" | "2b" | "2y", _) => bcrypt(text).map(|hash| Self::Bcrypt { hash }),
                (id, rest) => Self::phc(id, rest),
            },
            "pbkdf2_sha256" => Self::django(PBKDF2_HMAC_SHA256, rest),
            "pbkdf2_sha1" => Self::django(PBKDF2_HMAC_SHA1, rest),
            "bcrypt" => bcrypt(rest).map(|hash| Self::Bcrypt { hash }),
            "bcrypt_sha256" => bcrypt(rest).map(|hash| Self::BcryptSha256 { hash }),
            method => Self::werkzeug(method, rest),
        }
    }

    /// Returns whether this is the hash of `password`. The time does not depend on the content of the hash.
    pub(super) fn verify(&self, password: &str) -> bool {
        let password = password.as_bytes();
        match self {
            Self::Pbkdf2 { algorithm, iterations, salt, derived } => {
                pbkdf2::verify(*algorithm, *iterations, salt, password, derived).is_ok()
            }
            Self::Scrypt { params, salt, derived } => {
                let mut computed = Zeroizing::new(vec![0; derived.len()]);
                scrypt::scrypt(password, salt, params, &mut computed).is_ok()
                    && constant_time::verify_slices_are_equal(&computed, derived).is_ok()
            }
            // bcrypt ignores everything after byte 72, so a longer password must match. A NUL ends a password in C and
            // is repeated in bcrypt's key, so no program creates a hash of one intentionally.
            Self::Bcrypt { hash } => bcrypt::verify(password, hash).unwrap_or(false) && !password.contains(&0),
            Self::BcryptSha256 { hash } => bcrypt::verify(sha256_in_hex(password).as_str(), hash).unwrap_or(false),
        }
    }

    /// `pbkdf2:sha256:600000$salt$hex` or `scrypt:32768:8:1$salt$hex`; the salt is text.
    ///
    /// A method without numbers is refused: werkzeug accepts it, but writes the numbers into the hash.
    fn werkzeug(method: &str, rest: &str) -> Option<Self> {
        let (salt, derived) = rest.split_once('$')?;
        let (salt, derived) = (salt.as_bytes().to_vec(), hex::decode(derived).ok()?);
        match method.split(':').collect::<Vec<_>>().as_slice() {
            ["pbkdf2", hash, iterations] => {
                let algorithm = match *hash {
                    "sha1" => PBKDF2_HMAC_SHA1,
                    "sha256" => PBKDF2_HMAC_SHA256,
                    "sha384" => PBKDF2_HMAC_SHA384,
                    "sha512" => PBKDF2_HMAC_SHA512,
                    _ => return None,
                };
                Self::pbkdf2(algorithm, iterations, salt, derived)
            }
            ["scrypt", n, r, p] => {
                let n: u64 = n.parse().ok()?;
                let log_n = n.is_power_of_two().then(|| n.trailing_zeros())?;
                Self::scrypt(log_n, r.parse().ok()?, p.parse().ok()?, salt, derived)
            }
            _ => None,
        }
    }

    /// `iterations$salt$base64`; the salt is text.
    fn django(algorithm: pbkdf2::Algorithm, rest: &str) -> Option<Self> {
        let (iterations, rest) = rest.split_once('$')?;
        let (salt, derived) = rest.split_once('$')?;
        Self::pbkdf2(algorithm, iterations, salt.as_bytes().to_vec(), STANDARD.decode(derived).ok()?)
    }

    /// `parameters$salt$hash`, both in base64 without padding. passlib's pbkdf2 differs slightly: its parameters are
    /// only the number of iterations, and its base64 has `.` instead of `+`.
    fn phc(id: &str, rest: &str) -> Option<Self> {
        let (params, rest) = rest.split_once('$')?;
        let (salt, derived) = rest.split_once('$')?;
        let base64 = |text: &str| STANDARD_NO_PAD.decode(text.replace('.', "+")).ok();
        let (salt, derived) = (base64(salt)?, base64(derived)?);
        let param = |name| params.split(',').find_map(|param| param.strip_prefix(name));
        let algorithm = match id {
            "pbkdf2" => PBKDF2_HMAC_SHA1,
            "pbkdf2-sha256" => PBKDF2_HMAC_SHA256,
            "pbkdf2-sha512" => PBKDF2_HMAC_SHA512,
            "scrypt" => {
                let (log_n, r, p) =
                    (param("ln=")?.parse().ok()?, param("r=")?.parse().ok()?, param("p=")?.parse().ok()?);
                return Self::scrypt(log_n, r, p, salt, derived);
            }
            _ => return None,
        };
        Self::pbkdf2(algorithm, param("i=").unwrap_or(params), salt, derived)
    }

    fn pbkdf2(algorithm: pbkdf2::Algorithm, iterations: &str, salt: Vec<u8>, derived: Vec<u8>) -> Option<Self> {
        let iterations: NonZeroU32 = iterations.parse().ok()?;
        let sound = iterations.get() <= MAX_PBKDF2_ITERATIONS && is_sound(&derived);
        sound.then_some(Self::Pbkdf2 { algorithm, iterations, salt, derived })
    }

    fn scrypt(log_n: u32, r: u32, p: u32, salt: Vec<u8>, derived: Vec<u8>) -> Option<Self> {
        let memory = 1_u64.checked_shl(log_n)?.checked_mul(r.into())?;
        let affordable = r <= MAX_SCRYPT_R_OR_P
            && p <= MAX_SCRYPT_R_OR_P
            && memory <= MAX_SCRYPT_MEMORY
            && memory * u64::from(p) <= MAX_SCRYPT_WORK;
        // RFC 7914 does not permit n = 1.
        if !affordable || log_n == 0 || !is_sound(&derived) {
            return None;
        }
        let params = scrypt::Params::new(u8::try_from(log_n).ok()?, r, p).ok()?;
        Some(Self::Scrypt { params, salt, derived })
    }
}

/// A short hash matches too many passwords, and an empty one all of them. A long hash costs more than its iterations
/// indicate.
fn is_sound(derived: &[u8]) -> bool {
    (16..=64).contains(&derived.len())
}

fn bcrypt(text: &str) -> Option<String> {
    // `2x` marks hashes of a broken implementation, which this is not.
    let parts: HashParts = text.parse().ok()?;
    ((4..=MAX_BCRYPT_COST).contains(&parts.get_cost()) && !text.starts_with("$2x$")).then(|| text.to_owned())
}

fn sha256_in_hex(password: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(hex::encode(digest::digest(&digest::SHA256, password)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PASSWORD: &str = "pässword with spaces 🔑";

    /// Made with Python: werkzeug 3.1.9 `_hash_internal`, Django 5.2.19 `hashers`, passlib 1.7.4, bcrypt 4.3.0,
    /// `crypt.crypt` for `$2y$`, and `hashlib` for the PHC strings with `i=`; costs are low to be quick.
    const HASHES: &[&str] = &[
        "pbkdf2:sha1:1000$Xk3vQz9LmN0pRs7T$c2d5a41ab04e60c2218e0a7bda401fd9a339f8a0",
        "pbkdf2:sha256:1000$Xk3vQz9LmN0pRs7T$93181c6d179ccf34176d0db0ef9258d414b3b239b4f45a1756c323e9c3647a5c",
        "pbkdf2:sha512:1000$Xk3vQz9LmN0pRs7T$8f4355e5a87f0deb1b350e8d1e75752fe9d44ceac29125e15265a0fc3f6c11bc\
         d1d585b3b40b02ad2fc8c41f02347e7559ddda43148c73e0baf06704bccbc249",
        "scrypt:1024:8:1$Xk3vQz9LmN0pRs7T$171dcb2b52cedb81fc13a841276afd6a63e3a912c2ac8191152e109e3496fcc2\
         e27c03d1c64d510f7b924602223712d84ea2775d294144feef1486e7ca8c1de6",
        "scrypt:32768:8:1$Xk3vQz9LmN0pRs7T$ed176dffe248b0322948d3312935cc0de1f347abbc3ccf4525b1878e7a4dcd3a\
         7e3bad924acc18d0443136c85a880ac239a69297b2886d7ffb2202badc06900f",
        "pbkdf2_sha256$1000$seasalt1234567890abcde$AxKceCjR23gipteFP4bl9NsUeS/fd7ljMWc7vN1Dl/s=",
        "pbkdf2_sha1$1000$seasalt1234567890abcde$s6T4elQuQU1+CVFOqLDCWRwceaU=",
        "bcrypt$$2b$04$abcdefghijklmnopqrstuu/LgNH5eaktQxHocnTnSg/5zOTjCh/eK",
        "bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuuV2JKpKONVf002PRoL1/w1D4kDP9akMW",
        "$2a$04$abcdefghijklmnopqrstuu/LgNH5eaktQxHocnTnSg/5zOTjCh/eK",
        "$2b$04$abcdefghijklmnopqrstuu/LgNH5eaktQxHocnTnSg/5zOTjCh/eK",
        "$2y$04$abcdefghijklmnopqrstuu/LgNH5eaktQxHocnTnSg/5zOTjCh/eK",
        "$pbkdf2-sha256$1000$MDEyMzQ1Njc4OWFiY2RlZg$fVUpiN5U8vw0/bNfKCAKIfP7m5Dp6znvi2KMdl4XwXo",
        "$pbkdf2-sha512$1000$MDEyMzQ1Njc4OWFiY2RlZg$NCuETqc5.tUHGbFTvUcbw6R0azA7KiSadjktzSgbYe/k\
         .wawLAJnLn6JOpNhVwqoMXjMqkM7zCySyt/bZK0sDA",
        "$pbkdf2-sha256$i=1000,l=32$MDEyMzQ1Njc4OWFiY2RlZg$fVUpiN5U8vw0/bNfKCAKIfP7m5Dp6znvi2KMdl4XwXo",
        "$pbkdf2-sha512$i=1000,l=64$MDEyMzQ1Njc4OWFiY2RlZg$NCuETqc5+tUHGbFTvUcbw6R0azA7KiSadjktzSgbYe/k\
         +wawLAJnLn6JOpNhVwqoMXjMqkM7zCySyt/bZK0sDA",
        "$scrypt$ln=10,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$++SlT8EnaXXV47/iAhJ5r/fnZNl2v94WLwTMNjqJBUU",
    ];

    fn matches(stored: &str, password: &str) -> Option<bool> {
        Foreign::parse(stored).map(|foreign| foreign.verify(password))
    }

    #[test]
    fn hashes_of_other_programs_match_their_password_only() {
        for stored in HASHES {
            assert_eq!(matches(stored, PASSWORD), Some(true), "{stored}");
            assert_eq!(matches(stored, "pässword with spaces"), Some(false), "{stored}");
            assert_eq!(matches(stored, ""), Some(false), "{stored}");
        }
    }

    #[test]
    fn bcrypt_knows_72_bytes_and_no_nul() {
        // bcrypt 4.3.0 in Python, of "0123456789" seven times and "ab".
        let stored = "$2b$04$abcdefghijklmnopqrstuuMtJwfagkGaCKZ.IMpPJzYjhgL/xnp2C";
        let digits = "0123456789".repeat(7);
        assert_eq!(matches(stored, &format!("{digits}ab")), Some(true));
        assert_eq!(matches(stored, &format!("{digits}ab and more")), Some(true));
        assert_eq!(matches(stored, &format!("{digits}a")), Some(false));
        let stored = "$2b$04$abcdefghijklmnopqrstuu/LgNH5eaktQxHocnTnSg/5zOTjCh/eK";
        assert_eq!(matches(stored, &format!("{PASSWORD}\0{PASSWORD}")), Some(false));
    }

    #[test]
    fn malformed_and_too_expensive_hashes_are_refused() {
        let hex = "93181c6d179ccf34176d0db0ef9258d414b3b239b4f45a1756c323e9c3647a5c";
        let bcrypt = "abcdefghijklmnopqrstuu/LgNH5eaktQxHocnTnSg/5zOTjCh/eK";
        let b64 = "fVUpiN5U8vw0/bNfKCAKIfP7m5Dp6znvi2KMdl4XwXo";
        for stored in [
            format!("pbkdf2:sha256:5000001$salt${hex}"),
            format!("pbkdf2:sha256:0$salt${hex}"),
            format!("pbkdf2:sha256:-1$salt${hex}"),
            format!("pbkdf2:sha256$salt${hex}"),
            format!("pbkdf2:md5:1000$salt${hex}"),
            format!("pbkdf2:sha256:1000$salt${hex}0"),
            format!("pbkdf2:sha256:1000$salt${hex}{hex}{hex}"),
            "pbkdf2:sha256:1000$salt$".to_owned(),
            "pbkdf2_sha256$1000$salt$".to_owned(),
            "plain$salt$secret".to_owned(),
            format!("scrypt:32767:8:1$salt${hex}"),
            format!("scrypt:1:8:1$salt${hex}"),
            format!("scrypt:32768:0:1$salt${hex}"),
            format!("scrypt:524288:8:1$salt${hex}"),
            format!("scrypt:32768:8:64$salt${hex}"),
            format!("scrypt:18446744073709551615:8:1$salt${hex}"),
            format!("$scrypt$ln=64,r=8,p=1$salt${b64}"),
            format!("$scrypt$ln=10,r=4294967295,p=4294967295$salt${b64}"),
            format!("$pbkdf2-sha256$i=5000001$salt${b64}"),
            format!("$pbkdf2-md5$i=1000$salt${b64}"),
            format!("$2b$16${bcrypt}"),
            format!("$2b$03${bcrypt}"),
            format!("$2x$04${bcrypt}"),
            format!("bcrypt$$2x$04${bcrypt}"),
        ] {
            assert!(Foreign::parse(&stored).is_none(), "{stored}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_without_a_panic(text: String) {
            let _ = Foreign::parse(&text);
        }

        #[test]
        fn texts_that_resemble_a_hash_are_parsed_or_refused_without_a_panic(
            text in "(pbkdf2:sha256|scrypt|\\$scrypt|\\$pbkdf2-sha512|pbkdf2_sha256|bcrypt|\\$2b)\
                     (:[0-9]{1,20}){0,4}\\$((ln|r|p|i|l)=[0-9]{1,11},?){0,4}[0-9]{0,3}\\$\\PC{0,30}(\\$[0-9a-fA-F]{0,140})?=?",
        ) {
            let _ = Foreign::parse(&text);
        }

        #[test]
        fn what_is_cheap_is_verified_without_a_panic(
            stored in "(pbkdf2:sha(1|256|384|512):[0-9]{1,2}|scrypt:(2|4|16|64):[0-9]{1,2}:[0-9])\\$\\PC{0,8}\\$([0-9a-f]{2}){0,70}",
            password: String,
        ) {
            prop_assert_ne!(matches(&stored, &password), Some(true));
        }

        #[test]
        fn a_damaged_hash_is_read_or_refused(which in 0..HASHES.len(), index in 0_usize..160, byte in 0x20_u8..0x7f) {
            let mut text = HASHES.get(which).unwrap().as_bytes().to_vec();
            if let Some(place) = text.get_mut(index) {
                *place = byte;
            }
            let _ = Foreign::parse(&String::from_utf8(text).unwrap());
        }
    }
}
