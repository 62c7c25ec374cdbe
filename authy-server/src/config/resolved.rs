//! The text of every setting, before it is read, and what was found wrong.

use std::fmt;

use zeroize::Zeroizing;

use super::{setting::Setting, value::SettingValue};

/// The source of a setting that is left out.
pub(super) const DEFAULT: &str = "default";

/// The text of every setting, and its source, in the order of the table.
#[derive(Default)]
pub(crate) struct Resolved(Vec<ResolvedSetting>);

struct ResolvedSetting {
    setting: &'static Setting,
    text: Zeroizing<String>,
    /// Where the text came from, in words for an operator.
    source: &'static str,
}

impl Resolved {
    /// Adds a setting.
    pub(super) fn push(&mut self, setting: &'static Setting, text: String, source: &'static str) {
        self.0.push(ResolvedSetting { setting, text: Zeroizing::new(text), source });
    }

    /// Reads a setting.
    pub(super) fn read<T: SettingValue>(&self, key: &str, problems: &mut Problems) -> Option<T> {
        let found = self.0.iter().find(|resolved| resolved.setting.key == key)?;
        match T::parse(&found.text) {
            Ok(value) => Some(value),
            Err(why) => {
                let hint = if is_quoted(&found.text) { ": the quotes around it are a part of it" } else { "" };
                problems.push(format!("{} (from {}) {why}{hint}", found.setting.variable(), found.source));
                None
            }
        }
    }

    /// Returns whether a setting has its default.
    pub(crate) fn is_default(&self, key: &str) -> bool {
        self.0.iter().any(|resolved| resolved.setting.key == key && resolved.source == DEFAULT)
    }

    /// Returns every setting and its source; secrets are not shown.
    pub(crate) fn rows(&self) -> impl Iterator<Item = ShownSetting<'_>> {
        self.0.iter().map(|ResolvedSetting { setting, text, source }| ShownSetting {
            key: setting.key,
            variable: setting.variable(),
            value: match text.as_str() {
                "" => None,
                _ if setting.is_secret => Some("[secret]"),
                text => Some(text),
            },
            source,
        })
    }
}

/// A setting, as an operator is shown it.
pub(crate) struct ShownSetting<'a> {
    pub(crate) key: &'static str,
    pub(crate) variable: String,
    /// The text; `None` when the setting is left out.
    pub(crate) value: Option<&'a str>,
    pub(crate) source: &'static str,
}

impl fmt::Display for ShownSetting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<26} {}    # {}", self.variable, self.value.unwrap_or("(none)"), self.source)
    }
}

/// Returns whether a text is in quotes: some readers of files of variables remove them, and others do not.
fn is_quoted(text: &str) -> bool {
    ['"', '\''].iter().any(|quote| text.len() > 1 && text.starts_with(*quote) && text.ends_with(*quote))
}

// As blank of secrets as `rows`.
impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows().try_for_each(|row| writeln!(f, "{row}"))
    }
}

/// Everything that is wrong with the settings, a line each.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<String>);

impl Problems {
    pub(crate) fn push(&mut self, problem: String) {
        self.0.push(problem);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns them one by one.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}
