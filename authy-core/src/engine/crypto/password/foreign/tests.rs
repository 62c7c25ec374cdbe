//! Hashes of real programs, and texts that are none.

use proptest::prelude::*;

use super::{super::wrapped::Wrapped, *};

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
    "scrypt$1024$jSraFyJqP1ocGT5t1jzahv$8$5$zzFN7j3XbOJDJ/RjGvgLeIPXEtRB8diUt8Fb3i3UOEKFYPmrTPsFDAdzRqy5xOmD5qs7tIfANMOVv95O\
     VwT1ow==",
    "{SSHA}hOplQEZAg+uqUKjjWpeJb6WCXUx2LkXI",
    "{SSHA256}k2thOV0qdC7B9GXIwrBqm1kLHZnPDpj0e1F46FZLGjlSCgHA+F9LqQ==",
    "{ssha512}Bx96XvJzEXbaehOWcjyaLMi2FinJZCyTXmI/eZ3G04Vo0GLi0Or3dTIjbHTtDzxuspLwMFOaMmkM2qWhd4pkBT7n/L9Xas1Z",
    "$5$rounds=1000$TqDXF.6dn4Gad5X7$.VubKF.vIiXUhlMr47kijiDb0YD3XiagftFeepXbfo3",
    "$5$sSZ179J9ok.pV1Z.$kWVLTmjXQA7eu615F5xtHYyqsdXx0eIY9pLIjOY67A8",
    "$6$rounds=1337$dg1wqOfL$0VBMi7m.uHBY3plb5FsvFWNpspkPEUqSow21WHX0zES3BdxHyPplnf4oHtoovj7MjMWqJXF8vqcYmJ9dv9E1L.",
    "{CRYPT}$6$rounds=1000$r8RFB08KiSpMzOja$EFn4XS6/1YaihTMO6TUBvARDphQzjLEHBWORLKZNYIr7mJb90o/i/D2hpdUCFZDw9xxuxQ/GP4e2Vk\
     /vnaGsb.",
    "$fbscrypt$v=1,n=10,r=8,p=1,ss=Bw==,sk=LEyjTEg/DBik+oNu3cNGXTR1pAY7xU6cPeSKlkSDjJFGHLOABIr5gPbihsx9CKG2QAI2SQdNphgd0L\
     Vi1B1jsA==$zFs+4HfDPAvUnQ==$FvK/0fy7lYXpfBTdmWYrArGi+shryXNNRfMyjyOAtsQY9qgF+TZe+Nj6cJuEPqSsrSYfW8cGvDoyTdX4No+vcQ==",
];

/// The examples of Firebase's own repository and of Supabase Auth's tests, with their passwords.
const FIREBASE: [(&str, &str); 2] = [
    (
        "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZ\
         vpjeJ9WmXA==$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5\
         lQ==",
        "user1password",
    ),
    (
        "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=ou9tdYTGyYm8kuR6Dt0Bp0kDuAYoXrK16mbZO4yGwAn3oLspjnN0/c41v8xZnO1n14J3MjKj1b2g\
         6AUCAlFwMw==$C0sHCg9ek77hsg==$zKVTMvnWVw5BBOZNUdnsalx4c4c7y_w7IS5p6Ut2-CfEFFlz37J9huyQfov4iizN8dbjvEJlM5tQaJP84-hf\
         Tw==",
        "mytestpassword",
    ),
];

/// Inputs of the specification of SHA-crypt, hashed by libxcrypt 4.4.
const SHA_CRYPT: [(&str, &str); 4] = [
    ("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!"),
    (
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        "Hello world!",
    ),
    (
        "$5$rounds=77777$short$JiO1O3ZpDAxGJeaDIuqCoEFysAe1mZNJRs3pw0KQRd/",
        "we have a short salt string but not a short password",
    ),
    ("$5$rounds=1000$roundstoolow$yfvwcWrQ8l/K0DAWyuPMDNHpIVlTQebY9l/gL972bIC", "the minimum number is still observed"),
];

