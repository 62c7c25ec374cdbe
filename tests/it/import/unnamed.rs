//! Files whose rows have no IDs: what the report calls them, and what is known of them after an erasure.

use authy_core::engine::{ImportFormat, ImportRecord};

use super::*;

/// Imports lines; returns the kind and the row of each note, and all that is said in it.
async fn import_lines(app: &TestApp, lines: &[&str], dry_run: bool) -> Vec<(String, String, String)> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines.join("\n")).unwrap();
    let options = ImportOptions { dry_run, batch: 3, ..ImportOptions::default() };
    let source = ImportSource::file(file.path(), ImportFormat::JsonLines);
    let report = app.authy.import(&operator(), source, &options, |_| ()).await.unwrap();
    report.notes.into_iter().map(|note| (note.kind.to_string(), note.row, note.message)).collect()
}

#[tokio::test]
async fn a_report_calls_rows_without_ids_by_their_lines_and_other_users_by_their_names() {
    let app = TestApp::new().await;
    let created = r#""created":"2020-01-01T00:00:00Z""#;
    let line = |rest: &str| format!("{{{rest},{created}}}");
    let lines = [
        line(r#""username":"ada","email":"ada@example.org""#),
        line(r#""username":"ADA","email":"ADA@example.org""#),
        line(r#""username":"ada","email":"third@example.org""#),
        line(r#""username":"owner","email":"ada@EXAMPLE.org","validated":true"#),
        line(r#""username":"bob","email":"bob@example.org""#),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let planned = import_lines(&app, &lines, true).await;
    let done = import_lines(&app, &lines, false).await;
    assert_eq!(planned, done);
    let rows: Vec<_> = done.iter().map(|(kind, row, _)| (kind.as_str(), row.as_str())).collect();
    assert_eq!(
        rows,
        [("duplicate_row", "line 3"), ("name_collision", "line 2"), ("email_taken", "line 2"), ("email_taken", "ada"),],
        "{done:#?}"
    );
    assert!(done[3].2.contains("\"owner\" has confirmed the address"), "{done:#?}");

    // Another import: of one who is here, and was changed here and there.
    let bob = app.authy.users().find_named(&"bob".parse().unwrap()).await.unwrap().unwrap();
    app.authy.users().delete(&operator(), bob.public_id).await.unwrap();
    app.authy.users().restore(&operator(), bob.public_id).await.unwrap();
    let change = authy_core::api::account::AccountChange::password(None, "tangerine-lighthouse-42").unwrap();
    app.authy.users().change(&operator(), bob.public_id, change).await.unwrap();
    let moved = [
        lines[0],
        &line(&format!(
            r#""username":"bob","email":"bob@example.org","password_hash":"{}""#,
            authy_tests::FOREIGN_HASH
        )),
        &line(r#""username":"late","email":"bob@example.org","validated":true"#),
    ];
    let notes = import_lines(&app, &moved, false).await;
    let rows: Vec<_> = notes.iter().map(|(kind, row, _)| (kind.as_str(), row.as_str())).collect();
    assert_eq!(rows, [("kept_here", "line 2"), ("email_taken", "bob")], "{notes:#?}");
    for (_, row, message) in planned.iter().chain(&done).chain(&notes) {
        assert!(!row.starts_with("name:") && !message.contains("\"name:"), "{row}: {message}");
    }
}

#[tokio::test]
async fn an_erased_user_of_a_source_without_ids_stays_erased_and_the_name_cannot_be_tried() {
    let app = TestApp::new().await;
    let record = |name: &str| {
        let mut record = ImportRecord::default();
        (record.username, record.email) = (Some(name.to_owned()), Some(format!("{name}@example.org")));
        record
    };
    let records = || ImportSource::records([record("grace"), record("hedy")]);
    import(&app.authy, records()).await;
    let sql = app.sql().await;
    let ids = async || -> Vec<String> {
        let query = "SELECT source_id FROM authy.import_origin ORDER BY source_id";
        sql.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    let before = ids().await;
    assert!(before.len() == 2 && before.iter().all(|id| id.starts_with("name:")), "{before:?}");
    let grace = app.authy.users().find_named(&"grace".parse().unwrap()).await.unwrap().unwrap();
    app.authy.users().erase(&operator(), grace.public_id).await.unwrap();
    let after = ids().await;
    assert!(after[0].starts_with("erased:") && before.contains(&after[1]), "{before:?} {after:?}");
    let erased = before.iter().find(|id| !after.contains(id)).unwrap();
    let dump = database::run_program("pg_dump", &app.database, &["--data-only"]).await;
    assert!(!dump.contains(erased.strip_prefix("name:").unwrap()), "the digest of the name is in the dump");

    // Nobody is brought back, also with another master key before the old one.
    let first = MasterKeys::generate().unwrap().to_base64();
    let both = MasterKeys::parse(&format!("{},{}", *first, *app.master_keys.to_base64())).unwrap();
    let issuer = app.url();
    let rekeyed = TestApp::on(app.database.clone(), both, |config, _| config.issuer = Some(issuer.clone())).await;
    for authy in [&app.authy, &rekeyed.authy] {
        let report = import(authy, records()).await;
        assert_eq!((report.created, report.changed, report.unchanged), (0, 0, 2), "{report:#?}");
        assert_eq!(report.counts.get(&ImportNoteKind::KeptHere), Some(&1), "{report:#?}");
    }
    assert_eq!(ids().await, after);
}
