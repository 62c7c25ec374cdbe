//! The strength of passwords, as zxcvbn estimates it.

use zeroize::Zeroizing;
use zxcvbn::matching::{Match, patterns::MatchPattern};

use crate::{
    Error, ErrorKind, Invalid, Result,
    error::{Feedback, Strength},
};

/// Minimum score of a password: zxcvbn's "safely unguessable", at least 10^8 guesses.
const MINIMUM_SCORE: u8 = 3;

/// Data about the user that an attacker would try first.
#[derive(Clone, Debug)]
pub(in crate::engine) struct UserInputs {
    /// The user's name.
    pub(in crate::engine) username: String,
    /// The user's email.
    pub(in crate::engine) email: String,
}

/// Maximum length that is analyzed, because zxcvbn's time grows very fast: 40 ms for 32 characters, half a second
/// for 100. A password whose first 32 characters are weak counts as weak, which errs on the safe side.
const MAX_ANALYZED_CHARS: usize = 32;

/// A known password is weak, regardless of its estimate.
const BREACHED_WARNING: &str = "This password is on a list of breached passwords.";

/// Checks that a password is strong enough for its user, and not breached: neither among the most common passwords,
/// which zxcvbn contains, nor in the longer list (`is_breached`).
pub(super) fn require(password: &str, inputs: &UserInputs, is_breached: bool) -> Result<()> {
    let (mut strength, is_common) = estimate(password, inputs);
    if is_common || is_breached {
        strength.feedback.warning = Some(BREACHED_WARNING.to_owned());
        return Err(weak("this password is on a list of breached passwords", strength));
    }
    match strength.score < MINIMUM_SCORE {
        true => Err(weak("this password is too easy to guess", strength)),
        false => Ok(()),
    }
}

fn weak(why: &'static str, strength: Strength) -> Error {
    let field = Invalid::new(ErrorKind::WeakPassword.code(), why).of("password");
    Error::new(ErrorKind::WeakPassword, why).with_field(field).with_strength(strength)
}

/// Estimates the strength of a password, and whether it is one of the most common ones. Takes up to 40 ms.
fn estimate(password: &str, inputs: &UserInputs) -> (Strength, bool) {
    let end = password.char_indices().nth(MAX_ANALYZED_CHARS).map_or(password.len(), |(index, _)| index);
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

/// Returns whether the whole password is one of the 30,000 most common breached ones, in any case, backwards or with
/// digits for letters.
///
/// The crate's list is private, but its matches are not: a password on the list is matched as a whole, because no other
/// match needs fewer guesses, unless it is even weaker. A list of our own would only be a copy.
fn is_common(sequence: &[Match]) -> bool {
    let [Match { pattern: MatchPattern::Dictionary(found), .. }] = sequence else { return false };
    // The type of this field is private to the crate.
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
    fn passwords_made_of_the_users_data_are_weak() {
        for password in ["kvothe-arliden", "edema.ruh77@university.example", "edema.ruh77", "edema.ruh77authy"] {
            assert!(score(password) < MINIMUM_SCORE, "{password}");
            let unrelated = UserInputs { username: String::new(), email: String::new() };
            assert!(estimate(password, &unrelated).0.guesses > estimate(password, &inputs()).0.guesses, "{password}");
        }
    }

    #[test]
    fn common_passwords_are_weak_even_with_a_high_score() {
        let unrelated = UserInputs { username: String::new(), email: String::new() };
        // Enough capitals to reach the minimum score.
        assert!(score("wEiHnAcHtSbAuM") >= MINIMUM_SCORE);
        for password in ["password1", "PASSWORD1", "trustno1", "p4ssw0rd", "1drowssap", "wEiHnAcHtSbAuM"] {
            assert!(is_common_of(password), "{password}");
            let error = require(password, &unrelated, false).unwrap_err();
            assert_eq!(error.strength().unwrap().feedback.warning.as_deref(), Some(BREACHED_WARNING));
        }
        let strong = "correct horse battery staple";
        assert!(!is_common_of(strong) && require(strong, &unrelated, false).is_ok());
        let error = require(strong, &unrelated, true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WeakPassword);
        assert_eq!(error.strength().unwrap().feedback.warning.as_deref(), Some(BREACHED_WARNING));
    }

    fn is_common_of(password: &str) -> bool {
        estimate(password, &UserInputs { username: String::new(), email: String::new() }).1
    }

    #[test]
    fn only_the_beginning_is_judged() {
        let beginning = "a".repeat(MAX_ANALYZED_CHARS);
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
