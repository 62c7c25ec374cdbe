//! A folder in which every mail is a file: what a server without a mail server sends, somebody can read.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use authy_core::engine::DeliveryError;

use crate::start::Failure;

#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// A folder that only its owner can enter: a code in a mail is as good as a password.
    pub(super) fn new(path: &Path) -> Result<Self, Failure> {
        let make = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
            authy_core::file::check_folder(path)
        };
        make().map_err(|error| format!("the folder for mails {} cannot be made: {error}", path.display()))?;
        Ok(Self(path.to_owned()))
    }

    /// Writes a mail, all of it or nothing; a repetition replaces it.
    pub(super) async fn write(&self, name: &str, mail: Vec<u8>) -> Result<PathBuf, DeliveryError> {
        let (folder, path) = (self.0.clone(), self.0.join(name));
        let written = tokio::task::spawn_blocking(move || {
            // A temporary file has mode 0600 from the beginning.
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&mail)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok::<_, io::Error>(path)
        });
        let failed = |error: io::Error| {
            DeliveryError::retryable("the mail cannot be written into its folder").with_source(error)
        };
        written.await.map_err(|error| failed(error.into()))?.map_err(failed)
    }
}
