//! The texts of mails: built in, and replaced file by file by those of a folder. What is wrong with them is found at the start.

use std::{collections::BTreeSet, fmt, fs, io, path::Path, sync::Arc};

use authy_core::engine::NotificationKind;
use minijinja::{Environment, UndefinedBehavior, Value};

use crate::start::Failure;

/// What a template can name. All of them are there in every mail; those that do not apply are empty: the name, too, where the
/// address is not confirmed.
pub(super) const VARIABLES: [&str; 8] =
    ["code", "expires", "happened", "ip", "link", "service", "user_agent", "username"];

/// How the first line of a text begins.
const SUBJECT: &str = "Subject:";

macro_rules! built_in {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../templates/mail/", $name)))),+]
    };
}

/// The files, by name.
const BUILT_IN: &[(&str, &str)] = built_in![
    "validate.txt",
    "validate.html",
    "confirm-email.txt",
    "confirm-email.html",
    "reset.txt",
    "reset.html",
    "password-changed.txt",
    "password-changed.html",
    "email-requested.txt",
    "email-requested.html",
    "address-claimed.txt",
    "address-claimed.html",
    "new-device.txt",
    "new-device.html",
];

/// The texts of all mails.
#[derive(Clone)]
pub struct Templates(Arc<Environment<'static>>);

/// A mail's text.
pub(super) struct Rendered {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

impl Templates {
    /// The texts that are built in, those in a folder in their stead.
    ///
    /// # Errors
    /// A template that cannot be parsed, or names what there is not; a file that is nobody's template.
    pub fn load(folder: Option<&Path>) -> Result<Self, Failure> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        folder.map(refuse_strangers).transpose()?;
        for (name, built_in) in BUILT_IN {
            let (source, shown) = match folder.map(|folder| folder.join(name)) {
                None => ((*built_in).to_owned(), (*name).to_owned()),
                Some(path) => match fs::read_to_string(&path) {
                    Ok(source) => (source, path.display().to_string()),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        ((*built_in).to_owned(), (*name).to_owned())
                    }
                    Err(error) => return Err(format!("the template {} cannot be read: {error}", path.display()).into()),
                },
            };
            match name.strip_suffix(".txt") {
                None => add(&mut environment, (*name).to_owned(), source, &shown)?,
                Some(kind) => {
                    let Some((subject, text)) = split(&source) else {
                        let why =
                            "its first line must be the subject, such as `Subject: Welcome`, and the second empty";
                        return Err(format!("the template {shown} is wrong: {why}").into());
                    };
                    add(&mut environment, format!("{kind}.subject"), subject.to_owned(), &shown)?;
                    add(&mut environment, (*name).to_owned(), text.to_owned(), &shown)?;
                }
            }
        }
        Ok(Self(Arc::new(environment)))
    }

    /// The text of a mail. `value` says what a variable stands for.
    pub(super) fn render(
        &self,
        kind: NotificationKind,
        value: impl Fn(&str) -> String,
    ) -> Result<Rendered, minijinja::Error> {
        let context = context(value);
        let part = |part| self.0.get_template(&format!("{}.{part}", kind.as_str()))?.render(&context);
        Ok(Rendered { subject: part("subject")?, text: part("txt")?, html: part("html")? })
    }
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Templates")
    }
}

fn context(value: impl Fn(&str) -> String) -> Value {
    VARIABLES.iter().map(|name| (*name, Value::from(value(name)))).collect::<std::collections::BTreeMap<_, _>>().into()
}

/// Adds a template that works, whatever is in its variables.
fn add(environment: &mut Environment<'static>, name: String, source: String, shown: &str) -> Result<(), Failure> {
    let wrong = |error: minijinja::Error| {
        let line = error.line().map_or(String::new(), |line| format!(" (line {line})"));
        format!("the template {shown} is wrong{line}: {error}")
    };
    environment.add_template_owned(name.clone(), source).map_err(wrong)?;
    let template = environment.get_template(&name).map_err(wrong)?;
    let unknown: BTreeSet<String> = template.undeclared_variables(false).into_iter().collect();
    let unknown: Vec<&str> =
        unknown.iter().map(String::as_str).filter(|variable| !VARIABLES.contains(variable)).collect();
    if !unknown.is_empty() {
        let known = VARIABLES.join(", ");
        return Err(format!(
            "the template {shown} names what there is not: {} (there is: {known})",
            unknown.join(", ")
        )
        .into());
    }
    for sample in ["", "sample"] {
        template.render(context(|_| sample.to_owned())).map_err(wrong)?;
    }
    Ok(())
}

/// The subject and the text.
fn split(source: &str) -> Option<(&str, &str)> {
    let (first, rest) = source.split_once('\n')?;
    let (empty, text) = rest.split_once('\n')?;
    let subject = first.strip_prefix(SUBJECT)?.trim();
    (!subject.is_empty() && empty.trim().is_empty()).then_some((subject, text))
}

/// A template whose name is misspelt would be no template, and nobody would know.
fn refuse_strangers(folder: &Path) -> Result<(), Failure> {
    let unreadable = |error: io::Error| format!("the folder of templates {} cannot be read: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        let is_template = name.ends_with(".txt") || name.ends_with(".html");
        if is_template && !BUILT_IN.iter().any(|(known, _)| *known == name) {
            let known: Vec<&str> = BUILT_IN.iter().map(|(known, _)| *known).collect();
            return Err(format!(
                "{} is no template of a mail: there is {}",
                folder.join(name).display(),
                known.join(", ")
            )
            .into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_letter_has_its_text() {
        let templates = Templates::load(None).unwrap();
        for kind in NotificationKind::ALL {
            let rendered = templates.render(*kind, |name| format!("<{name}>")).unwrap();
            assert!(rendered.subject.contains("<service>"), "{kind:?}: {}", rendered.subject);
            // Whether its reader has that account is not certain: the address may be unconfirmed.
            let is_to_a_stranger = matches!(
                kind,
                NotificationKind::Validate | NotificationKind::ConfirmEmail | NotificationKind::AddressClaimed
            );
            assert_eq!(rendered.text.contains("<username>"), !is_to_a_stranger, "{kind:?}: {}", rendered.text);
            assert_eq!(rendered.html.contains("&lt;username&gt;"), !is_to_a_stranger, "{kind:?}");
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
    fn a_template_that_is_wrong_is_told_by_name() {
        for (name, source, told) in [
            ("reset.txt", "Subject: a\n\n{% if code %}", "line 1"),
            ("reset.txt", "Subject: a\n\n{{ password }}", "password"),
            ("reset.txt", "Subject: {{ user }}\n\ntext", "user"),
            ("reset.txt", "Dear {{ username }},\n\ntext", "first line"),
            ("reset.txt", "Subject: a\ntext", "first line"),
            ("reset.html", "{{ code | rot13 }}", "rot13"),
            ("reset.html", "{{ code.inner.part }}", "reset.html"),
            ("rest.html", "{{ code }}", "no template of a mail"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(name), source).unwrap();
            let error = Templates::load(Some(folder.path())).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(told), "{source}: {error}");
        }
        let nowhere = Templates::load(Some(Path::new("/nowhere/at/all"))).unwrap_err().to_string();
        assert!(nowhere.contains("cannot be read"), "{nowhere}");
    }
}
