//! The hashes that are kept for the first authy.

use std::time::Instant;

use super::*;

/// A small old database.
async fn small() -> (Vec<OldUser>, tokio_postgres::Config) {
    let names = ["root", "four", "seven", "ada", "fine"];
    let users: Vec<_> = cheap_users()
        .into_iter()
        .filter(|user| names.contains(&user.username.as_deref().unwrap_or_default()))
        .collect();
    let old = old_database::create(&users).await;
    (users, old)
}

async fn sealed(app: &TestApp, user: UserId) -> Option<Vec<u8>> {
    let query = "SELECT sealed FROM authy.fallback_hash WHERE user_id = $1::text::uuid";
    app.sql().await.query_opt(query, &[&user.to_string()]).await.unwrap().map(|row| row.get(0))
}

#[tokio::test]
async fn nothing_is_kept_unless_it_is_said_and_then_users_have_to_reset_their_passwords() {
    let (users, old) = small().await;
    let app = TestApp::new().await;
    import(&app.authy, &old).await;
    for name in ["four", "ada"] {
        log_in(&app, name, &named(&users, name).password).await;
    }
    let new = app.authy.users().register(&operator(), new_user("newcomer")).await.unwrap();
    log_in(&app, "newcomer", PASSWORD).await;
    let change = AccountChange::password(None, OTHER).unwrap();
    app.authy.users().change(&operator(), id(named(&users, "seven")), change).await.unwrap();
    assert_eq!(app.authy.count_fallback_hashes().await.unwrap(), 0);

    let report = export(&app.authy, &old).await;
    let mut reset = noted(&report, ExportNoteKind::MustReset);
    reset.sort();
    let mut expected = [id(named(&users, "seven")).to_string(), new.to_string()];
    expected.sort();
    assert_eq!(reset, expected);
    assert!(report.is_complete(), "{report:#?}");
    // The old password of one who has changed it opens nothing; those who only logged in still have theirs there.
    assert!(!opens(&old, id(named(&users, "seven")), &named(&users, "seven").password).await);
    assert!(!opens(&old, id(named(&users, "seven")), OTHER).await);
    assert!(!opens(&old, new, PASSWORD).await);
    for name in ["four", "ada", "fine"] {
        assert!(opens(&old, id(named(&users, name)), &named(&users, name).password).await, "{name}");
    }
    // Each export says so, and writes nothing.
    let again = export(&app.authy, &old).await;
    assert_eq!((again.changed, noted(&again, ExportNoteKind::MustReset).len()), (0, 2), "{again:#?}");

    // Once hashes are kept, the next login makes one, and the next export writes it.
    let app =
        TestApp::on(app.database.clone(), app.master_keys.clone(), |config, _| config.keep_fallback_hashes = true)
            .await;
    log_in(&app, "newcomer", PASSWORD).await;
    log_in(&app, "seven", OTHER).await;
    // Their passwords are those that the first authy has already.
    log_in(&app, "four", &named(&users, "four").password).await;
    until_kept(&app.authy, 2).await;
    let report = export(&app.authy, &old).await;
    assert_eq!(noted(&report, ExportNoteKind::MustReset), Vec::<String>::new(), "{report:#?}");
    assert!(opens(&old, new, PASSWORD).await && opens(&old, id(named(&users, "seven")), OTHER).await);
}

#[tokio::test]
async fn a_user_who_came_from_elsewhere_gets_a_hash_and_one_of_the_first_authy_needs_none() {
    let (users, old) = small().await;
    let app = keeping(&old).await;
    let mut record = authy_core::engine::ImportRecord::default();
    record.username = Some("newcomer".to_owned());
    record.validated = true;
    record.password_hash = Some(Secret::new("$2b$04$abcdefghijklmnopqrstuu/LgNH5eaktQxHocnTnSg/5zOTjCh/eK"));
    let source = ImportSource::records([record]);
    app.authy.import(&operator(), source, &ImportOptions::default(), |_| ()).await.unwrap();
    let password = "pässword with spaces 🔑";
    log_in(&app, "newcomer", password).await;
    // The first login makes it, as of a user who signed up here.
    until_kept(&app.authy, 1).await;
    let report = export(&app.authy, &old).await;
    assert_eq!(noted(&report, ExportNoteKind::MustReset), Vec::<String>::new(), "{report:#?}");
    let newcomer = app.authy.users().find_named(&"newcomer".parse().unwrap()).await.unwrap().unwrap();
    assert!(opens(&old, newcomer.public_id, password).await);

    // The old database has the hash of a user who was imported from it, when this one has lost its own.
    app.authy.forget_fallback_hashes(&operator()).await.unwrap();
    let four = named(&users, "four");
    log_in(&app, "four", &four.password).await;
    app.authy.forget_fallback_hashes(&operator()).await.unwrap();
    log_in(&app, "four", &four.password).await;
    app.authy.stop().await;
    assert_eq!(sealed(&app, id(four)).await, None);
}

