//! What is in force where a setting is left out and its value is computed.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _},
};

use crate::{
    config::{ListenAddress, Settings},
    start::{engine_config, public_url},
};

/// The addresses by which the server is known.
pub(super) struct Urls {
    /// The `iss` claim of tokens.
    pub(super) issuer: String,
    /// The beginning of links in mails.
    pub(super) public_url: String,
}

/// Returns the URLs in force.
pub(super) fn urls(settings: &Settings) -> Urls {
    let listening = match settings.listen.0.first() {
        Some(ListenAddress::Ip(address)) if address.port() == 0 => format!("http://{}:PORT", address.ip()),
        Some(address) => format!("http://{address}"),
        None => String::new(),
    };
    let issuer = settings.issuer.clone().unwrap_or_else(|| listening.clone());
    Urls { issuer, public_url: public_url(settings, &listening) }
}

/// Returns the values of settings that are left out, by key.
pub(super) fn computed(settings: &Settings) -> BTreeMap<&'static str, String> {
    let Urls { issuer, public_url } = urls(settings);
    let engine = engine_config(settings, &issuer);
    let folder = settings.data_dir.display();
    let format = if io::stderr().is_terminal() { "text" } else { "json" };
    let names = engine.reserved_usernames.len();
    let mut values = BTreeMap::from([
        ("issuer", issuer),
        ("hash_threads", engine.hash.threads.to_string()),
        ("hash_queue", engine.hash.queue.to_string()),
        ("event_retention", "without limit".to_owned()),
        ("reserved_usernames", format!("the built-in list of {names} names")),
        ("log_format", format.to_owned()),
        ("validate_url", format!("{public_url}/authy/validate/{{code}}")),
        ("public_url", public_url),
    ]);
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
