//! The texts of mails: built in, or files of a folder. Errors in them are found at the start.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use authy_core::{engine::NotificationKind, file::refuse_byte_order_mark};
use minijinja::{Environment, UndefinedBehavior, Value};

/// The variables of templates. Every mail has all of them; those that do not apply are empty, and so is the username
/// where the address is not confirmed.
pub(super) const VARIABLES: [&str; 8] =
    ["code", "expires", "happened", "ip", "link", "service", "user_agent", "username"];

/// The beginning of the first line of a text.
const SUBJECT: &str = "Subject:";

macro_rules! built_in {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../templates/mail/", $name)))),+]
    };
}

/// The built-in templates, by file name.
const BUILT_IN: &[(&str, &str)] = built_in![
    "validate.txt",
    "validate.html",
    "confirm-email.txt",
    "confirm-email.html",
    "reset.txt",
    "reset.html",
    "invitation.txt",
    "invitation.html",
    "password-changed.txt",
    "password-changed.html",
    "email-requested.txt",
    "email-requested.html",
    "address-claimed.txt",
    "address-claimed.html",
    "new-device.txt",
    "new-device.html",
];

/// The texts of all mails. Clones share them.
#[derive(Clone)]
pub struct Templates {
    folder: Option<PathBuf>,
    loaded: Arc<RwLock<Arc<Environment<'static>>>>,
}

/// The text of one mail.
pub(super) struct RenderedMail {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

/// A template that cannot be used.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum InvalidTemplate {
    /// The folder cannot be read.
    #[error("the folder of templates {} cannot be read", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file of the folder has the ending of a template, and the name of none: probably a misspelt one.
    #[error("{} is not the template of a mail; the templates are {}", .file.display(), names())]
    UnknownFile {
        /// The file.
        file: PathBuf,
    },
    /// A template cannot be read.
    #[error("the template {} cannot be read", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A text has no subject.
    #[error(
        "the template {template} is wrong: its first line must be the subject, such as `Subject: Welcome`, and the second empty"
    )]
    NoSubject {
        /// The path of the file, or the name of a built-in template.
        template: String,
    },
    /// A template uses variables that do not exist.
    #[error("the template {template} uses unknown variables: {unknown} (known: {})", VARIABLES.join(", "))]
    UnknownVariables {
        /// The path of the file, or the name of a built-in template.
        template: String,
        /// The variables, separated by commas.
        unknown: String,
    },
    /// A template cannot be parsed or rendered.
    #[error("the template {template} is wrong{}", line(.source))]
    Syntax {
        /// The path of the file, or the name of a built-in template.
        template: String,
        /// What the template engine says.
        source: minijinja::Error,
    },
}

fn names() -> String {
    let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

fn line(error: &minijinja::Error) -> String {
    error.line().map_or(String::new(), |line| format!(" (line {line})"))
}

impl Templates {
    /// Reads the built-in texts, with the files of a folder in place of those of the same name.
    ///
    /// # Errors
    /// [`InvalidTemplate`] when a file cannot be read or parsed, uses an unknown variable, or has an unknown name.
    pub fn load(folder: Option<&Path>) -> Result<Self, InvalidTemplate> {
        let loaded = Arc::new(RwLock::new(Arc::new(environment(folder)?)));
        Ok(Self { folder: folder.map(Path::to_owned), loaded })
    }

    /// Reads the files of the folder again, for all clones.
    ///
    /// # Errors
    /// As [`load`](Self::load). Then the previous texts stay.
    pub fn reload(&self) -> Result<(), InvalidTemplate> {
        let read = Arc::new(environment(self.folder.as_deref())?);
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// Returns the folder with files in place of the built-in texts, if there is one.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Renders the text of a mail. `value` returns the value of a variable.
    pub(super) fn render(
        &self,
        kind: NotificationKind,
        value: impl Fn(&str) -> String,
    ) -> Result<RenderedMail, minijinja::Error> {
        let context = context(value);
        // Taken once, so that the parts of a mail belong together.
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone();
        let part = |part| loaded.get_template(&format!("{}.{part}", kind.as_str()))?.render(&context);
        Ok(RenderedMail { subject: part("subject")?, text: part("txt")?, html: part("html")? })
    }
}

/// The built-in texts.
impl Default for Templates {
    fn default() -> Self {
        // Nothing in the built-in texts can be wrong: a test reads them.
        let environment = environment(None).unwrap_or_default();
        Self { folder: None, loaded: Arc::new(RwLock::new(Arc::new(environment))) }
    }
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Templates")
    }
}

/// Reads the built-in texts, with the files of a folder in place of those of the same name.
fn environment(folder: Option<&Path>) -> Result<Environment<'static>, InvalidTemplate> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    folder.map(refuse_unknown_files).transpose()?;
    for (name, built_in) in BUILT_IN {
        let (source, template) = read(folder, name)?.unwrap_or(((*built_in).to_owned(), (*name).to_owned()));
        match name.strip_suffix(".txt") {
            None => add(&mut environment, (*name).to_owned(), source, &template)?,
            Some(kind) => {
                let Some((subject, text)) = split(&source) else {
                    return Err(InvalidTemplate::NoSubject { template });
                };
                add(&mut environment, format!("{kind}.subject"), subject.to_owned(), &template)?;
                add(&mut environment, (*name).to_owned(), text.to_owned(), &template)?;
            }
        }
    }
    Ok(environment)
}

fn context(value: impl Fn(&str) -> String) -> Value {
    VARIABLES.iter().map(|name| (*name, Value::from(value(name)))).collect::<BTreeMap<_, _>>().into()
}

