//! Breached passwords: a file of SHA-1 hashes, as Have I Been Pwned publishes them.
//!
//! Its lines are `HASH:COUNT`, sorted by hash (hexadecimal, in upper or lower case), terminated by LF or CRLF. The
//! count is optional. All hashes may be truncated to the same length of at least ten digits, for a smaller file. The
//! full file has about 40 GB, so it is not loaded: a search takes about 35 small reads.
//!
//! The check is optional, and must not prevent sign-ups: read errors are logged, and then no password counts as
//! breached. SHA-1 is sufficient, because the hashes are public.

use std::{
    cmp::Ordering,
    fs::File,
    io::{Error, ErrorKind, Result},
    ops::Range,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use zeroize::Zeroizing;

use crate::file::refuse_byte_order_mark;

/// Longer than any line: 40 digits, a colon, and a count.
const MAX_LINE_BYTES: u64 = 128;

/// With shorter hashes, a strong password would match one of a thousand million by chance.
const MIN_HASH_DIGITS: usize = 10;

/// A file of breached passwords.
#[derive(Debug)]
pub(super) struct Breached {
    file: File,
    path: PathBuf,
}

impl Breached {
    /// Opens the file at a path, if a path is set.
    pub(super) fn open(path: Option<&Path>) -> Option<Self> {
        let Some(path) = path else {
            tracing::info!("no file of breached passwords is configured: only the most common ones are refused");
            return None;
        };
        match Self::open_file(path) {
            Ok(opened) => Some(opened),
            Err(error) => {
                let path = path.display();
                tracing::warn!(%path, %error, "the file of breached passwords cannot be opened: no password counts as breached");
                None
            }
        }
    }

    fn open_file(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        let mut beginning = [0; 3];
        let length = file.read_at(&mut beginning, 0)?;
        // Otherwise the first line would never match.
        refuse_byte_order_mark(beginning.get(..length).unwrap_or_default())?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Opens a file, and searches it for one hash, which reads lines of all its parts.
    pub(super) fn check(path: &Path) -> Result<()> {
        Self::open_file(path)?.find(&"7".repeat(40)).map(drop)
    }

    /// Returns whether a password is in the file. Returns false when that cannot be determined.
    pub(super) fn contains(&self, password: &str) -> bool {
        let hash = Zeroizing::new(hex::encode_upper(digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes())));
        self.find(&hash).unwrap_or_else(|error| {
            let path = self.path.display();
            tracing::warn!(%path, %error, "the file of breached passwords cannot be searched: this password does not count as breached");
            false
        })
    }

    /// Returns whether a hash is in the file, by binary search.
    fn find(&self, hash: &str) -> Result<bool> {
        let mut left = 0..self.file.metadata()?.len();
        while left.start < left.end {
            let (line, hash_of_line) = self.line_at(left.start + (left.end - left.start) / 2, &left)?;
            let cut = hash.get(..hash_of_line.len()).ok_or_else(malformed)?;
            match cut.cmp(&hash_of_line) {
                Ordering::Equal => return Ok(true),
                Ordering::Less => left.end = line.start,
                Ordering::Greater => left.start = line.end,
            }
        }
        Ok(false)
    }

    /// Returns the range of the line at a position, including its terminator, and the hash in it.
    fn line_at(&self, position: u64, left: &Range<u64>) -> Result<(Range<u64>, String)> {
        let from = position.saturating_sub(MAX_LINE_BYTES).max(left.start);
        let until = position.saturating_add(MAX_LINE_BYTES).min(left.end);
        let mut window = vec![0; usize::try_from(until - from).map_err(|_| malformed())?];
        self.file.read_exact_at(&mut window, from)?;
        let middle = usize::try_from(position - from).map_err(|_| malformed())?;
        let (before, after) = window.split_at_checked(middle).ok_or_else(malformed)?;
        let start = match before.iter().rposition(|byte| *byte == b'\n') {
            Some(newline) => newline + 1,
            None if from == left.start => 0,
            None => return Err(malformed()),
        };
        let end = match after.iter().position(|byte| *byte == b'\n') {
            Some(newline) => middle + newline + 1,
            // The last line may have no terminator.
            None if until == left.end => window.len(),
            None => return Err(malformed()),
        };
        let line = window.get(start..end).ok_or_else(malformed)?;
        Ok((from + start as u64..from + end as u64, hash_of(line)?))
    }
}

/// Returns the hash of a line, in upper case.
fn hash_of(line: &[u8]) -> Result<String> {
    let line = std::str::from_utf8(line).map_err(|_| malformed())?;
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let (hash, count) = line.split_once(':').unwrap_or((line, ""));
    let is_hash = hash.len() >= MIN_HASH_DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    match is_hash && count.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(hash.to_ascii_uppercase()),
        false => Err(malformed()),
    }
}

