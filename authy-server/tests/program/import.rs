//! `authy-server import`: what it prints, and its exit codes.

use super::*;

/// A hash of some password.
const HASH: &str =
    "pbkdf2:sha256:1000$Xk3vQz9LmN0pRs7T$93181c6d179ccf34176d0db0ef9258d414b3b239b4f45a1756c323e9c3647a5c";

/// Imports a file; returns the exit code, standard output and standard error.
fn import(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = authy(folder, &[&["import"], arguments].concat()).output().unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn an_import_says_what_it_does_and_whether_anything_was_left_out() {
    let folder = folder();
    let path = folder.path();
    fs::write(path.join("good.jsonl"), "{\"username\":\"ada\",\"roles\":[\"admin\"]}\n{\"username\":\"bo\\u009bb\"}\n")
        .unwrap();
    fs::write(path.join("bad.jsonl"), "{\"username\":\"eve\"}\nnonsense\n").unwrap();

    let (code, report, progress) = import(path, &["--from", "bad.jsonl", "--dry-run"]);
    assert_eq!(code, Some(3), "{report}{progress}");
    assert!(progress.starts_with("there is no database in ./.authy (AUTHY_DATA_DIR) yet"), "{progress}");
    assert!(!path.join(".authy").exists(), "a dry run has made a database");
    assert!(
        report.starts_with("dry run") && report.contains("1 created") && report.contains("unreadable line 2"),
        "{report}"
    );
    assert!(progress.contains("read 2 rows"), "{progress}");
    let (code, report, said) = import(path, &["--from", "bad.jsonl", "--json"]);
    assert!(said.starts_with("a new database in ./.authy (AUTHY_DATA_DIR)\n"), "{said}");
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!((code, &report["created"], &report["refused"]), (Some(3), &1.into(), &1.into()), "{report}");
    let kinds: Vec<_> = report["notes"].as_array().unwrap().iter().map(|note| &note["kind"]).collect();
    assert!(kinds.contains(&&"unreadable".into()), "{report}");
    // A name with a control character is stored, and not printed as it is.
    let (code, report, said) = import(path, &["--from", "good.jsonl"]);
    assert!(!said.contains("database"), "there is one now: {said}");
    assert!(code == Some(0) && !report.contains('\u{9b}'), "{report}");
    fs::write(path.join("good.jsonl"), "{\"username\":\"bob\",\"email\":\"bob@example.org\"}\n").unwrap();
    assert_eq!(import(path, &["--from", "good.jsonl", "--source", "shop"]).0, Some(0));
    assert!(succeeds(path, &["user", "show", "bob"]).contains("bob@example.org"));
    assert!(succeeds(path, &["user", "show", "ada"]).contains("admin"));

    // Before the first start: an imported administrator replaces the first one. This one has no password, and the log says so.
    let start = || {
        let log = path.join("log");
        let mut command = authy(path, &["--listen", "127.0.0.1:0"]);
        let server = ServerProgram::with_log(&mut command, fs::File::create(&log).unwrap());
        assert_eq!(server.password(), None);
        drop(server);
        fs::read_to_string(&log).unwrap()
    };
    let log = start();
    assert!(log.contains("user reset-link") && log.contains("ada"), "{log}");
    fs::write(
        path.join("good.jsonl"),
        format!("{{\"username\":\"boss\",\"roles\":[\"admin\"],\"password_hash\":\"{HASH}\"}}"),
    )
    .unwrap();
    assert_eq!(import(path, &["--from", "good.jsonl", "--source", "others"]).0, Some(0));
    let (code, report, progress) = import(path, &["--from", "good.jsonl", "--source", "others", "--wrap"]);
    assert!(code == Some(0) && report.contains("wrapped 1 hash"), "{report}");
    assert!(progress.contains("wrapped 1 of 1 hash"), "{progress}");
    assert!(!start().contains("user reset-link"));
}

#[test]
fn an_import_that_cannot_be_done_says_why_and_repeats_no_secret() {
    let folder = folder();
    let path = folder.path();
    fs::write(path.join("empty.jsonl"), "\n").unwrap();
    let url = "postgresql://authy:hunter2@127.0.0.1:1/old";
    for (arguments, part) in [
        (&["--from", "missing.jsonl"][..], "cannot be read"),
        (&["--from", "empty.jsonl"], "has no users"),
        (&["--from", url], "the source cannot be opened"),
        (&["--from", url, "--format", "jsonl"], "is for a file"),
        (&["--from", "postgresql://authy:hunter2@db.example/old"], "without encryption"),
        (&["--from", "empty.jsonl", "--firebase-hash-config", "x"], "is not for --format jsonl"),
        (&[], "AUTHY_IMPORT_FROM"),
    ] {
        let (code, report, said) = import(path, arguments);
        assert!(code == Some(1) && said.contains(part), "{arguments:?}: {code:?} {report}{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    assert_eq!(import(path, &["--from", "empty.jsonl", "--map-role", "nonsense"]).0, Some(2));
    // A role that does not exist is named.
    let (code, _, said) = import(path, &["--from", "empty.jsonl", "--map-role", "seller=usr"]);
    assert!(code == Some(1) && said.contains("\"usr\""), "{said}");
}
