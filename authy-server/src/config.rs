//! The settings: one table, from which come the variables, the flags, the keys of the file, the help and the README.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use authy_core::{
    claims::SigningAlgorithm,
    engine::{Argon2Params, MasterKeys},
    tls::Roots,
};
use ipnet::IpNet;

use crate::{
    limit::RateLimit,
    sink::{AmqpUrl, Link, PublicUrl, Sender, SmtpUrl, Templates, WebhookSecrets, WebhookUrl},
};

mod source;
mod value;

#[cfg(feature = "fuzz-entry-points")]
pub(crate) use source::parse_file;
pub(crate) use source::{Problems, Resolved, Sources};
pub(crate) use value::{DatabaseUrl, Filter, List, LogFormat, Origin, Page, TlsCa};

/// One setting, without its type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Its name in the file; `AUTHY_` and capitals make the variable, dashes the flag.
    pub(crate) key: &'static str,
    /// What it is when nobody says; empty when there is nothing to be said.
    pub(crate) default: &'static str,
    /// What it means.
    pub(crate) meaning: &'static str,
    /// Whether it is never shown and never a flag; its variable can name a file instead, with `_FILE` behind it.
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

macro_rules! settings {
    (@secret) => { false };
    (@secret secret) => { true };
    ($( #[doc = $meaning:literal] $key:ident: $type:ty = $default:literal $($secret:ident)?; )+) => {
        /// Every setting, in the order of the README.
        pub(crate) const TABLE: &[Setting] = &[$( Setting {
            key: stringify!($key),
            default: $default,
            meaning: $meaning,
            is_secret: settings!(@secret $($secret)?),
        } ),+];

        /// What is set.
        #[derive(Clone, Debug)]
        pub(crate) struct Settings {
            $( #[doc = $meaning] pub(crate) $key: $type, )+
        }

        impl Settings {
            /// Reads every setting, and reports every wrong one.
            fn read(resolved: &Resolved, problems: &mut Problems) -> Option<Self> {
                $( let $key = resolved.read::<$type>(stringify!($key), problems); )+
                Some(Self { $( $key: $key?, )+ })
            }

            /// Reads the text of one setting, and says what is wrong with it; `None` when there is no such setting.
            #[cfg(feature = "fuzz-entry-points")]
            pub(crate) fn read_one(key: &str, text: &str) -> Option<Result<(), String>> {
                match key {
                    $( stringify!($key) => Some(<$type as value::Value>::parse(text).map(drop)), )+
                    _ => None,
                }
            }
        }
    };
}

settings! {
    /// Where to listen; port 0 takes a free one
    listen: SocketAddr = "127.0.0.1:8080";
    /// A PostgreSQL URL, several hosts allowed. For another machine it needs `sslmode=require` or `verify-full`, or `sslmode=disable` for no encryption. When left out, the server runs a PostgreSQL of its own in the data folder
    database_url: Option<DatabaseUrl> = "" secret;
    /// The folder of the PostgreSQL of its own and of the generated master key
    data_dir: PathBuf = "./.authy";
    /// The folder of PostgreSQL's server programs, instead of the newest that is installed
    pg_bin: Option<PathBuf> = "";
    /// A PEM file with private certificate authorities, used besides the system's to verify the database, RabbitMQ, the mail server and the webhook
    tls_ca: Option<TlsCa> = "";
    /// Base64 of 32 bytes, several separated by commas: the first seals, all open. Generated in the data folder; required with a database URL
    master_key: Option<MasterKeys> = "" secret;
    /// The issuer (`iss`) of tokens; the address it listens on when left out
    issuer: Option<String> = "";
    /// The audience (`aud`) of tokens
    audience: String = "authy";
    /// How tokens are signed: `EdDSA`, `ES256` or `RS256`
    signing_alg: SigningAlgorithm = "EdDSA";
    /// How long an access token lives; a day at most
    access_ttl: Duration = "15m";
    /// A session ends when it is not used for so long
    refresh_idle: Duration = "14d";
    /// A session ends so long after its login, used or not
    refresh_absolute: Duration = "90d";
    /// How long a spent refresh token yields the same successor once more
    refresh_grace: Duration = "30s";
    /// How old what a server knows of revocations may be before it asks the database for each check
    max_staleness: Duration = "30s";
    /// Whether the server once a minute revokes a session that does not exist, and logs a warning when the revocation was not in force within a second
    self_test: bool = "true";
    /// How long others may keep the public keys
    jwks_max_age: Duration = "5m";
    /// How long a signing key signs
    key_rotation: Duration = "30d";
    /// How long the audit trail is kept, by whole months; for ever when left out
    event_retention: Option<Duration> = "";
    /// Whether only a user with a confirmed address can log in
    require_validated: bool = "false";
    /// Whether an administrator can set password and address of a user who is not more powerful, or only send a reset
    admin_sets_passwords: bool = "true";
    /// The page where users change their password: `/.well-known/change-password` leads there
    change_password_url: Option<Page> = "";
    /// The URL that every sign-up is sent to: `https://…`, or `http://…` on this machine (on another one only with `#tls=none` at the end)
    webhook_url: Option<WebhookUrl> = "";
    /// What the receiver knows requests to it by: `whsec_` and base64 of 24 to 64 bytes, several separated by commas. Required with a webhook URL
    webhook_secret: Option<WebhookSecrets> = "" secret;
    /// The URL of the RabbitMQ that every event is published to: `amqps://…`, or `amqp://…` on this machine (on another one only with `?tls=none`)
    amqp_url: Option<AmqpUrl> = "" secret;
    /// Reserved usernames, comma separated, instead of the built-in list: nobody can sign up with one of them, or with a name that looks like one
    reserved_usernames: Option<List<String>> = "";
    /// Logins an address may try
    limit_login: RateLimit = "100/hour";
    /// Sign-ups an address may try
    limit_register: RateLimit = "20/hour";
    /// One-time codes an address may present or ask for
    limit_validate: RateLimit = "20/hour";
    /// Mails that reset a password an address may ask for
    limit_forgot: RateLimit = "10/hour";
    /// All other requests of an address, token checks and keys excepted; `off` for no limit
    limit_default: RateLimit = "500/minute,50/second";
    /// The networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` count, comma separated
    trusted_proxies: List<IpNet> = "";
    /// The networks of services that follow revocations as event streams, comma separated: half of the places for streams are theirs alone
    follower_networks: List<IpNet> = "";
    /// Whether requests that did not come by https are refused
    require_https: bool = "false";
    /// The origins whose pages may call from a browser, comma separated
    cors_origins: List<Origin> = "";
    /// Where people reach this server, for links in mails; the issuer when it is a URL, or else the address it listens on when left out
    public_url: Option<PublicUrl> = "";
    /// The mail server: `smtps://user:password@host`, `smtp://host?tls=required` (STARTTLS), or `smtp://localhost` (another machine without TLS only with `?tls=none`). Without it and with a database URL no mails are sent; without both they are files in `mail` in the data folder
    smtp_url: Option<SmtpUrl> = "" secret;
    /// The sender of mails, such as `Shop <no-reply@shop.example>`; required with a mail server. The part before the `@` must be ASCII; an international domain is sent in its ASCII form
    mail_from: Option<Sender> = "";
    /// A folder with files that replace the texts of mails
    mail_templates: Templates = "";
    /// The page on which an address is confirmed with the `{code}` in it; `/authy/validate/{code}` of this server when left out. It must send `POST /authy/validate/{code}` when the user confirms, not when the page is opened
    validate_url: Option<Link> = "";
    /// The page on which a new password is chosen with the `{code}` in it, such as `https://shop.example/reset?code={code}`; the mail gives the code itself when left out
    reset_url: Option<Link> = "";
    /// How many threads hash passwords; one a core when left out
    hash_threads: Option<usize> = "";
    /// How many passwords may wait to be hashed; 64 a thread when left out
    hash_queue: Option<usize> = "";
    /// What one hash costs: KiB of memory, passes, lanes
    argon2: Argon2Params = "m=19456,t=2,p=1";
    /// A file of breached passwords that nobody can choose, as Have I Been Pwned publishes them: lines of `SHA1:COUNT`, sorted by hash
    pwned_passwords: Option<PathBuf> = "";
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,authy_core=debug`
    log: Filter = "info";
    /// `text` or `json`; text on a terminal and else json when left out
    log_format: Option<LogFormat> = "";
    /// Whether every event is a line in the log, of one of the servers
    log_events: bool = "false";
}

impl Settings {
    /// The certificate authorities by which servers are recognized.
    pub(crate) fn roots(&self) -> Roots {
        self.tls_ca.as_ref().map_or_else(Roots::platform, |TlsCa(roots)| roots.clone())
    }
}

/// The table of the README, generated.
pub fn table_markdown() -> String {
    let mut table = "| variable | default | meaning |\n|---|---|---|\n".to_owned();
    for setting in TABLE {
        let or_file = if setting.is_secret { " or `…_FILE`" } else { "" };
        let default = if setting.default.is_empty() { String::new() } else { format!("`{}`", setting.default) };
        let (variable, meaning) = (setting.variable(), setting.meaning.trim());
        table.push_str(&format!("| `{variable}`{or_file} | {default} | {meaning} |\n"));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_can_be_read() {
        let mut problems = Problems::default();
        let resolved = Sources::default().resolve(&mut problems);
        assert!(Settings::read(&resolved, &mut problems).is_some(), "{problems}");
        assert!(problems.is_empty(), "{problems}");
    }

    #[test]
    fn the_deployment_names_only_settings_and_secrets_that_there_are() {
        const COMPOSE: &str = include_str!("../../deploy/compose.yaml");
        const SECRETS: &str = include_str!("../../deploy/secrets");
        let names = |text: &'static str, prefix: &'static str| {
            let is_end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
            text.split(prefix).skip(1).filter_map(move |rest| rest.split(is_end).next())
        };
        let known = TABLE.iter().flat_map(|setting| {
            let variable = setting.variable();
            let file = setting.is_secret.then(|| format!("{variable}_FILE"));
            [Some(variable), file].into_iter().flatten()
        });
        let known: Vec<_> = known.collect();
        for text in [COMPOSE, SECRETS, include_str!("../../deploy/Dockerfile")] {
            for name in names(text, "AUTHY_") {
                assert!(known.contains(&format!("AUTHY_{name}")), "AUTHY_{name}");
            }
        }
        let secrets: Vec<_> = names(COMPOSE, "file: .secrets/").collect();
        assert_eq!(secrets.len(), 6);
        assert!(secrets.iter().all(|name| SECRETS.contains(name)), "{secrets:?}");
    }

    #[test]
    fn the_defaults_are_those_of_the_engine() {
        let engine = authy_core::engine::Config::default();
        let settings = Sources::default().settings().unwrap().1;
        assert_eq!(settings.access_ttl, engine.access_ttl);
        assert_eq!(settings.refresh_idle, engine.refresh_idle);
        assert_eq!(settings.refresh_absolute, engine.refresh_absolute);
        assert_eq!(settings.refresh_grace, engine.refresh_grace);
        assert_eq!(settings.max_staleness, engine.max_staleness);
        assert_eq!(settings.jwks_max_age, engine.jwks_max_age);
        assert_eq!(settings.key_rotation, engine.key_rotation);
        assert_eq!(settings.audience, engine.audience);
        assert_eq!(settings.argon2, engine.hash.argon2);
    }
}
