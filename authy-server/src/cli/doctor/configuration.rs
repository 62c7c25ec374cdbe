//! Whether the settings go together, and the files that they name can be used. Also `authy-server config check`.

use std::path::Path;

use authy_core::{claims::MAX_TOKEN_LIFETIME, engine::check_breached_passwords, error::chain};

use super::finding::Finding;
use crate::{
    config::Settings,
    start::{self, NO_MASTER_KEY},
};

const AREA: &str = "configuration";

pub(super) async fn findings(settings: &Settings) -> Vec<Finding> {
    match problems(settings).await {
        none if none.is_empty() => vec![Finding::ok(AREA, "every setting can be used")],
        problems => problems,
    }
}

/// Returns what is wrong with settings that can be read: everything at once, and nothing when they can be used.
pub(in crate::cli) async fn problems(settings: &Settings) -> Vec<Finding> {
    let mut problems: Vec<_> = start::sink_problems(settings)
        .into_iter()
        .map(|error| Finding::problem(AREA, chain(&error), "set both, or none of them"))
        .collect();
    let mut problem = |message: String, remedy: &str| problems.push(Finding::problem(AREA, message, remedy));
    if settings.database_url.is_some() && settings.master_key.is_none() {
        problem(NO_MASTER_KEY.to_owned(), "all servers of a database have the same master key");
    }
    if settings.access_ttl > MAX_TOKEN_LIFETIME {
        problem("AUTHY_ACCESS_TTL is longer than a day".to_owned(), "set it to at most 24h, better 15m");
    }
    if settings.refresh_idle > settings.refresh_absolute {
        let message = "AUTHY_REFRESH_IDLE is longer than AUTHY_REFRESH_ABSOLUTE, so it has no effect";
        problem(message.to_owned(), "make it the shorter of both");
    }
    if let Some(file) = &settings.pwned_passwords
        && let Err(error) = check_breached_passwords(file)
    {
        let message = format!("AUTHY_PWNED_PASSWORDS: {} cannot be used: {error}", file.display());
        problem(message, "name a file of lines HASH:COUNT, sorted by hash, or leave the setting out");
    }
    if let Err(error) = settings.roots().certificates() {
        problem(error.to_string(), "without them only servers on this machine, and those without TLS, can be used");
    }
    if settings.require_https && settings.trusted_proxies.0.is_empty() && !start::speaks_tls(settings) {
        let message =
            "AUTHY_REQUIRE_HTTPS refuses every request, because no proxy is trusted to say that one came by https";
        problem(message.to_owned(), "name the proxy in AUTHY_TRUSTED_PROXIES, or set AUTHY_TLS_CERT");
    }
    #[cfg(feature = "tls")]
    if let Err(error) = start::open_tls(settings) {
        problem(chain(&error).to_string(), "correct the settings or the files: the server does not start with them");
    }
    #[cfg(feature = "embedded-postgres")]
    if let Some(folder) = settings.pg_bin.as_deref().filter(|folder| !folder.join("postgres").exists()) {
        problem(format!("AUTHY_PG_BIN: there is no program postgres in {}", folder.display()), "name its folder");
    }
    if settings.database_url.is_none()
        && let Some(why) = unusable_folder(&settings.data_dir)
    {
        problem(format!("AUTHY_DATA_DIR: {} {why}", settings.data_dir.display()), "name a folder that can be written");
    }
    let admin = settings.admin_listen.0.iter().map(|address| ("AUTHY_ADMIN_LISTEN", address));
    for (setting, address) in settings.listen.0.iter().map(|address| ("AUTHY_LISTEN", address)).chain(admin) {
        if let Err(error) = address.resolve().await {
            problem(format!("{setting}: {address} cannot be resolved: {error}"), "correct the name");
        }
    }
    if settings.trusted_proxies.0.iter().any(|network| network.prefix_len() == 0) {
        problems.push(Finding::warning(
            AREA,
            "AUTHY_TRUSTED_PROXIES contains every address, so that any client can claim another address",
            "name the networks of the proxies alone",
        ));
    }
    problems
}

/// Returns what was found wrong with a setting that cannot be read.
pub(in crate::cli) fn unreadable(problem: &str) -> Finding {
    Finding::problem(AREA, problem, "the server does not start before it is corrected")
}

/// Returns why a folder cannot be used. One that does not exist is created at the first start.
fn unusable_folder(folder: &Path) -> Option<&'static str> {
    match folder.metadata() {
        Ok(metadata) if !metadata.is_dir() => Some("is not a folder"),
        Ok(metadata) if metadata.permissions().readonly() => Some("cannot be written"),
        _ => None,
    }
}
