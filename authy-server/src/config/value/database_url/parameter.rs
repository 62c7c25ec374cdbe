//! The parameters of a PostgreSQL URL, by the names that libpq gives them.

use std::{fmt::Display, path::Path, str::FromStr, time::Duration};

use authy_core::{
    file::{self, Content},
    tls::Roots,
};
use tokio_postgres::{
    Config,
    config::{ChannelBinding, LoadBalanceHosts, SslMode, TargetSessionAttrs},
};

use super::Leads;

/// Parameters that are understood, for the suggestion when another one is given.
const KNOWN: &[&str] = &[
    "application_name",
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "dbname",
    "fallback_application_name",
    "gssencmode",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// Parameters of libpq that are refused, and why.
const REFUSED: &[(&str, &str)] = &[
    ("gssdelegation", "GSSAPI is not supported"),
    ("gsslib", "GSSAPI is not supported"),
    ("krbsrvname", "GSSAPI is not supported"),
    ("passfile", "put the password into the URL, and the URL into the file that AUTHY_DATABASE_URL_FILE names"),
    ("replication", "authy uses ordinary connections"),
    ("require_auth", "require SCRAM with channel_binding=require, or in pg_hba.conf"),
    ("requirepeer", "it is not supported: give the folder of the socket to the user that runs PostgreSQL"),
    ("service", "service files are not read: write what it names into the URL"),
    ("servicefile", "service files are not read: write what it names into the URL"),
    ("ssl_max_protocol_version", "TLS 1.2 and 1.3 are used"),
    ("ssl_min_protocol_version", "TLS 1.2 and 1.3 are used: leave it out, or require 1.3 in the server's settings"),
    ("sslcert", "client certificates are not supported: use a password, and channel_binding=require"),
    ("sslcertmode", "client certificates are not supported"),
    ("sslcompression", "TLS compression is not supported"),
    ("sslcrl", "revocation lists are not supported"),
    ("sslcrldir", "revocation lists are not supported"),
    ("sslkey", "client certificates are not supported: use a password, and channel_binding=require"),
    ("sslkeylogfile", "it would reveal every password"),
    ("sslpassword", "client certificates are not supported"),
    ("sslsni", "the name of the host is always sent"),
];

/// The configuration that the parameters change.
pub(super) struct Parameters {
    config: Config,
    /// Whether `sslmode` was given.
    has_ssl_mode: bool,
    roots: RootCert,
    leads: Leads,
}

/// What `sslrootcert` names.
enum RootCert {
    None,
    System,
    File(Roots),
}

impl Parameters {
    /// Begins with what the URL says before its parameters.
    pub(super) fn new(config: Config, leads: Leads) -> Self {
        Self { config, has_ssl_mode: false, roots: RootCert::None, leads }
    }

    /// Sets a parameter. The message names the parameter, and never repeats its value.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let config = &mut self.config;
        match name {
            "user" => _ = config.user(value),
            "password" => _ = config.password(value),
            "dbname" => _ = config.dbname(value),
            "options" => _ = config.options(value),
            "application_name" => _ = config.application_name(value),
            "fallback_application_name" if config.get_application_name().is_some() => {}
            "fallback_application_name" => _ = config.application_name(value),
            "host" => {
                for host in value.split(',') {
                    // The path of a folder with a socket is recognized by its slash.
                    config.host(host);
                }
            }
            "hostaddr" => {
                for address in value.split(',') {
                    config.hostaddr(parsed(name, address, "addresses, separated by commas")?);
                }
            }
            "port" => {
                for port in value.split(',') {
                    config.port(parsed(name, port, "port numbers, separated by commas")?);
                }
            }
            "keepalives" => _ = config.keepalives(parsed::<u8>(name, value, "0 or 1")? != 0),
            "connect_timeout"
            | "tcp_user_timeout"
            | "keepalives_idle"
            | "keepalives_interval"
            | "keepalives_count"
            | "keepalives_retries" => self.set_time(name, value)?,
            "sslmode" => self.set_ssl_mode(value)?,
            // As in libpq, for URLs of JDBC.
            "ssl" if value == "true" => self.set_ssl_mode("require")?,
            "sslrootcert" => self.roots = root_cert(value)?,
            "sslnegotiation" => chosen(name, value, &[("postgres", ())])?,
            "target_session_attrs" => self.set_target(value)?,
            "channel_binding" => {
                const VALUES: &[(&str, ChannelBinding)] = &[
                    ("disable", ChannelBinding::Disable),
                    ("prefer", ChannelBinding::Prefer),
                    ("require", ChannelBinding::Require),
                ];
                config.channel_binding(chosen(name, value, VALUES)?);
            }
            "load_balance_hosts" => {
                const VALUES: &[(&str, LoadBalanceHosts)] =
                    &[("disable", LoadBalanceHosts::Disable), ("random", LoadBalanceHosts::Random)];
                config.load_balance_hosts(chosen(name, value, VALUES)?);
            }
            // What they ask for is what is done.
            "client_encoding" if ["utf8", "utf-8", "unicode", "auto"].contains(&&*value.to_ascii_lowercase()) => {}
            "client_encoding" => return Err("has a client_encoding other than UTF8, which is the only one".to_owned()),
            "gssencmode" => chosen(name, value, &[("disable", ()), ("prefer", ())])?,
            _ => return Err(unknown(name)),
        }
        Ok(())
    }

    /// Returns the configuration, and the authorities that replace all others.
    pub(super) fn finish(mut self) -> Result<(Config, Option<Roots>), String> {
        let roots = match self.roots {
            RootCert::None => return Ok((self.config, None)),
            RootCert::System => Roots::platform(),
            RootCert::File(roots) => roots,
        };
        if !self.has_ssl_mode {
            self.config.ssl_mode(SslMode::Require);
        }
        match self.config.get_ssl_mode() {
            SslMode::Require => Ok((self.config, Some(roots))),
            _ => Err("has sslrootcert and an sslmode that verifies no certificate: use sslmode=verify-full".to_owned()),
        }
    }

    /// Sets a time or a number of which zero is the default.
    fn set_time(&mut self, name: &str, value: &str) -> Result<(), String> {
        let number: u32 = match name {
            "tcp_user_timeout" => parsed(name, value, "a number of milliseconds")?,
            "keepalives_count" | "keepalives_retries" => parsed(name, value, "a whole number")?,
            _ => parsed(name, value, "a number of seconds")?,
        };
        let seconds = Duration::from_secs(number.into());
        let config = &mut self.config;
        match name {
            _ if number == 0 => {}
            "connect_timeout" => _ = config.connect_timeout(seconds),
            "tcp_user_timeout" => _ = config.tcp_user_timeout(Duration::from_millis(number.into())),
            "keepalives_idle" => _ = config.keepalives_idle(seconds),
            "keepalives_interval" => _ = config.keepalives_interval(seconds),
            _ => _ = config.keepalives_retries(number),
        }
        Ok(())
    }

    fn set_ssl_mode(&mut self, value: &str) -> Result<(), String> {
        const VALUES: &[(&str, SslMode)] = &[
            ("disable", SslMode::Disable),
            // Both encrypt only when the server offers it.
            ("allow", SslMode::Prefer),
            ("prefer", SslMode::Prefer),
            // All three verify the certificate and the name in it.
            ("require", SslMode::Require),
            ("verify-ca", SslMode::Require),
            ("verify-full", SslMode::Require),
        ];
        self.config.ssl_mode(chosen("sslmode", value, VALUES)?);
        self.has_ssl_mode = true;
        Ok(())
    }

    fn set_target(&mut self, value: &str) -> Result<(), String> {
        let target = match (self.leads, value) {
            (_, "any") => TargetSessionAttrs::Any,
            // The first that takes writes, which no standby does.
            (Leads::ToPrimary, "primary" | "read-write") => TargetSessionAttrs::ReadWrite,
            (Leads::ToPrimary, "read-only" | "standby" | "prefer-standby") => {
                return Err(
                    "has a target_session_attrs that selects a standby, and authy writes: use read-write".to_owned()
                );
            }
            (Leads::ToPrimary, _) => {
                return Err("has a target_session_attrs other than any, primary or read-write".to_owned());
            }
            // The first that is a standby: the engine asks each server. Without one, reads go to the primary.
            (Leads::ToStandby, "read-only" | "standby" | "prefer-standby") => TargetSessionAttrs::Any,
            (Leads::ToStandby, "primary" | "read-write") => {
                return Err("has a target_session_attrs that selects the primary, and a replica is a standby: \
                            use standby"
                    .to_owned());
            }
            (Leads::ToStandby, _) => {
                return Err(
                    "has a target_session_attrs other than any, standby, prefer-standby or read-only".to_owned()
                );
            }
        };
        self.config.target_session_attrs(target);
        Ok(())
    }
}