fn malformed() -> Error {
    Error::new(ErrorKind::InvalidData, "a line is not HASH:COUNT")
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, io::Write as _};

    use proptest::prelude::*;

    use super::*;

    fn breached(content: &[u8]) -> Breached {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        Breached::open(Some(file.path())).unwrap()
    }

    fn hash(password: &str) -> String {
        hex::encode_upper(digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes()))
    }

    #[test]
    fn a_password_is_found_by_its_hash() {
        // In the published format.
        let file = breached(b"5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:9659365\r\n");
        assert!(file.contains("password"));
        assert!(!file.contains("Password"));
        assert!(!breached(b"").contains("password"));
        assert!(breached(b"5baa61e4c9").contains("password"), "cut, in lower case, without a count and an end");
    }

    #[test]
    fn a_file_is_checked_before_a_password_is() {
        let check = |content: &[u8]| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(content).unwrap();
            Breached::check(file.path()).err().map(|error| error.to_string())
        };
        assert_eq!(check(b"5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:9659365\r\n"), None);
        assert!(check(b"\xef\xbb\xbf5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:1\n").unwrap().contains("BOM"));
        assert!(check(b"password,123456\n").unwrap().contains("HASH:COUNT"));
        assert!(Breached::check(Path::new("/no/such/file")).is_err());
    }

    #[test]
    fn an_unreadable_file_contains_no_password() {
        for content in
            ["5BAA61E4C\n", "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8A:1\n", "\n", "5BAA61E4C9:x\n", ":1", "é"]
        {
            let file = breached(content.as_bytes());
            assert!(file.find(&hash("password")).is_err(), "{content}");
            assert!(!file.contains("password"), "{content}");
        }
        assert!(Breached::open(Some(Path::new("/no/such/file"))).is_none());
        assert!(Breached::open(None).is_none());
        // A folder can be opened, but not read.
        assert!(Breached::open(Some(Path::new("/"))).is_none_or(|folder| !folder.contains("password")));
    }

    proptest! {
        #[test]
        fn a_search_finds_what_reading_every_line_finds(
            hashes in prop::collection::btree_set("[0-9A-F]{40}", 0..60),
            others in prop::collection::vec("[0-9A-F]{40}", 5),
            counts in prop::collection::vec(0_u64.., 60),
            length in MIN_HASH_DIGITS..=40,
            has_counts: bool,
            is_lower: bool,
            is_crlf: bool,
            ends: bool,
        ) {
            let hashes: BTreeSet<_> = hashes.iter().map(|hash| &hash[..length]).collect();
            let end = if is_crlf { "\r\n" } else { "\n" };
            let lines = hashes.iter().zip(counts).map(|(hash, count)| match has_counts {
                true => format!("{hash}:{count}"),
                false => (*hash).to_owned(),
            });
            let mut text = lines.collect::<Vec<_>>().join(end);
            if ends && !text.is_empty() {
                text.push_str(end);
            }
            if is_lower {
                text.make_ascii_lowercase();
            }
            let file = breached(text.as_bytes());
            // Every line, including the first and the last, hashes that differ in the last digit, and others.
            let padded = hashes.iter().map(|hash| format!("{hash:0<40}"));
            let near = hashes.iter().flat_map(|hash| ["0", "F"].map(|digit| format!("{:0<40}", format!("{}{digit}", &hash[..length - 1]))));
            for wanted in padded.chain(near).chain(others) {
                let is_there = text.lines().any(|line| {
                    let hash = line.split(':').next().unwrap_or_default().to_ascii_uppercase();
                    wanted.starts_with(&hash)
                });
                prop_assert_eq!(file.find(&wanted).unwrap(), is_there, "{}", wanted);
            }
        }

        #[test]
        fn any_bytes_are_searched(content: Vec<u8>, lines in "([0-9A-F]{8,42}:?[0-9]{0,3}[\r\n]{0,2}){0,20}", password: String) {
            for content in [&content, lines.as_bytes()] {
                let _ = breached(content).contains(&password);
            }
        }
    }
}
