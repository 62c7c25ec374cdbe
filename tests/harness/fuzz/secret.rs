//! Secrets that a caller carries and we recognize: refresh tokens, one-time codes and device tokens.

use std::sync::LazyLock;

use authy_core::{
    SessionId,
    engine::{
        MasterKeys,
        fuzz::{SecretReader, device_token},
    },
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use uuid::Uuid;

use super::FuzzTarget;

static READER: LazyLock<SecretReader> = LazyLock::new(|| {
    // Any that is not all one byte, which is refused.
    let key: Vec<u8> = (0..32).collect();
    let keys = MasterKeys::parse(&BASE64_STANDARD.encode(key)).unwrap();
    SecretReader::new(&keys).unwrap()
});

const WORDS: &[&str] = &[
    ".",
    "..",
    "-",
    "+1",
    ".+1.",
    ".007.",
    "18446744073709551615",
    "00000000-0000-4000-8000-000000000000",
    "AAAA",
    "=",
    "é",
];

fn refresh_token(generation: u64) -> String {
    let session = SessionId::from(Uuid::from_u128(3));
    READER.refresh_token(session, generation).expose().to_owned()
}

pub(super) const REFRESH_TOKEN: FuzzTarget = FuzzTarget {
    name: "refresh_token",
    run: |input| {
        let text = String::from_utf8_lossy(input);
        if let Some((session, generation)) = READER.read_refresh_token(&text) {
            // A token has one spelling, the one it was issued in.
            assert_eq!(READER.refresh_token(session, generation).expose(), text);
        }
    },
    seeds: || [1, 42, u64::MAX].map(|generation| refresh_token(generation).into_bytes()).into(),
    words: WORDS,
    dearest: |length| {
        let session = SessionId::from(Uuid::from_u128(3));
        let digits = "9".repeat(length);
        vec![format!("{session}.{digits}.AAAA").into(), format!("{session}.1.{}", "A".repeat(length)).into()]
    },
};

pub(super) const CODE: FuzzTarget = FuzzTarget {
    name: "code",
    run: |input| {
        let text = String::from_utf8_lossy(input);
        if let Some(id) = READER.read_code(&text) {
            assert_eq!(READER.code(id).expose(), text);
        }
    },
    seeds: || [0, 1, u128::MAX].map(|id| READER.code(Uuid::from_u128(id)).expose().as_bytes().to_vec()).into(),
    words: WORDS,
    dearest: |length| vec!["A".repeat(length).into(), format!("{}{}", "A".repeat(22), "é".repeat(length / 2)).into()],
};

pub(super) const DEVICE_TOKEN: FuzzTarget = FuzzTarget {
    name: "device_token",
    run: |input| {
        let text = String::from_utf8_lossy(input);
        if let Some((device, expires, mac)) = device_token(&text) {
            assert_eq!(format!("{device}.{expires}.{mac}"), text, "another spelling of one token");
            assert!(text.len() <= 200);
        }
    },
    seeds: || {
        let mac = "A".repeat(43);
        ["1793000000", "0", "18446744073709551615"]
            .map(|expires| format!("AbCdEfGhIjKlMnOp.{expires}.{mac}").into())
            .into()
    },
    words: WORDS,
    dearest: |length| vec![format!("a.{}.b", "9".repeat(length)).into(), ".".repeat(length).into()],
};
