//! No secret reaches a log, at any level: a part of these tests runs again, logs all there is, and its secrets are
//! looked for.

use std::collections::BTreeMap;

use authy_tests::{PASSWORD, trace};
use tokio::process::Command;

/// Tests in which every kind of secret is made, sent and presented.
const RUN: &[&str] =
    &["journey::", "account::recovery::", "account::device::", "mail::who_", "guessing::a_device_token", "webhook::"];

/// Passwords that those tests choose.
const PASSWORDS: &[&str] = &[PASSWORD, "gooseberry-semaphore-77", "carousel-marmalade-58", "marmalade-submarine-17"];

#[tokio::test]
async fn no_secret_of_a_whole_run_is_in_its_log_at_trace() {
    if std::env::var_os(trace::VARIABLE).is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(RUN).env(trace::VARIABLE, folder.path()).kill_on_drop(true).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let read = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap();
    let (log, secrets) = (read("log"), read("secrets"));
    // That all of it was logged: what is done with codes, what libraries say, and down to the finest level.
    for part in ["\"route\":\"/authy/validate/{code}\"", "\"TRACE\"", "\"DEBUG\"", "hyper_util"] {
        assert!(log.contains(part), "{part} is missing from the log");
    }
    let mut kinds = BTreeMap::<_, usize>::new();
    for (kind, secret) in secrets.lines().filter_map(|line| line.split_once(' ')) {
        *kinds.entry(kind).or_default() += 1;
        assert!(secret.len() >= 16, "{kind} is no secret");
        assert!(!log.contains(secret), "{kind} is in the log: {}", around(&log, secret));
    }
    for kind in ["code", "device", "master", "refresh", "token"] {
        assert!(kinds.get(kind).is_some_and(|count| *count >= 5), "{kinds:?}");
    }
    // Secrets that were not noted: any password, any hash of one, any token (the second part of which begins so).
    for secret in PASSWORDS.iter().copied().chain(["$argon2", ".eyJ", "whsec_"]) {
        assert!(!log.contains(secret), "{}", around(&log, secret));
    }
}

/// The line in which something is.
fn around<'a>(log: &'a str, secret: &str) -> &'a str {
    log.lines().find(|line| line.contains(secret)).unwrap_or_default()
}
