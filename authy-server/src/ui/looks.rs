//! The looks of the pages: templates, stylesheet, logo and texts, built in or files of a folder. Errors in them are found
//! at the start.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use authy_core::file::refuse_byte_order_mark;
use bytes::Bytes;
use minijinja::{Environment, UndefinedBehavior};

use super::{
    asset::{Asset, Kind},
    texts::{Texts, line_of},
};

mod error;

pub use error::InvalidLooks;

macro_rules! built_in {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../", $folder, "/", $name)))),+]
    };
}

/// The built-in templates, by file name.
pub(super) const TEMPLATES: &[(&str, &str)] = built_in![
    "templates/ui":
    "base.html",
    "parts.html",
    "message.html",
    "login.html",
    "signup.html",
    "confirm.html",
    "forgot.html",
    "reset.html",
    "again.html",
    "account.html",
    "email.html",
    "password.html",
    "sessions.html",
    "delete.html",
    "docs.html",
    "admin.html",
    "admin-parts.html",
    "admin-question.html",
    "admin-users.html",
    "admin-create-user.html",
    "admin-user.html",
    "admin-roles.html",
    "admin-create-role.html",
    "admin-role.html",
    "admin-overview.html",
    "admin-events.html",
    "admin-keys.html",
    "admin-sinks.html",
    "event-docs.html",
];

/// The built-in texts. The first language is that of people whose browsers ask for none of these.
pub(super) const TEXTS: &[(&str, &str)] = built_in!["texts": "en.toml", "de.toml"];

pub(super) const STYLESHEET: &str = include_str!("../../assets/app.css");
const LOGO: &str = include_str!("../../assets/logo.svg");

/// The names of files that can replace what is built in, beside templates and texts.
const STYLESHEET_FILE: &str = "app.css";
const LOGO_FILES: [(&str, Kind); 2] = [("logo.svg", Kind::Svg), ("logo.png", Kind::Png)];

/// How every PNG image begins.
const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The name of a language in itself, on the button that chooses it.
const LANGUAGE_NAME: &str = "language.name";

/// Maximum size of a file in bytes: they are kept in memory.
const MAX_FILE_BYTES: usize = 1024 * 1024;

/// The looks of the pages. Clones share them, also those that are read again.
#[derive(Clone)]
pub struct Looks {
    folder: Option<PathBuf>,
    loaded: Arc<ArcSwap<Parts>>,
}

/// What was read at one time.
pub(super) struct Parts {
    templates: Environment<'static>,
    /// The path of the file of a template, or its name.
    origins: BTreeMap<String, String>,
    /// By language, the default first.
    texts: Vec<(String, Texts)>,
    stylesheet: String,
    logo: (&'static str, Kind, Bytes),
}

impl Looks {
    /// Returns the built-in looks.
    pub fn built_in() -> Self {
        // A built-in part that is wrong is missing, which fails the tests.
        let parts = Parts::read(None).unwrap_or_else(|error| {
            tracing::error!(%error, "the built-in pages are wrong");
            let logo = ("logo.svg", Kind::Svg, Bytes::new());
            let (templates, origins) = (Environment::new(), BTreeMap::new());
            Parts { templates, origins, texts: Vec::new(), stylesheet: String::new(), logo }
        });
        Self::of(None, Arc::new(parts))
    }

    pub(super) fn of(folder: Option<&Path>, parts: Arc<Parts>) -> Self {
        Self { folder: folder.map(Path::to_owned), loaded: Arc::new(ArcSwap::new(parts)) }
    }

    /// Returns the folder with files in place of what is built in, if there is one.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Returns what was read last.
    pub(super) fn parts(&self) -> Arc<Parts> {
        self.loaded.load_full()
    }

