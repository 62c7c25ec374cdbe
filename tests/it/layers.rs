//! The structure of the crates: imports go one way. CONTRIBUTING.md shows the picture.

use std::{collections::BTreeSet, path::Path};

mod imports;

use imports::{Import, imports_of, modules_of};

/// The layers of `authy-core`, from the bottom. A module imports modules of its own layer and of those below. `storage`
/// and `crypto` are beside each other: neither imports the other.
const LAYERS: &[&[&str]] = &[
    &["api"],
    &["tower"],
    &["axum"],
    &["engine::storage"],
    &["engine::crypto"],
    &["engine::config"],
    &["engine::journal"],
    &["engine::domain"],
    &["engine::delivery"],
    &["engine::background"],
    &["engine::check", "engine::fuzz"],
    &["engine::authy"],
    &["engine"],
];

/// Returns the layer of a module; the vocabulary, which is every other module of the crate, is the lowest.
fn layer(module: &str) -> usize {
    let is_within = |name: &&str| module == *name || module.starts_with(&format!("{name}::"));
    LAYERS.iter().position(|layer| layer.iter().any(is_within)).map_or(0, |layer| layer + 1)
}

/// Returns why an import is not allowed.
fn upward(import: &Import) -> Option<String> {
    let Import { from, to, .. } = import;
    let (own, other) = (layer(from), layer(to));
    let is_beside = from.starts_with("engine::crypto") && to.starts_with("engine::storage");
    // `engine` itself only re-exports, and the root of the crate does too.
    let is_re_export = from.is_empty() || from == "engine";
    (!is_re_export && (other > own || is_beside)).then(|| format!("{from} imports {to}"))
}

#[test]
fn no_import_of_the_core_points_up() {
    let modules = modules_of(&sources("authy-core"));
    let imports = imports_of(&modules);
    assert!(imports.len() > 500, "only {} imports were found", imports.len());
    let wrong: BTreeSet<String> = imports.iter().filter_map(upward).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (from, to) in [
        ("engine::storage::db", "engine::domain::user"),
        ("engine::crypto::mac", "engine::storage::db"),
        ("level", "api::role"),
        ("engine::domain::role", "engine"),
    ] {
        let import = Import { from: from.to_owned(), to: to.to_owned() };
        assert!(upward(&import).is_some(), "{from} may not import {to}");
    }
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    for package in ["authy-core", "authy-server", "authy-client", "authy-postgres"] {
        let imports = imports_of(&modules_of(&sources(package)));
        if let Some(circle) = imports::circle(&imports) {
            panic!("{package}: {}", circle.join(" → "));
        }
    }
    let import = |from: &str, to: &str| Import { from: from.to_owned(), to: to.to_owned() };
    let circle = [import("a", "b"), import("b", "c"), import("c", "a"), import("a", "d")];
    assert!(imports::circle(&circle).is_some() && imports::circle(&circle[1..2]).is_none());
}

fn sources(package: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(package).join("src")
}