fn parsed<T: FromStr>(name: impl Display, value: &str, expected: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("has a {name} that is not {expected}"))
}

fn chosen<T: Copy>(name: &str, value: &str, values: &[(&str, T)]) -> Result<T, String> {
    let found = values.iter().find(|(text, _)| *text == value).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let known: Vec<_> = values.iter().map(|(text, _)| *text).collect();
        format!("has a {name} other than {}", known.join(", "))
    })
}

fn root_cert(value: &str) -> Result<RootCert, String> {
    if value == "system" {
        return Ok(RootCert::System);
    }
    // It decides which server is trusted, so no other user may write it.
    let pem = file::read(Path::new(value), Content::Trusted).map_err(|error| error.to_string());
    let roots = pem.and_then(|pem| Roots::only_pem(&pem).map_err(|error| error.to_string()));
    roots.map(RootCert::File).map_err(|error| format!("has an sslrootcert that cannot be used: {error}"))
}

/// Returns the message about a parameter that is not understood. It repeats only names that are known: any other may be
/// a part of a password that is not percent-encoded.
fn unknown(name: &str) -> String {
    if let Some((name, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return format!("has the parameter {name}: {why}");
    }
    let scored = KNOWN.iter().map(|known| (strsim::jaro_winkler(name, known), *known));
    match scored.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(likeness, _)| *likeness > 0.8) {
        Some((_, near)) => format!("has a parameter that is not known: did you mean {near}?"),
        None => format!("has a parameter that is not known: the known ones are {}", KNOWN.join(", ")),
    }
}
