//! Where an import writes: into the database of the settings, or, in a dry run before there is one, into an empty one that is
//! deleted afterwards.

use std::{borrow::Cow, fs::Permissions, os::unix::fs::PermissionsExt as _, path::PathBuf};

use clap::ArgMatches;
use tempfile::TempDir;

use crate::{
    config::Settings,
    start::{BoxError, Database},
};

/// The settings with which an import opens its database.
pub(in crate::cli) struct Place<'a> {
    settings: Cow<'a, Settings>,
    /// Deleted at the end.
    _temporary: Option<TempDir>,
}

impl<'a> Place<'a> {
    /// Returns where an import writes. Says on standard error when there is no database yet: the folder may be a wrong one.
    ///
    /// # Errors
    /// When no temporary folder can be made.
    pub(in crate::cli) fn of(matches: &ArgMatches, settings: &'a Settings) -> Result<Self, BoxError> {
        if !Database::would_be_created(settings) {
            return Ok(Self { settings: Cow::Borrowed(settings), _temporary: None });
        }
        let shown = settings.data_dir.display();
        if !matches.get_flag("dry-run") {
            eprintln!("a new database in {shown} (AUTHY_DATA_DIR)");
            return Ok(Self { settings: Cow::Borrowed(settings), _temporary: None });
        }
        eprintln!(
            "there is no database in {shown} (AUTHY_DATA_DIR) yet: an import would create one. This dry run compares with an \
             empty one in a temporary folder"
        );
        let mut folder = tempfile::Builder::new();
        // Where root runs this, PostgreSQL's own user has to get in. The folders and files in it belong to their owners alone.
        folder.prefix("authy-dry-run-").permissions(Permissions::from_mode(0o755));
        let folder = folder.tempdir().map_err(|error| format!("no temporary folder can be created: {error}"))?;
        let settings = Settings { data_dir: PathBuf::from(folder.path()), master_key: None, ..settings.clone() };
        Ok(Self { settings: Cow::Owned(settings), _temporary: Some(folder) })
    }

    pub(in crate::cli) fn settings(&self) -> &Settings {
        &self.settings
    }
}
