//! What a verifier knows, in a file: for a program that starts while the server is away.

use std::{
    io::{self, Write as _},
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

/// The file.
#[derive(Clone)]
pub(super) struct Store {
    file: PathBuf,
    issuer: String,
}

/// What was known, and when.
#[derive(Deserialize)]
pub(super) struct Remembered {
    #[serde(default)]
    issuer: String,
    #[serde(with = "HttpDate")]
    as_of: DateTime<Utc>,
    pub(super) keys: JwkSet,
    pub(super) longest_life: u64,
    pub(super) revocations: Vec<Revocation>,
    pub(super) cursor: Cursor,
}

#[derive(Serialize)]
struct Written<'a> {
    issuer: &'a str,
    #[serde(with = "HttpDate")]
    as_of: DateTime<Utc>,
    keys: &'a JwkSet,
    longest_life: u64,
    revocations: &'a [Revocation],
    cursor: Cursor,
}

impl Remembered {
    pub(super) fn new(
        keys: Arc<JwkSet>,
        longest_life: u64,
        revocations: Vec<Revocation>,
        cursor: Cursor,
        age: Duration,
    ) -> Self {
        let age = age.as_secs().saturating_add(1);
        let as_of = from_unix_seconds(unix_now().saturating_sub(age));
        Self { issuer: String::new(), as_of, keys: JwkSet::clone(&keys), longest_life, revocations, cursor }
    }

    /// How old it is. A clock that was set back makes it useless rather than new.
    pub(super) fn age(&self) -> Duration {
        let age = unix_now().checked_sub(unix_seconds(self.as_of));
        age.map_or(Duration::MAX, Duration::from_secs)
    }
}

impl Store {
    pub(super) fn new(file: PathBuf, issuer: &str) -> Self {
        Self { file, issuer: issuer.to_owned() }
    }

    /// What the file says; `None` when there is none, nothing of use in it, or another user can have written it.
    pub(super) async fn load(&self) -> Option<Remembered> {
        let path = self.file.clone();
        let text = spawn_blocking(move || file::read(&path, Content::Trusted)).await.ok()?;
        let text = match text {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(file = %self.file.display(), %error, "what was known cannot be read");
                return None;
            }
        };
        match serde_json::from_slice::<Remembered>(&text) {
            Ok(remembered) if remembered.issuer == self.issuer => Some(remembered),
            Ok(_) => {
                tracing::warn!(file = %self.file.display(), "the file is of another issuer: not used");
                None
            }
            Err(error) => {
                tracing::warn!(file = %self.file.display(), %error, "the file cannot be understood: not used");
                None
            }
        }
    }

    /// Writes the file, all of it or nothing.
    pub(super) async fn save(&self, remembered: Remembered) {
        let Self { file: path, issuer } = self.clone();
        let written = spawn_blocking(move || {
            let Remembered { as_of, keys, longest_life, revocations, cursor, .. } = &remembered;
            let (as_of, longest_life, cursor) = (*as_of, *longest_life, *cursor);
            write(&path, &Written { issuer: &issuer, as_of, keys, longest_life, revocations, cursor })
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(file = %self.file.display(), %error, "what is known cannot be kept"),
            Err(error) => tracing::warn!(%error, "what is known cannot be kept"),
        }
    }
}

fn write(path: &Path, what: &Written<'_>) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A program that can replace the file decides whose tokens are believed.
    file::check_folder(folder)?;
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(io::BufWriter::new(&mut beside), what)?;
    beside.flush()?;
    beside.persist(path)?;
    Ok(())
}
