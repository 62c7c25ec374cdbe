//! The rules for names, and the form in which names are compared.

use std::borrow::Cow;

use icu_casemap::CaseMapperBorrowed;
use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{
    CodePointSetData,
    props::{
        CanonicalCombiningClass, DefaultIgnorableCodePoint, EnumeratedProperty as _, GeneralCategory,
        GeneralCategoryGroup, IndicSyllabicCategory, JoiningType,
    },
};
use unicode_script::Script;
use unicode_security::mixed_script::AugmentedScriptSet;

/// Maximum number of characters that canonical composition can combine into one (Unicode 16, UAX #15, table of
/// expansion factors).
pub(super) const COMPOSED: usize = 4;

/// Zero width non-joiner and zero width joiner.
const JOINERS: [char; 2] = [NON_JOINER, '\u{200d}'];
const NON_JOINER: char = '\u{200c}';

/// Returns the compatibility form of a name of one word, or the reason why it is not a valid name.
pub(super) fn word(text: &str) -> Result<String, &'static str> {
    checked(text, &['.', '_', '-'], "must have only letters and digits of any script, and . _ -")
}

/// Returns the compatibility form of a name of one or more words with single spaces between them, or the reason why it
/// is not a valid name.
pub(super) fn words(text: &str) -> Result<String, &'static str> {
    let characters = "must have only letters and digits of any script, . _ - and single spaces between them";
    checked(text, &['.', '_', '-', ' '], characters)
}

/// Returns the compatibility form of a name, which may have these characters beside letters, marks and digits.
fn checked(text: &str, others: &[char], characters: &'static str) -> Result<String, &'static str> {
    const LENGTH: &str = "must have 3 to 50 characters";
    // Checked before any computation, so that the length of the text limits the work.
    if text.chars().nth(50 * COMPOSED).is_some() {
        return Err(LENGTH);
    }
    let name = nfkc(text);
    let shown = name.chars().filter(|c| !JOINERS.contains(c)).count();
    if shown < 3 || name.chars().count() > 50 {
        return Err(LENGTH);
    }
    let is_allowed = |c| others.contains(&c) || JOINERS.contains(&c) || is_letter_mark_or_digit(c);
    if !name.chars().all(is_allowed) || name.split(' ').any(str::is_empty) {
        return Err(characters);
    }
    // A combining mark needs a base character. At the start it would attach to the text that a page prints before the
    // name.
    if name.split(' ').any(|word| word.starts_with(is_mark)) {
        return Err("must not start with a combining mark");
    }
    if !joiners_are_in_place(&name) {
        return Err("must have joiners only where they change how letters are joined");
    }
    if !is_of_one_language(&name) {
        return Err("must not mix scripts that no language mixes");
    }
    Ok(name.into_owned())
}

/// Returns the form used for comparison: case-folded, in NFKC, and without joiners, which change how a name looks but
/// not how it is read.
pub(super) fn key(name: &str) -> String {
    match name.contains(JOINERS) {
        false => caseless(name),
        true => caseless(&name.replace(JOINERS, "")),
    }
}

/// Returns the caseless form for identifiers (Unicode 3.13, D146): NFKC and case folding, repeated until nothing
/// changes.
pub(crate) fn caseless(text: &str) -> String {
    let mapper = const { CaseMapperBorrowed::new() };
    let mut folded = nfkc(text).into_owned();
    loop {
        let again = nfkc(&mapper.fold_string(&folded)).into_owned();
        if again == folded {
            return folded;
        }
        folded = again;
    }
}

fn nfkc(text: &str) -> Cow<'_, str> {
    const { ComposingNormalizerBorrowed::new_nfkc() }.normalize(text)
}

fn is_letter_mark_or_digit(c: char) -> bool {
    // Unicode classifies invisible characters (variation selectors, fillers) as letters or marks. With them, two
    // different names would look the same.
    !is_ignorable(c) && (is_letter(c) || is_mark(c) || GeneralCategory::for_char(c) == GeneralCategory::DecimalNumber)
}

fn is_letter(c: char) -> bool {
    GeneralCategoryGroup::Letter.contains(GeneralCategory::for_char(c))
}

pub(super) fn is_mark(c: char) -> bool {
    matches!(GeneralCategory::for_char(c), GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark)
}

