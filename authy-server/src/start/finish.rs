//! What a server asks its database once the engine has started, before it listens.

use authy_core::{Authy, ClientInfo, Result, Secret, Username, engine::Caller};

use crate::config::Settings;

/// Warns of what weakens passwords, and creates the first administrator of a new database, whose name and password it returns. Waits for
/// a database that goes away meanwhile, as the engine does.
pub(super) async fn finish(settings: &Settings, authy: &Authy) -> Result<Option<(Username, Secret)>> {
    authy.until_available(settings.start_timeout, || warn_of_fallback_hashes(settings, authy)).await?;
    let operator = Caller::operator(ClientInfo::default());
    authy.until_available(settings.start_timeout, || authy.users().create_first_administrator(&operator)).await
}

/// Warns while hashes are kept for the first authy, or new ones would be.
async fn warn_of_fallback_hashes(settings: &Settings, authy: &Authy) -> Result<()> {
    let kept = authy.count_fallback_hashes().await?;
    if settings.compat.is_some() {
        tracing::warn!(
            kept,
            "password hashes that are weaker than argon2id are kept for the first authy, encrypted with the master key: leave \
             out AUTHY_COMPAT and run `authy-server export --forget` once it will not be started again"
        );
    } else if kept > 0 {
        tracing::warn!(
            kept,
            "password hashes that are weaker than argon2id are still kept for the first authy: run `authy-server export \
             --forget` once it will not be started again"
        );
    }
    Ok(())
}
