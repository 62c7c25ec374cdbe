//! The table of settings: from it come the variables, the flags, the keys of the file, the help and docs/configuration.md.

use std::{path::PathBuf, time::Duration};

use authy_core::{
    claims::SigningAlgorithm,
    engine::{Argon2Params, MasterKeys, Pooler},
    http_url::HttpUrl,
    tls::Roots,
};
use ipnet::IpNet;

use super::{
    resolved::{Problems, Resolved},
    setting::Setting,
    value::{
        BaseUrl, CorsOrigin, DatabaseConnections, DatabaseUrl, HmacSecret, List, ListenAddress, LogFilter, LogFormat,
        NonEmptyList, Pause, ReplicaUrl, Share, TlsCa,
    },
};
use crate::{compat::Compat, limit::RateLimit, link_template::LinkTemplate};

macro_rules! settings {
    (@secret) => { false };
    (@secret secret) => { true };
    ($(
        $(#[cfg(feature = $feature:literal)])?
        #[doc = $meaning:literal]
        $key:ident: $type:ty = $default:literal $($secret:ident)?;
    )+) => {
        /// Every setting, in the order of docs/configuration.md.
        pub(crate) const TABLE: &[Setting] = &[$( $(#[cfg(feature = $feature)])? Setting {
            key: stringify!($key),
            default: $default,
            meaning: $meaning,
            is_secret: settings!(@secret $($secret)?),
        } ),+];

        /// The value of every setting.
        #[derive(Clone, Debug)]
        pub(crate) struct Settings {
            $( $(#[cfg(feature = $feature)])? #[doc = $meaning] pub(crate) $key: $type, )+
        }

        impl Settings {
            /// Reads every setting, and reports every wrong one.
            pub(super) fn read(resolved: &Resolved, problems: &mut Problems) -> Option<Self> {
                $( $(#[cfg(feature = $feature)])? let $key = resolved.read::<$type>(stringify!($key), problems); )+
                Some(Self { $( $(#[cfg(feature = $feature)])? $key: $key?, )+ })
            }

            /// Reads the text of one setting, and says what is wrong with it; `None` when there is no such setting.
            #[cfg(feature = "fuzz-entry-points")]
            pub(crate) fn read_one(key: &str, text: &str) -> Option<Result<(), String>> {
                match key {
                    $( $(#[cfg(feature = $feature)])? stringify!($key) => Some(<$type as super::value::SettingValue>::parse(text).map(drop)), )+
                    _ => None,
                }
            }
        }
    };
}

settings! {
    /// Where to listen: addresses or names with a port, comma separated; port 0 takes a free one
    listen: NonEmptyList<ListenAddress> = "127.0.0.1:8080";
    /// Other addresses or names to listen on, for administrators and monitoring, comma separated: then the endpoints that are for administrators alone, `/livez`, `/readyz` and `/metrics` are there and nowhere else
    admin_listen: List<ListenAddress> = "";
    #[cfg(feature = "tls")]
    /// A PEM file with the certificate of this server and those of its intermediate authorities: then every listener speaks TLS, with HTTP/2 and HTTP/1.1. Read again when it changes
    tls_cert: Option<PathBuf> = "";
    #[cfg(feature = "tls")]
    /// A PEM file with the private key of the certificate; required with it
    tls_key: Option<PathBuf> = "";
    #[cfg(feature = "tls")]
    /// A PEM file with the authorities of the certificates of clients: a client that shows one has a reserved place as a follower of revocations. Needs `AUTHY_TLS_CERT`
    client_ca: Option<PathBuf> = "";
    /// A PostgreSQL URL, several hosts allowed. For another machine it needs `sslmode=verify-full`, or `sslmode=disable` for no encryption. When left out, the server runs its own PostgreSQL in the data folder
    database_url: Option<DatabaseUrl> = "" secret;
    /// Number of database connections for transactions, at least 2. Five more are for reads and revocations, and two for each sink
    database_connections: DatabaseConnections = "8";
    /// Whether a connection pooler such as PgBouncer is in front of the database: `transaction` (in transaction mode), `session` (in session mode, or none), or `auto`, which finds out whether there is one, and then assumes transaction mode
    database_pooler: Pooler = "auto";
    /// How long `serve` and `migrate` wait for a database that is not available; other commands wait 5 seconds at most
    start_timeout: Duration = "60s";
    /// The URL of a standby of the database, for reads that may miss the last seconds: lists of users and events, exports
    database_replica_url: Option<ReplicaUrl> = "" secret;
    /// Maximum time by which the standby may be behind; beyond it reads go to the database itself
    database_replica_max_lag: Duration = "10s";
    /// The PostgreSQL URL of the first authy, for `authy-server import`
    import_from: Option<DatabaseUrl> = "" secret;
    /// The PostgreSQL URL of the first authy, for `authy-server export`
    export_to: Option<DatabaseUrl> = "" secret;
    /// The folder of the server's own PostgreSQL and of the generated master key
    data_dir: PathBuf = "./.authy";
    #[cfg(feature = "embedded-postgres")]
    /// The folder of PostgreSQL's server programs, instead of the newest that is installed
    pg_bin: Option<PathBuf> = "";
    /// A PEM file with private certificate authorities, used besides the system's to verify the database, RabbitMQ, the mail server and the webhook; for the database, `sslrootcert` in its URL replaces them all
    tls_ca: Option<TlsCa> = "";
    /// Base64 of 32 bytes, several separated by commas: the first encrypts, all decrypt. Generated in the data folder; required with a database URL
    master_key: Option<MasterKeys> = "" secret;
    /// The issuer (`iss`) of tokens. The database keeps the first one: when left out, that one, and in a new database the public URL or the address it listens on. Another one is refused; `authy-server issuer set` replaces it
    issuer: Option<String> = "";
    /// The audience (`aud`) of tokens
    audience: String = "authy";
    /// How tokens are signed: `EdDSA`, `ES256` or `RS256`
    signing_alg: SigningAlgorithm = "EdDSA";
    /// How long an access token lives; a day at most
    access_ttl: Duration = "15m";
    /// A session ends when it has not been used for this time
    refresh_idle: Duration = "14d";
    /// A session ends this time after its login, whether it is used or not
    refresh_absolute: Duration = "90d";
    /// How long a used refresh token returns the same successor when it is sent again
    refresh_grace: Duration = "30s";
    /// Maximum age of the known revocations; beyond it a server asks the database for each check
    max_staleness: Duration = "30s";
    /// Whether the server once a minute revokes a session that does not exist, and logs a warning when the revocation was not in force within a second
    self_test: bool = "true";
    /// How long clients may cache the public keys
    jwks_max_age: Duration = "5m";
    /// How long a signing key is used before the next one replaces it
    key_rotation: Duration = "30d";
    /// How long the audit trail is kept, in whole months; without limit when left out
    event_retention: Option<Duration> = "";
    /// How long the code in an invitation sets the first password
    invitation_ttl: Duration = "7d";
    /// Whether only a user with a confirmed address can log in
    require_validated: bool = "false";
    /// Whether an administrator can set the password and the address of a user who is not more powerful, or only send a reset or an invitation
    admin_sets_passwords: bool = "true";
    /// The page where users change their password; `/.well-known/change-password` redirects to it. With pages, theirs when left out
    change_password_url: Option<HttpUrl> = "";
    #[cfg(feature = "ui")]
    /// Whether the server has pages for people, under `/authy/ui`: sign up, log in, the account
    ui: bool = "true";
    #[cfg(feature = "ui")]
    /// A folder with files that replace templates, texts, stylesheet and logo of the pages
    ui_dir: crate::ui::Looks = "";
    #[cfg(feature = "ui")]
    /// The name of the service, in the titles of the pages
    ui_name: String = "authy";
    #[cfg(feature = "ui")]
    /// The colour of buttons and links, as `#rrggbb`. Where text would not be readable, it is darkened or lightened
    ui_color: crate::ui::Color = "#3355cc";
    #[cfg(feature = "webhook")]
    /// The URL that every sign-up is sent to: `https://…`, or `http://…` on this machine (on another one only with `#tls=none` at the end)
    webhook_url: Option<crate::sink::WebhookUrl> = "";
    #[cfg(feature = "webhook")]
    /// Secrets used to sign webhook requests: `whsec_` and base64 of 24 to 64 bytes, several separated by commas. Required with a webhook URL
    webhook_secret: Option<crate::sink::WebhookSecrets> = "" secret;
    #[cfg(feature = "webhook")]
    /// The statuses with which the webhook says that it has its record of the user, comma separated; a sign-up is sent again after any other
    webhook_accept: NonEmptyList<super::value::AcceptedStatus> = "201";
    #[cfg(feature = "webhook")]
    /// How long after its first failed attempt a sign-up is given up; without limit when left out. `authy-server event retry` sends it again
    webhook_give_up: Option<Duration> = "";
    #[cfg(feature = "amqp")]
    /// The URL of the RabbitMQ that every event is published to: `amqps://…`, or `amqp://…` on this machine (on another one only with `?tls=none`)
    amqp_url: Option<crate::sink::AmqpUrl> = "" secret;
    /// Reserved usernames, comma separated, instead of the built-in list: no user can sign up with one of them, or with a name that looks like one
    reserved_usernames: Option<List<String>> = "";
    /// Login attempts per address
    limit_login: RateLimit = "100/hour";
    /// Sign-up attempts per address
    limit_register: RateLimit = "20/hour";
    /// One-time codes presented or requested per address
    limit_validate: RateLimit = "20/hour";
    /// Password reset mails requested per address
    limit_forgot: RateLimit = "10/hour";
    /// All other requests per address, except token checks and public keys; `off` for no limit
    limit_default: RateLimit = "500/minute,50/second";
    /// The networks or addresses of proxies whose `X-Forwarded-For` (without it, `X-Real-IP`) and `X-Forwarded-Proto` count, comma separated
    trusted_proxies: List<IpNet> = "";
    /// The networks or addresses of services that follow revocations as event streams, comma separated: half of the places for streams are reserved for them
    follower_networks: List<IpNet> = "";
    /// How long a connection may be idle between two requests: longer than the proxies in front keep theirs
    keep_alive: Duration = "75s";
    /// Maximum number of connections at a time; further clients wait. When left out: the limit of open files, less a quarter of it or 256
    max_connections: Option<usize> = "";
    /// How long a server that stops still accepts connections, so that load balancers notice it; `0s` for not at all. When left out: 5 seconds, and none when it was started at a terminal
    stop_delay: Option<Pause> = "";
    /// Whether requests that did not arrive over https are refused
    require_https: bool = "false";
    /// The earlier system for whose clients some answers are changed: `poptape` for the first authy, in Python. docs/poptape.md lists what changes
    compat: Option<Compat> = "";
    /// The secret of an earlier system whose HS512 tokens are accepted until they expire. Leave it out once the last has expired
    legacy_hs512_secret: Option<HmacSecret> = "" secret;
    /// How long a token of the earlier system may still live, at most 30 days; those that live longer are refused
    legacy_hs512_lifetime: Duration = "1d";
    /// The origins whose pages may call from a browser, such as `https://shop.example`, comma separated
    cors_origins: List<CorsOrigin> = "";
    /// The URL at which users reach this server, for links in mails. When left out: `AUTHY_ISSUER` if it is a URL, otherwise the address it listens on, or `localhost` when it listens on all. Required with a mail server when it listens on all addresses and there is neither
    public_url: Option<BaseUrl> = "";
    #[cfg(feature = "mail")]
    /// The mail server: `smtps://user:password@host`, `smtp://host?tls=required` (STARTTLS), or `smtp://localhost` (another machine without TLS only with `?tls=none`). Without it and with a database URL no mails are sent; without both they are files in `mail` in the data folder
    smtp_url: Option<crate::sink::SmtpUrl> = "" secret;
    #[cfg(feature = "mail")]
    /// The sender of mails, such as `Shop <no-reply@shop.example>`; required with a mail server. The part before the `@` must be ASCII; an international domain is sent in its ASCII form
    mail_from: Option<crate::sink::Sender> = "";
    #[cfg(feature = "mail")]
    /// A folder with files that replace the texts of mails
    mail_templates: crate::sink::Templates = "";
    #[cfg(feature = "mail")]
    /// The page that confirms an address, with `{code}` in its URL; when left out, `/authy/ui/confirm/{code}` of this server, or without pages `/authy/validate/{code}`. It must send `POST /authy/validate/{code}` when the user confirms, not when the page is opened
    validate_url: Option<LinkTemplate> = "";
    /// The page that sets a new password, also that of an invited user, with `{code}` in its URL, such as `https://shop.example/reset?code={code}`; when left out, `/authy/ui/reset/{code}` of this server, or without pages the mail contains the code itself
    reset_url: Option<LinkTemplate> = "";
    /// Number of threads that hash passwords; one per core when left out
    hash_threads: Option<usize> = "";
    /// Maximum number of passwords that wait to be hashed; 64 per thread when left out
    hash_queue: Option<usize> = "";
    /// Cost of one hash: KiB of memory, passes, lanes
    argon2: Argon2Params = "m=19456,t=2,p=1";
    /// A file of breached passwords, which are refused, as Have I Been Pwned publishes it: lines of `SHA1:COUNT`, sorted by hash
    pwned_passwords: Option<PathBuf> = "";
    /// Log level or filter: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,authy_core=debug`
    log: LogFilter = "info";
    /// `text` or `json`; when left out, text on a terminal and json otherwise
    log_format: Option<LogFormat> = "";
    /// Whether every request is a line in the log, with the target `authy_server::access_log`: `warn,authy_server::access_log=info` in `AUTHY_LOG` logs little else
    access_log: bool = "false";
    /// Share of the successful token checks in the access log, from 0 to 1; all other requests are in it
    access_log_sample: Share = "0.01";
    /// Whether every event is written to the log, by one of the servers
    log_events: bool = "false";
}

/// Maximum time for which a command waits for the database: somebody waits for its answer.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);

impl Settings {
    /// Returns how long a command waits for the database, other than `serve` and `migrate`.
    pub(crate) fn command_timeout(&self) -> Duration {
        self.start_timeout.min(COMMAND_TIMEOUT)
    }

    /// Returns the certificate authorities that other servers are verified with.
    pub(crate) fn roots(&self) -> Roots {
        self.tls_ca.as_ref().map_or_else(Roots::platform, |TlsCa(roots)| roots.clone())
    }

    /// Returns the certificate authorities that the database is verified with.
    pub(crate) fn database_roots(&self) -> Roots {
        let own = self.database_url.as_ref().and_then(|url| url.roots.clone());
        own.unwrap_or_else(|| self.roots())
    }
}

/// Returns the table of settings in Markdown, as docs/configuration.md contains it.
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
    use crate::config::Sources;

    #[test]
    fn every_default_can_be_read() {
        let mut problems = Problems::default();
        let resolved = Sources::default().resolve(&mut problems);
        assert!(Settings::read(&resolved, &mut problems).is_some(), "{problems}");
        assert!(problems.is_empty(), "{problems}");
    }

    #[test]
    fn the_deployment_names_only_settings_and_secrets_that_there_are() {
        const COMPOSE: &str = include_str!("../../../deploy/compose.yaml");
        const SECRETS: &str = include_str!("../../../deploy/secrets");
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
        const UNIT: &str = include_str!("../../../deploy/authy.service");
        for text in [COMPOSE, SECRETS, UNIT, include_str!("../../../deploy/Dockerfile")] {
            // The commit is an argument of the build.
            for name in names(text, "AUTHY_").filter(|name| *name != "COMMIT") {
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
        assert_eq!(settings.database_replica_max_lag, engine.max_replica_lag);
        assert_eq!(settings.jwks_max_age, engine.jwks_max_age);
        assert_eq!(settings.key_rotation, engine.key_rotation);
        assert_eq!(settings.invitation_ttl, engine.invitation_ttl);
        assert_eq!(settings.audience, engine.audience);
        assert_eq!(settings.argon2, engine.hash.argon2);
        assert_eq!((settings.database_connections.0, settings.database_pooler), (engine.connections, engine.pooler));
        assert_eq!(settings.access_log_sample.0, crate::AccessLog::default().sample);
    }
}