/// Reads the file of a template and its path; `None` when the folder has no such file.
fn read(folder: Option<&Path>, name: &str) -> Result<Option<(String, String)>, InvalidTemplate> {
    let Some(file) = folder.map(|folder| folder.join(name)) else { return Ok(None) };
    let read = fs::read_to_string(&file).and_then(|source| refuse_byte_order_mark(source.as_bytes()).map(|()| source));
    match read {
        Ok(source) => Ok(Some((source, file.display().to_string()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(InvalidTemplate::Unreadable { file, source }),
    }
}

/// Adds a template after it was rendered once with empty variables and once with others.
fn add(
    environment: &mut Environment<'static>,
    name: String,
    source: String,
    template: &str,
) -> Result<(), InvalidTemplate> {
    let wrong = |source| InvalidTemplate::Syntax { template: template.to_owned(), source };
    environment.add_template_owned(name.clone(), source).map_err(wrong)?;
    let added = environment.get_template(&name).map_err(wrong)?;
    let variables = added.undeclared_variables(false).into_iter();
    let mut unknown: Vec<String> = variables.filter(|variable| !VARIABLES.contains(&variable.as_str())).collect();
    if !unknown.is_empty() {
        unknown.sort_unstable();
        return Err(InvalidTemplate::UnknownVariables { template: template.to_owned(), unknown: unknown.join(", ") });
    }
    for sample in ["", "sample"] {
        added.render(context(|_| sample.to_owned())).map_err(wrong)?;
    }
    Ok(())
}

/// Splits a source into the subject and the text.
fn split(source: &str) -> Option<(&str, &str)> {
    let (first, rest) = source.split_once('\n')?;
    let (empty, text) = rest.split_once('\n')?;
    let subject = first.strip_prefix(SUBJECT)?.trim();
    (!subject.is_empty() && empty.trim().is_empty()).then_some((subject, text))
}

/// Refuses files that look like templates and are none: one with a misspelt name would have no effect.
fn refuse_unknown_files(folder: &Path) -> Result<(), InvalidTemplate> {
    let unreadable = |source| InvalidTemplate::Folder { folder: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        let is_template = name.ends_with(".txt") || name.ends_with(".html");
        if is_template && !BUILT_IN.iter().any(|(known, _)| *known == name) {
            return Err(InvalidTemplate::UnknownFile { file: folder.join(name) });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use authy_core::error::chain;

    use super::*;

    #[test]
    fn every_kind_of_mail_has_its_text() {
        let templates = Templates::load(None).unwrap();
        for kind in NotificationKind::ALL {
            let rendered = templates.render(*kind, |name| format!("<{name}>")).unwrap();
            assert!(rendered.subject.contains("<service>"), "{kind:?}: {}", rendered.subject);
            // The reader may not be the owner of the account: the address may be unconfirmed.
            let is_unconfirmed = matches!(
                kind,
                NotificationKind::Validate | NotificationKind::ConfirmEmail | NotificationKind::AddressClaimed
            );
            assert_eq!(rendered.text.contains("<username>"), !is_unconfirmed, "{kind:?}: {}", rendered.text);
            assert_eq!(rendered.html.contains("&lt;username&gt;"), !is_unconfirmed, "{kind:?}");
            assert!(!rendered.html.contains("<username>"), "{kind:?}");
        }
        assert_eq!(BUILT_IN.len(), 2 * NotificationKind::ALL.len());
    }

    #[test]
    fn a_file_replaces_what_is_built_in_and_only_that() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("reset.txt"), "Subject: Hi {{ username }}\n\nUse {{ code | upper }}.\n").unwrap();
        fs::write(folder.path().join("README"), "What these are.").unwrap();
        let templates = Templates::load(Some(folder.path())).unwrap();
        let rendered = templates.render(NotificationKind::Reset, str::to_owned).unwrap();
        assert_eq!((rendered.subject.as_str(), rendered.text.as_str()), ("Hi username", "Use CODE."));
        assert!(rendered.html.contains("choose"), "{}", rendered.html);
    }

    #[test]
    fn changed_files_are_read_again_for_all_clones_unless_one_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| fs::write(folder.path().join("reset.txt"), format!("Subject: Hi\n\n{text}")).unwrap();
        write("first");
        let templates = Templates::load(Some(folder.path())).unwrap();
        let used = templates.clone();
        let text = || used.render(NotificationKind::Reset, str::to_owned).unwrap().text;
        write("second");
        assert_eq!(text(), "first");
        templates.reload().unwrap();
        assert_eq!(text(), "second");
        write("{{ password }}");
        assert!(templates.reload().is_err());
        assert_eq!(text(), "second");
    }

    #[test]
    fn an_error_in_a_template_names_it() {
        for (name, source, expected) in [
            ("reset.txt", "Subject: a\n\n{% if code %}", "line 1"),
            ("reset.txt", "Subject: a\n\n{{ password }}", "password"),
            ("reset.txt", "Subject: {{ user }}\n\ntext", "user"),
            ("reset.txt", "Dear {{ username }},\n\ntext", "first line"),
            ("reset.txt", "Subject: a\ntext", "first line"),
            ("reset.html", "{{ code | rot13 }}", "rot13"),
            ("reset.html", "{{ code.inner.part }}", "reset.html"),
            ("rest.html", "{{ code }}", "not the template of a mail"),
            ("reset.html", "\u{feff}{{ code }}", "without BOM"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(name), source).unwrap();
            let error = chain(&Templates::load(Some(folder.path())).unwrap_err());
            assert!(error.contains(name) && error.contains(expected), "{source}: {error}");
        }
        let nowhere = chain(&Templates::load(Some(Path::new("/nowhere/at/all"))).unwrap_err());
        assert!(nowhere.contains("cannot be read"), "{nowhere}");
    }
}
