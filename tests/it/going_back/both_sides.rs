//! What has changed here and there, and what has no room there.

use super::*;

#[tokio::test]
async fn what_has_changed_there_too_stays_and_is_reported() {
    let users = cheap_users();
    let old = old_database::create(&users).await;
    let app = TestApp::new().await;
    import(&app.authy, &old).await;
    let authy = &app.authy;
    let hash =
        old_database::werkzeug(&[OldUser { password: "from there".to_owned(), ..users[0].clone() }]).await.remove(0);
    let there_sql = database::connect(&old).await;
    there_sql
        .batch_execute(&format!(
            "UPDATE users SET password = '{hash}' WHERE username IN ('four', 'seven', 'visitor');
             UPDATE users SET email = 'there@example.org' WHERE username = 'fine';
             UPDATE users SET last_login = '2199-01-01' WHERE username = 'ada';
             INSERT INTO user_role SELECT id, 5 FROM users WHERE username = 'spaces';"
        ))
        .await
        .unwrap();
    let (four, fine, visitor) = (id(named(&users, "four")), id(named(&users, "fine")), id(named(&users, "visitor")));
    authy.users().change(&operator(), four, AccountChange::password(None, OTHER).unwrap()).await.unwrap();
    authy.users().erase(&operator(), visitor).await.unwrap();
    authy.users().delete(&operator(), fine).await.unwrap();
    authy.roles().revoke(&operator(), &"user".parse().unwrap(), id(named(&users, "spaces"))).await.unwrap();
    let sql = app.sql().await;
    let email =
        "UPDATE authy.users SET email = 'here@example.org', email_key = 'here@example.org' WHERE username = 'fine'";
    sql.execute(email, &[]).await.unwrap();
    log_in(&app, "ada", &named(&users, "ada").password).await;

    let report = export(authy, &old).await;
    let mut kept = noted(&report, ExportNoteKind::KeptThere);
    kept.sort();
    let mut expected = [four.to_string(), fine.to_string()];
    expected.sort();
    assert_eq!(kept, expected, "{report:#?}");
    assert!(!report.is_complete());
    assert!(opens(&old, four, "from there").await && !opens(&old, four, OTHER).await);
    // Not changed here: not touched, and no news.
    assert!(opens(&old, id(named(&users, "seven")), "from there").await);
    // A deletion is written beside a conflict, and an erasure wins.
    let fine = there(&old, fine).await;
    assert_eq!((&fine["email"], &fine["deleted"]), (&"there@example.org".into(), &true.into()));
    assert_eq!(
        (&there(&old, visitor).await["password"], &there(&old, visitor).await["deleted"]),
        (&"!".into(), &true.into())
    );
    // A role that was revoked here is gone, and one that was granted there stays.
    assert_eq!(there(&old, id(named(&users, "spaces"))).await["roles"], serde_json::json!(["mega guest"]));
    assert_eq!(there(&old, id(named(&users, "ada"))).await["last_login"], "2199-01-01T00:00:00");
    let after = rows(&old).await;
    export(authy, &old).await;
    assert_eq!(rows(&old).await, after);
}

