//! The issuer of the tokens. The database keeps it, because the instances on one database accept each other's tokens, and
//! a token is refused when its issuer is not the expected one.

use serde_json::json;

use crate::{
    Error, ErrorKind, Result,
    api::event::EventKind,
    engine::{
        journal::{
            caller::Caller,
            event::Event,
            write::{Journal, Written},
        },
        storage::db::Db,
    },
};

pub(in crate::engine) mod sql;

/// The issuer when neither the program nor the database names one.
const DEFAULT_ISSUER: &str = "authy";

/// A program with an issuer that is not the one of its database.
#[derive(Debug, thiserror::Error)]
#[error(
    "it is {configured:?}, and the database keeps {kept:?}: configure {kept:?}, or none, or change it for every server with \
     `authy-server issuer set {configured}` (in a program: `Authy::set_issuer`)"
)]
struct OtherIssuer {
    configured: String,
    kept: String,
}

/// The issuer that a program has configured.
pub(in crate::engine) struct ConfiguredIssuer {
    /// The one that it insists on.
    pub(in crate::engine) required: Option<String>,
    /// The one of a new database.
    pub(in crate::engine) default: Option<String>,
}

impl ConfiguredIssuer {
    /// Returns the issuer that the database keeps. A database that keeps none keeps the configured one from then on.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when the program insists on another.
    pub(in crate::engine) async fn resolve(&self, db: &Db) -> Result<String> {
        let Self { required, default } = self;
        if let Some(new) = required.as_ref().or(default.as_ref())
            && find(db).await?.is_none()
        {
            db.write_quietly(&sql::KEEP, &[new]).await?;
        }
        // Another instance may have been the first.
        let kept = find(db).await?;
        match (required, kept) {
            (Some(configured), Some(kept)) if *configured != kept => Err(Error::with_source(
                ErrorKind::InvalidInput,
                "the issuer is not the one of this database",
                OtherIssuer { configured: configured.clone(), kept },
            )),
            (_, kept) => Ok(kept.unwrap_or_else(|| DEFAULT_ISSUER.to_owned())),
        }
    }
}

async fn find(db: &Db) -> Result<Option<String>> {
    Ok(db.read_one(&sql::FIND, &[]).await?.get("issuer"))
}

/// Replaces the issuer that the database keeps.
pub(in crate::engine) async fn set(journal: &Journal, caller: &Caller, issuer: &str) -> Result<()> {
    if issuer.trim().is_empty() {
        return Err(Error::new(ErrorKind::InvalidInput, "the issuer must not be empty"));
    }
    journal
        .write(caller, async |tx| {
            let actor = tx.prove_full_power().await?;
            let Some(replaced) = sql::SET.row(tx, &[&issuer]).await? else { return Ok(Written::unchanged(())) };
            let detail = match replaced.get::<_, Option<String>>("issuer") {
                Some(from) => json!({ "from": from, "to": issuer }),
                None => json!({ "to": issuer }),
            };
            Ok(Event::new(EventKind::IssuerChanged, &actor).detail(detail).into())
        })
        .await
}
