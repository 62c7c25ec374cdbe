//! Reads files of secrets and trust anchors, and refuses those that another user could have written, and secrets that
//! another user could read.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

#[cfg(unix)]
mod unix;

/// What a file contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A secret: no other user may read or write it.
    Secret,
    /// Something that is trusted, such as public keys: no other user may write it.
    Trusted,
}

/// A file that is not used.
#[derive(Debug, thiserror::Error)]
enum Untrusted {
    #[error("{0} belongs to another user: give it to the user that runs this program, or to root")]
    Owner(PathBuf),
    #[error("{0} can be written by other users: remove that permission (chmod go-w)")]
    Writable(PathBuf),
    #[error("{0} can be read by other users, and contains a secret: remove that permission (chmod o-r)")]
    Readable(PathBuf),
    #[error("{0} is neither a file nor a pipe")]
    NoFile(PathBuf),
    #[error("{0} changed while it was read")]
    Changed(PathBuf),
}

impl From<Untrusted> for io::Error {
    fn from(untrusted: Untrusted) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, untrusted)
    }
}

/// Reads a file.
///
/// The file and every folder and symbolic link on its path must belong to root or to the user that runs this program,
/// and no other user may be able to write or replace them. Sticky folders, such as `/tmp`, in which others can only add
/// files, are accepted.
///
/// A secret must not be readable by all users either. Exceptions are files of root where container runtimes mount
/// secrets, below `/run/secrets` or on a file system in memory: they are readable by all users of the container on
/// purpose. A secret may be readable by its group, because that is never a default.
///
/// On systems other than Unix nothing is checked.
///
/// # Errors
/// [`io::ErrorKind::PermissionDenied`], whose message says what to change; [`io::ErrorKind::InvalidData`] when the file
/// begins with a byte order mark; otherwise the error of the system.
pub fn read(path: &Path, content: Content) -> io::Result<Vec<u8>> {
    #[cfg(unix)]
    let mut file = unix::open(path, content)?;
    #[cfg(not(unix))]
    let mut file = std::fs::File::open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    refuse_byte_order_mark(&bytes)?;
    Ok(bytes)
}

/// Refuses a byte order mark at the beginning of a file, which some editors write: it would become a part of the first
/// word, and nobody would see it.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`], whose message says how to save the file.
pub fn refuse_byte_order_mark(bytes: &[u8]) -> io::Result<()> {
    let why = match bytes {
        [0xef, 0xbb, 0xbf, ..] => "it begins with a byte order mark (BOM): save it as UTF-8 without BOM",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it is UTF-16: save it as UTF-8 without a byte order mark (BOM)",
        _ => return Ok(()),
    };
    Err(io::Error::new(io::ErrorKind::InvalidData, why))
}

