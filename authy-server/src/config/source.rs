//! The sources of settings: a flag overrides the environment, the environment the file, and the file the default.
//! Unknown settings are refused, and all errors are reported at once.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use authy_core::file::{self, Content};
use zeroize::Zeroizing;

use super::{
    resolved::{DEFAULT, Problems, Resolved},
    table::{Settings, TABLE},
};

/// What the names of all variables begin with.
const PREFIX: &str = "AUTHY_";

/// The variable that names the file.
const FILE: &str = "AUTHY_CONFIG";

/// The sources, before they are merged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// The flags, by key.
    pub(crate) flags: BTreeMap<String, String>,
    /// The variables that begin with `AUTHY_`.
    pub(crate) environment: BTreeMap<String, String>,
    /// The flag that names the file.
    pub(crate) file: Option<PathBuf>,
}

impl Sources {
    /// Returns the variables of this process that begin with `AUTHY_`.
    pub(crate) fn environment() -> BTreeMap<String, String> {
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let ours = variables.filter(|(name, _)| name.starts_with(PREFIX));
        ours.map(|(name, value)| (name, value.to_string_lossy().into_owned())).collect()
    }

    /// Reads all settings, and their sources.
    ///
    /// # Errors
    /// [`Problems`], with everything that is wrong.
    pub(crate) fn settings(&self) -> Result<(Resolved, Settings), Problems> {
        let mut problems = Problems::default();
        let resolved = self.resolve(&mut problems);
        let settings = Settings::read(&resolved, &mut problems);
        match settings.filter(|_| problems.is_empty()) {
            Some(settings) => Ok((resolved, settings)),
            None => Err(problems),
        }
    }

    pub(super) fn resolve(&self, problems: &mut Problems) -> Resolved {
        let file = self.read_file(problems);
        let mut known = vec![FILE.to_owned()];
        let mut resolved = Resolved::default();
        for setting in TABLE {
            let (variable, file_variable) = (setting.variable(), format!("{}_FILE", setting.variable()));
            let in_file = file.get(setting.key).map(|text| (text.clone(), "the file"));
            let named = self.environment.get(&file_variable).filter(|_| setting.is_secret);
            let in_environment = match (self.environment.get(&variable), named) {
                (Some(_), Some(_)) => {
                    problems.push(format!("{variable} and {file_variable}: only one of them can be set"));
                    None
                }
                (Some(text), None) => Some((text.clone(), "the environment")),
                (None, Some(path)) => read_secret(&file_variable, path, problems).map(|text| (text, "its own file")),
                (None, None) => None,
            };
            let flag = self.flags.get(setting.key).map(|text| (text.clone(), "a flag"));
            let given = flag.or(in_environment).or(in_file);
            // It was meant to have a value: a variable that is not defined where it is passed on, or a secret that was never
            // written. The default would be another database, or a new key.
            if let Some((_, source)) = given.as_ref().filter(|(text, _)| text.trim().is_empty()) {
                problems.push(format!("{variable} (from {source}) is set but empty: give it a value, or leave it out"));
            }
            let (text, source) = given.unwrap_or((setting.default.to_owned(), DEFAULT));
            resolved.push(setting, text, source);
            known.push(variable);
            known.extend(setting.is_secret.then_some(file_variable));
        }
        for unknown in self.environment.keys().filter(|name| !known.contains(name)) {
            // All begin alike, which would make any two of them similar.
            let name = unknown.strip_prefix(PREFIX).unwrap_or(unknown);
            let near = suggestion(name, known.iter().filter_map(|name| name.strip_prefix(PREFIX)));
            problems.push(match near {
                Some(near) => format!("{unknown} is not a setting: did you mean {PREFIX}{near}?"),
                None => format!(
                    "{unknown} is not a setting, and names that begin with {PREFIX} are for settings: unset it, or \
                     rename it when it is for another program"
                ),
            });
        }
        resolved
    }

    fn read_file(&self, problems: &mut Problems) -> BTreeMap<String, String> {
        let named = self.file.clone().or_else(|| self.environment.get(FILE).map(PathBuf::from));
        let Some(path) = named else { return BTreeMap::new() };
        if path.as_os_str().to_string_lossy().trim().is_empty() {
            problems.push(format!("{FILE} is set but empty: name a file, or leave it out"));
            return BTreeMap::new();
        }
        let text = match file::read_text(&path, Content::Trusted) {
            Ok(text) => Zeroizing::new(text),
            Err(error) => {
                problems.push(format!("{}: cannot be read: {error}", path.display()));
                return BTreeMap::new();
            }
        };
        let values = parse_file(&path, &text, problems);
        if TABLE.iter().any(|setting| setting.is_secret && values.contains_key(setting.key))
            && let Err(error) = file::read(&path, Content::Secret).map(Zeroizing::new)
        {
            problems.push(format!("{}: {error}", path.display()));
        }
        values
    }
}

/// Reads the text of a file; each setting is returned as the text that a variable would have.
pub(crate) fn parse_file(path: &Path, text: &str, problems: &mut Problems) -> BTreeMap<String, String> {
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            // The library's report quotes the line, which may contain a secret.
            let error: toml::de::Error = error;
            let line = error.span().map_or(1, |span| text.get(..span.start).unwrap_or("").matches('\n').count() + 1);
            problems.push(format!("{}: line {line}: {}", path.display(), error.message()));
            return BTreeMap::new();
        }
    };
    let mut values = BTreeMap::new();
    for (key, value) in table {
        if !TABLE.iter().any(|setting| setting.key == key) {
            let near = suggestion(&key, TABLE.iter().map(|setting| setting.key));
            let near = near.map_or(String::new(), |near| format!(": did you mean {near}?"));
            problems.push(format!("{}: {key} is not a setting{near}", path.display()));
        } else if let Some(text) = plain(&value) {
            values.insert(key, text);
        } else {
            problems.push(format!("{}: {key} must be a text, a number, true, false or a list", path.display()));
        }
    }
    values
}

/// Returns a value of the file as the text that a variable would have.
fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(list) => list.iter().map(plain).collect::<Option<Vec<_>>>().map(|list| list.join(",")),
        _ => None,
    }
}

fn read_secret(variable: &str, path: &str, problems: &mut Problems) -> Option<String> {
    match file::read_text(Path::new(path), Content::Secret) {
        Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => {
            problems.push(format!("{variable}: {path}: {error}"));
            None
        }
    }
}

/// Returns the known name that was probably meant.
fn suggestion<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.map(|name| (strsim::jaro_winkler(unknown, name), name));
    let nearest = scored.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(likeness, _)| *likeness > 0.8);
    nearest.map(|(_, name)| name)
}

#[cfg(test)]
mod tests;
