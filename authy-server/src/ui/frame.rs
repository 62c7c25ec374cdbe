//! What is around every page: the name of the user, the switch of languages, a message.

use authy_core::Identity;
use minijinja::{Value, value::Serde};
use serde::Serialize;

use super::{language::Language, pages::Skin};

/// What is around every page.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Frame {
    /// The page, for the switch of languages; empty when it cannot be opened.
    here: String,
    /// The name of the user who is logged in.
    user: Option<String>,
    languages: Vec<LanguageLink>,
    notice: Option<String>,
    /// Whether there is a link to the console.
    has_console: bool,
    /// The part of the console that the page belongs to; empty elsewhere.
    section: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct LanguageLink {
    code: String,
    name: String,
    is_current: bool,
}

impl Frame {
    pub(super) fn new(skin: &Skin, language: &Language, user: Option<&Identity>, here: String) -> Self {
        let link = |known: &Language| LanguageLink {
            code: known.code.clone(),
            name: known.name.clone(),
            is_current: known.code == language.code,
        };
        let name = |identity: &Identity| match &identity.username {
            Some(name) => name.as_str().to_owned(),
            None => identity.public_id.to_string(),
        };
        let languages = skin.languages.iter().map(link).collect();
        Self { here, user: user.map(name), languages, notice: None, has_console: false, section: "" }
    }

    pub(super) fn with_notice(self, notice: Option<String>) -> Self {
        Self { notice, ..self }
    }

    pub(super) fn with_console(self, has_console: bool, section: &'static str) -> Self {
        Self { has_console, section, ..self }
    }

    pub(super) fn samples(skin: &Skin, language: &Language) -> [Self; 2] {
        let least = Self::new(skin, language, None, String::new());
        let (here, user, notice) =
            ("/authy/ui/account".to_owned(), Some("sample".to_owned()), Some("sample".to_owned()));
        let most = Self { here, user, notice, has_console: true, section: "users", ..least.clone() };
        [least, most]
    }
}

impl From<Frame> for Value {
    fn from(frame: Frame) -> Self {
        Value::from(Serde(frame))
    }
}