#[tokio::test]
async fn a_name_or_an_address_that_is_taken_there_never_merges_two_accounts() {
    let users = cheap_users();
    let old = old_database::create(&users).await;
    let app = TestApp::new().await;
    import(&app.authy, &old).await;
    let new = async |name: &str, email: &str| {
        let user = NewUser::new(name, email, Secret::new(PASSWORD)).unwrap();
        let caller = authy_core::engine::Caller::anonymous(authy_core::ClientInfo::default());
        app.authy.users().register(&caller, user).await.unwrap()
    };
    let (taken, mail, free) = (
        new("night-owl", "owl@example.org").await,
        new("lark", "lark@example.org").await,
        new("swift", "swift@example.org").await,
    );
    // Two accounts here may have an address that neither has confirmed.
    let (first, second) = (new("twin-one", "twin@example.org").await, new("twin-two", "twin@example.org").await);
    let there_sql = database::connect(&old).await;
    there_sql
        .batch_execute(
            "INSERT INTO users (public_id, username, password, email, created) VALUES
                 ('0b7c3b1e-6d5c-4a43-9d6b-0f3d2a4f8e10', 'night-owl', 'x', 'other@example.org', now()),
                 ('1b7c3b1e-6d5c-4a43-9d6b-0f3d2a4f8e10', 'Lark', 'x', 'lark@example.org', now());",
        )
        .await
        .unwrap();
    there_sql
        .execute(
            "INSERT INTO users (public_id, username, password, email, created) VALUES ($1, 'stranger', 'x', 's@x.y', now())",
            &[&free.to_string()],
        )
        .await
        .unwrap();
    let strangers =
        "SELECT to_jsonb(u)::text FROM users u WHERE username IN ('night-owl', 'Lark', 'stranger') ORDER BY id";
    let strangers = async || -> Vec<String> {
        database::connect(&old).await.query(strangers, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    let before = strangers().await;
    let planned = dry_run(&app.authy, &old).await;
    let report = export(&app.authy, &old).await;
    assert_eq!(sorted(planned), sorted(as_dry_run(&report)));
    assert_eq!(noted(&report, ExportNoteKind::UsernameTaken), [taken.to_string()]);
    assert_eq!(noted(&report, ExportNoteKind::OtherUser), [free.to_string()]);
    let emails = noted(&report, ExportNoteKind::EmailTaken);
    assert!(emails.len() == 2 && emails.contains(&mail.to_string()), "{report:#?}");
    assert_eq!((report.refused, report.created, report.is_complete()), (2, 3, false), "{report:#?}");
    assert_eq!(strangers().await, before);
    assert_eq!(there(&old, mail).await["email"], serde_json::Value::Null);
    let twins = [there(&old, first).await["email"].clone(), there(&old, second).await["email"].clone()];
    assert!(twins.contains(&serde_json::Value::Null) && twins.contains(&"twin@example.org".into()), "{twins:?}");
    assert!(there(&old, taken).await.is_null());
    // When the address is free, the next export writes it.
    there_sql.execute("UPDATE users SET email = 'free@example.org' WHERE username = 'Lark'", &[]).await.unwrap();
    export(&app.authy, &old).await;
    assert_eq!(there(&old, mail).await["email"], "lark@example.org");
}

#[tokio::test]
async fn what_has_no_room_there_is_reported_and_not_cut() {
    let old = old_database::create(&cheap_users()).await;
    let app = TestApp::new().await;
    import(&app.authy, &old).await;
    let long = "n".repeat(60);
    let record = |name: &str, email: String| {
        let mut record = authy_core::engine::ImportRecord::default();
        (record.username, record.email, record.validated) = (Some(name.to_owned()), Some(email), true);
        record.roles = Some(vec!["user".to_owned()]);
        record
    };
    let records = [
        record(&long, "long@example.org".to_owned()),
        record("long-mail-two", format!("{}@example.org", "m".repeat(100))),
    ];
    let source = ImportSource::records(records);
    app.authy.import(&operator(), source, &ImportOptions::default(), |_| ()).await.unwrap();
    let report = export(&app.authy, &old).await;
    assert_eq!(noted(&report, ExportNoteKind::UsernameTooLong).len(), 1, "{report:#?}");
    assert_eq!(noted(&report, ExportNoteKind::EmailTooLong).len(), 1, "{report:#?}");
    let sql = database::connect(&old).await;
    let found =
        sql.query_one("SELECT email, validated FROM users WHERE username = 'long-mail-two'", &[]).await.unwrap();
    assert_eq!((found.get::<_, Option<&str>>(0), found.get::<_, bool>(1)), (None, false));
    let cut = sql.query_one("SELECT count(*) FROM users WHERE username LIKE 'nnnnnn%'", &[]).await.unwrap();
    assert_eq!(cut.get::<_, i64>(0), 1, "the one of 50 letters that was there");
}

#[tokio::test]
async fn roles_are_found_by_their_level_and_nobody_gets_more_power() {
    let users = cheap_users();
    let old = old_database::create(&users).await;
    let app = TestApp::new().await;
    import(&app.authy, &old).await;
    let sql = database::connect(&old).await;
    // Meanwhile there is a role of this name with more power, and a level has gone.
    sql.batch_execute(
        "INSERT INTO role (id, name, description, level) VALUES (50, 'helper', 'more', 3);
         DELETE FROM user_role WHERE role_id = 5; DELETE FROM role WHERE id = 5;",
    )
    .await
    .unwrap();
    let role = new_role("helper", "Helps others", 70);
    app.authy.roles().create(&operator(), role.clone()).await.unwrap();
    app.authy.roles().grant(&operator(), &role.name, id(named(&users, "fine"))).await.unwrap();
    let report = export(&app.authy, &old).await;
    assert_eq!(there(&old, id(named(&users, "fine"))).await["roles"], serde_json::json!(["user", "helper-70"]));
    assert!(noted(&report, ExportNoteKind::RoleChanged).contains(&"helper".to_owned()), "{report:#?}");
    // The role that has gone is created again, for those who get it here; a membership that was taken there stays so.
    assert_eq!(there(&old, id(named(&users, "mega"))).await["roles"], serde_json::json!([]));
    assert_eq!((report.roles_created, report.is_complete()), (2, true), "{report:#?}");
}

#[tokio::test]
async fn a_backup_from_before_some_users_gets_them_again_unless_their_names_are_taken() {
    let users = cheap_users();
    let old = old_database::create(&users).await;
    let app = TestApp::new().await;
    import(&app.authy, &old).await;
    let (four, seven) = (id(named(&users, "four")), id(named(&users, "seven")));
    let sql = database::connect(&old).await;
    sql.batch_execute(
        "DELETE FROM users WHERE username IN ('four', 'seven');
         INSERT INTO users (public_id, username, password, created) VALUES ('x', 'seven', '', now())",
    )
    .await
    .unwrap();
    let report = export(&app.authy, &old).await;
    assert_eq!(noted(&report, ExportNoteKind::UsernameTaken), [seven.to_string()]);
    assert_eq!((report.created, report.refused), (1, 1), "{report:#?}");
    assert!(opens(&old, four, "abcd").await);
    assert_eq!(there(&old, four).await["created"], "2020-03-01T12:00:00.123456");
    assert_eq!(export(&app.authy, &old).await.created, 0);
}

#[tokio::test]
async fn another_database_than_that_of_the_import_is_refused() {
    let users = cheap_users();
    let old = old_database::create(&users).await;
    let app = TestApp::new().await;
    import(&app.authy, &old).await;
    let other = old_database::create(&[]).await;
    database::connect(&other).await.execute("SELECT setval('users_id_seq', 1)", &[]).await.unwrap();
    let options = ExportOptions::default();
    let refused = app.authy.export(&operator(), &first_authy(&other), &options, |_| ()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert!(authy_core::error::chain(&refused).contains("another database"), "{refused:?}");
    let count = database::connect(&other).await.query_one("SELECT count(*) FROM users", &[]).await.unwrap();
    assert_eq!(count.get::<_, i64>(0), 0);
    // Without the IDs, it could be a copy from before: a dry run says that none of them is there.
    database::connect(&other).await.execute("SELECT setval('users_id_seq', 5000)", &[]).await.unwrap();
    let planned = dry_run(&app.authy, &other).await;
    assert_eq!(noted(&planned, ExportNoteKind::NobodyKnown), [other.get_dbname().unwrap()], "{planned:#?}");
    assert!(!dry_run(&app.authy, &old).await.counts.contains_key(&ExportNoteKind::NobodyKnown));
    // With another name of the source, all users are new there, with the hashes that are known.
    let options = ExportOptions { source: "copy".to_owned(), ..options };
    let report = app.authy.export(&operator(), &first_authy(&other), &options, |_| ()).await.unwrap();
    assert!(report.created > 75, "{report:#?}");
    assert!(opens(&other, id(named(&users, "four")), "abcd").await);
    let nowhere = database::empty().await;
    let refused = app.authy.export(&operator(), &first_authy(&nowhere), &options, |_| ()).await.unwrap_err();
    assert!(authy_core::error::chain(&refused).contains("is it the database of the first authy"), "{refused:?}");
}
