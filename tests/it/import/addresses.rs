//! Addresses that several users have, and what another import does about them.

use authy_core::engine::{ImportNoteKind::*, ImportRecord};

use super::*;

fn record(name: &str, email: Option<&str>, validated: bool) -> ImportRecord {
    let mut record = ImportRecord::default();
    (record.id, record.username) = (Some(name.to_owned()), Some(name.to_owned()));
    (record.email, record.validated) = (email.map(str::to_owned), validated);
    record
}

async fn import_records(app: &TestApp, records: &[ImportRecord]) -> ImportReport {
    import(&app.authy, ImportSource::records(records.to_vec())).await
}

/// The rows of the notes of a kind, by the names of their users.
async fn noted(app: &TestApp, report: &ImportReport, kind: ImportNoteKind) -> Vec<String> {
    let name = "SELECT username FROM authy.import_origin JOIN authy.users ON public_id = user_id WHERE source_id = $1";
    let sql = app.sql().await;
    let mut names = Vec::new();
    for note in report.notes.iter().filter(|note| note.kind == kind) {
        names.push(sql.query_one(name, &[&note.row]).await.unwrap().get(0));
    }
    names
}

/// The address of a user, `None` for a placeholder, and whether it is confirmed.
async fn address(app: &TestApp, name: &str) -> (Option<String>, bool) {
    let user = app.authy.users().find_named(&name.parse().unwrap()).await.unwrap().unwrap();
    let email = Some(user.email.as_str().to_owned()).filter(|email| !email.ends_with("@authy.invalid"));
    (email, user.validated)
}

#[tokio::test]
async fn an_address_that_was_taken_is_tried_again_at_every_import() {
    let app = TestApp::new().await;
    let shared = "shared@example.org";
    let mut records = [
        record("first", Some(shared), false),
        record("second", Some("SHARED@example.org"), false),
        record("third", Some("third@example.org"), true),
    ];
    let report = import_records(&app, &records).await;
    assert_eq!(noted(&app, &report, EmailTaken).await, ["second"]);
    assert_eq!(address(&app, "second").await.0, None);
    // It is still taken, and the report still says so.
    let report = import_records(&app, &records).await;
    assert_eq!((report.changed, noted(&app, &report, EmailTaken).await), (0, vec!["second".to_owned()]));

    // It becomes free: a user who has not changed gets it.
    records[0].email = Some("other@example.org".to_owned());
    import_records(&app, &records).await;
    let report = import_records(&app, &records).await;
    assert_eq!(report.counts.get(&EmailTaken), None, "{report:#?}");
    assert_eq!(address(&app, "second").await, (Some("SHARED@example.org".to_owned()), false));
    assert_eq!(import_records(&app, &records).await.unchanged, 3);

    // An address that another user has there is tried again, too.
    records[0].email = Some("third@example.org".to_owned());
    let report = import_records(&app, &records).await;
    assert_eq!(noted(&app, &report, KeptHere).await, ["first"]);
    records[2].email = Some("moved@example.org".to_owned());
    import_records(&app, &records).await;
    import_records(&app, &records).await;
    assert_eq!(address(&app, "first").await, (Some("third@example.org".to_owned()), false));
    assert_eq!(import_records(&app, &records).await.unchanged, 3);
}

#[tokio::test]
async fn an_address_that_is_confirmed_there_meanwhile_replaces_the_placeholder() {
    let app = TestApp::new().await;
    let mut records =
        [record("first", Some("shared@example.org"), false), record("second", Some("shared@example.org"), false)];
    import_records(&app, &records).await;
    assert_eq!(address(&app, "second").await.0, None);
    records[1].validated = true;
    let report = import_records(&app, &records).await;
    assert_eq!(report.changed, 1, "{report:#?}");
    assert_eq!(address(&app, "second").await, (Some("shared@example.org".to_owned()), true));
    // The other one has lost it.
    assert_eq!(noted(&app, &report, EmailTaken).await, ["first"]);
}

#[tokio::test]
async fn a_second_user_who_has_confirmed_an_address_is_reported_to_the_first_one() {
    let app = TestApp::new().await;
    let records: Vec<_> = (0..3)
        .map(|number| record(&format!("early{number}"), Some(&format!("{number}@example.org")), false))
        .chain([record("late0", Some("0@EXAMPLE.org"), true)])
        .collect();
    let report = import_records(&app, &records).await;
    assert_eq!(noted(&app, &report, EmailTaken).await, ["early0"]);
    // Of an earlier batch, and of this server itself.
    let mut own = authy_tests::new_account("own", "user");
    own.validated = Some(false);
    let own = app.authy.users().create(&operator(), own).await.unwrap();
    let email = app.authy.users().find(own).await.unwrap().unwrap().email.as_str().to_owned();
    let more = [record("late1", Some("1@example.org"), true), record("late-own", Some(&email), true)];
    let report = import_records(&app, &more).await;
    let rows: Vec<_> = report.notes.iter().filter(|note| note.kind == EmailTaken).map(|note| &note.row).collect();
    assert!(rows.len() == 2 && rows[1] == &own.to_string(), "{report:#?}");
    // Both have been told before.
    let report = import_records(&app, &more).await;
    assert_eq!(report.counts.get(&EmailTaken), None, "{report:#?}");
}

#[tokio::test]
async fn an_address_that_is_removed_there_or_no_longer_confirmed_stays_and_is_reported() {
    let app = TestApp::new().await;
    let mut records = [
        record("removed", Some("removed@example.org"), true),
        record("withdrawn", Some("withdrawn@example.org"), true),
        record("never", None, false),
    ];
    import_records(&app, &records).await;
    records[0].email = None;
    records[1].validated = false;
    records[2].last_login = Some(std::time::SystemTime::now().into());
    let report = import_records(&app, &records).await;
    assert_eq!(noted(&app, &report, KeptHere).await, ["removed", "withdrawn"], "{report:#?}");
    for name in ["removed", "withdrawn"] {
        assert_eq!(address(&app, name).await, (Some(format!("{name}@example.org")), true));
    }
}
