//! The unit of systemd, by systemd's own opinion.

use std::{fs, process::Command};

use authy_tests::tools;

/// Maximum exposure: 2 on the scale to 10, in tenths.
const MAX_EXPOSURE: &str = "20";

fn unit() -> String {
    fs::read_to_string(tools::root().join("deploy/authy.service")).unwrap()
}

/// Runs `systemd-analyze` on a unit. Returns whether it is content, and what it says.
fn analyze(unit: &str, arguments: &[&str]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authy.service");
    fs::write(&file, unit.replace("/usr/local/bin/authy-server", "/bin/true")).unwrap();
    let output = Command::new("systemd-analyze").args(arguments).arg(&file).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_unit_is_valid_and_a_key_that_systemd_does_not_know_is_noticed() {
    assert_eq!(analyze(&unit(), &["verify"]), (true, String::new()));
    let (_, said) = analyze(&unit().replace("ProtectSystem=", "ProtectSystems="), &["verify"]);
    assert!(said.contains("'ProtectSystems'"), "{said}");
}

#[test]
fn the_unit_exposes_little_and_one_that_exposes_more_is_noticed() {
    let threshold = format!("--threshold={MAX_EXPOSURE}");
    let security = ["security", "--offline=true", "--no-pager", &threshold];
    assert!(analyze(&unit(), &security).0);
    // Of the calls that change priorities and limits, the one by which the threads that hash lower their own.
    assert!(unit().contains("SystemCallFilter=~@privileged @resources\nSystemCallFilter=setpriority\n"));
    assert!(!analyze(&unit().replace("CapabilityBoundingSet=\n", "").replace("PrivateUsers=yes", ""), &security).0);
}

#[test]
fn the_settings_of_the_unit_exist_and_its_secrets_are_credentials() {
    let unit = unit();
    let values = |key: &str| unit.lines().filter_map(move |line| line.strip_prefix(key)).collect::<Vec<_>>();
    let variables: Vec<_> = values("Environment=").into_iter().map(|line| line.split_once('=').unwrap()).collect();
    assert!(variables.len() > 2);
    // That of glibc, which the program does not read.
    let (glibc, variables): (Vec<_>, Vec<_>) = variables.into_iter().partition(|(name, _)| *name == "GLIBC_TUNABLES");
    assert_eq!(glibc, [("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")]);
    for credential in values("LoadCredential=") {
        let (name, file) = credential.split_once(':').unwrap();
        let value = format!("%d/{name}");
        assert!(file.starts_with("/etc/authy/") && variables.iter().any(|(_, file)| *file == value), "{credential}");
    }
    super::assert_settings(variables, "%d/");
}
