//! Finds the commit of a folder, without the program git: from a published package, or from a repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Number of digits that are shown, as `git log --oneline` does in a repository of this size.
const DIGITS: usize = 9;

/// A commit, and the files that say so: when one of them changes, it has to be looked for again.
pub(crate) struct Found {
    /// The whole name.
    pub(crate) commit: String,
    /// The files.
    pub(crate) files: Vec<PathBuf>,
}

/// Returns the beginning of a commit's name; `None` when it is none.
pub(crate) fn short(commit: &str) -> Option<&str> {
    let commit = commit.trim();
    let is_name = commit.len() >= 7 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_name.then(|| commit.get(..DIGITS).unwrap_or(commit))
}

/// Finds the commit that the sources of a crate are from.
pub(crate) fn find(crate_folder: &Path) -> Option<Found> {
    in_package(crate_folder).or_else(|| in_repository(crate_folder.parent()?))
}

/// Cargo writes the commit into every package.
fn in_package(crate_folder: &Path) -> Option<Found> {
    let file = crate_folder.join(".cargo_vcs_info.json");
    let text = fs::read_to_string(&file).ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    let commit = rest.split('"').nth(1)?.to_owned();
    Some(Found { commit, files: vec![file] })
}

/// Reads the commit that is checked out, as gitrepository-layout(5) describes it.
fn in_repository(top: &Path) -> Option<Found> {
    let dot_git = top.join(".git");
    // In a worktree it is a file that names the folder, which names the folder that it shares with the others.
    let folder = match fs::read_to_string(&dot_git) {
        Ok(text) => top.join(text.strip_prefix("gitdir:")?.trim()),
        Err(_) => dot_git,
    };
    let shared = match fs::read_to_string(folder.join("commondir")) {
        Ok(text) => folder.join(text.trim()),
        Err(_) => folder.clone(),
    };
    let head = folder.join("HEAD");
    let text = fs::read_to_string(&head).ok()?;
    let Some(branch) = text.trim().strip_prefix("ref: ") else {
        return Some(Found { commit: text.trim().to_owned(), files: vec![head] });
    };
    let (loose, packed) = (shared.join(branch), shared.join("packed-refs"));
    let commit = fs::read_to_string(&loose).ok().or_else(|| {
        let packed = fs::read_to_string(&packed).ok()?;
        let line = packed.lines().find(|line| line.split(' ').nth(1) == Some(branch))?;
        line.split(' ').next().map(str::to_owned)
    })?;
    // A branch in the packed file gets a file of its own with the next commit: its folder changes.
    let folder_of_loose = loose.parent().map(Path::to_owned);
    let files = [Some(head), folder_of_loose, Some(loose), Some(packed)].into_iter().flatten();
    Some(Found { commit: commit.trim().to_owned(), files: files.filter(|file| file.exists()).collect() })
}
