//! How easily a password is guessed, as zxcvbn estimates it.

use zeroize::Zeroizing;

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

/// That a password is strong enough for its user.
pub(super) fn require(password: &str, inputs: &UserInputs) -> Result<()> {
    let strength = estimate(password, inputs);
    match strength.score < MINIMUM_SCORE {
        true => Err(Error::new(ErrorKind::WeakPassword, "this password is too easy to guess").strength_of(strength)),
        false => Ok(()),
    }
}

/// Estimates the strength of a password. Takes up to 40 ms.
fn estimate(password: &str, inputs: &UserInputs) -> Strength {
    let end = password.char_indices().nth(JUDGED_CHARS).map_or(password.len(), |(index, _)| index);
    let judged = Zeroizing::new(password.get(..end).unwrap_or_default().to_owned());
    let local_part = inputs.email.rsplit_once('@').map_or("", |(local_part, _)| local_part);
    let estimate = zxcvbn::zxcvbn(&judged, &[&inputs.username, &inputs.email, local_part, "authy"]);
    Strength {
        score: estimate.score().into(),
        guesses: estimate.guesses(),
        feedback: Feedback {
            warning: estimate.feedback().and_then(|feedback| feedback.warning()).map(|warning| warning.to_string()),
            suggestions: estimate
                .feedback()
                .map(|feedback| feedback.suggestions().iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn score(password: &str) -> u8 {
        estimate(password, &inputs()).score
    }

    fn inputs() -> UserInputs {
        UserInputs { username: "kvothe-arliden".to_owned(), email: "edema.ruh77@university.example".to_owned() }
    }

    #[test]
    fn a_common_password_is_weak_and_says_why() {
        let strength = estimate("password1", &inputs());
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
            assert!(estimate(password, &stranger).guesses > estimate(password, &inputs()).guesses, "{password}");
        }
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
            prop_assert!(estimate(&password, &inputs).score <= 4);
        }
    }
}
