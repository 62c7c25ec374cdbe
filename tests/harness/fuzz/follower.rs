//! What a verifier receives from a server: keys and revocations.

use std::time::Duration;

use authy_client::fuzz::{Followed, follow, remembered};
use authy_core::{
    api::session::{JwkSet, RevocationPage},
    claims::Verifier,
    revocation::RevocationSet,
    time,
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

use super::{FuzzTarget, token::KNOWN};

const USER: &str = r#"{"void":"user","user":"AQEBAQEBAQEBAQEBAQEBAQ","ver":3,"until":"Tue, 11 Jun 2069 10:03:09 GMT"}"#;
const SESSION: &str =
    r#"{"void":"session","session":"AgICAgICAgICAgICAgICAg","until":"Tue, 11 Jun 2069 10:03:09 GMT"}"#;
const KEY: &str = r#"{"void":"key","kid":"CQkJ","until":"Tue, 11 Jun 2069 10:03:09 GMT"}"#;

const WORDS: &[&str] = &[
    USER,
    SESSION,
    KEY,
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "null",
    "\"revocations\":[",
    "\"cursor\":\"1-2-3\"",
    "\"void\":",
    "\"until\":\"Tue, 11 Jun 2069 10:03:09 GMT\"",
    "\"ver\":18446744073709551615",
    "\"ver\":-1",
    "GMT",
    "\\u0000",
];

fn page(revocations: &[&str]) -> String {
    format!(
        r#"{{"revocations":[{}],"cursor":"7312345678901234567-3-4711","as_of_ms":1560247389000}}"#,
        revocations.join(",")
    )
}

fn many(length: usize) -> String {
    let one = |n| {
        let hash = BASE64_URL_SAFE_NO_PAD.encode((n as u128).to_be_bytes());
        format!(r#"{{"void":"session","session":"{hash}","until":"Tue, 11 Jun 2069 10:03:09 GMT"}},"#)
    };
    page(&[super::numbered(length, one).trim_end_matches(',')])
}

fn sorted(set: &RevocationSet) -> Vec<String> {
    let mut all: Vec<_> = set.iter().map(|revocation| format!("{revocation:?}")).collect();
    all.sort_unstable();
    all
}

pub(super) const REVOCATIONS: FuzzTarget = FuzzTarget {
    name: "revocations",
    run: |input| {
        let _ = remembered(input);
        let Ok(page) = serde_json::from_slice::<RevocationPage>(input) else { return };
        let mut set = RevocationSet::new();
        for revocation in &page.revocations {
            set.insert(revocation);
        }
        assert!(set.len() <= page.revocations.len());
        let once = sorted(&set);
        // The same revocations again, in another order, change nothing.
        page.revocations.iter().rev().for_each(|revocation| assert!(!set.insert(revocation)));
        assert_eq!(sorted(&set), once);
        set.forget_before(time::from_unix_seconds(u64::MAX));
        assert!(set.iter().all(|revocation| time::unix_seconds(revocation.until) >= u64::from(u32::MAX)));
        let written = serde_json::to_vec(&page).unwrap();
        assert_eq!(serde_json::from_slice::<RevocationPage>(&written).unwrap(), page);
    },
    seeds: || {
        let keys = serde_json::to_string(&JwkSet { keys: vec![KNOWN.key.clone()], max_age: 0 }).unwrap();
        let file = format!(
            r#"{{"issuer":"http://authy.test","as_of":"Tue, 11 Jun 2019 10:03:09 GMT","keys":{keys},{}"#,
            page(&[USER]).trim_start_matches('{')
        );
        [
            page(&[]),
            page(&[USER, SESSION, KEY]),
            page(&[USER, USER]),
            // The cursor of an earlier version.
            page(&[]).replace("-3-", "-"),
            file,
        ]
        .map(String::into_bytes)
        .into()
    },
    words: WORDS,
    dearest: |length| vec![many(length).into()],
};

pub(super) const EVENT_STREAM: FuzzTarget = FuzzTarget {
    name: "event_stream",
    run: |input| {
        let Some((piece, bytes)) = input.split_first() else { return };
        let whole = follow(bytes, usize::MAX);
        let pieces = follow(bytes, usize::from(*piece));
        // How the bytes were cut on their way changes nothing of what they say.
        let said = |followed: &Followed| (followed.events, followed.cursor, followed.broke, sorted(&followed.set));
        assert_eq!(said(&whole), said(&pieces), "in pieces of {piece}");
        assert!(whole.events <= bytes.len() / 2);
    },
    seeds: || {
        let (empty, full) = (page(&[]), page(&[USER, SESSION, KEY]));
        [
            format!("\x01id: 1-2\ndata: {empty}\n\n"),
            format!("\x07data: {full}\r\n\r\nid: 1-3\r\ndata: {empty}\r\n\r\n"),
            format!("\u{3}: comment\n\nevent: revocations\nretry: 10\ndata:{full}\nid\n\n"),
            "\u{2}\u{feff}data: {\ndata: \"revocations\":[],\ndata: \"cursor\":\"1-2-3\",\"as_of_ms\":1}\n\n"
                .to_owned(),
        ]
        .map(String::into_bytes)
        .into()
    },
    words: &[
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "data:",
        "data: ",
        "data",
        "id:",
        "id: 1-2\n",
        "event: x\n",
        "retry: 1\n",
        ":",
        ": c\n",
        "\0",
        "\u{feff}",
        "data: {\"revocations\":[],\"cursor\":\"1-2-3\",\"as_of_ms\":1}\n\n",
        "d",
        "da",
        "id: \0\n",
    ],
    dearest: |length| {
        let one = format!("id: 1-2\ndata: {}\n\n", page(&[USER]));
        vec![
            // A byte at a time, and a line without an end.
            format!("\x01data: {}", "a".repeat(length)).into(),
            format!("\x01x{}", "a".repeat(length)).into(),
            format!("\x01{}", "data:\n".repeat(length / 6)).into(),
            format!("\x01{}", one.repeat(length / one.len())).into(),
            format!("\x01id: 1-2\ndata: {}\n\n", many(length)).into(),
        ]
    },
};

pub(super) const KEY_SET: FuzzTarget = FuzzTarget {
    name: "key_set",
    run: |input| {
        let Ok(set) = serde_json::from_slice::<JwkSet>(input) else { return };
        let Ok(verifier) = Verifier::new("http://authy.test", "authy", Duration::from_secs(900), &set.keys) else {
            return;
        };
        let genuine = &KNOWN.key;
        let has_genuine = set.keys.iter().any(|key| key.x == genuine.x && key.alg == genuine.alg);
        // A token is good only by the key that signed it, whatever else is in the set.
        assert!(has_genuine || verifier.verify(&KNOWN.token).is_err());
        let written = serde_json::to_vec(&set).unwrap();
        assert_eq!(serde_json::from_slice::<JwkSet>(&written).unwrap().keys, set.keys);
    },
    seeds: || {
        let key = serde_json::to_string(&KNOWN.key).unwrap();
        let ec = r#"{"kty":"EC","kid":"e","use":"sig","alg":"ES256","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;
        let rsa = r#"{"kty":"RSA","kid":"r","use":"sig","alg":"RS256","n":"3w","e":"AQAB"}"#;
        [format!(r#"{{"keys":[{key}]}}"#), format!(r#"{{"keys":[{key},{ec},{rsa}]}}"#), r#"{"keys":[]}"#.to_owned()]
            .map(String::into_bytes)
            .into()
    },
    words: &[
        "{\"keys\":[",
        "]}",
        "{",
        "}",
        ",",
        "\"kty\":\"OKP\"",
        "\"alg\":\"RS256\"",
        "\"alg\":\"none\"",
        "\"kid\":\"",
        "\"x\":\"",
        "\"n\":\"",
        "\"e\":\"AQAB\"",
        "null",
        "AAAA",
        "=",
        "\"",
    ],
    dearest: |length| {
        let genuine = serde_json::to_string(&KNOWN.key).unwrap();
        let rsa = |part: &str| {
            format!(r#"{{"keys":[{{"kty":"RSA","kid":"r","use":"sig","alg":"RS256","n":"{part}","e":"AQAB"}}]}}"#)
        };
        let exponent = format!(
            r#"{{"keys":[{{"kty":"RSA","kid":"r","use":"sig","alg":"RS256","n":"_{}","e":"{}"}}]}}"#,
            "A".repeat(length / 2),
            "_".repeat(length / 2)
        );
        let many = super::numbered(length, |n| format!("{},", genuine.replace(&KNOWN.key.kid, &n.to_string())));
        vec![
            rsa(&"_".repeat(length)).into(),
            exponent.into(),
            format!(r#"{{"keys":[{}]}}"#, many.trim_end_matches(',')).into(),
        ]
    },
};
