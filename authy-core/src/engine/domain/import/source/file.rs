//! Files: lines of JSON, or one document with all users.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    path::PathBuf,
    vec,
};

use serde_json::Value;
use tokio::task::spawn_blocking;

use super::{document, format::ImportFormat};
use crate::{
    Error, ErrorKind, Result,
    engine::domain::import::record::{SkippedRow, SourceRow},
};

/// Maximum length of a line in bytes. A user has less than a hundredth of it.
const MAX_LINE: u64 = 1 << 20;

/// An open file.
pub(super) struct FileReader {
    format: ImportFormat,
    rows: FileRows,
}

enum FileRows {
    /// `None` while they are read.
    Lines(Option<Lines>),
    /// The users of a document.
    Users { users: vec::IntoIter<Value>, read: u64, total: u64 },
}

impl FileReader {
    pub(super) async fn open(path: PathBuf, format: ImportFormat) -> Result<Self> {
        let is_document = format.is_document();
        let opened = blocking(move || {
            let mut file = BufReader::new(File::open(path)?);
            let is_list = file.fill_buf()?.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
            if is_document || is_list {
                let users = document::users(serde_json::from_reader(file)?);
                return Ok(FileRows::Users { read: 0, total: users.len() as u64, users: users.into_iter() });
            }
            Ok(FileRows::Lines(Some(Lines { file, number: 0 })))
        });
        Ok(Self { format, rows: opened.await? })
    }

    /// Returns whether users who have a name log in with it or with their address.
    pub(super) fn accepts_addresses(&self) -> bool {
        self.format.accepts_addresses()
    }

    pub(super) fn total(&self) -> Option<u64> {
        match &self.rows {
            FileRows::Lines(_) => None,
            FileRows::Users { total, .. } => Some(*total),
        }
    }

    pub(super) async fn next(&mut self, limit: usize) -> Result<Vec<SourceRow>> {
        let format = &self.format;
        match &mut self.rows {
            FileRows::Users { users, read, .. } => {
                let rows = users.take(limit).map(|user| {
                    *read += 1;
                    row(format!("user {read}"), Ok(user), format)
                });
                Ok(rows.collect())
            }
            FileRows::Lines(lines) => {
                let Some(mut reader) = lines.take() else { return Ok(Vec::new()) };
                let (reader, read) = blocking(move || {
                    let read = reader.next(limit)?;
                    Ok((reader, read))
                })
                .await?;
                *lines = Some(reader);
                Ok(read.into_iter().map(|(number, line)| row(format!("line {number}"), line, format)).collect())
            }
        }
    }
}

/// Returns a row. Without an ID of its own it is named by its place.
fn row(place: String, value: Result<Value, String>, format: &ImportFormat) -> SourceRow {
    let record = value.map_err(SkippedRow::unreadable).and_then(|value| format.read(value));
    let id = record.as_ref().map_or_else(|skipped| skipped.id.clone(), |record| record.id.clone());
    SourceRow { place: id.unwrap_or(place), record }
}

/// The lines of a file.
struct Lines {
    file: BufReader<File>,
    number: u64,
}

impl Lines {
    /// Reads the next lines that are not empty.
    fn next(&mut self, limit: usize) -> io::Result<Vec<(u64, Result<Value, String>)>> {
        let mut lines = Vec::new();
        while lines.len() < limit {
            let mut line = Vec::new();
            if (&mut self.file).take(MAX_LINE + 1).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            self.number += 1;
            if line.len() as u64 > MAX_LINE {
                self.skip_line()?;
                lines.push((self.number, Err("the line is longer than 1 MiB".to_owned())));
            } else if !line.trim_ascii().is_empty() {
                lines.push((self.number, serde_json::from_slice(&line).map_err(|error| format!("no JSON: {error}"))));
            }
        }
        Ok(lines)
    }

    /// Skips the rest of a line.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let part = self.file.fill_buf()?;
            let end = part.iter().position(|byte| *byte == b'\n');
            let length = end.map_or(part.len(), |end| end + 1);
            let is_at_end = end.is_some() || part.is_empty();
            self.file.consume(length);
            if is_at_end {
                return Ok(());
            }
        }
    }
}

/// Runs file operations on a thread that may wait for them.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    let done = spawn_blocking(work).await;
    done.map_err(|cause| Error::with_source(ErrorKind::Internal, "a thread cannot be used", cause))?.map_err(unreadable)
}

fn unreadable(cause: io::Error) -> Error {
    Error::with_source(ErrorKind::InvalidInput, "the file cannot be read", cause)
}
