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
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_flag_goes_before_the_environment_and_the_environment_before_the_file() {
        let file = file("audience = \"file\"\nissuer = \"file\"\nsigning_alg = \"ES256\"\nhash_threads = 3");
        let flags = [("audience".to_owned(), "flag".to_owned())].into();
        let environment = environment(&[("AUTHY_AUDIENCE", "environment"), ("AUTHY_ISSUER", "environment")]);
        let sources = Sources { flags, environment, file: Some(file.path().into()) };
        let (resolved, settings) = sources.settings().unwrap();
        assert_eq!(settings.audience, "flag");
        assert_eq!(settings.issuer.as_deref(), Some("environment"));
        assert_eq!((settings.signing_alg.as_str(), settings.hash_threads), ("ES256", Some(3)));
        assert!(format!("{resolved:?}").contains("flag    # a flag"), "{resolved:?}");
    }

    #[test]
    fn all_errors_are_reported_at_once_and_by_name() {
        let file = file("lissten = \"127.0.0.1:1\"\nrequire_https = \"perhaps\"");
        let environment = environment(&[
            ("AUTHY_CONFIG", file.path().to_str().unwrap()),
            ("AUTHY_ACCES_TTL", "1m"),
            ("AUTHY_PASSWORD", "hunter2"),
            ("AUTHY_ARGON2", "cheap"),
            ("AUTHY_MASTER_KEY", "hunter2"),
            ("AUTHY_DATABASE_URL", "postgresql://db"),
            ("AUTHY_DATABASE_URL_FILE", "/nowhere"),
        ]);
        let problems = Sources { environment, ..Sources::default() }.settings().unwrap_err().to_string();
        for part in [
            "lissten is not a setting: did you mean listen?",
            "AUTHY_REQUIRE_HTTPS (from the file) must be true or false",
            "AUTHY_ACCES_TTL is not a setting: did you mean AUTHY_ACCESS_TTL?",
            "AUTHY_PASSWORD is not a setting, and names that begin with AUTHY_ are for settings: unset it, or rename it",
            "AUTHY_ARGON2 (from the environment)",
            "AUTHY_MASTER_KEY (from the environment)",
            "AUTHY_DATABASE_URL and AUTHY_DATABASE_URL_FILE: only one of them can be set",
        ] {
            assert!(problems.contains(part), "{part} is missing from:\n{problems}");
        }
        assert!(!problems.contains("hunter2"));
    }

    #[test]
    fn a_setting_that_is_set_but_empty_is_a_mistake_wherever_it_comes_from() {
        for setting in TABLE {
            let refused = |sources: Sources| {
                let problems = sources.settings().unwrap_err().to_string();
                let expected = format!("{} (from ", setting.variable());
                assert!(problems.contains(&expected) && problems.contains("is set but empty"), "{problems}");
            };
            let variable = setting.variable();
            refused(Sources { environment: environment(&[(&variable, " ")]), ..Sources::default() });
            let config = file(&format!("{} = \"\"", setting.key));
            refused(Sources { file: Some(config.path().into()), ..Sources::default() });
            let empty = file("\n");
            if setting.is_secret {
                let variable = format!("{variable}_FILE");
                refused(Sources {
                    environment: environment(&[(&variable, empty.path().to_str().unwrap())]),
                    ..Sources::default()
                });
            } else {
                refused(Sources { flags: [(setting.key.to_owned(), String::new())].into(), ..Sources::default() });
            }
        }
    }

    #[test]
    fn a_list_of_commas_is_a_mistake_in_every_setting_that_is_a_list() {
        for (variable, value) in [
            ("AUTHY_LISTEN", "127.0.0.1:80,"),
            ("AUTHY_ADMIN_LISTEN", ","),
            ("AUTHY_RESERVED_USERNAMES", ","),
            ("AUTHY_RESERVED_USERNAMES", "root, ,admin"),
            ("AUTHY_TRUSTED_PROXIES", ","),
            ("AUTHY_TRUSTED_PROXIES", "10.0.0.0/8,"),
            ("AUTHY_FOLLOWER_NETWORKS", ",10.0.0.0/8"),
            ("AUTHY_CORS_ORIGINS", ","),
            ("AUTHY_WEBHOOK_ACCEPT", "201,,409"),
            ("AUTHY_LOG", ","),
            ("AUTHY_LIMIT_DEFAULT", ","),
            ("AUTHY_MASTER_KEY", ","),
            ("AUTHY_WEBHOOK_SECRET", ","),
        ] {
            let sources = Sources { environment: environment(&[(variable, value)]), ..Sources::default() };
            let problems = sources.settings().map(drop).unwrap_err().to_string();
            assert!(problems.starts_with(variable) && problems.lines().count() == 1, "{value}: {problems}");
        }
        let config = file("trusted_proxies = [\"10.0.0.0/8\", \"\"]");
        let problems = Sources { file: Some(config.path().into()), ..Sources::default() }.settings().unwrap_err();
        assert!(problems.to_string().contains("AUTHY_TRUSTED_PROXIES (from the file) has an empty part"), "{problems}");
    }

    #[test]
    fn an_empty_name_of_the_file_is_a_mistake_that_is_named() {
        for sources in [
            Sources { environment: environment(&[("AUTHY_CONFIG", " ")]), ..Sources::default() },
            Sources { file: Some(PathBuf::new()), ..Sources::default() },
        ] {
            let problems = sources.settings().map(drop).unwrap_err().to_string();
            assert_eq!(problems, "AUTHY_CONFIG is set but empty: name a file, or leave it out");
        }
    }

    #[test]
    fn plain_text_to_another_machine_is_refused_unless_it_is_said() {
        let refusal = |variable: &str, url: &str| {
            let environment = environment(&[(variable, url)]);
            let problems = Sources { environment, ..Sources::default() }.settings().err()?.to_string();
            assert!(problems.contains(variable) && !problems.contains("hunter2"), "{problems}");
            Some(problems)
        };
        for (variable, url) in [
            ("AUTHY_DATABASE_URL", "postgresql://u:hunter2@localhost/x"),
            ("AUTHY_DATABASE_URL", "postgresql://u:hunter2@[::1],127.0.0.1/x?sslmode=prefer"),
            ("AUTHY_DATABASE_URL", "postgresql:///x?host=/run/postgresql"),
            ("AUTHY_DATABASE_URL", "postgresql://u:hunter2@db/x?hostaddr=127.0.0.1"),
            ("AUTHY_DATABASE_URL", "postgresql://u:hunter2@db/x?sslmode=require"),
            ("AUTHY_DATABASE_URL", "postgresql://u:hunter2@db/x?connect_timeout=3&sslmode=verify-full"),
            ("AUTHY_DATABASE_URL", "postgresql://u:hunter2@db/x?sslmode=disable"),
            ("AUTHY_AMQP_URL", "amqp://u:hunter2@localhost"),
            ("AUTHY_AMQP_URL", "amqp://u:hunter2@[::1]:5672/%2f"),
            ("AUTHY_AMQP_URL", "amqps://u:hunter2@mq"),
            ("AUTHY_AMQP_URL", "amqp://u:hunter2@mq/%2f?heartbeat=3&tls=none"),
            ("AUTHY_SMTP_URL", "smtp://localhost"),
            ("AUTHY_SMTP_URL", "smtp://u:hunter2@127.0.0.1:25?tls=opportunistic"),
            ("AUTHY_SMTP_URL", "smtp://u:hunter2@mail?tls=required"),
            ("AUTHY_SMTP_URL", "smtps://u:hunter2@mail"),
            ("AUTHY_SMTP_URL", "smtp://mail?tls=none"),
            ("AUTHY_WEBHOOK_URL", "http://127.0.0.1:8000/x"),
            ("AUTHY_WEBHOOK_URL", "https://details/x"),
            ("AUTHY_WEBHOOK_URL", "http://details/x#tls=none"),
        ] {
            assert_eq!(refusal(variable, url), None, "{url}");
        }
        for (variable, url, ways_out) in [
            ("AUTHY_DATABASE_URL", "postgresql://u:hunter2@db/x", ["sslmode=require", "sslmode=disable"]),
            (
                "AUTHY_DATABASE_URL",
                "postgresql://u:hunter2@db/x?sslmode=prefer",
                ["sslmode=verify-full", "sslmode=disable"],
            ),
            ("AUTHY_DATABASE_URL", "postgresql://u:hunter2@localhost,db/x", ["sslmode=require", "sslmode=disable"]),
            (
                "AUTHY_DATABASE_URL",
                "postgresql://localhost/x?hostaddr=10.0.0.1",
                ["sslmode=require", "sslmode=disable"],
            ),
            ("AUTHY_AMQP_URL", "amqp://u:hunter2@mq", ["amqps://", "?tls=none"]),
            ("AUTHY_AMQP_URL", "amqp://10.0.0.1:5672/x", ["amqps://", "?tls=none"]),
            ("AUTHY_SMTP_URL", "smtp://mail", ["smtps://", "?tls=none"]),
            ("AUTHY_SMTP_URL", "smtp://u:hunter2@127.0.0.1.example", ["?tls=required", "?tls=none"]),
            ("AUTHY_SMTP_URL", "smtp://mail?tls=opportunistic", ["?tls=required", "?tls=none"]),
            ("AUTHY_WEBHOOK_URL", "http://details/x", ["https://", "#tls=none"]),
            ("AUTHY_WEBHOOK_URL", "http://10.0.0.1/x", ["https://", "#tls=none"]),
        ] {
            let said = refusal(variable, url).unwrap_or_else(|| panic!("{url} is accepted"));
            assert!(said.contains("to another machine without encryption"), "{url}: {said}");
            assert!(ways_out.iter().all(|way| said.contains(way)), "{url}: {said}");
        }
        // What the deployment uses.
        for (name, variable) in [("authy_database_url", "AUTHY_DATABASE_URL"), ("authy_amqp_url", "AUTHY_AMQP_URL")] {
            let made =
                include_str!("../../../deploy/secrets").lines().find(|line| line.ends_with(&format!("| make {name}")));
            let url = made.unwrap().split('"').collect::<Vec<_>>().concat();
            let (head, tail) = (url.find("$(").unwrap(), url.find(')').unwrap());
            let url = format!("{}hunter2{}", &url[5..head], &url[tail + 1..url.find(" | ").unwrap()]);
            assert_eq!(refusal(variable, &url), None, "{url}");
        }
    }

    #[test]
    fn a_secret_can_be_a_file_and_is_never_shown() {
        let key = authy_core::engine::MasterKeys::generate().unwrap().to_base64();
        let file = file(&format!("{}\n", *key));
        let environment = environment(&[("AUTHY_MASTER_KEY_FILE", file.path().to_str().unwrap())]);
        let (resolved, settings) = Sources { environment, ..Sources::default() }.settings().unwrap();
        assert_eq!(*settings.master_key.unwrap().to_base64(), *key);
        assert!(format!("{resolved:?}").contains("[secret]") && !format!("{resolved:?}").contains(key.as_str()));
    }

    #[test]
    fn a_file_of_secrets_that_others_can_read_or_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let key = authy_core::engine::MasterKeys::generate().unwrap().to_base64();
        let (secret, config) = (file(&key), file(&format!("audience = \"shop\"\nmaster_key = \"{}\"", *key)));
        let plain = file("audience = \"shop\"");
        let problem = |variable: &str, file: &tempfile::NamedTempFile, mode: u32| {
            file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
            let environment = environment(&[(variable, file.path().to_str().unwrap())]);
            Sources { environment, ..Sources::default() }.settings().err().map(|problems| problems.to_string())
        };
        for (variable, file, refused) in [
            ("AUTHY_MASTER_KEY_FILE", &secret, [0o644, 0o606, 0o620]),
            ("AUTHY_CONFIG", &config, [0o644, 0o606, 0o620]),
            ("AUTHY_CONFIG", &plain, [0o666, 0o646, 0o664]),
        ] {
            for mode in refused {
                let problem =
                    problem(variable, file, mode).unwrap_or_else(|| panic!("{variable} {mode:o} is accepted"));
                assert!(problem.contains("by other users") && !problem.contains(key.as_str()), "{problem}");
            }
            assert_eq!(problem(variable, file, 0o600), None);
        }
        assert_eq!(problem("AUTHY_CONFIG", &plain, 0o644), None, "no secret is in it");
    }

    #[test]
    fn an_error_in_the_file_is_reported_by_line_and_not_quoted() {
        let file = file("listen = \"127.0.0.1:1\"\nmaster_key = \"hunter2");
        let sources = Sources { file: Some(file.path().into()), ..Sources::default() };
        let problems = sources.settings().unwrap_err().to_string();
        assert!(problems.contains("line 2") && !problems.contains("hunter2"), "{problems}");
    }
}