pub(super) fn is_ignorable(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// Returns whether the scripts of a name belong to one writing system, or to Latin and Chinese, Japanese or Korean: the
/// level "highly restrictive" of UTS 39, section 5.2. Scripts that are not in wide use are accepted, because people
/// write in them.
fn is_of_one_language(name: &str) -> bool {
    let (mut all, mut but_latin) = (AugmentedScriptSet::default(), AugmentedScriptSet::default());
    for c in name.chars() {
        let scripts = AugmentedScriptSet::for_char(c);
        all.intersect_with(scripts);
        if !scripts.base.contains_script(Script::Latin) {
            but_latin.intersect_with(scripts);
        }
    }
    !all.is_empty() || but_latin.hanb || but_latin.jpan || but_latin.kore
}

/// Returns whether every joiner is at a position where it can change how letters are joined (UAX 31, section 2.3: A1,
/// A2, B).
fn joiners_are_in_place(name: &str) -> bool {
    if !name.contains(JOINERS) {
        return true;
    }
    let chars: Vec<char> = name.chars().collect();
    (0..chars.len()).all(|place| match chars.split_at_checked(place) {
        Some((before, [joiner, after @ ..])) if JOINERS.contains(joiner) => {
            let in_conjunct = match *joiner {
                NON_JOINER => after.iter().find(|c| !is_reordered_mark(**c)).is_some_and(|c| is_letter(*c)),
                _ => after
                    .first()
                    .is_none_or(|c| IndicSyllabicCategory::for_char(*c) != IndicSyllabicCategory::VowelDependent),
            };
            ends_in_virama(before) && in_conjunct || *joiner == NON_JOINER && breaks_a_join(before, after)
        }
        _ => true,
    })
}

/// Returns whether the text ends in a letter with a virama, followed only by marks that can be reordered after the
/// virama.
fn ends_in_virama(before: &[char]) -> bool {
    let is_nonspacing = |c: char| GeneralCategory::for_char(c) == GeneralCategory::NonspacingMark;
    let is_virama = |c: char| CanonicalCombiningClass::for_char(c) == CanonicalCombiningClass::Virama;
    let mut marks = before.iter().rev().skip_while(|c| is_reordered_mark(**c) && !is_virama(**c));
    marks.next().is_some_and(|c| is_virama(*c)) && marks.find(|c| !is_nonspacing(**c)).is_some_and(|c| is_letter(*c))
}

fn is_reordered_mark(c: char) -> bool {
    CanonicalCombiningClass::for_char(c) != CanonicalCombiningClass::NotReordered
        && GeneralCategory::for_char(c) == GeneralCategory::NonspacingMark
}

/// Returns whether the letters on both sides would be joined without the non-joiner.
fn breaks_a_join(before: &[char], after: &[char]) -> bool {
    let joining = |c: &char| JoiningType::for_char(*c);
    let is_transparent = |c: &&char| joining(c) == JoiningType::Transparent;
    let left = before.iter().rev().find(|c| !is_transparent(c)).map(joining);
    let right = after.iter().find(|c| !is_transparent(c)).map(joining);
    matches!(left, Some(JoiningType::DualJoining | JoiningType::LeftJoining))
        && matches!(right, Some(JoiningType::DualJoining | JoiningType::RightJoining))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Username;

    fn key(name: &str) -> String {
        name.parse::<Username>().map(|name| name.key()).unwrap_or_else(|why| panic!("{name}: {why}"))
    }

    #[test]
    fn names_that_look_the_same_are_the_same() {
        assert_eq!(key("Ada"), key("ADA"));
        assert_eq!(key("ﬁona"), key("FIONA"), "a ligature");
        assert_eq!(key("Ａｄａ"), key("ada"), "full-width letters");
        assert_eq!(key("e\u{301}mile"), key("Émile"), "composed and decomposed");
        assert_eq!(key("Σίσυφος"), key("ΣΊΣΥΦΟΣ"), "the final sigma");
        assert_eq!(key("straße"), key("STRASSE"));
    }

    #[test]
    fn letters_of_any_script_are_letters() {
        for name in ["Ольга", "李小龍", "देवनागरी", "عائشة", "𞤀𞤣𞤤𞤢𞤥", "ada.lovelace-1815_"]
        {
            assert!(name.parse::<Username>().is_ok(), "{name}");
        }
    }

    #[test]
    fn invalid_names_are_refused() {
        let long = "a".repeat(51);
        for name in
            ["", "ab", &long, "ada lovelace", "ada\0", "ada/b", "😀😀😀", "\u{301}ada", "ad\u{200d}a", "ada\u{fe0f}"]
        {
            assert!(name.parse::<Username>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn only_the_name_of_a_role_has_spaces_and_only_between_its_words() {
        use crate::RoleName;
        let named = |text: &str| text.parse::<RoleName>().map(String::from);
        assert_eq!(named("Mega Guest of all"), Ok("Mega Guest of all".to_owned()));
        assert_eq!(named("mega\u{a0}guest"), Ok("mega guest".to_owned()), "a no-break space in NFKC");
        assert_eq!(
            named("ночной сторож").map(|name| name.parse::<RoleName>().unwrap().key()),
            Ok("ночной сторож".to_owned())
        );
        for name in
            [" mega guest", "mega guest ", "mega  guest", "mega\tguest", "mega \u{301}guest", "   ", "a \u{200d}b"]
        {
            assert!(named(name).is_err(), "{name:?}");
        }
        assert!("mega guest".parse::<Username>().is_err());
    }

    #[test]
    fn a_joiner_stands_where_it_changes_how_letters_are_joined_and_makes_no_other_name() {
        for (name, same) in [
            ("علی\u{200c}رضا", "علیرضا"),
            ("حسین\u{200c}آبادی", "حسینآبادی"),
            ("क्\u{200d}षमा", "क्षमा"),
            ("क्\u{200c}षमा", "क्षमा"),
            ("ප්\u{200d}රේමදාස", "ප්රේමදාස"),
            ("ശ്രീജന്\u{200d}", "ശ്രീജന്"),
        ] {
            assert_eq!(key(name), key(same));
            assert_eq!(name.parse::<Username>().unwrap().as_str(), name, "it is shown as it is written");
        }
        for name in [
            "\u{200c}علی",
            "علی\u{200c}",
            "علی\u{200d}رضا",
            "داوود\u{200c}علی",
            "علی\u{200c}\u{200c}رضا",
            "ada\u{200c}lovelace",
            "क\u{200d}षमा",
            "क्\u{200d}\u{200d}षमा",
            "क्\u{200d}ाषमा",
            "्\u{200d}षमा",
            "क्\u{200c}-षमा",
            "ক্\u{200d}",
            "علی\u{200b}رضا",
        ] {
            assert!(name.parse::<Username>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn scripts_that_no_language_mixes_are_not_mixed() {
        for name in ["аdmin", "раypal", "αpple", "Ольга-ada", "adaשלום", "カナ한글", "ひらがなㄅㄆ", "Аλφα", "aдa"]
        {
            assert!(name.parse::<Username>().is_err(), "{name}");
        }
        for name in
            ["Tanaka田中さん", "カタカナ漢字", "ㄅㄆㄇ漢字abc", "한글漢字abc", "Ірина2001", "عائشة٣", "عائشة3", "123"]
        {
            let parsed = name.parse::<Username>();
            assert!(parsed.is_ok(), "{name}: {parsed:?}");
        }
    }

    #[test]
    fn a_name_of_any_length_takes_little_time() {
        // 18 characters each in NFKC, four characters that become one, and marks that have to be sorted.
        let worst = ["\u{fdfa}", "\u{1f82}", "a\u{301}\u{323}\u{328}\u{345}", "क्\u{200d}", "\u{1d160}"];
        for text in worst.map(|part| part.repeat(20_000)) {
            let short: String = text.chars().take(50).collect();
            // The fastest of several runs, because other programs share the machine.
            let fastest = (0..5).map(|_| {
                let begun = std::time::Instant::now();
                for text in [text.as_str(), short.as_str()] {
                    let _ = text.parse::<Username>().map(|name| name.key());
                    let _ = Username::existing(text).map(|name| name.key());
                }
                begun.elapsed()
            });
            let fastest = fastest.min().unwrap();
            assert!(fastest < std::time::Duration::from_millis(20), "{fastest:?} for {short}");
        }
    }

    proptest! {
        #[test]
        fn a_name_survives_its_own_spelling_and_its_key_is_stable(text in "\\PC{0,60}") {
            if let Ok(name) = text.parse::<Username>() {
                let again = name.as_str().parse::<Username>();
                prop_assert_eq!(again.as_ref(), Ok(&name));
                prop_assert_eq!(caseless(&name.key()), name.key());
            }
        }

        #[test]
        fn ascii_names_of_the_right_length_are_names(text in "[A-Za-z0-9._-]{3,50}") {
            prop_assert!(text.parse::<Username>().is_ok());
            prop_assert_eq!(key(&text), text.to_ascii_lowercase());
        }
    }
}
