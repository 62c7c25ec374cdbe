//! The log of PostgreSQL: a file, and its end in memory.
//!
//! PostgreSQL writes into a pipe, and this program into the file: on a full disk the file does not take the message that
//! says so.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions, Permissions},
    io::{self, PipeReader, PipeWriter, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// Bytes of the log that are kept in memory: more than the lines that are shown.
const TAIL_BYTES: usize = 8 * 1024;

/// Number of lines that are shown.
const TAIL_LINES: usize = 10;

/// Maximum wait for the last messages after PostgreSQL has ended. A process of its that lives on would keep the pipe open.
const END_TIMEOUT: Duration = Duration::from_millis(500);

/// The log of one cluster.
#[derive(Clone, Debug)]
pub(crate) struct ServerLog {
    path: PathBuf,
    tail: Arc<Tail>,
}

#[derive(Debug, Default)]
struct Tail {
    state: Mutex<TailState>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct TailState {
    bytes: VecDeque<u8>,
    /// Number of pipes that somebody can still write into.
    open: usize,
}

impl ServerLog {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, tail: Arc::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a pipe whose content is appended to the log.
    pub(crate) fn open(&self) -> io::Result<PipeWriter> {
        let (reader, writer) = io::pipe()?;
        let file = private_file(&self.path).inspect_err(|error| {
            tracing::warn!(%error, log = %self.path.display(), "the log of PostgreSQL cannot be written");
        });
        let tail = self.tail.clone();
        tail.lock().open += 1;
        let copying = thread::Builder::new().name("postgres-log".to_owned());
        match copying.spawn(move || tail.copy(reader, file.ok())) {
            Ok(_) => Ok(writer),
            Err(error) => {
                self.tail.lock().open -= 1;
                Err(error)
            }
        }
    }

    /// Returns the last lines, once PostgreSQL has ended.
    pub(crate) fn last_words(&self) -> String {
        let state = self.tail.ended.wait_timeout_while(self.tail.lock(), END_TIMEOUT, |state| state.open > 0);
        let bytes: Vec<u8> = state.unwrap_or_else(PoisonError::into_inner).0.bytes.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().collect();
        lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
    }
}

impl Tail {
    fn lock(&self) -> MutexGuard<'_, TailState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn copy(&self, mut reader: PipeReader, mut file: Option<File>) {
        let mut buffer = [0; 4096];
        loop {
            let read = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => buffer.get(..read).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            if let Some(file) = &mut file {
                // On a full disk the end of the log is in memory only.
                let _ = file.write_all(read);
            }
            let mut state = self.lock();
            state.bytes.extend(read);
            let excess = state.bytes.len().saturating_sub(TAIL_BYTES);
            state.bytes.drain(..excess);
        }
        self.lock().open -= 1;
        self.ended.notify_all();
    }
}

/// Opens a log that only the user who runs the program can read, also one that an earlier version created.
fn private_file(path: &Path) -> io::Result<File> {
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    log.set_permissions(Permissions::from_mode(0o600))?;
    Ok(log)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_written_is_in_the_file_and_its_end_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let log = ServerLog::new(folder.path().join("log"));
        let lines: String = (0..2000).map(|number| format!("line {number}\n")).collect();
        for part in lines.as_bytes().chunks(5000) {
            log.open().unwrap().write_all(part).unwrap();
            log.last_words();
        }
        assert_eq!(fs::read_to_string(log.path()).unwrap(), lines);
        let last: Vec<_> = (1990..2000).map(|number| format!("line {number}")).collect();
        assert_eq!(log.last_words(), last.join("\n"));
        assert!(log.tail.lock().bytes.len() <= TAIL_BYTES);
    }

    #[test]
    fn the_last_words_on_a_full_disk_are_kept() {
        let tail = Tail::default();
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"PANIC: could not write to file: No space left on device\n").unwrap();
        drop(writer);
        tail.lock().open += 1;
        tail.copy(reader, Some(File::options().write(true).open("/dev/full").unwrap()));
        let log = ServerLog { path: PathBuf::new(), tail: Arc::new(tail) };
        assert_eq!(log.last_words(), "PANIC: could not write to file: No space left on device");
    }

    #[test]
    fn a_process_that_holds_the_pipe_delays_the_last_words_only_a_little() {
        let folder = tempfile::tempdir().unwrap();
        let log = ServerLog::new(folder.path().join("log"));
        let mut held = log.open().unwrap();
        held.write_all(b"bye\n").unwrap();
        assert_eq!(log.last_words(), "bye");
    }
}
