//! The URL of the database.

use std::fmt;

use authy_core::{engine::check_encryption, tls::Roots};
use percent_encoding::percent_decode_str;
use tokio_postgres::config::{ChannelBinding, Host, SslMode};

mod parameter;

use parameter::Parameters;

/// Which servers a URL leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leads {
    ToPrimary,
    ToStandby,
}

const EXPECTED: &str = "must be a PostgreSQL URL, such as postgresql://authy@db.example/authy, what is special in name and \
                        password percent-encoded (@ as %40)";

/// A PostgreSQL URL whose encryption has been checked. It contains a password, so it is never shown.
#[derive(Clone)]
pub(crate) struct DatabaseUrl {
    pub(crate) config: tokio_postgres::Config,
    /// The authorities of `sslrootcert`, which replace all others.
    pub(crate) roots: Option<Roots>,
}

impl DatabaseUrl {
    /// Reads the URL. A message may name a parameter, and never repeats a value.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        Self::leading(Leads::ToPrimary, text)
    }

    fn leading(leads: Leads, text: &str) -> Result<Self, String> {
        let scheme = ["postgresql://", "postgres://"].into_iter().find(|scheme| text.starts_with(scheme));
        // Anything else goes to the library's other parser, which panics at letters that are not ASCII.
        let Some(rest) = scheme.and_then(|scheme| text.strip_prefix(scheme)) else { return Err(EXPECTED.to_owned()) };
        let query = query_start(rest);
        let (place, query) = match query {
            Some(at) => (text.get(..text.len() - rest.len() + at), rest.get(at + 1..)),
            None => (Some(text), None),
        };
        // The library's message may quote the part that is wrong, so it is not repeated.
        let config = place.unwrap_or_default().parse().map_err(|_| EXPECTED)?;
        let mut parameters = Parameters::new(config, leads);
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(EXPECTED)?;
            let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(|text| text.into_owned());
            parameters.set(&decoded(name).map_err(|_| EXPECTED)?, &decoded(value).map_err(|_| EXPECTED)?)?;
        }
        let (config, roots) = parameters.finish()?;
        check_places(&config)?;
        check_encryption(&config).map_err(|refused| refused.to_string())?;
        let is_encrypted = !matches!(config.get_ssl_mode(), SslMode::Disable | SslMode::Prefer);
        if config.get_channel_binding() == ChannelBinding::Require && !is_encrypted {
            return Err(
                "has channel_binding=require, which needs an encrypted connection: sslmode=verify-full".to_owned()
            );
        }
        Ok(Self { config, roots })
    }
}

/// The URL of a replica. Its server is verified as the primary is.
#[derive(Clone, Debug)]
pub(crate) struct ReplicaUrl(pub(crate) DatabaseUrl);

impl ReplicaUrl {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let url = DatabaseUrl::leading(Leads::ToStandby, text)?;
        match url.roots {
            None => Ok(Self(url)),
            Some(_) => Err("must not have sslrootcert: that of AUTHY_DATABASE_URL counts for both".to_owned()),
        }
    }
}

/// Returns where the query of a URL without its scheme begins: at the first question mark behind the credentials. A
/// password may contain one, and a parameter an at sign.
fn query_start(rest: &str) -> Option<usize> {
    let ends = |end: char| rest.find(end).unwrap_or(rest.len());
    // As in libpq, credentials end before the first slash; and a password may contain a slash, as in the library.
    let credentials = rest.find('@').filter(|at| *at < ends('/') || *at < ends('?'));
    let behind = credentials.map_or(0, |at| at + 1);
    rest.get(behind..)?.find('?').map(|at| behind + at)
}

/// Refuses hosts, addresses and ports that do not belong together, which the library would report with every connection.
fn check_places(config: &tokio_postgres::Config) -> Result<(), String> {
    let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let count = hosts.len().max(addresses.len());
    if count == 0 {
        return Err("must name a host".to_owned());
    }
    // A part of a password, where an at sign in it is not encoded. It would be logged as the name of a host.
    if hosts.iter().any(|host| matches!(host, Host::Tcp(name) if name.is_empty() || name.contains('@'))) {
        return Err(EXPECTED.to_owned());
    }
    if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
        return Err("must have as many addresses in hostaddr as hosts".to_owned());
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(
            "must have one port, or one for each host: write it behind the host, or as port, and not both".to_owned()
        );
    }
    Ok(())
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests;
