//! The commit in the version, found in real repositories and in a package.

use super::*;

#[path = "../../build/commit.rs"]
mod commit;

/// The folder of a crate in a repository with one commit, and that commit.
fn repository() -> (tempfile::TempDir, std::path::PathBuf, String) {
    let top = tempfile::tempdir().unwrap();
    let package = top.path().join("authy-server");
    fs::create_dir(&package).unwrap();
    git(top.path(), &["init", "--quiet"]);
    let commit = commit_on(top.path());
    (top, package, commit)
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(folder).args(["-c", "user.name=a", "-c", "user.email=a@b.example"]).args(arguments);
    let output = command.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", folder).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

fn commit_on(folder: &Path) -> String {
    git(folder, &["commit", "--quiet", "--allow-empty", "--message", "x"]);
    git(folder, &["rev-parse", "HEAD"])
}

fn found(package: &Path) -> String {
    commit::find(package).expect("no commit").commit
}

#[test]
fn the_commit_of_a_branch_a_tag_a_worktree_and_a_packed_repository_is_found() {
    let (top, package, first) = repository();
    assert_eq!(found(&package), first);
    git(top.path(), &["pack-refs", "--all"]);
    assert_eq!(found(&package), first);
    // The branch leaves the packed file, and one of the files that were looked at has changed.
    let seen = commit::find(&package).unwrap().files;
    let before: Vec<_> = seen.iter().map(|file| file.metadata().unwrap().modified().unwrap()).collect();
    let second = commit_on(top.path());
    assert_eq!(found(&package), second);
    let after: Vec<_> = seen.iter().map(|file| file.metadata().unwrap().modified().unwrap()).collect();
    assert_ne!(before, after, "{seen:?}");
    git(top.path(), &["checkout", "--quiet", "--detach", &first]);
    assert_eq!(found(&package), first);
    let other = tempfile::tempdir().unwrap();
    let worktree = other.path().join("tree");
    git(top.path(), &["worktree", "add", "--quiet", "-b", "other", worktree.to_str().unwrap(), &second]);
    assert_eq!(found(&worktree.join("authy-server")), second);
}

#[test]
fn the_commit_of_a_package_is_in_it_and_elsewhere_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    assert!(commit::find(folder.path()).is_none());
    let json = "{\n  \"git\": {\n    \"sha1\": \"0123456789abcdef0123456789abcdef01234567\"\n  }\n}";
    fs::write(folder.path().join(".cargo_vcs_info.json"), json).unwrap();
    assert_eq!(commit::short(&found(folder.path())), Some("012345678"));
    for text in ["", "ref: x", "012345", "unknown"] {
        assert_eq!(commit::short(text), None, "{text}");
    }
    assert!(succeeds(folder.path(), &["--version"]).starts_with(concat!("authy-server ", env!("CARGO_PKG_VERSION"))));
}