/// Reads a file of text, as [`read`] does.
///
/// # Errors
/// As [`read`]; [`io::ErrorKind::InvalidData`] when it is not UTF-8.
pub fn read_text(path: &Path, content: Content) -> io::Result<String> {
    String::from_utf8(read(path, content)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Refuses a folder in which another user can replace files, as [`read`] does.
///
/// # Errors
/// As [`read`].
pub fn check_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    unix::walk(path)?;
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt as _, chown, symlink},
        process::Command,
        sync::mpsc,
        thread,
        time::Duration,
    };

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn refusal(path: &Path, content: Content) -> Option<String> {
        read(path, content).err().map(|error| {
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
            error.to_string()
        })
    }

    #[test]
    fn files_that_others_can_write_or_read_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("master.key");
        fs::write(&file, "secret").unwrap();
        for (bits, secret, trusted) in [
            (0o600, true, true),
            (0o400, true, true),
            (0o640, true, true),
            (0o644, false, true),
            (0o604, false, true),
            (0o620, false, false),
            (0o602, false, false),
            (0o666, false, false),
        ] {
            mode(&file, bits);
            assert_eq!(refusal(&file, Content::Secret).is_none(), secret, "{bits:o}");
            assert_eq!(refusal(&file, Content::Trusted).is_none(), trusted, "{bits:o}");
        }
        mode(&file, 0o600);
        // Another user can replace the file in any folder above it.
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        let deep = deep.join("master.key");
        fs::copy(&file, &deep).unwrap();
        assert_eq!(refusal(&deep, Content::Secret), None);
        mode(&folder.path().join("a"), 0o777);
        let said = refusal(&deep, Content::Trusted).unwrap();
        assert!(said.contains("/a can be written") && said.contains("chmod"), "{said}");
        assert!(check_folder(deep.parent().unwrap()).is_err());
        mode(&folder.path().join("a"), 0o1777);
        assert_eq!(refusal(&deep, Content::Secret), None, "sticky");
        // A link does not hide where a file is, nor a link to its folder.
        mode(&folder.path().join("a"), 0o777);
        let link = folder.path().join("link");
        symlink("a/b/master.key", &link).unwrap();
        assert!(refusal(&link, Content::Secret).is_some());
        symlink(&deep, folder.path().join("absolute")).unwrap();
        assert!(refusal(&folder.path().join("absolute"), Content::Secret).is_some());
        mode(&folder.path().join("a"), 0o755);
        assert_eq!(refusal(&link, Content::Secret), None);
        symlink("loop", folder.path().join("loop")).unwrap();
        assert!(read(&folder.path().join("loop"), Content::Secret).is_err());
        assert!(read(Path::new("/dev/null"), Content::Trusted).is_err());
        assert_eq!(read(&folder.path().join("none"), Content::Secret).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_byte_order_mark_is_named_and_not_taken_for_a_part_of_the_first_word() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("master.key");
        for (content, expected) in
            [(&b"\xef\xbb\xbfhunter2"[..], "without BOM"), (b"\xff\xfeh\0u\0", "UTF-16"), (b"\xfe\xff\0h\0u", "UTF-16")]
        {
            fs::write(&file, content).unwrap();
            mode(&file, 0o600);
            for error in [read(&file, Content::Secret).unwrap_err(), read_text(&file, Content::Secret).unwrap_err()] {
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                assert!(error.to_string().contains(expected) && !error.to_string().contains("hunter2"), "{error}");
            }
        }
        for elsewhere in ["", "hunter2\u{feff}"] {
            fs::write(&file, elsewhere).unwrap();
            assert_eq!(read_text(&file, Content::Secret).unwrap(), elsewhere);
        }
    }

    #[test]
    fn a_path_is_followed_through_links_and_parents_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("inner")).unwrap();
        fs::write(root.join("secret"), "s").unwrap();
        mode(&root.join("secret"), 0o600);
        symlink("../secret", root.join("inner/relative")).unwrap();
        symlink(root.join("inner/relative"), root.join("absolute")).unwrap();
        for path in ["secret", "inner/../secret", "inner/relative", "absolute", "inner/../../../../../../../.."] {
            let walked = unix::walk(&root.join(path)).map(|(real, _)| real);
            let expected = fs::canonicalize(root.join(path)).unwrap();
            assert_eq!(walked.unwrap(), expected, "{path}");
        }
        assert_eq!(refusal(&root.join("absolute"), Content::Secret), None);

        symlink("endless", root.join("endless")).unwrap();
        let error = unix::walk(&root.join("endless")).unwrap_err();
        assert!(error.to_string().contains("too many symbolic links"), "{error}");
    }

    #[test]
    fn files_of_another_user_are_refused() {
        if !rustix::process::geteuid().is_root() {
            // Only root can create a file of another user.
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("master.key");
        fs::write(&file, "secret").unwrap();
        mode(&file, 0o600);
        chown(&file, Some(12345), None).unwrap();
        assert!(refusal(&file, Content::Trusted).unwrap().contains("another user"));
        chown(&file, Some(0), None).unwrap();
        // In a folder of another user, who created it first, in /tmp for example.
        let theirs = folder.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        fs::copy(&file, theirs.join("master.key")).unwrap();
        chown(&theirs, Some(12345), None).unwrap();
        assert!(refusal(&theirs.join("master.key"), Content::Secret).unwrap().contains("another user"));
        // By a link of another user's, where they can add names.
        let link = folder.path().join("link");
        symlink(&file, &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(12345), None).unwrap();
        assert!(refusal(&link, Content::Secret).unwrap().contains("another user"));
        // A pipe that nobody writes into.
        let pipe = pipe(folder.path());
        chown(&pipe, Some(12345), None).unwrap();
        let (refused, refusals) = mpsc::channel();
        thread::spawn(move || refused.send(refusal(&pipe, Content::Trusted)));
        let refusal = refusals.recv_timeout(Duration::from_secs(5)).expect("it waits for a writer");
        assert!(refusal.unwrap().contains("another user"));
    }

    fn pipe(folder: &Path) -> PathBuf {
        let pipe = folder.join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        pipe
    }

    #[test]
    fn a_pipe_is_read_whose_writer_comes_later_or_came_before() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = pipe(folder.path());
        for round in 0..200 {
            let writer = {
                let pipe = pipe.clone();
                move || fs::write(&pipe, "hunter2").unwrap()
            };
            let reader = {
                let pipe = pipe.clone();
                move || assert_eq!(read(&pipe, Content::Secret).unwrap(), b"hunter2")
            };
            let [first, second]: [Box<dyn FnOnce() + Send>; 2] = if round % 2 == 0 {
                [Box::new(writer), Box::new(reader)]
            } else {
                [Box::new(reader), Box::new(writer)]
            };
            let first = thread::spawn(first);
            thread::sleep(Duration::from_millis(1));
            second();
            first.join().unwrap();
        }
    }

    #[test]
    fn secrets_that_a_container_runtime_mounts_are_read() {
        // As Kubernetes mounts it: owned by root, readable by all users, in memory, in a sticky folder, behind two
        // links.
        if !rustix::process::geteuid().is_root() || !Path::new("/dev/shm").is_dir() {
            return;
        }
        let volume = tempfile::tempdir_in("/dev/shm").unwrap();
        mode(volume.path(), 0o1777);
        fs::create_dir(volume.path().join("..2026")).unwrap();
        let file = volume.path().join("..2026/master_key");
        fs::write(&file, "secret").unwrap();
        mode(&file, 0o644);
        symlink("..2026", volume.path().join("..data")).unwrap();
        symlink("..data/master_key", volume.path().join("master_key")).unwrap();
        assert_eq!(refusal(&volume.path().join("master_key"), Content::Secret), None);
    }
}
