//! The report of an import, and what it says before anything is written.

use authy_core::{
    ErrorKind,
    engine::{ImportNoteKind, ImportRecord},
};

use super::*;

#[tokio::test]
async fn a_dry_run_writes_nothing_and_reports_what_an_import_does() {
    let users = old_database::users();
    let old = old_database::create(&users).await;
    let app = TestApp::new().await;
    let sql = app.sql().await;
    let before = written(&sql).await;
    let options = ImportOptions { dry_run: true, batch: 7, ..ImportOptions::default() };
    let mut planned = app.authy.import(&operator(), first_authy(&old), &options, |_| ()).await.unwrap();
    assert_eq!(written(&sql).await, before);
    assert!(planned.is_dry_run && !planned.is_complete());

    let done = import(&app.authy, first_authy(&old)).await;
    planned.is_dry_run = false;
    assert_eq!(planned, done);

    // Every kind of note, where it belongs.
    let id = |name: &str| users.iter().find(|user| user.username.as_deref() == Some(name)).unwrap().id.to_string();
    use ImportNoteKind::*;
    for (kind, row) in [
        (InvalidUsername, (users.iter().find(|user| user.username.is_none()).unwrap().id).to_string()),
        (InvalidPublicId, id("no-id")),
        (InvalidPublicId, id("upper-id")),
        (InvalidPublicId, id("bad-id")),
        (PublicIdVersion, id("version-one")),
        (NameCollision, id("ａｄａ")),
        (NameCollision, id("ADA")),
        (NameCollision, id("user_one")),
        (NoEmail, id("no-mail")),
        (EmailTaken, id("mail-two")),
        (EmailTaken, id("mail-three")),
        (EmailTaken, id("mail-early")),
        (InvalidUsername, id("")),
        (EmailUnusable, id("display")),
        (EmailUnusable, id("long-mail")),
        (UnusablePassword, id("huge-scrypt")),
        (UnusablePassword, id("no-hash")),
        (TimeOutOfRange, id("endless")),
        (TimeOutOfRange, id("endless-login")),
        (TimeOutOfRange, id("gone-long-ago")),
        (DeletedWithoutDate, id("gone-undated")),
        (DateWithoutDeleted, id("dated")),
        (MembershipDropped, id("levelless")),
        (MembershipWithoutRow, "9999".to_owned()),
        (RoleWithoutLevel, "\"shapeless\"".to_owned()),
        (RoleMerged, "\"visitor\"".to_owned()),
        (RoleRenamed, "\"editor\"".to_owned()),
        (RoleRenamed, "without a name (ID 13)".to_owned()),
        (RoleLevelUnusual, "\"below\"".to_owned()),
    ] {
        assert!(done.notes.iter().any(|note| note.kind == kind && note.row == row), "{kind} {row}: {done:#?}");
    }
    assert_eq!(done.hashes.values().sum::<u64>(), users.len() as u64, "{:?}", done.hashes);
}

#[tokio::test]
async fn a_role_can_be_mapped_to_another_one() {
    let users = old_database::users();
    let old = old_database::create(&users).await;
    let app = TestApp::new().await;
    let role_names =
        [("mega guest".to_owned(), "guest".parse().unwrap()), ("shapeless".to_owned(), "user".parse().unwrap())];
    let options = ImportOptions { role_names: role_names.into(), ..ImportOptions::default() };
    app.authy.import(&operator(), first_authy(&old), &options, |_| ()).await.unwrap();
    let client = app.anonymous();
    for (name, level) in [("mega", 99), ("levelless", 10)] {
        let password = &users.iter().find(|user| user.username.as_deref() == Some(name)).unwrap().password;
        assert_eq!(log_in(&app, &client, name, password).await.map(|(_, level)| level), Some(level));
    }
}

