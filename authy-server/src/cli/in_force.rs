//! What is in force where a setting is left out and its value is computed.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _},
    time::Duration,
};

use tokio::time::timeout;

use crate::{
    config::{ListenAddress, Settings},
    start::{Database, ReachedAt, Sharing, engine_config, public_url, scheme, url_of},
};

/// Maximum time for the answer of the database, without which the other settings can be shown as well.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// The addresses by which the server is known.
pub(super) struct Urls {
    /// The `iss` claim of tokens: as configured, or that of a new database.
    pub(super) issuer: String,
    /// The beginning of links in mails.
    pub(super) public_url: String,
    browser_url: String,
}

/// Returns the URLs in force.
pub(super) fn urls(settings: &Settings) -> Urls {
    let listening = match settings.listen.0.first() {
        Some(ListenAddress::Ip(address)) if address.port() == 0 => {
            format!("{}://{}:PORT", scheme(settings), address.ip())
        }
        Some(ListenAddress::Ip(address)) => url_of(settings, *address),
        Some(address) => format!("{}://{address}", scheme(settings)),
        None => String::new(),
    };
    let public_url = public_url(settings, &listening);
    let issuer = settings.issuer.clone().unwrap_or_else(|| public_url.clone());
    let addresses: Vec<_> = match settings.listen.0.first() {
        Some(ListenAddress::Ip(address)) => vec![*address],
        _ => Vec::new(),
    };
    let browser_url = ReachedAt::new(settings, &public_url, &addresses).browser_url;
    Urls { issuer, public_url, browser_url }
}

/// Returns the issuer that the database keeps, when none is configured and a database can be asked: one that is configured, or the
/// server's own while it runs. None is started for this.
pub(super) async fn kept_issuer(settings: &Settings) -> Option<String> {
    if settings.issuer.is_some() || !Database::can_be_asked(settings) {
        return None;
    }
    let asked = timeout(DATABASE_TIMEOUT, async {
        let database = Database::open(settings, Sharing::Beside).await.ok()?;
        let report = database.engine(settings).inspect().await;
        database.close().await.ok()?;
        report.ok()?.issuer
    });
    asked.await.ok().flatten()
}

/// Returns the values of settings that are left out, by key.
pub(super) fn computed(settings: &Settings) -> BTreeMap<&'static str, String> {
    #[cfg_attr(not(feature = "ui"), expect(unused_variables, reason = "for the pages"))]
    let Urls { issuer, public_url, browser_url } = urls(settings);
    let engine = engine_config(settings);
    let folder = settings.data_dir.display();
    let format = if io::stderr().is_terminal() { "text" } else { "json" };
    let names = engine.reserved_usernames.len();
    let mut values = BTreeMap::from([
        ("issuer", format!("the one that the database keeps; in a new database {issuer}")),
        ("hash_threads", engine.hash.threads.to_string()),
        ("hash_queue", engine.hash.queue.to_string()),
        ("event_retention", "without limit".to_owned()),
        ("reserved_usernames", format!("the built-in list of {names} names")),
        ("log_format", format.to_owned()),
        ("validate_url", format!("{public_url}/authy/validate/{{code}}")),
        ("public_url", public_url),
    ]);
    #[cfg(feature = "ui")]
    if settings.ui {
        let page = |path| format!("{browser_url}/authy/ui{path}");
        values.extend([
            ("validate_url", page("/confirm/{code}")),
            ("reset_url", page("/reset/{code}")),
            ("change_password_url", page("/account/password")),
        ]);
    }
    match settings.database_url {
        None => values.extend([
            ("database_url", format!("the server's own PostgreSQL in {folder}")),
            ("master_key", format!("{folder}/master.key")),
            ("smtp_url", format!("files in {folder}/mail")),
            ("mail_from", "authy <authy@localhost>".to_owned()),
        ]),
        Some(_) => values.extend([("smtp_url", "no mails are sent".to_owned())]),
    }
    values
}
