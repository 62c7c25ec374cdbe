//! The file in which a program keeps its device token from one run to the next.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use authy_core::{
    Secret,
    file::{self, Content},
};
use tempfile::NamedTempFile;
use tokio::task::spawn_blocking;

use crate::{Error, Result, replaced_file::replacement};

/// Maximum length of the text in the file. Device tokens are shorter.
const MAX_DEVICE_TOKEN_LENGTH: usize = 200;

/// A file with a device token.
pub(super) struct DeviceFile(PathBuf);

/// A device file that is about to be written.
pub(super) struct NextDevice {
    path: PathBuf,
    replacement: NamedTempFile,
}

impl DeviceFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Reads the device token, `None` when there is no file, and prepares to write the next one: what is wrong with the path
    /// is an error before the login, and not after it.
    pub(super) async fn open(self) -> Result<(Option<Secret>, NextDevice)> {
        let (path, shown) = (self.0.clone(), self.0);
        let opened = spawn_blocking(move || Ok((read(&path)?, NextDevice::prepare(path)?))).await;
        opened.unwrap_or_else(|cause| Err(io::Error::other(cause))).map_err(|cause| {
            Error::misuse(format!("the file of the device token, {}, cannot be used", shown.display()))
                .with_source(cause)
        })
    }
}

/// Reads a device token; `None` when there is no file, or it is empty.
fn read(path: &Path) -> io::Result<Option<Secret>> {
    let text = match file::read_text(path, Content::Secret) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let token = text.trim_end();
    // Another file that was named by mistake, the one with the password for example, is neither sent nor replaced.
    match (token.is_empty(), is_token(token)) {
        (true, _) => Ok(None),
        (false, true) => Ok(Some(Secret::new(token))),
        (false, false) => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "it contains something else: name another file"))
        }
    }
}

/// Returns whether a text has the form of a device token: a name, the time of its expiry, and a MAC.
fn is_token(text: &str) -> bool {
    let is_base64url =
        |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match text.split('.').collect::<Vec<_>>().as_slice() {
        [device, expires, mac] => {
            text.len() <= MAX_DEVICE_TOKEN_LENGTH && is_base64url(device) && is_number(expires) && is_base64url(mac)
        }
        _ => false,
    }
}

impl NextDevice {
    fn prepare(path: PathBuf) -> io::Result<Self> {
        let replacement = replacement(&path)?;
        Ok(Self { path, replacement })
    }

    /// Writes the file completely or not at all. A failure is logged, without the token: the login has succeeded, and the
    /// next one is from a new device.
    pub(super) async fn save(self, token: Secret) {
        let Self { path, mut replacement } = self;
        let shown = path.clone();
        let written = spawn_blocking(move || {
            writeln!(replacement, "{}", token.expose())?;
            replacement.as_file().sync_all()?;
            replacement.persist(path)?;
            Ok(())
        });
        if let Err(error) = written.await.unwrap_or_else(|cause| Err(io::Error::other(cause))) {
            tracing::warn!(file = %shown.display(), %error, "the device token cannot be saved");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    const TOKEN: &str = "c29tZS1kZXZpY2U.1790000000.bWFjLW9mLWl0_-A";

    fn write(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    #[tokio::test]
    async fn a_saved_token_is_read_again_and_only_by_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device");
        let (known, next) = DeviceFile::new(path.clone()).open().await.unwrap();
        assert_eq!(known, None);
        next.save(Secret::new(TOKEN)).await;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (known, unused) = DeviceFile::new(path.clone()).open().await.unwrap();
        assert_eq!(known, Some(Secret::new(TOKEN)));
        // A login that fails leaves nothing beside the file.
        drop(unused);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        write(&path, "");
        assert_eq!(DeviceFile::new(path).open().await.unwrap().0, None);
    }

    #[tokio::test]
    async fn what_is_wrong_with_the_path_is_said_without_the_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device");
        let refusal = async |path: &Path| {
            let error = DeviceFile::new(path.to_owned()).open().await.err().unwrap();
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
            authy_core::error::chain(&error)
        };
        for wrong in ["hunter2", "correct.horse.battery", "two words.1.2", "a.b", &"1.2.3".repeat(100)] {
            write(&path, wrong);
            let why = refusal(&path).await;
            assert!(why.contains("something else") && !why.contains(wrong), "{why}");
            assert_eq!(fs::read_to_string(&path).unwrap(), wrong);
        }
        write(&path, TOKEN);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let why = refusal(&path).await;
        assert!(why.contains("can be read by other users") && !why.contains(TOKEN), "{why}");
        let why = refusal(&folder.path().join("none/device")).await;
        assert!(why.contains("No such file"), "{why}");
    }
}