#[tokio::test]
async fn a_mapping_of_roles_that_means_nothing_is_refused_before_anything_is_written() {
    let old = old_database::create(&old_database::users()).await;
    let app = TestApp::new().await;
    for (mapped, part) in [
        (&[("mega guest", "nonesuch")][..], "nonesuch"),
        (&[("mega gest", "guest")], "mega gest"),
        (&[("mega guest", "guest"), ("Editors", "guest")], "Editors"),
    ] {
        let role_names = mapped.iter().map(|(from, to)| ((*from).to_owned(), to.parse().unwrap())).collect();
        let options = ImportOptions { role_names, ..ImportOptions::default() };
        let refused = app.authy.import(&operator(), first_authy(&old), &options, |_| ()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        assert!(authy_core::error::chain(&refused).contains(part), "{part}: {refused:?}");
    }
    let sql = app.sql().await;
    let users = "SELECT count(*) FROM authy.users";
    assert_eq!(sql.query_one(users, &[]).await.unwrap().get::<_, i64>(0), 0);

    // A name is recognized without its case, unless another role has exactly this one.
    let role_names =
        [("MEGA Guest".to_owned(), "guest".parse().unwrap()), ("editor".to_owned(), "user".parse().unwrap())];
    let options = ImportOptions { role_names: role_names.into(), ..ImportOptions::default() };
    app.authy.import(&operator(), first_authy(&old), &options, |_| ()).await.unwrap();
    for (name, level) in [("mega", 99), ("editor-one", 20), ("editor-two", 10)] {
        let user = app.authy.users().find_named(&name.parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(user.level.map(|level| level.get()), Some(level), "{name}");
    }
}

#[tokio::test]
async fn many_notes_of_one_kind_hide_none_of_another() {
    let app = TestApp::new().await;
    // Each has no address and no time of a sign-up; the last one is the first one again.
    let record = |number: u32| {
        let mut record = ImportRecord::default();
        record.id = Some((number % 10_050).to_string());
        record.username = Some(format!("user{}", number % 10_050));
        record
    };
    let records: Vec<_> = (0..10_051).map(record).collect();
    let options = ImportOptions { dry_run: true, batch: 10_000, ..ImportOptions::default() };
    let source = ImportSource::records(records);
    let report = app.authy.import(&operator(), source, &options, |_| ()).await.unwrap();
    use ImportNoteKind::*;
    assert_eq!((report.counts[&NoEmail], report.counts[&TimeOutOfRange]), (10_051, 10_051));
    let noted = |kind| report.notes.iter().filter(|note| note.kind == kind).count();
    assert_eq!((noted(NoEmail), noted(TimeOutOfRange), noted(DuplicateRow)), (10_000, 10_000, 1));

    // Memberships of nobody come first, and are counted exactly.
    let old = old_database::create(&old_database::users()).await;
    let there = database::connect(&old).await;
    there.execute("INSERT INTO user_role SELECT n, 3 FROM generate_series(20001, 30050) AS n", &[]).await.unwrap();
    let report = app.authy.import(&operator(), first_authy(&old), &options, |_| ()).await.unwrap();
    assert_eq!(report.counts[&MembershipWithoutRow], 10_053);
    for (kind, count) in report.counts.iter().filter(|(kind, _)| **kind != MembershipWithoutRow) {
        let noted = report.notes.iter().filter(|note| note.kind == *kind).count();
        assert_eq!(noted as u64, *count, "{kind}");
    }
}

#[tokio::test]
async fn a_name_of_a_user_who_is_here_is_not_taken_from_them() {
    let users: Vec<_> = old_database::users().into_iter().filter(|user| user.roles == [3]).collect();
    let old = old_database::create(&users).await;
    let app = TestApp::new().await;
    let own = app.authy.users().create(&operator(), authy_tests::new_account("ada", "user")).await.unwrap();
    let report = import(&app.authy, first_authy(&old)).await;
    let ada = users.iter().find(|user| user.username.as_deref() == Some("ada")).unwrap();
    let kinds: Vec<_> =
        report.notes.iter().filter(|note| note.row == ada.id.to_string()).map(|note| note.kind).collect();
    assert_eq!(kinds, [ImportNoteKind::UsernameTaken]);
    let client = app.anonymous();
    assert_eq!(log_in(&app, &client, "ada", &ada.password).await, None);
    let opened = log_in(&app, &client, "ada", authy_tests::PASSWORD).await;
    assert_eq!(opened.map(|(id, _)| id), Some(*own.as_uuid()));
}

#[tokio::test]
async fn a_source_that_cannot_be_read_is_named() {
    let app = TestApp::new().await;
    let empty = database::empty().await;
    let mut nowhere = empty.clone();
    nowhere.dbname("nowhere");
    let zone = ImportSource::first_authy(FirstAuthy {
        database: old_database::create(&[]).await,
        roots: Roots::platform(),
        app_time_zone: Some("Atlantis/Capital".to_owned()),
        database_time_zone: None,
    });
    let mut remote = tokio_postgres::Config::new();
    remote.host("db.example.org").user("authy");
    for (source, part) in [
        (first_authy(&empty), "is it the database of the first authy"),
        (first_authy(&nowhere), "the source cannot be opened"),
        (zone, "does not know a time zone"),
        (first_authy(&old_database::create(&[]).await), "has no users"),
        (first_authy(&remote), "must be encrypted"),
    ] {
        let options = ImportOptions::default();
        let refused = app.authy.import(&operator(), source, &options, |_| ()).await.unwrap_err();
        assert!(authy_core::error::chain(&refused).contains(part), "{part}: {refused:?}");
    }
}

#[tokio::test]
async fn a_role_that_may_only_read_is_enough() {
    let old = old_database::create(&old_database::users()).await;
    let sql = database::connect(&old).await;
    sql.batch_execute(
        "DO $$ BEGIN CREATE ROLE importer LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
         GRANT SELECT ON users, role, user_role TO importer",
    )
    .await
    .unwrap();
    let mut source = old.clone();
    source.user("importer");
    let report = import(&TestApp::new().await.authy, first_authy(&source)).await;
    assert!(report.created > 50, "{report:#?}");
}
