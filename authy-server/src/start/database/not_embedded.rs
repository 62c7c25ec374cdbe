//! The answer of a program that was built without a PostgreSQL of its own.

use super::{Database, Sharing};
use crate::{config::Settings, start::BoxError};

/// Refuses: the database has to be configured.
pub(super) async fn open(_: &Settings, _: Sharing) -> Result<Database, BoxError> {
    Err("a database is required: set AUTHY_DATABASE_URL. This program was built without a PostgreSQL of its own (the feature \
         embedded-postgres)"
        .into())
}

pub(super) fn is_running(_: &Settings) -> bool {
    false
}

/// None is ever created.
pub(super) fn is_missing(_: &Settings) -> bool {
    false
}

pub(super) fn has_ended(_: &Database, _: &Settings) -> bool {
    false
}
