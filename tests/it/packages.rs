//! What `cargo package` puts into the packages of the published crates.

use std::{collections::BTreeSet, process::Command};

use authy_tests::tools;

const PUBLISHED: [&str; 4] = ["authy-client", "authy-core", "authy-postgres", "authy-server"];

/// The files of a crate's package, by their paths in it.
fn files(name: &str) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["package", "--list", "--allow-dirty", "--offline", "--package", name]).current_dir(tools::root());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(ToOwned::to_owned).collect()
}

#[test]
fn packages_contain_licenses_readme_and_migrations() {
    for name in PUBLISHED {
        let files = files(name);
        for file in ["Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT", "README.md", "src/lib.rs"] {
            assert!(files.contains(file), "{file} is missing in {name}: {files:?}");
        }
    }
    let migrations = std::fs::read_dir(tools::root().join("migrations")).unwrap();
    let migrations: BTreeSet<_> =
        migrations.map(|entry| format!("migrations/{}", entry.unwrap().file_name().to_str().unwrap())).collect();
    assert!(!migrations.is_empty());
    let files = files("authy-core");
    assert!(migrations.is_subset(&files), "migrations are missing in authy-core: {files:?}");
}

#[test]
fn a_service_that_uses_the_client_gets_no_database_driver_and_no_password_hash() {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--offline", "--package", "authy-client", "--edges", "normal", "--prefix", "none"]);
    let output = command.args(["--all-features", "--format", "{lib}"]).current_dir(tools::root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let crates = String::from_utf8(output.stdout).unwrap();
    let crates: BTreeSet<_> = crates.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    assert!(crates.contains("authy_core") && crates.contains("hyper"), "{crates:?}");
    for unwanted in ["tokio_postgres", "deadpool_postgres", "refinery", "argon2", "bcrypt", "scrypt", "zxcvbn"] {
        assert!(!crates.contains(unwanted), "{unwanted} is in the tree of authy-client");
    }
}
