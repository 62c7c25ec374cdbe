//! The texts of the pages in one language: a TOML file, whose keys name them.

use std::collections::BTreeMap;

use authy_core::{Error, ErrorKind};

/// The table whose keys are sentences of the engine in English, and whose values are those sentences in the language.
const SENTENCES: &str = "sentence.";

/// The texts of the pages in one language, by key: `login.title`.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts(BTreeMap<String, String>);

impl Texts {
    /// Reads a file of texts.
    ///
    /// # Errors
    /// What is wrong with it, with the line.
    pub(super) fn parse(source: &str) -> Result<Self, String> {
        let table: toml::Table = source.parse().map_err(|error: toml::de::Error| error.to_string())?;
        let at =
            |section: &str, name| line_of(source, section, name).map_or(String::new(), |it| format!(" (line {it})"));
        let mut texts = BTreeMap::new();
        for (section, entries) in table {
            let toml::Value::Table(entries) = entries else {
                return Err(format!("{section} must be a table of texts{}", at(&section, None)));
            };
            for (name, value) in entries {
                let toml::Value::String(text) = value else {
                    return Err(format!("{section}.{name} must be a text{}", at(&section, Some(&name))));
                };
                texts.insert(format!("{section}.{name}"), text);
            }
        }
        Ok(Self(texts))
    }

    /// Returns the first key that others do not have.
    pub(super) fn unknown_key(&self, others: &Self) -> Option<&str> {
        self.keys().find(|key| others.find(key).is_none())
    }

    /// Returns the first name in braces that the text of the same key does not have in others, after its key.
    pub(super) fn unknown_placeholder(&self, others: &Self) -> Option<(&str, &str)> {
        self.keys().find_map(|key| {
            let known: Vec<_> = placeholders(others.find(key)?).collect();
            let unknown = placeholders(self.find(key)?).find(|name| !known.contains(name))?;
            Some((key, unknown))
        })
    }

    /// Returns the keys, without the sentences of the engine.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|key| !key.starts_with(SENTENCES))
    }

    /// Returns these texts with others in place of those with the same keys.
    pub(super) fn with(&self, other: Self) -> Self {
        let mut texts = self.0.clone();
        texts.extend(other.0);
        Self(texts)
    }

    /// Returns a text.
    pub(super) fn find(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Returns a text that is there in every language, which a test checks; otherwise its key.
    pub(super) fn get(&self, key: &str) -> String {
        self.find(key).unwrap_or(key).to_owned()
    }

    /// Returns a text with values in place of the names in braces.
    pub(super) fn format(&self, key: &str, values: &[(&str, &str)]) -> String {
        fill(&self.get(key), values)
    }

    /// Returns what the engine says in English as a sentence of this language.
    pub(super) fn sentence(&self, english: &str) -> String {
        let known = self.0.get(&format!("{SENTENCES}{english}"));
        known.cloned().unwrap_or_else(|| {
            let mut characters = english.trim_end_matches('.').chars();
            let first = characters.next().map(char::to_uppercase);
            first.into_iter().flatten().chain(characters).chain(['.']).collect()
        })
    }

    /// Returns what an error says to people.
    pub(super) fn error(&self, error: &Error) -> String {
        let text = match error.kind() {
            // Whether the password was right is told only here, and what to do depends on why.
            ErrorKind::NotValidated => Some(self.sentence(error.detail())),
            kind => self.find(&format!("error.{kind}")).map(str::to_owned),
        };
        text.unwrap_or_else(|| self.get("error.other"))
    }
}

/// Returns the line of a text in the source of its file, counted from 1. Without a name, the line of the section.
pub(super) fn line_of(source: &str, section: &str, name: Option<&str>) -> Option<usize> {
    fn entry<'a, 'i>(
        table: &'a toml::de::DeTable<'i>,
        name: &str,
    ) -> Option<(std::ops::Range<usize>, &'a toml::de::DeValue<'i>)> {
        let (key, value) = table.iter().find(|(known, _)| known.get_ref() == name)?;
        Some((key.span(), value.get_ref()))
    }
    let table = toml::de::DeTable::parse(source).ok()?;
    let (mut place, entries) = entry(table.get_ref(), section)?;
    if let Some(name) = name {
        (place, _) = entry(entries.as_table()?, name)?;
    }
    Some(source.get(..place.start)?.matches('\n').count() + 1)
}

/// Returns the names that a text has in braces.
pub(super) fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}

/// Puts values in place of names in braces.
pub(super) fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let named = after.split_once('}').and_then(|(name, after)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            Some((*value, after))
        });
        match named {
            Some((value, after)) => {
                filled.push_str(value);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_takes_the_place_of_its_name_and_is_not_read_again() {
        let values = [("name", "{count}"), ("count", "3")];
        assert_eq!(fill("{name} has {count} of {what}", &values), "{count} has 3 of {what}");
        assert_eq!(fill("{", &values), "{");
    }

    #[test]
    fn a_file_of_texts_says_what_is_wrong_with_it() {
        for (source, expected) in [
            ("a", "line 1"),
            ("\na = 1", "a must be a table of texts (line 2)"),
            ("[login]\n\ntitle = 1", "login.title must be a text (line 3)"),
        ] {
            let error = Texts::parse(source).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let texts = Texts::parse("[login]\ntitle = 'Hi'\n[sentence]\n'is taken' = 'ist vergeben.'").unwrap();
        assert_eq!((texts.get("login.title"), texts.keys().count()), ("Hi".to_owned(), 1));
        assert_eq!(
            (texts.sentence("is taken"), texts.sentence("is new")),
            ("ist vergeben.".to_owned(), "Is new.".to_owned())
        );
    }
}