#[tokio::test]
async fn a_kept_hash_goes_with_its_password() {
    let (users, old) = small().await;
    let app = keeping(&old).await;
    let (four, ada) = (id(named(&users, "four")), id(named(&users, "ada")));
    log_in(&app, "four", "abcd").await;
    log_in(&app, "ada", &named(&users, "ada").password).await;
    let kept = (sealed(&app, four).await.unwrap(), sealed(&app, ada).await.unwrap());
    // With the answer of the change, whatever comes afterwards.
    app.authy.users().change(&operator(), four, AccountChange::password(None, OTHER).unwrap()).await.unwrap();
    assert_ne!(sealed(&app, four).await, Some(kept.0));
    app.authy.users().erase(&operator(), ada).await.unwrap();
    assert_eq!(sealed(&app, ada).await, None);
    until_kept(&app.authy, 1).await;
    let code = app.authy.users().create_reset(&operator(), four).await.unwrap();
    let before = sealed(&app, four).await;
    app.anonymous().reset_password(PasswordReset::new(code, Secret::new(PASSWORD)).unwrap()).await.unwrap();
    assert_ne!(sealed(&app, four).await, before);
    until_kept(&app.authy, 1).await;
    // A password that an import brings forgets it, too.
    let hash =
        old_database::werkzeug(&[OldUser { password: "from there".to_owned(), ..users[0].clone() }]).await.remove(0);
    log_in(&app, "fine", &named(&users, "fine").password).await;
    assert!(sealed(&app, id(named(&users, "fine"))).await.is_some());
    let there = database::connect(&old).await;
    there.execute("UPDATE users SET password = $1 WHERE username = 'fine'", &[&hash]).await.unwrap();
    import(&app.authy, &old).await;
    assert_eq!(sealed(&app, id(named(&users, "fine"))).await, None);

    // And all of them go when the operator says so.
    assert_eq!(app.authy.forget_fallback_hashes(&operator()).await.unwrap(), 1);
    assert_eq!(app.authy.count_fallback_hashes().await.unwrap(), 0);
}

#[tokio::test]
async fn a_stolen_dump_has_no_hash_that_was_kept() {
    let (users, old) = small().await;
    let app = keeping(&old).await;
    for user in &users {
        log_in(&app, user.username.as_deref().unwrap(), &user.password).await;
    }
    app.authy.users().register(&operator(), new_user("newcomer")).await.unwrap();
    until_kept(&app.authy, users.len() as u64 + 1).await;
    let dump = database::run_program("pg_dump", &app.database, &["--data-only"]).await;
    assert!(dump.contains("fallback_hash") && dump.contains("newcomer"));
    for text in ["pbkdf2:", "scrypt:"] {
        assert!(!dump.contains(text) && !dump.contains(&hex(text)), "{text} is in the dump");
    }
    // A hash that no master key opens is as good as none: the export says who has to reset the password.
    let sql = app.sql().await;
    sql.execute("UPDATE authy.fallback_hash SET sealed = overlay(sealed PLACING '\\x00000000' FROM 1)", &[])
        .await
        .unwrap();
    let report = export(&app.authy, &old).await;
    assert_eq!(noted(&report, ExportNoteKind::MustReset).len(), 1, "{report:#?}");
}

