//! A folder in which every mail is a file, so that the mails of a server without a mail server can be read.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use authy_core::{engine::DeliveryError, file::check_folder};

/// The folder for mails cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the folder for mails {} cannot be created", .path.display())]
pub struct MailFolderError {
    path: PathBuf,
    source: io::Error,
}

/// A folder that only its owner can enter: a code in a mail is as good as a password.
#[derive(Debug)]
pub(super) struct MailFolder(PathBuf);

impl MailFolder {
    /// Creates the folder, and removes the permissions of others when it exists.
    pub(super) fn new(path: &Path) -> Result<Self, MailFolderError> {
        let create = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
            check_folder(path)
        };
        match create() {
            Ok(()) => Ok(Self(path.to_owned())),
            Err(source) => Err(MailFolderError { path: path.to_owned(), source }),
        }
    }

    /// Writes a mail completely or not at all. A mail of the same name is replaced.
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