    /// Replaces what was read, for all clones.
    pub(super) fn replace(&self, parts: Arc<Parts>) {
        self.loaded.store(parts);
    }
}

impl Parts {
    /// Reads the files of a folder, without rendering them.
    pub(super) fn read(folder: Option<&Path>) -> Result<Self, InvalidLooks> {
        let names = folder.map(files).transpose()?.unwrap_or_default();
        let own = |name: &str| match (folder, names.iter().any(|known| known == name)) {
            (Some(folder), true) => read(&folder.join(name)).map(Some),
            _ => Ok(None),
        };
        let own_text = |name: &str| own(name)?.map(|bytes| text(folder, name, bytes)).transpose();
        let mut origins = BTreeMap::new();
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        for (name, built_in) in TEMPLATES {
            let own = own_text(name)?;
            let origin = match (&own, folder) {
                (Some(_), Some(folder)) => folder.join(name).display().to_string(),
                _ => (*name).to_owned(),
            };
            let source = own.unwrap_or_else(|| (*built_in).to_owned());
            let wrong = |source| InvalidLooks::Template { template: origin.clone(), source };
            templates.add_template_owned(*name, source).map_err(wrong)?;
            origins.insert((*name).to_owned(), origin);
        }
        let logo = LOGO_FILES.into_iter().find_map(|(name, kind)| own(name).transpose().map(|own| (name, kind, own)));
        let logo = match logo {
            Some((name, kind, own)) => {
                let own = own?;
                check_logo(folder.map_or_else(PathBuf::new, |folder| folder.join(name)), kind, &own)?;
                (name, kind, own.into())
            }
            None => ("logo.svg", Kind::Svg, Bytes::from_static(LOGO.as_bytes())),
        };
        let stylesheet = own_text(STYLESHEET_FILE)?.unwrap_or_else(|| STYLESHEET.to_owned());
        let texts = texts(&names, own_text)?;
        Ok(Self { templates, origins, texts, stylesheet, logo })
    }

    /// Returns the templates.
    pub(super) fn templates(&self) -> &Environment<'static> {
        &self.templates
    }

    /// Returns the path of the file of a template, or its name.
    pub(super) fn origin(&self, template: &str) -> String {
        self.origins.get(template).cloned().unwrap_or_else(|| template.to_owned())
    }

    /// Returns the texts of every language, the default first.
    pub(super) fn languages(&self) -> &[(String, Texts)] {
        &self.texts
    }

    #[cfg(test)]
    pub(super) fn texts(&self, code: &str) -> Option<&Texts> {
        self.texts.iter().find(|(known, _)| known == code).map(|(_, texts)| texts)
    }

    /// Returns the stylesheet and the logo. `properties` is added to the stylesheet.
    pub(super) fn assets(&self, properties: &str) -> [Asset; 2] {
        let (name, kind, logo) = &self.logo;
        let stylesheet = format!("{}{properties}", self.stylesheet);
        [
            Asset::new("stylesheet", STYLESHEET_FILE, Kind::Css, stylesheet.into()),
            Asset::new("logo", name, *kind, logo.clone()),
        ]
    }
}

/// Reads the texts of every language. What a language does not have is in English.
fn texts(
    names: &[String],
    own_text: impl Fn(&str) -> Result<Option<String>, InvalidLooks>,
) -> Result<Vec<(String, Texts)>, InvalidLooks> {
    let parse = |file: &str, source: &str| {
        Texts::parse(source).map_err(|why| InvalidLooks::Texts { file: file.to_owned(), why })
    };
    let mut languages = Vec::<(String, Texts)>::new();
    let built_in = TEXTS.iter().map(|(file, source)| (*file, *source));
    let others = names.iter().filter(|name| name.ends_with(".toml")).map(|name| (name.as_str(), ""));
    let others = others.filter(|(name, _)| !TEXTS.iter().any(|(known, _)| known == name));
    for (file, source) in built_in.chain(others) {
        let own_source = own_text(file)?.unwrap_or_default();
        let own = parse(file, &own_source)?;
        let english = languages.first().map(|(_, texts)| texts.clone());
        let known = parse(file, source)?;
        check_texts(file, &own_source, &own, english.as_ref().unwrap_or(&known))?;
        if own.find(LANGUAGE_NAME).or(known.find(LANGUAGE_NAME)).is_none() {
            return Err(InvalidLooks::NoLanguageName { file: file.to_owned() });
        }
        let texts = english.unwrap_or_default().with(known).with(own);
        languages.push((file.trim_end_matches(".toml").to_owned(), texts));
    }
    Ok(languages)
}

