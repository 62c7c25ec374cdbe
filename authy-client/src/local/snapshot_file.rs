//! The file with the keys and revocations of a verifier, for a program that starts while the server is down.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use authy_core::{
    api::session::JwkSet,
    file::{self, Content},
    revocation::{Cursor, Revocation},
    time::{HttpDate, from_unix_seconds, unix_now, unix_seconds},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use crate::replaced_file::replacement;

/// A file that snapshots are saved to.
#[derive(Clone)]
pub(super) struct SnapshotFile {
    file: PathBuf,
    issuer: String,
}

/// Keys and revocations, and when they were current.
#[derive(Deserialize)]
pub(super) struct SavedSnapshot {
    #[serde(default)]
    issuer: String,
    #[serde(with = "HttpDate")]
    as_of: DateTime<Utc>,
    pub(super) keys: JwkSet,
    #[serde(rename = "longest_life")]
    pub(super) longest_lifetime: u64,
    pub(super) revocations: Vec<Revocation>,
    pub(super) cursor: Cursor,
}

/// A [`SavedSnapshot`] as it is written.
#[derive(Serialize)]
struct SavedSnapshotRef<'a> {
    issuer: &'a str,
    #[serde(with = "HttpDate")]
    as_of: DateTime<Utc>,
    keys: &'a JwkSet,
    #[serde(rename = "longest_life")]
    longest_lifetime: u64,
    revocations: &'a [Revocation],
    cursor: Cursor,
}

impl SavedSnapshot {
    pub(super) fn new(
        keys: Arc<JwkSet>,
        longest_lifetime: u64,
        revocations: Vec<Revocation>,
        cursor: Cursor,
        age: Duration,
    ) -> Self {
        let age = age.as_secs().saturating_add(1);
        let as_of = from_unix_seconds(unix_now().saturating_sub(age));
        Self { issuer: String::new(), as_of, keys: JwkSet::clone(&keys), longest_lifetime, revocations, cursor }
    }

    /// Returns its age. After a clock was set back, the age is the maximum.
    pub(super) fn age(&self) -> Duration {
        let age = unix_now().checked_sub(unix_seconds(self.as_of));
        age.map_or(Duration::MAX, Duration::from_secs)
    }
}

impl SnapshotFile {
    pub(super) fn new(file: PathBuf, issuer: &str) -> Self {
        Self { file, issuer: issuer.to_owned() }
    }

    /// Reads the file; `None` when there is none, it is not usable, or another user could have written it.
    pub(super) async fn load(&self) -> Option<SavedSnapshot> {
        let path = self.file.clone();
        let text = spawn_blocking(move || file::read(&path, Content::Trusted)).await.ok()?;
        let text = match text {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(file = %self.file.display(), %error, "the saved keys and revocations cannot be read");
                return None;
            }
        };
        match serde_json::from_slice::<SavedSnapshot>(&text) {
            Ok(saved) if saved.issuer == self.issuer => Some(saved),
            Ok(_) => {
                tracing::warn!(file = %self.file.display(), "the file is of another issuer and is not used");
                None
            }
            Err(error) => {
                tracing::warn!(file = %self.file.display(), %error, "the file cannot be parsed and is not used");
                None
            }
        }
    }

    /// Writes the file completely or not at all.
    pub(super) async fn save(&self, saved: SavedSnapshot) {
        let Self { file: path, issuer } = self.clone();
        let written = spawn_blocking(move || {
            let SavedSnapshot { as_of, keys, longest_lifetime, revocations, cursor, .. } = &saved;
            let (as_of, longest_lifetime, cursor) = (*as_of, *longest_lifetime, *cursor);
            write(&path, &SavedSnapshotRef { issuer: &issuer, as_of, keys, longest_lifetime, revocations, cursor })
        });
        if let Err(error) = written.await.unwrap_or_else(|cause| Err(io::Error::other(cause))) {
            tracing::warn!(file = %self.file.display(), %error, "keys and revocations cannot be saved");
        }
    }
}

fn write(path: &Path, what: &SavedSnapshotRef<'_>) -> io::Result<()> {
    // A user who could replace the file would decide which tokens are accepted.
    let mut file = io::BufWriter::new(replacement(path)?);
    serde_json::to_writer(&mut file, what)?;
    // Dropped, it would forget that the disk was full.
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::{env, fs, process::Command};

    use super::*;

    const FILE: &str = "AUTHY_TEST_SNAPSHOT";

    fn snapshot(issuer: &str) -> SavedSnapshotRef<'_> {
        static KEYS: JwkSet = JwkSet { keys: Vec::new(), max_age: 0 };
        let (as_of, cursor) = (from_unix_seconds(0), "1-1-1".parse().unwrap());
        SavedSnapshotRef { issuer, as_of, keys: &KEYS, longest_lifetime: 0, revocations: &[], cursor }
    }

    #[test]
    fn a_snapshot_that_does_not_fit_replaces_nothing() {
        // A process of its own, in which no file can have more than 512 bytes.
        if let Some(file) = env::var_os(FILE) {
            let refused = write(Path::new(&file), &snapshot(&"x".repeat(2000))).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("verifier.json");
        write(&file, &snapshot("https://auth.example.org")).unwrap();
        let before = fs::read(&file).unwrap();
        let name = "local::snapshot_file::tests::a_snapshot_that_does_not_fit_replaces_nothing";
        let mut limited = Command::new("sh");
        limited.args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" --exact \"$1\""]);
        let output = limited.arg(env::current_exe().unwrap()).arg(name).env(FILE, &file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(fs::read(&file).unwrap(), before);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
