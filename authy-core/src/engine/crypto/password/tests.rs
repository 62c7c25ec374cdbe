//! Passwords as their callers see them.

use proptest::prelude::*;

use super::{format::UnusableHash, *};
use crate::ErrorKind;

const SMALL: &str = "m=8,t=1,p=1";

fn start(params: &str, peppers: Vec<Pepper>) -> Result<Passwords> {
    let config = HashConfig { threads: 1, queue: 8, argon2: params.parse().unwrap() };
    let current = Arc::new(Argon2id::new(config.argon2, peppers)?);
    Ok(Passwords { hasher: Hasher::start(&config)?, current, breached: None })
}

fn passwords(params: &str, peppers: &[u8]) -> Passwords {
    start(params, peppers.iter().map(|&n| Pepper::new([n; 4], Zeroizing::new([n; 32]))).collect()).unwrap()
}

fn secret(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

fn inputs() -> UserInputs {
    UserInputs { username: "wren".to_owned(), email: "wren@example.org".to_owned() }
}

/// Returns the result, and the number of argon2 hashes that it cost.
async fn verify_counting(passwords: &Passwords, password: &str, stored: Option<&str>) -> (Verdict, u64) {
    let before = passwords.hasher.hashes();
    let verdict = passwords.verify(HashRequester::default(), &Secret::from(password), stored).await.unwrap();
    (verdict, passwords.hasher.hashes() - before)
}

fn replaced(verdict: Verdict) -> String {
    match verdict {
        Verdict::MatchButOutdated { new_phc } => new_phc,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_new_hash_is_a_phc_string_of_today_and_matches_its_password_only() {
    let passwords = passwords("m=19456,t=2,p=1", &[]);
    let phc = passwords.hash(HashRequester::default(), secret("tr0ub4dor & 3")).await.unwrap();
    assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
    assert_eq!(verify_counting(&passwords, "tr0ub4dor & 3", Some(&phc)).await, (Verdict::Match, 1));
    assert_eq!(verify_counting(&passwords, "tr0ub4dor & 4", Some(&phc)).await, (Verdict::Mismatch, 1));
    assert_ne!(passwords.hash(HashRequester::default(), secret("tr0ub4dor & 3")).await.unwrap(), phc);
}

#[tokio::test]
async fn a_hash_for_the_first_authy_waits_for_every_caller() {
    let passwords = Arc::new(passwords(SMALL, &[1]));
    let background = tokio::spawn({
        let passwords = Arc::clone(&passwords);
        async move { passwords.hash_for_fallback(Secret::from("tangerine")).await.unwrap() }
    });
    // On the only thread, after each other: each of them is done before the rest of that hash.
    for _ in 0..5 {
        passwords.hash(HashRequester::default(), secret("lighthouse")).await.unwrap();
        assert!(!background.is_finished());
    }
    let hash = background.await.unwrap();
    assert_eq!(verify_counting(&passwords, "tangerine", Some(hash.expose())).await.1, 1);
    assert!(hash.expose().starts_with("pbkdf2:sha256:600000$"));
}

#[tokio::test]
async fn an_unknown_user_costs_one_hash_like_a_known_one() {
    let passwords = passwords(SMALL, &[1]);
    assert_eq!(verify_counting(&passwords, "anything", None).await, (Verdict::Mismatch, 1));
}

#[tokio::test]
async fn forms_of_a_password_are_tried_in_order_and_an_unknown_user_costs_as_many_hashes() {
    let passwords = passwords(SMALL, &[1]);
    let stored = passwords.hash(HashRequester::default(), secret("second")).await.unwrap();
    let count = async |forms: [&str; 2], stored: Option<&str>| {
        let before = passwords.hasher.hashes();
        let forms = forms.map(Secret::from);
        let verdict = passwords.verify_any(HashRequester::default(), &forms.each_ref(), stored, || ()).await.unwrap();
        (verdict, passwords.hasher.hashes() - before)
    };
    assert_eq!(count(["first", "second"], Some(&stored)).await, (Verdict::Match, 2));
    assert_eq!(count(["second", "third"], Some(&stored)).await, (Verdict::Match, 1));
    for stored in [Some(&*stored), Some("unreadable"), None] {
        assert_eq!(count(["first", "third"], stored).await, (Verdict::Mismatch, 2), "{stored:?}");
    }
}

#[tokio::test]
async fn unreadable_and_too_expensive_hashes_match_nothing_and_cost_one_hash() {
    let passwords = passwords(SMALL, &[1]);
    let huge = "$argon2id$v=19$m=4294967295,t=9,p=1$MDEyMzQ1Njc4OWFiY2RlZg$ag6UM1k3HVQdoYmRRrOntTL7iHPYTv/Ugw8TUS3YOmo";
    for stored in ["", "!", "plain$text", "$argon2id$v=19$m=8,t=1,p=1$$", huge] {
        assert_eq!(verify_counting(&passwords, "", Some(stored)).await, (Verdict::Mismatch, 1), "{stored}");
    }
}

#[tokio::test]
async fn other_parameters_are_verified_and_replaced_in_the_same_job() {
    let stored = passwords("m=64,t=2,p=2", &[]).hash(HashRequester::default(), secret("old")).await.unwrap();
    let current = passwords(SMALL, &[]);
    assert_eq!(verify_counting(&current, "wrong", Some(&stored)).await, (Verdict::Mismatch, 1));
    let (verdict, hashes) = verify_counting(&current, "old", Some(&stored)).await;
    assert_eq!(hashes, 2);
    let replaced = replaced(verdict);
    assert!(replaced.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{replaced}");
    assert_eq!(verify_counting(&current, "old", Some(&replaced)).await, (Verdict::Match, 1));
}

#[tokio::test]
async fn a_pepper_is_introduced_and_rotated_by_logins() {
    let bare = passwords(SMALL, &[]).hash(HashRequester::default(), secret("pass")).await.unwrap();
    let first = passwords(SMALL, &[1]);
    let peppered = replaced(first.verify(HashRequester::default(), &Secret::from("pass"), Some(&bare)).await.unwrap());
    assert!(peppered.contains(",keyid="), "{peppered}");
    assert_eq!(
        first.verify(HashRequester::default(), &Secret::from("pass"), Some(&peppered)).await.unwrap(),
        Verdict::Match
    );

    let rotated = passwords(SMALL, &[2, 1]);
    assert_eq!(
        rotated.verify(HashRequester::default(), &Secret::from("wrong"), Some(&peppered)).await.unwrap(),
        Verdict::Mismatch
    );
    let renewed =
        replaced(rotated.verify(HashRequester::default(), &Secret::from("pass"), Some(&peppered)).await.unwrap());
    assert_eq!(
        passwords(SMALL, &[2]).verify(HashRequester::default(), &Secret::from("pass"), Some(&renewed)).await.unwrap(),
        Verdict::Match
    );
}

#[tokio::test]
async fn a_pepper_that_is_not_configured_fails_closed() {
    let stored = passwords(SMALL, &[1]).hash(HashRequester::default(), secret("pass")).await.unwrap();
    for others in [[2].as_slice(), &[]] {
        let error = passwords(SMALL, others)
            .verify(HashRequester::default(), &Secret::from("pass"), Some(&stored))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
    }
    // The pepper is part of the hash: another one with the same key ID does not match.
    let wrong = start(SMALL, vec![Pepper::new([1; 4], Zeroizing::new([9; 32]))]).unwrap();
    assert_eq!(
        wrong.verify(HashRequester::default(), &Secret::from("pass"), Some(&stored)).await.unwrap(),
        Verdict::Mismatch
    );
}

#[test]
fn two_peppers_of_one_key_id_are_refused() {
    let pepper = || Pepper::new([1; 4], Zeroizing::new([1; 32]));
    assert_eq!(start(SMALL, vec![pepper(), pepper()]).unwrap_err().kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn every_kind_of_argon2_hash_is_verified_and_replaced() {
    // From argon2-cffi 25.1.0 in Python. The one without a version is in the format of argon2 1.0; the last is
    // Django's.
    let passwords = passwords(SMALL, &[1]);
    for stored in [
        "$argon2i$v=19$m=64,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$LNlNEy6l1rZZGCSyh+FfDvpdrVwJUc9+T4cmFzwmimk",
        "$argon2d$v=19$m=64,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$iWSx1Q3ClkS4Q7cqVQtsrcbHu7XAkLXA3PszTa9vXaY",
        "$argon2id$v=19$m=64,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$ag6UM1k3HVQdoYmRRrOntTL7iHPYTv/Ugw8TUS3YOmo",
        "$argon2i$v=16$m=64,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$vPKrjdonPSG6yn7Ht17hnj1wcTcYrlCcNoqJypuA/Cg",
        "$argon2i$m=64,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$vPKrjdonPSG6yn7Ht17hnj1wcTcYrlCcNoqJypuA/Cg",
        "$argon2id$v=19$m=64,t=1,p=4$MDEyMzQ1Njc4OWFiY2RlZg$U2c5MAcLP7utCJ8LSI+0K6d/lveUBNdQQQ7Sg/l2AAE",
        "argon2$argon2id$v=19$m=64,t=2,p=2$c2Vhc2FsdDEyMzQ1Njc4OTBhYmNkZQ$rO80Pmr3PTCKauT/THi9yszEGwg7z+nxtmKe2Dfuzis",
    ] {
        assert_eq!(
            passwords.verify(HashRequester::default(), &Secret::from("wrong"), Some(stored)).await.unwrap(),
            Verdict::Mismatch,
            "{stored}"
        );
        let verdict = passwords
            .verify(HashRequester::default(), &Secret::from("pässword with spaces 🔑"), Some(stored))
            .await
            .unwrap();
        assert!(matches!(verdict, Verdict::MatchButOutdated { .. }), "{stored}");
    }
}

#[tokio::test]
async fn a_foreign_hash_is_replaced_by_ours() {
    let stored = "$pbkdf2-sha256$1000$MDEyMzQ1Njc4OWFiY2RlZg$fVUpiN5U8vw0/bNfKCAKIfP7m5Dp6znvi2KMdl4XwXo";
    let passwords = passwords(SMALL, &[1]);
    let replaced = replaced(
        passwords
            .verify(HashRequester::default(), &Secret::from("pässword with spaces 🔑"), Some(stored))
            .await
            .unwrap(),
    );
    assert_eq!(
        passwords
            .verify(HashRequester::default(), &Secret::from("pässword with spaces 🔑"), Some(&replaced))
            .await
            .unwrap(),
        Verdict::Match
    );
    assert_eq!(
        passwords.verify(HashRequester::default(), &Secret::from("wrong"), Some(stored)).await.unwrap(),
        Verdict::Mismatch
    );
}

/// A cheap hash of "pass" by LDAP, and one of a decomposed password by werkzeug.
const SSHA: &str = "{SSHA}Y0inhK117YaH0DaKasW4ha+ijnxzYWx0c2FsdA==";
const DECOMPOSED: &str = "pbkdf2:sha256:1000$salt$72635b42ca494fa5e588180a267c791b0ab1070ca47260065ef80fe1040d9cc4";

#[tokio::test]
async fn a_wrong_password_for_a_foreign_hash_costs_one_argon2_hash_like_an_unknown_user() {
    let passwords = passwords(SMALL, &[1]);
    let wrapped = passwords.wrap(HashRequester::default(), SSHA).await.unwrap().unwrap();
    for stored in [SSHA, &wrapped, "{SSHA}junk", ""] {
        assert_eq!(verify_counting(&passwords, "wrong", Some(stored)).await, (Verdict::Mismatch, 1), "{stored}");
    }
    // The right one gets a new hash, and nothing else.
    let (verdict, hashes) = verify_counting(&passwords, "pass", Some(SSHA)).await;
    assert!(matches!(verdict, Verdict::MatchButOutdated { .. }) && hashes == 1, "{verdict:?} {hashes}");
}

#[tokio::test]
async fn a_foreign_hash_is_of_the_password_as_it_was_received_or_of_its_composed_form() {
    let (composed, decomposed) = ("caf\u{e9} au lait", "cafe\u{301} au lait");
    let passwords = passwords(SMALL, &[1]);
    let of_composed = "pbkdf2:sha256:1000$salt$d6d49cfd9563322063ac7a79ea5d6988ba3b774e14f8442179b2913006195547";
    for (stored, accepted, refused) in [
        (DECOMPOSED, vec![decomposed], vec![composed, "cafe au lait"]),
        (of_composed, vec![composed, decomposed], vec!["cafe au lait"]),
    ] {
        let wrapped = passwords.wrap(HashRequester::default(), stored).await.unwrap().unwrap();
        for stored in [stored, &wrapped] {
            for password in &refused {
                assert_eq!(verify_counting(&passwords, password, Some(stored)).await.0, Verdict::Mismatch, "{stored}");
            }
            for password in &accepted {
                let new = replaced(verify_counting(&passwords, password, Some(stored)).await.0);
                // The new hash is of the composed form, so that both get in from now on.
                for password in [composed, decomposed] {
                    assert_eq!(
                        verify_counting(&passwords, password, Some(&new)).await,
                        (Verdict::Match, 1),
                        "{stored}"
                    );
                }
            }
        }
    }
    // As is argon2 of another program.
    let stored = "$argon2id$v=19$m=64,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$jZjkx55F13LHQnKcabIMRTc71F3ru2tI1WTEUV9FzcI";
    assert!(matches!(verify_counting(&passwords, decomposed, Some(stored)).await.0, Verdict::MatchButOutdated { .. }));
    assert_eq!(verify_counting(&passwords, composed, Some(stored)).await.0, Verdict::Mismatch);
}

#[tokio::test]
async fn a_wrapped_hash_has_no_weak_hash_and_is_replaced_by_ours() {
    let passwords = passwords(SMALL, &[1]);
    let wrap = async |stored| passwords.wrap(HashRequester::default(), stored).await.unwrap();
    let wrapped = wrap(SSHA).await.unwrap();
    assert!(wrapped.starts_with("$authy-wrap$salted-sha1$$") && wrapped.contains(",keyid="), "{wrapped}");
    assert!(!wrapped.contains("Y0inhK117YaH0DaKasW4ha+ijnxzYWx0c2FsdA==".get(..20).unwrap()), "{wrapped}");
    let replaced = replaced(verify_counting(&passwords, "pass", Some(&wrapped)).await.0);
    assert!(replaced.starts_with("$argon2id$"), "{replaced}");
    assert_eq!(verify_counting(&passwords, "pass", Some(&replaced)).await, (Verdict::Match, 1));
    // The weak hash itself is no password.
    for password in [SSHA, "", "wrong"] {
        assert_eq!(verify_counting(&passwords, password, Some(&wrapped)).await.0, Verdict::Mismatch);
    }
    // Nothing else is wrapped: ours, argon2 of others, what is wrapped already, and what is no hash.
    let foreign = "$argon2i$v=19$m=64,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$LNlNEy6l1rZZGCSyh+FfDvpdrVwJUc9+T4cmFzwmimk";
    for stored in [&replaced, &wrapped, foreign, "junk", ""] {
        assert_eq!(wrap(stored).await, None, "{stored}");
    }
    // It depends on the pepper.
    assert_eq!(stored::classify(&wrapped), Err(UnusableHash::Peppered));
    let (other, password) = (self::passwords(SMALL, &[2]), Secret::from("pass"));
    let error = other.verify(HashRequester::default(), &password, Some(&wrapped)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn a_long_wrapped_hash_is_verified() {
    let passwords = passwords(SMALL, &[1]);
    let stored = "pbkdf2:sha256:1000$ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss$561837f7a1f01ca17c4c806f31fff4b42c28e9642bdc7d033bb9411f3563e4a0";
    let wrapped = passwords.wrap(HashRequester::default(), stored).await.unwrap().unwrap();
    assert!(matches!(verify_counting(&passwords, "pass", Some(&wrapped)).await.0, Verdict::MatchButOutdated { .. }));
}

#[tokio::test]
async fn a_weak_password_is_refused_unhashed_and_a_strong_one_comes_back_hashed() {
    let passwords = passwords(SMALL, &[]);
    let error = passwords.admit(HashRequester::default(), secret("wren@example.org"), inputs()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WeakPassword);
    assert!(error.strength().unwrap().score < 3);
    assert_eq!(passwords.hasher.hashes(), 0);
    let phc =
        passwords.admit(HashRequester::default(), secret("correct horse battery staple"), inputs()).await.unwrap();
    let verdict = passwords
        .verify(HashRequester::default(), &Secret::from("correct horse battery staple"), Some(&phc))
        .await
        .unwrap();
    assert_eq!(verdict, Verdict::Match);
}

#[test]
fn nothing_shows_a_hash_or_a_key() {
    let shown = format!(
        "{:?} {:?}",
        Verdict::MatchButOutdated { new_phc: "$argon2id$".to_owned() },
        Pepper::new([1; 4], Zeroizing::new([77; 32])),
    );
    assert!(!shown.contains("argon2id") && !shown.contains("77"), "{shown}");
}

proptest! {
    #[test]
    fn any_stored_text_is_parsed_or_refused_without_a_panic(text: String) {
        let _ = StoredHash::parse(&text);
    }

    #[test]
    fn texts_that_resemble_argon2_are_parsed_or_refused_without_a_panic(
        text in "(argon2)?\\$argon2(i|d|id)?(\\$v=[0-9]{1,4})?\\$(m=[0-9]{0,11},)?t=[0-9]{1,11},p=[0-9]{1,9}(,keyid=[A-Za-z0-9+/]{0,12})?\\$[A-Za-z0-9+/]{0,70}\\$[A-Za-z0-9+/]{0,90}",
    ) {
        let _ = StoredHash::parse(&text);
    }

    #[test]
    fn a_damaged_hash_is_read_or_refused(index in 0_usize..97, byte in 0x20_u8..0x7f) {
        let mut text = *b"$argon2id$v=19$m=64,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$ag6UM1k3HVQdoYmRRrOntTL7iHPYTv/Ugw8TUS3YOmo";
        if let Some(place) = text.get_mut(index) {
            *place = byte;
        }
        let _ = StoredHash::parse(std::str::from_utf8(&text).unwrap());
    }
}
