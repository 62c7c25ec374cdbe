//! Who owns a file and the folders on its path, and who can write them.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Component, Path, PathBuf},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{OFlags, fcntl_setfl},
    io::retry_on_intr,
    process::{getegid, geteuid},
};

use super::{Content, Untrusted};

const OTHERS_READ: u32 = 0o004;
const GROUP_WRITE: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Maximum number of symbolic links on one path: as many as Linux follows.
const MAX_LINKS: usize = 40;

/// Opens a file that may be used. A pipe of another user is refused and not waited for.
pub(super) fn open(path: &Path, content: Content) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    check(path, &file, content)?;
    if file.metadata()?.file_type().is_fifo() {
        // Ours: its writer may come later. It is not opened again, because a writer may have finished meanwhile.
        fcntl_setfl(&file, OFlags::empty())?;
        retry_on_intr(|| poll(&mut [PollFd::new(&file, PollFlags::IN)], None))?;
    }
    Ok(file)
}

fn check(path: &Path, file: &File, content: Content) -> io::Result<()> {
    let metadata = file.metadata()?;
    let shown = || path.to_owned();
    if !is_ours(&metadata) {
        return Err(Untrusted::Owner(shown()).into());
    }
    // A shell's `<(…)`: it has no path that could be replaced.
    if metadata.file_type().is_fifo() {
        return Ok(());
    }
    if !metadata.is_file() {
        return Err(Untrusted::NoFile(shown()).into());
    }
    if metadata.mode() & (GROUP_WRITE | OTHERS_WRITE) != 0 {
        return Err(Untrusted::Writable(shown()).into());
    }
    let (real, found) = walk(path)?;
    if (found.dev(), found.ino()) != (metadata.dev(), metadata.ino()) {
        return Err(Untrusted::Changed(shown()).into());
    }
    let is_mounted_secret = || metadata.uid() == 0 && (real.starts_with("/run/secrets") || is_in_memory(file));
    if content == Content::Secret && metadata.mode() & OTHERS_READ != 0 && !is_mounted_secret() {
        return Err(Untrusted::Readable(shown()).into());
    }
    Ok(())
}

fn is_ours(metadata: &Metadata) -> bool {
    metadata.uid() == 0 || metadata.uid() == geteuid().as_raw()
}

/// Follows a path part by part. Returns the path without links, and the metadata of what is there.
pub(super) fn walk(path: &Path) -> io::Result<(PathBuf, Metadata)> {
    let mut rest: VecDeque<OsString> = parts(&std::path::absolute(path)?);
    let (mut here, mut links) = (PathBuf::from("/"), 0);
    let mut metadata = fs::symlink_metadata(&here)?;
    check_part(&here, &metadata)?;
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            here.pop();
            metadata = fs::symlink_metadata(&here)?;
            continue;
        }
        let next = here.join(part);
        metadata = fs::symlink_metadata(&next)?;
        check_part(&next, &metadata)?;
        if !metadata.is_symlink() {
            here = next;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(io::Error::other("too many symbolic links"));
        }
        let target = fs::read_link(&next)?;
        if target.is_absolute() {
            here = PathBuf::from("/");
        }
        for part in parts(&target).into_iter().rev() {
            rest.push_front(part);
        }
        metadata = fs::symlink_metadata(&here)?;
    }
    Ok((here, metadata))
}

fn parts(path: &Path) -> VecDeque<OsString> {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    names.collect()
}

/// Checks that no other user can change what a part of a path refers to. The file itself is checked by the caller.
fn check_part(path: &Path, metadata: &Metadata) -> io::Result<()> {
    if !is_ours(metadata) {
        return Err(Untrusted::Owner(path.to_owned()).into());
    }
    let mode = metadata.mode();
    // The permissions of a link have no effect.
    if !metadata.is_dir() || mode & STICKY != 0 {
        return Ok(());
    }
    // On systems where each user has a group, folders are often writable by it; and root's group is root.
    let is_own_group = metadata.gid() == 0 || metadata.gid() == getegid().as_raw();
    if mode & OTHERS_WRITE != 0 || (mode & GROUP_WRITE != 0 && !is_own_group) {
        return Err(Untrusted::Writable(path.to_owned()).into());
    }
    Ok(())
}

/// Returns whether a file is in memory, where Docker and Kubernetes keep secrets.
#[cfg(target_os = "linux")]
fn is_in_memory(file: &File) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    // The type of the field differs between systems.
    let kind = rustix::fs::fstatfs(file).ok().and_then(|system| u64::try_from(system.f_type).ok());
    kind.is_some_and(|kind| [TMPFS, RAMFS].contains(&kind))
}

#[cfg(not(target_os = "linux"))]
fn is_in_memory(_: &File) -> bool {
    false
}
