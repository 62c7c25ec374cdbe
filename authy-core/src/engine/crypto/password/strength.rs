//! How easily a password is guessed, as zxcvbn estimates it.

use zeroize::Zeroizing;
use zxcvbn::matching::{Match, patterns::MatchPattern};

use crate::{
    Error, ErrorKind, Result,
    error::{Feedback, Strength},
};

/// The least score a password may have: zxcvbn's "safely unguessable", 10^8 guesses and more.
const MINIMUM_SCORE: u8 = 3;

/// What a guesser would try first, because it is known about the user.
#[derive(Clone, Debug)]
pub(in crate::engine) struct UserInputs {
    /// The user's name.
    pub(in crate::engine) username: String,
    /// The user's email.
    pub(in crate::engine) email: String,
}

/// zxcvbn's time explodes with the length: half a second for 100 characters, 40 ms for 32. A password whose first 32
/// characters are weak is judged weak, which is a mistake to the safe side.
const JUDGED_CHARS: usize = 32;

/// What is known to everybody is weak, whatever it looks like.
const BREACHED: &str = "This password is on a list of breached passwords.";

/// That a password is strong enough for its user, and not on a list of breached ones: those that are most common, which zxcvbn
/// knows by itself, or a longer list that it was looked for on.
pub(super) fn require(password: &str, inputs: &UserInputs, is_breached: bool) -> Result<()> {
    let (mut strength, is_common) = estimate(password, inputs);
    if is_common || is_breached {
        strength.feedback.warning = Some(BREACHED.to_owned());
        let error = Error::new(ErrorKind::WeakPassword, "this password is on a list of breached passwords");
        return Err(error.with_strength(strength));
    }
    match strength.score < MINIMUM_SCORE {
        true => Err(Error::new(ErrorKind::WeakPassword, "this password is too easy to guess").with_strength(strength)),
        false => Ok(()),
    }
}

/// Estimates the strength of a password, and whether it is one of the most common. Takes up to 40 ms.
fn estimate(password: &str, inputs: &UserInputs) -> (Strength, bool) {
    let end = password.char_indices().nth(JUDGED_CHARS).map_or(password.len(), |(index, _)| index);
    let judged = Zeroizing::new(password.get(..end).unwrap_or_default().to_owned());
    let local_part = inputs.email.rsplit_once('@').map_or("", |(local_part, _)| local_part);
    let estimate = zxcvbn::zxcvbn(&judged, &[&inputs.username, &inputs.email, local_part, "authy"]);
    let strength = Strength {
        score: estimate.score().into(),
        guesses: estimate.guesses(),
        feedback: Feedback {
            warning: estimate.feedback().and_then(|feedback| feedback.warning()).map(|warning| warning.to_string()),
            suggestions: estimate
                .feedback()
                .map(|feedback| feedback.suggestions().iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
        },
    };
    (strength, is_common(estimate.sequence()))
}

/// Whether all of it is one of the 30,000 most common breached passwords, in any case, backwards or with digits for letters.
///
/// That list is the crate's secret, but what it matched is not: a password on it is matched as a whole, since no other reading
/// takes fewer guesses, or it is weaker still. A list of our own would be the same one a second time.
fn is_common(sequence: &[Match]) -> bool {
    let [Match { pattern: MatchPattern::Dictionary(found), .. }] = sequence else { return false };
    // The type of the name cannot be named outside of the crate.
    format!("{:?}", found.dictionary_name) == "Passwords"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn score(password: &str) -> u8 {
        estimate(password, &inputs()).0.score
    }

    fn inputs() -> UserInputs {
        UserInputs { username: "kvothe-arliden".to_owned(), email: "edema.ruh77@university.example".to_owned() }
    }

    #[test]
    fn a_common_password_is_weak_and_says_why() {
        let (strength, is_common) = estimate("password1", &inputs());
        assert!(is_common);
        assert!(strength.score < MINIMUM_SCORE);
        assert!(strength.feedback.warning.is_some());
        assert!(!strength.feedback.suggestions.is_empty());
    }

    #[test]
    fn unrelated_words_are_strong() {
        assert!(score("correct horse battery staple") >= MINIMUM_SCORE);
    }

    #[test]
    fn what_is_known_about_the_user_is_weak() {
        for password in ["kvothe-arliden", "edema.ruh77@university.example", "edema.ruh77", "edema.ruh77authy"] {
            assert!(score(password) < MINIMUM_SCORE, "{password}");
            let stranger = UserInputs { username: String::new(), email: String::new() };
            assert!(estimate(password, &stranger).0.guesses > estimate(password, &inputs()).0.guesses, "{password}");
        }
    }

    #[test]
    fn what_everybody_knows_is_weak_however_strong_it_looks() {
        let stranger = UserInputs { username: String::new(), email: String::new() };
        // Enough of capitals for a score that would do.
        assert!(score("wEiHnAcHtSbAuM") >= MINIMUM_SCORE);
        for password in ["password1", "PASSWORD1", "trustno1", "p4ssw0rd", "1drowssap", "wEiHnAcHtSbAuM"] {
            assert!(is_common_of(password), "{password}");
            let error = require(password, &stranger, false).unwrap_err();
            assert_eq!(error.strength().unwrap().feedback.warning.as_deref(), Some(BREACHED));
        }
        let strong = "correct horse battery staple";
        assert!(!is_common_of(strong) && require(strong, &stranger, false).is_ok());
        let error = require(strong, &stranger, true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WeakPassword);
        assert_eq!(error.strength().unwrap().feedback.warning.as_deref(), Some(BREACHED));
    }

    fn is_common_of(password: &str) -> bool {
        estimate(password, &UserInputs { username: String::new(), email: String::new() }).1
    }

    #[test]
    fn only_the_beginning_is_judged() {
        let beginning = "a".repeat(JUDGED_CHARS);
        let strength = estimate(&format!("{beginning}xK9#mQ2$vL7!"), &inputs());
        assert_eq!(strength, estimate(&beginning, &inputs()));
    }

    proptest! {
        #[test]
        fn every_text_has_a_strength(password: String, username: String, email: String) {
            let inputs = UserInputs { username, email };
            prop_assert!(estimate(&password, &inputs).0.score <= 4);
        }
    }
}
