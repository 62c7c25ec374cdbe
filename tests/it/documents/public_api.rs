//! The public items of the published crates, as they were last reviewed: a change of the surface is seen in the diff of its commit.
//!
//! rustdoc writes them as JSON, which is not stable yet. rustdoc alone is told so, by a wrapper, so that nothing is compiled again.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use authy_tests::tools;
use public_api::{Builder, PublicApi};

const PUBLISHED: [&str; 4] = ["authy-client", "authy-core", "authy-postgres", "authy-server"];

const WRAPPER: &str = "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n";

/// Documents the workspace as JSON. Returns the folder.
fn document(folder: &Path) -> std::path::PathBuf {
    let wrapper = folder.join("rustdoc");
    fs::write(&wrapper, WRAPPER).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO"));
    // As `make test` documents it, so that the dependencies are those that are there.
    command
        .args(["doc", "--workspace", "--all-features", "--no-deps", "--locked", "--offline"])
        .current_dir(tools::root());
    command.env("RUSTDOC", wrapper).env("RUSTDOCFLAGS", "-Zunstable-options --output-format json");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    tools::target().join("doc")
}

fn items(document: &Path) -> PublicApi {
    let builder = Builder::from_rustdoc_json(document);
    // Derived and automatic implementations follow from the fields, and are most of the lines.
    let builder = builder.omit_blanket_impls(true).omit_auto_trait_impls(true).omit_auto_derived_impls(true);
    builder.build().unwrap_or_else(|error| panic!("{}: {error}", document.display()))
}

#[test]
fn the_public_items_are_those_that_were_reviewed() {
    let folder = tempfile::tempdir().unwrap();
    let documents = document(folder.path());
    for name in PUBLISHED {
        let document = documents.join(format!("{}.json", name.replace('-', "_")));
        let mut listed = items(&document).to_string();
        if !listed.ends_with('\n') {
            listed.push('\n');
        }
        super::is_up_to_date(&tools::root().join(format!("tests/snapshots/public-api/{name}.txt")), &listed);
        let _ = fs::remove_file(document);
    }
}