#[tokio::test]
async fn kept_hashes_follow_the_master_key_when_it_is_replaced() {
    let (users, old) = small().await;
    let app = keeping(&old).await;
    for user in &users {
        log_in(&app, user.username.as_deref().unwrap(), &user.password).await;
    }
    let new = app.authy.users().register(&operator(), new_user("newcomer")).await.unwrap();
    let all = users.len() as u64 + 1;
    until_kept(&app.authy, all).await;
    let before = sealed(&app, new).await.unwrap();

    let first = MasterKeys::generate().unwrap().to_base64();
    let both = MasterKeys::parse(&format!("{},{}", *first, *app.master_keys.to_base64())).unwrap();
    let issuer = app.url();
    let keep = |config: &mut authy_core::engine::Config| {
        config.keep_fallback_hashes = true;
        config.issuer = Some(issuer.clone());
    };
    let between = TestApp::on(app.database.clone(), both, |config, _| keep(config)).await;
    let resealed = between.authy.keys().reseal(&operator()).await.unwrap();
    assert_eq!((resealed.keys, resealed.fallback_hashes), (1, all));
    assert_ne!(sealed(&app, new).await.unwrap()[..4], before[..4]);
    let resealed = between.authy.keys().reseal(&operator()).await.unwrap();
    assert_eq!((resealed.keys, resealed.fallback_hashes), (0, 0));

    // With the new key alone, all of them are there.
    let only = MasterKeys::parse(&first).unwrap();
    let after = TestApp::on(app.database.clone(), only, |config, _| keep(config)).await;
    let report = export(&after.authy, &old).await;
    assert_eq!(noted(&report, ExportNoteKind::MustReset), Vec::<String>::new(), "{report:#?}");
    assert!(opens(&old, new, PASSWORD).await && opens(&old, id(named(&users, "four")), "abcd").await);
}

#[tokio::test]
async fn a_kept_hash_of_a_forgotten_master_key_is_replaced_at_the_next_login() {
    let (_, old) = small().await;
    let app = keeping(&old).await;
    let new = app.authy.users().register(&operator(), new_user("newcomer")).await.unwrap();
    until_kept(&app.authy, 1).await;
    let forget = "UPDATE authy.fallback_hash SET sealed = overlay(sealed PLACING '\\x00000000' FROM 1)";
    app.sql().await.execute(forget, &[]).await.unwrap();
    log_in(&app, "newcomer", PASSWORD).await;
    until_within(Duration::from_secs(600), "it is made again", || async {
        sealed(&app, new).await.unwrap()[..4] != [0; 4]
    })
    .await;
    let report = export(&app.authy, &old).await;
    assert_eq!(noted(&report, ExportNoteKind::MustReset), Vec::<String>::new(), "{report:#?}");
    assert!(opens(&old, new, PASSWORD).await);
}

#[tokio::test]
async fn a_password_that_was_set_before_a_stop_has_its_hash_after_it() {
    let app = TestApp::with(|config, _| config.keep_fallback_hashes = true).await;
    app.authy.users().register(&operator(), new_user("newcomer")).await.unwrap();
    let begun = Instant::now();
    app.authy.stop().await;
    // It waits ten seconds at most, and on a busy machine what nobody waits for may get no time at all.
    let is_kept = app.authy.count_fallback_hashes().await.unwrap() == 1;
    assert!(is_kept || begun.elapsed() >= Duration::from_secs(10));
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_kept_hash_is_of_no_use_for_another_user() {
    let (users, old) = small().await;
    let app = keeping(&old).await;
    let victim = app.authy.users().register(&operator(), new_user("victim")).await.unwrap();
    let thief = NewUser::new("thief", "t@example.org", Secret::new(OTHER)).unwrap();
    let thief = app.authy.users().register(&operator(), thief).await.unwrap();
    until_kept(&app.authy, 2).await;
    let sql = app.sql().await;
    let swap = "UPDATE authy.fallback_hash SET sealed = (SELECT sealed FROM authy.fallback_hash WHERE user_id = $2::text::uuid)
                WHERE user_id = $1::text::uuid";
    sql.execute(swap, &[&victim.to_string(), &thief.to_string()]).await.unwrap();
    let report = export(&app.authy, &old).await;
    assert_eq!(noted(&report, ExportNoteKind::MustReset), [victim.to_string()]);
    assert!(!opens(&old, victim, OTHER).await && opens(&old, thief, OTHER).await);
    assert_eq!(users.len(), 5);
}

#[tokio::test]
async fn of_a_password_in_base64_the_form_that_was_hashed_is_kept() {
    let (_, old) = small().await;
    let app = TestApp::with(|config, _| config.keep_fallback_hashes = true).await;
    // Stored without a fallback hash, as by a server without the setting.
    let plain = TestApp::on(app.database.clone(), app.master_keys.clone(), |_, _| ()).await;
    let new = plain.authy.users().register(&operator(), new_user("newcomer")).await.unwrap();
    let caller = authy_core::engine::Caller::anonymous(authy_core::ClientInfo::default());
    let both = app.authy.sessions().login_with_either(
        &caller,
        Credentials::new("newcomer", Secret::new("not the password")),
        Secret::new(PASSWORD),
    );
    both.await.unwrap();
    until_kept(&app.authy, 1).await;
    export(&app.authy, &old).await;
    assert!(opens(&old, new, PASSWORD).await && !opens(&old, new, "not the password").await);
}
