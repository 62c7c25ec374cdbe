//! What the service depends on.

use std::{collections::BTreeSet, process::Command};

#[test]
fn the_client_is_its_only_dependency_of_authy_and_brings_neither_postgresql_nor_argon2() {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--offline", "--package", env!("CARGO_PKG_NAME"), "--edges", "normal"]);
    let output = command.args(["--prefix", "depth", "--format", " {lib}"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let crates = tree
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(depth, name)| (depth, name.trim_end_matches(" (*)")));
    let direct: BTreeSet<_> = crates.clone().filter(|(depth, _)| *depth == "1").map(|(_, name)| name).collect();
    assert_eq!(direct.iter().filter(|name| name.starts_with("authy")).collect::<Vec<_>>(), [&"authy_client"]);
    let all: BTreeSet<_> = crates.map(|(_, name)| name).collect();
    assert!(all.contains("authy_core") && all.contains("axum"), "{all:?}");
    for unwanted in ["tokio_postgres", "deadpool_postgres", "argon2", "bcrypt", "scrypt", "zxcvbn"] {
        assert!(!all.contains(unwanted), "{unwanted} is in the tree");
    }
}