fn matches(stored: &str, password: &str) -> Option<bool> {
    Foreign::parse(stored).ok().map(|foreign| foreign.verify(password))
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
fn published_examples_match_their_password_only() {
    for (stored, password) in FIREBASE.iter().chain(&SHA_CRYPT) {
        assert_eq!(matches(stored, password), Some(true), "{stored}");
        assert_eq!(matches(stored, &format!("{password}1")), Some(false), "{stored}");
    }
}

#[test]
fn crypt_knows_511_bytes_and_no_nul() {
    // libxcrypt 4.4 does not hash more. passlib 1.7.4, of "a" 511 and 512 times.
    let longest = "$6$rounds=1000$saltsalt$Nfzme5Cwl2qD65yUQS/0dBBwDJ.iiOXGlVvesk/d8egzl1eMBkOr5Gth2iXHYCqaUhfe/eMs9l5LSOaNkEZtt/";
    let longer = "$6$rounds=1000$saltsalt$C3faeXArTnv9HZknvZcuJpD4rqjBPAalPFhxIpRMiOTq/A0cLzi.8M7q9070KDuYn8JVXTEsX5W4NOGQ5qkE40";
    assert_eq!(matches(longest, &"a".repeat(511)), Some(true));
    assert_eq!(matches(longest, &"a".repeat(512)), Some(false));
    assert_eq!(matches(longer, &"a".repeat(512)), Some(false));
    let (stored, password) = SHA_CRYPT[0];
    assert_eq!(matches(stored, &format!("{password}\0")), Some(false));
}

#[test]
fn the_scheme_of_every_hash_is_read_back_and_has_no_digest() {
    let published = FIREBASE.iter().chain(&SHA_CRYPT).map(|(stored, _)| stored);
    for stored in HASHES.iter().chain(published) {
        let foreign = Foreign::parse(stored).ok().unwrap();
        let text = foreign.scheme.write();
        let digest = Scheme::read(&text).ok().unwrap().digest(PASSWORD.as_bytes()).unwrap();
        assert!(digest == foreign.scheme.digest(PASSWORD.as_bytes()).unwrap(), "{text}");
        assert_eq!(text.matches('$').count(), 2, "{text}");
        let last = stored.rsplit(['$', '}']).next().unwrap();
        assert!(last.len() >= 20 && !text.contains(&last[last.len() - 20..]), "{text}");
        assert!(text.is_ascii() && !text.contains(PASSWORD));
    }
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
        format!("scrypt$1024$salt$8$1${b64}$"),
        format!("scrypt$1000$salt$8$1${b64}"),
        format!("scrypt$2097152$salt$8$1${b64}"),
        format!("pbkdf2:sha256:+1000$salt${hex}"),
        format!("pbkdf2:sha256:1000:1$salt${hex}"),
        format!("pbkdf2:sha256:1000${}${hex}", "s".repeat(257)),
        format!("$5$rounds=999${}", "salt$JiCEzzpOpAXVIqxepJ04QsnuuhKmZV1sRlJzJTCLfhB"),
        format!("$5$rounds=1000001${}", "salt$JiCEzzpOpAXVIqxepJ04QsnuuhKmZV1sRlJzJTCLfhB"),
        "$5$seventeen letters$JiCEzzpOpAXVIqxepJ04QsnuuhKmZV1sRlJzJTCLfhB".to_owned(),
        "$5$salt$JiCEzzpOpAXVIqxepJ04QsnuuhKmZV1sRlJzJTCLfh".to_owned(),
        "$6$salt$JiCEzzpOpAXVIqxepJ04QsnuuhKmZV1sRlJzJTCLfhB".to_owned(),
        // No salt.
        "{SSHA}hOplQEZAg+uqUKjjWpeJb6WCXUw=".to_owned(),
        "{SHA}hOplQEZAg+uqUKjjWpeJb6WCXUw=".to_owned(),
        "{SSHA".to_owned(),
        "{CRYPT}abJnggxhB/yWI".to_owned(),
        "{CRYPT}{CRYPT}$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5".to_owned(),
        format!("$fbscrypt$v=2,n=10,r=8,p=1,ss=Bw==,sk={b64}$AAAA${b64}"),
        format!("$fbscrypt$v=1,n=22,r=8,p=1,ss=Bw==,sk={b64}$AAAA${b64}"),
        format!("$fbscrypt$v=1,n=10,r=8,p=1,ss=Bw==$AAAA${b64}"),
        "$fbscrypt$v=1,n=10,r=8,p=1,ss=Bw==,sk=$AAAA$".to_owned(),
    ] {
        assert!(Foreign::parse(&stored).is_err(), "{stored}");
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

    #[test]
    fn any_wrapped_text_is_parsed_or_refused_without_a_panic(
        text in "(pbkdf2-sha512|scrypt|bcrypt|fbscrypt|crypt-sha256|salted-sha1)\\$((i|l|ln|r|p|c|sk|rounds)=[0-9A-Za-z]{1,11},?){0,5}\
                 \\$[A-Za-z0-9+/]{0,30}(\\$argon2id\\$v=19\\$m=8,t=1,p=1\\$[A-Za-z0-9+/]{0,30}\\$[A-Za-z0-9+/]{0,50})?",
    ) {
        let _ = Wrapped::parse(&text);
    }
}
