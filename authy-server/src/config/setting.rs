//! One setting, without its type.

/// A row of the table of settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Its name in the file; `AUTHY_` and capitals make the variable, dashes the flag.
    pub(crate) key: &'static str,
    /// The text that it has when it is not set; empty for a setting that can be left out.
    pub(crate) default: &'static str,
    /// What it means.
    pub(crate) meaning: &'static str,
    /// Whether it is never shown and never a flag; a variable with `_FILE` behind its name can name a file with it
    /// instead.
    pub(crate) is_secret: bool,
}

impl Setting {
    /// The variable.
    pub(crate) fn variable(&self) -> String {
        format!("AUTHY_{}", self.key.to_ascii_uppercase())
    }

    /// The flag, without its dashes.
    pub(crate) fn flag(&self) -> String {
        self.key.replace('_', "-")
    }
}