/// Checks that the texts of a file are shown somewhere, and name no value that is not there.
fn check_texts(file: &str, source: &str, own: &Texts, english: &Texts) -> Result<(), InvalidLooks> {
    let line = |key: &str| {
        let (section, name) = key.split_once('.')?;
        line_of(source, section, Some(name))
    };
    if let Some(key) = own.unknown_key(english) {
        let line = line(key).unwrap_or_default();
        return Err(InvalidLooks::UnknownText { file: file.to_owned(), line, key: key.to_owned() });
    }
    if let Some((key, name)) = own.unknown_placeholder(english) {
        let (line, file) = (line(key).unwrap_or_default(), file.to_owned());
        return Err(InvalidLooks::UnknownPlaceholder { file, line, key: key.to_owned(), name: name.to_owned() });
    }
    Ok(())
}

/// Checks that a logo begins as its name says: browsers show nothing otherwise, without a word about it.
fn check_logo(file: PathBuf, kind: Kind, content: &[u8]) -> Result<(), InvalidLooks> {
    let is_svg = || {
        let text = String::from_utf8_lossy(content);
        text.trim_start_matches('\u{feff}').trim_start().starts_with('<') && text.contains("<svg")
    };
    match kind {
        Kind::Png if !content.starts_with(PNG_SIGNATURE) => Err(InvalidLooks::Logo { file, format: "PNG" }),
        Kind::Svg if !is_svg() => Err(InvalidLooks::Logo { file, format: "SVG, as text in UTF-8" }),
        _ => Ok(()),
    }
}

/// Returns the names of the files of a folder, and refuses those that replace nothing: they are probably misspelt.
fn files(folder: &Path) -> Result<Vec<String>, InvalidLooks> {
    let unreadable = |source| InvalidLooks::Folder { folder: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        let is_text = name
            .strip_suffix(".toml")
            .is_some_and(|code| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_lowercase()));
        let is_known = is_text
            || name == STYLESHEET_FILE
            || LOGO_FILES.iter().any(|(known, _)| *known == name)
            || TEMPLATES.iter().any(|(known, _)| *known == name);
        if is_known {
            names.push(name);
        } else if !name.starts_with('.') && !name.starts_with("README") {
            return Err(InvalidLooks::UnknownFile { file: folder.join(name) });
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn read(file: &Path) -> Result<Vec<u8>, InvalidLooks> {
    let unreadable = |source| InvalidLooks::Unreadable { file: file.to_owned(), source };
    let bytes = fs::read(file).map_err(unreadable)?;
    match bytes.len() <= MAX_FILE_BYTES {
        true => Ok(bytes),
        false => Err(unreadable(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"))),
    }
}

fn text(folder: Option<&Path>, name: &str, bytes: Vec<u8>) -> Result<String, InvalidLooks> {
    let file = || folder.map_or_else(PathBuf::new, |folder| folder.join(name));
    let unreadable = |source| InvalidLooks::Unreadable { file: file(), source };
    refuse_byte_order_mark(&bytes).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error)))
}

/// Returns the names of the files that can replace what is built in.
fn known_files() -> String {
    let templates = TEMPLATES.iter().map(|(name, _)| *name);
    let logos = LOGO_FILES.iter().map(|(name, _)| *name);
    templates.chain([STYLESHEET_FILE]).chain(logos).collect::<Vec<_>>().join(", ")
}

impl fmt::Debug for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Looks")
    }
}

impl Default for Looks {
    fn default() -> Self {
        Self::built_in()
    }
}
