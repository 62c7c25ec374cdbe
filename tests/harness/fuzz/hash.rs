//! Stored hashes of passwords: our own PHC strings, and those of other programs, as an import brings them.

use authy_core::engine::{
    Argon2Params,
    fuzz::{hash_cost, verify_hash},
};

use super::FuzzTarget;
use crate::{FOREIGN_HASH, FOREIGN_PASSWORD};

/// The most that is verified here: a few milliseconds.
const CHEAP: u64 = 2048;

pub(super) const STORED_HASH: FuzzTarget = FuzzTarget {
    name: "stored_hash",
    run: |input| {
        let text = String::from_utf8_lossy(input);
        if let Ok(params) = text.parse::<Argon2Params>() {
            assert_eq!(params.to_string().parse(), Ok(params));
        }
        let Some(cost) = hash_cost(&text) else { return };
        // A hash that is accepted takes some seconds and 256 MiB at most, whatever its parameters say.
        assert!(cost.memory_kib <= 256 * 1024 && cost.steps <= 5_000_000, "{cost:?}");
        if cost.steps <= CHEAP && cost.memory_kib <= CHEAP {
            // An error is an answer, and no hash is of a password that was never hashed.
            assert_ne!(verify_hash(&text, "not the password").ok(), Some(true), "{text}");
        }
    },
    seeds: || {
        // Otherwise nothing here would be a test.
        assert_eq!(verify_hash(FOREIGN_HASH, FOREIGN_PASSWORD).ok(), Some(true));
        [
            FOREIGN_HASH,
            "m=19456,t=2,p=1",
            "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$JGwlTNIqpjxdKbPcmqZJ1Q9Cxk2pFDqUYp1pTXEzX9w",
            "argon2$argon2i$v=16$m=16,t=2,p=2,keyid=AAAAAA$c29tZXNhbHQ$JGwlTNIqpjxdKbPcmqZJ1Q9Cxk2pFDqUYp1pTXEzX9w",
            "pbkdf2:sha256:100$Xk3vQz9LmN0pRs7T$93181c6d179ccf34176d0db0ef9258d414b3b239b4f45a1756c323e9c3647a5c",
            "pbkdf2_sha256$100$seasalt$AxKceCjR23gipteFP4bl9NsUeS/fd7ljMWc7vN1Dl/s=",
            "bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuuV2JKpKONVf002PRoL1/w1D4kDP9akMW",
            "$2y$04$abcdefghijklmnopqrstuu/LgNH5eaktQxHocnTnSg/5zOTjCh/eK",
            "$scrypt$ln=4,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$++SlT8EnaXXV47/iAhJ5r/fnZNl2v94WLwTMNjqJBUU",
            "$pbkdf2-sha512$i=100,l=64$MDEyMzQ1Njc4OWFiY2RlZg$NCuETqc5+tUHGbFTvUcbw6R0azA7KiSadjktzSgbYe/k",
            "scrypt$16$salt$8$1$++SlT8EnaXXV47/iAhJ5r/fnZNl2v94WLwTMNjqJBUU=",
            "{SSHA}hOplQEZAg+uqUKjjWpeJb6WCXUx2LkXI",
            "{CRYPT}$5$rounds=1000$TqDXF.6dn4Gad5X7$.VubKF.vIiXUhlMr47kijiDb0YD3XiagftFeepXbfo3",
            "$6$rounds=1337$dg1wqOfL$0VBMi7m.uHBY3plb5FsvFWNpspkPEUqSow21WHX0zES3BdxHyPplnf4oHtoovj7MjMWqJXF8vqcYmJ9dv9E1L.",
            "$fbscrypt$v=1,n=4,r=8,p=1,ss=Bw==,sk=MDEyMzQ1Njc4OWFiY2RlZg==$zFs+4HfDPAvUnQ==$FvK/0fy7lYXpfBTdmWYrAg==",
            "$authy-wrap$pbkdf2-sha512$i=10,l=64$c2FsdA$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$JGwlTNIqpjxdKbPcmqZJ1Q9Cxk2pFDqUYp1pTXEzX9w",
            "$authy-wrap$salted-sha1$$c2FsdA$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$JGwlTNIqpjxdKbPcmqZJ1Q9Cxk2pFDqUYp1pTXEzX9w",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into()
    },
    words: &[
        "$",
        "$argon2id",
        "$argon2d",
        "argon2",
        "$v=19",
        "$v=4294967295",
        "m=8,",
        "m=4294967295",
        "t=1",
        "p=1",
        "p=4294967295",
        "keyid=",
        "data=",
        "$2b$",
        "$2x$",
        "04$",
        "31$",
        "pbkdf2:sha256:",
        "pbkdf2_sha1",
        "scrypt:",
        "{SSHA512}",
        "{crypt}",
        "$5$",
        "$6$",
        "rounds=1000$",
        "rounds=999999999$",
        "$fbscrypt$v=1,",
        "n=10,",
        "ss=",
        "sk=",
        "$authy-wrap$",
        "crypt-sha256$",
        "bcrypt-hex-sha256$c=4$",
        "$scrypt",
        "ln=63",
        "r=8",
        ":",
        ",",
        "1024",
        "5000001",
        "18446744073709551616",
        "c29tZXNhbHQ",
        "00000000000000000000000000000000",
    ],
    dearest: |length| {
        vec![
            format!("pbkdf2:sha256:1${}${}", "s".repeat(length / 2), "0".repeat(64)).into(),
            format!("{{SSHA}}{}", "A".repeat(length)).into(),
            format!("$authy-wrap$salted-sha1$${}$argon2id$", "A".repeat(length)).into(),
            format!("$5${}${}", "s".repeat(length / 2), "0".repeat(43)).into(),
            format!("scrypt:2:1:1${}${}", "s".repeat(length / 2), "0".repeat(64)).into(),
            format!(
                "$argon2id$v=19${}$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
                super::numbered(length, |n| format!("p{n}={n},"))
            )
            .into(),
            format!("{}$x$y", ":1".repeat(length / 2)).into(),
        ]
    },
};
