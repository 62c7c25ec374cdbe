//! Tells the program which commit it is built from.

use std::path::Path;

#[path = "build/commit.rs"]
mod commit;

fn main() {
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    println!("cargo::rerun-if-env-changed=AUTHY_COMMIT");
    let given = std::env::var("AUTHY_COMMIT").ok().filter(|commit| !commit.trim().is_empty());
    let crate_folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let found = match given {
        Some(commit) => Some(commit::Found { commit, files: Vec::new() }),
        // In development the tree differs from every commit, and each commit would compile the crate again.
        None if std::env::var("PROFILE").is_ok_and(|profile| profile == "debug") => None,
        None => commit::find(Path::new(&crate_folder)),
    };
    for file in found.iter().flat_map(|found| &found.files) {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    let commit = found.as_ref().and_then(|found| commit::short(&found.commit)).unwrap_or_default();
    let version = if commit.is_empty() { version } else { format!("{version} ({commit})") };
    // Cargo passes it on to tests, too, and names that begin with AUTHY_ are for settings.
    println!("cargo::rustc-env=PROGRAM_VERSION={version}");
    println!("cargo::rustc-env=PROGRAM_COMMIT={commit}");
}
