//! The settings of the service, from the environment.

use std::{env, error::Error, fs, iter::successors, net::SocketAddr, path::PathBuf};

use authy_client::{BuildError, Client, LocalVerifier, Secret, StartError, api::session::Credentials};

use crate::bidders::Account;

/// The settings of the service: see the table of the [crate].
#[derive(Debug)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The account of the background job.
    pub account: Option<Account>,
    authy_url: String,
    issuer: Option<String>,
    audience: String,
    plain_http: bool,
}

/// A setting with which the service cannot start.
#[derive(Debug, thiserror::Error)]
#[error("{variable}: {problem}")]
pub struct SettingError {
    variable: &'static str,
    problem: String,
}

impl Settings {
    /// Reads the settings from the environment.
    ///
    /// # Errors
    /// A value that cannot be read.
    pub fn from_env() -> Result<Self, SettingError> {
        Self::read(|variable| env::var(variable).ok())
    }

    fn read(variable: impl Fn(&'static str) -> Option<String>) -> Result<Self, SettingError> {
        let or = |name, default: &str| variable(name).unwrap_or_else(|| default.to_owned());
        let listen = or("BIDS_LISTEN", "127.0.0.1:8090").parse();
        let plain_http = or("BIDS_DANGEROUS_ALLOW_PLAIN_HTTP", "false").parse();
        Ok(Self {
            listen: listen.map_err(|_| invalid("BIDS_LISTEN", "must be an address such as 127.0.0.1:8090"))?,
            account: credentials(variable("BIDS_ACCOUNT"), variable("BIDS_PASSWORD_FILE"))?.map(|credentials| {
                Account { credentials, device_file: variable("BIDS_DEVICE_FILE").map(PathBuf::from) }
            }),
            authy_url: or("AUTHY_URL", "http://127.0.0.1:8080"),
            issuer: variable("AUTHY_ISSUER"),
            audience: or("AUTHY_AUDIENCE", "authy"),
            plain_http: plain_http.map_err(|_| invalid("BIDS_DANGEROUS_ALLOW_PLAIN_HTTP", "must be true or false"))?,
        })
    }

    /// Builds the client of authy. It connects with the first call.
    ///
    /// # Errors
    /// When the URL is none, or is plain http to another machine.
    pub fn client(&self) -> Result<Client, SettingError> {
        let builder = Client::builder(&self.authy_url);
        let builder = if self.plain_http { builder.dangerous_allow_plain_http() } else { builder };
        // The messages of the errors name methods, and the operator of this service sets variables.
        builder.build().map_err(|error| match error {
            BuildError::PlainHttp { host } => invalid("AUTHY_URL", plain_http_refused(&host)),
            error => invalid("AUTHY_URL", chain(&error)),
        })
    }

    /// Starts the verifier of the callers' tokens.
    ///
    /// # Errors
    /// When the server has another issuer or audience, or cannot be reached.
    pub async fn verifier(&self, authy: &Client) -> Result<LocalVerifier, SettingError> {
        let mut verifier = authy.verifier().audience(&self.audience);
        if let Some(issuer) = &self.issuer {
            verifier = verifier.issuer(issuer);
        }
        verifier.start().await.map_err(|error| match error {
            StartError::Issuer { server, expected } => {
                invalid("AUTHY_ISSUER", format!("is {expected}, and must be the issuer of the server, {server}"))
            }
            StartError::Audience { server, expected } => {
                invalid("AUTHY_AUDIENCE", format!("is {expected}, and must be the audience of the server, {server}"))
            }
            error => invalid("AUTHY_URL", chain(&error)),
        })
    }
}

fn credentials(name: Option<String>, file: Option<String>) -> Result<Option<Credentials>, SettingError> {
    match (name, file) {
        (None, None) => Ok(None),
        (Some(name), Some(file)) => {
            let password = fs::read_to_string(&file)
                .map_err(|error| invalid("BIDS_PASSWORD_FILE", format!("{file} cannot be read: {error}")))?;
            Ok(Some(Credentials::new(name, Secret::new(password.trim_end_matches(['\r', '\n'])))))
        }
        (Some(_), None) => Err(invalid("BIDS_PASSWORD_FILE", "must name a file with the password of BIDS_ACCOUNT")),
        (None, Some(_)) => Err(invalid("BIDS_ACCOUNT", "must name the account of BIDS_PASSWORD_FILE")),
    }
}

fn plain_http_refused(host: &str) -> String {
    format!(
        "would send passwords and tokens to {host} without encryption: use https://, or, on a network where nobody else can \
         listen, set BIDS_DANGEROUS_ALLOW_PLAIN_HTTP=true"
    )
}

fn invalid(variable: &'static str, problem: impl Into<String>) -> SettingError {
    SettingError { variable, problem: problem.into() }
}

/// Returns an error with all its causes on one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = successors(Some(error), |error| (**error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails panics")]

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingError> {
        let find = |name| variables.iter().find(|(variable, _)| *variable == name);
        Settings::read(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn an_error_names_the_variable_to_change() {
        for (variable, value) in [
            ("BIDS_LISTEN", "8090"),
            ("BIDS_DANGEROUS_ALLOW_PLAIN_HTTP", "yes"),
            ("AUTHY_URL", "auth.example.org"),
            ("AUTHY_URL", "http://auth.example.org"),
        ] {
            let error = read(&[(variable, value)]).and_then(|settings| settings.client()).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{variable}: ")), "{error}");
        }
        assert!(read(&[("BIDS_ACCOUNT", "bids")]).unwrap_err().to_string().starts_with("BIDS_PASSWORD_FILE: "));
        let alone = read(&[("BIDS_PASSWORD_FILE", "/nowhere")]).unwrap_err();
        assert!(alone.to_string().starts_with("BIDS_ACCOUNT: "));
        let missing = read(&[("BIDS_ACCOUNT", "bids"), ("BIDS_PASSWORD_FILE", "/nowhere")]).unwrap_err();
        assert!(missing.to_string().contains("/nowhere cannot be read"));
    }

    #[test]
    fn plain_http_to_another_machine_is_permitted_by_name_only() {
        let url = ("AUTHY_URL", "http://authy:8080");
        let refused = read(&[url]).unwrap().client().unwrap_err().to_string();
        assert!(refused.contains("https://") && refused.contains("BIDS_DANGEROUS_ALLOW_PLAIN_HTTP=true"), "{refused}");
        assert!(!refused.contains("dangerous_allow_plain_http"), "no method of Rust: {refused}");
        read(&[url, ("BIDS_DANGEROUS_ALLOW_PLAIN_HTTP", "true")]).unwrap().client().unwrap();
    }

    #[test]
    fn the_line_break_at_the_end_of_a_password_file_is_no_part_of_the_password() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), " a long password \r\n").unwrap();
        let path = file.path().to_str().unwrap();
        let account = read(&[("BIDS_ACCOUNT", "bids"), ("BIDS_PASSWORD_FILE", path)]).unwrap().account.unwrap();
        let Credentials { username, password } = account.credentials;
        assert_eq!((username.as_str(), password.expose()), ("bids", " a long password "));
    }
}
