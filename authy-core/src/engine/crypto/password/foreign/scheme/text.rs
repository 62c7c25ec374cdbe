//! The text of a [`Scheme`] in a wrapped hash: `name$parameters$salt`, the salt in base64 without padding.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use super::{BcryptInput, Scheme, Sha};
use crate::engine::crypto::password::{
    foreign::{
        Result, base64, limit, parts,
        phc::{param, scrypt},
    },
    format::UnusableHash,
};

impl Scheme {
    /// Writes the scheme.
    pub(in crate::engine::crypto::password) fn write(&self) -> String {
        let encode = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
        let numbers = |params: &scrypt::Params| format!("ln={},r={},p={}", params.log_n(), params.r(), params.p());
        match self {
            Self::Pbkdf2 { sha, iterations, salt, len } => {
                format!("pbkdf2-{}$i={iterations},l={len}${}", sha.name(), encode(salt))
            }
            Self::Scrypt { params, salt, len } => format!("scrypt${},l={len}${}", numbers(params), encode(salt)),
            Self::Firebase { params, salt, signer_key } => {
                format!("fbscrypt${},sk={}${}", numbers(params), encode(signer_key), encode(salt))
            }
            Self::Bcrypt { cost, salt, input: BcryptInput::Password } => format!("bcrypt$c={cost}${}", encode(salt)),
            Self::Bcrypt { cost, salt, input: BcryptInput::HexSha256 } => {
                format!("bcrypt-hex-sha256$c={cost}${}", encode(salt))
            }
            Self::ShaCrypt { sha, rounds, salt } => {
                // `rounds=…`
                format!("crypt-{}${rounds}${}", sha.name(), encode(salt.as_bytes()))
            }
            Self::SaltedSha { sha, salt } => format!("salted-{}$${}", sha.name(), encode(salt)),
        }
    }

    /// Reads a scheme.
    ///
    /// # Errors
    /// When it is not what [`write`](Self::write) writes, or the cost exceeds the limits.
    pub(in crate::engine::crypto::password) fn read(text: &str) -> Result<Self> {
        let [name, params, salt] = parts(text)?;
        let salt = base64(salt)?;
        let required = |name| param(params, name).ok_or(UnusableHash::Malformed);
        let len = || limit::number(required("l=")?);
        let bcrypt = |input| {
            let salt = salt.as_slice().try_into().map_err(|_| UnusableHash::Malformed)?;
            Ok(Self::Bcrypt { cost: limit::bcrypt(required("c=")?)?, salt, input })
        };
        match name {
            "scrypt" => Self::scrypt(scrypt(params, "ln=")?, salt, len()?),
            "fbscrypt" => Self::firebase(scrypt(params, "ln=")?, salt, base64(required("sk=")?)?),
            "bcrypt" => bcrypt(BcryptInput::Password),
            "bcrypt-hex-sha256" => bcrypt(BcryptInput::HexSha256),
            name => match name.split_once('-').ok_or(UnusableHash::Unknown)? {
                ("pbkdf2", sha) => Self::pbkdf2(Sha::named(sha)?, required("i=")?, salt, len()?),
                ("crypt", sha) => {
                    let salt = String::from_utf8(salt).map_err(|_| UnusableHash::Malformed)?;
                    Self::sha_crypt(Sha::named(sha)?, limit::rounds(required("rounds=")?)?, &salt)
                }
                ("salted", sha) => Ok(Self::SaltedSha { sha: Sha::named(sha)?, salt: limit::salt(salt)? }),
                _ => Err(UnusableHash::Unknown),
            },
        }
    }
}

impl Sha {
    fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    fn named(name: &str) -> Result<Self> {
        let all = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];
        all.into_iter().find(|sha| sha.name() == name).ok_or(UnusableHash::Unknown)
    }
}
