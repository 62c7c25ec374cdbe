//! The scripts that developers run.

use std::{env, fs, os::unix::fs::PermissionsExt as _, process::Command};

use authy_tests::tools;

#[test]
fn a_node_that_is_too_old_for_the_tests_is_refused_with_its_version_before_anything_is_installed() {
    for version in ["v16.20.2", "v8.0.0"] {
        let folder = tempfile::tempdir().unwrap();
        let node = folder.path().join("node");
        fs::write(&node, format!("#!/bin/sh\necho {version}\n")).unwrap();
        fs::set_permissions(&node, fs::Permissions::from_mode(0o755)).unwrap();
        let paths = env::var_os("PATH").unwrap();
        let paths = env::join_paths([folder.path().to_owned()].into_iter().chain(env::split_paths(&paths))).unwrap();
        let output =
            Command::new(tools::root().join("scripts/deps")).arg("--tests").env("PATH", paths).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{version} is accepted");
        for part in [version, node.to_str().unwrap(), "version 18 or later", "https://nodejs.org"] {
            assert!(said.contains(part), "{part} is missing from {said}");
        }
        assert!(output.stdout.is_empty(), "{version}: something was installed");
    }
}
