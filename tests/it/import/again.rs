//! Another import of the same source: it brings what has changed there, and keeps what has changed here.

use authy_core::{
    ErrorKind, UserId,
    api::{
        account::AccountChange,
        session::{Refresh, RefreshToken, Tokens},
    },
};

use super::*;

/// A small old database, imported once.
async fn imported() -> (TestApp, tokio_postgres::Client, tokio_postgres::Config, Vec<OldUser>) {
    let names = ["root", "boss", "four", "seven", "ada", "ADA", "spaces", "gone", "mail-one", "mail-three", "fine"];
    let users: Vec<_> = old_database::users()
        .into_iter()
        .filter(|user| names.contains(&user.username.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(users.len(), names.len());
    let old = old_database::create(&users).await;
    let app = TestApp::new().await;
    import(&app.authy, first_authy(&old)).await;
    (app, database::connect(&old).await, old, users)
}

fn named<'u>(users: &'u [OldUser], name: &str) -> &'u OldUser {
    users.iter().find(|user| user.username.as_deref() == Some(name)).unwrap()
}

fn id(user: &OldUser) -> UserId {
    user.public_id.as_ref().unwrap().parse().unwrap()
}

/// The hash that werkzeug makes of another password.
async fn hash_of(password: &str) -> String {
    let mut user = old_database::users().remove(0);
    user.password = password.to_owned();
    old_database::werkzeug(&[user]).await.remove(0)
}

#[tokio::test]
async fn nothing_changes_when_nothing_has_changed() {
    let (app, _, old, users) = imported().await;
    let sql = app.sql().await;
    let before = written(&sql).await;
    let report = import(&app.authy, first_authy(&old)).await;
    assert_eq!((report.created, report.changed, report.unchanged), (0, 0, users.len() as u64), "{report:#?}");
    assert_eq!(written(&sql).await, before);

    // A login replaces the hash, and an import does not bring the old one back.
    let four = named(&users, "four");
    log_in(&app, &app.anonymous(), "four", &four.password).await.unwrap();
    let replaced = stored(&sql, four.public_id.as_ref().unwrap()).await;
    import(&app.authy, first_authy(&old)).await;
    assert_eq!(stored(&sql, four.public_id.as_ref().unwrap()).await, replaced);
}

#[tokio::test]
async fn what_changed_there_is_brought_and_revokes_tokens() {
    let (app, there, old, users) = imported().await;
    let client = app.anonymous();
    let user = async |name: &str| {
        let credentials = Credentials::new(name, Secret::new(named(&users, name).password.clone()));
        let tokens = client.call::<Login>((), credentials).await.unwrap();
        (client.clone().with_token(tokens.token.clone()), tokens)
    };
    let (spaces, fine, four, seven) =
        (user("spaces").await, user("fine").await, user("four").await, user("seven").await);
    there
        .batch_execute(&format!("UPDATE users SET password = '{}' WHERE username = 'four'", hash_of("a new one").await))
        .await
        .unwrap();
    there
        .batch_execute(
            "UPDATE users SET last_login = '2024-01-01 12:00' WHERE username IN ('ada', 'ADA', 'seven');
             UPDATE users SET deleted = true, delete_date = '2024-01-01 12:00' WHERE username = 'spaces';
             UPDATE users SET deleted = false WHERE username = 'gone';
             UPDATE users SET email = 'Other@example.org' WHERE username = 'fine';
             UPDATE users SET validated = true, email = 'three@example.org' WHERE username = 'mail-three';
             INSERT INTO user_role SELECT id, 2 FROM users WHERE username = 'fine';
             DELETE FROM user_role WHERE user_id = (SELECT id FROM users WHERE username = 'boss');
             INSERT INTO users (id, public_id, username, password, email, created)
             VALUES (500, '0b7c3b1e-6d5c-4a43-9d6b-0f3d2a4f8e10', 'late', 'junk', 'late@example.org', '2024-01-01 12:00');",
        )
        .await
        .unwrap();
    let report = import(&app.authy, first_authy(&old)).await;
    // `seven` has logged in here since.
    assert_eq!((report.created, report.changed), (1, 8), "{report:#?}");
    assert_eq!(report.counts.keys().filter(|kind| kind.as_str() == "kept_here").count(), 0, "{report:#?}");

    assert_eq!(log_in(&app, &client, "four", &named(&users, "four").password).await, None);
    assert!(log_in(&app, &client, "four", "a new one").await.is_some());
    assert_eq!(log_in(&app, &client, "spaces", &named(&users, "spaces").password).await, None);
    assert!(log_in(&app, &client, "gone", &named(&users, "gone").password).await.is_some());
    let found = log_in(&app, &client, "fine", &named(&users, "fine").password).await;
    assert_eq!(found.map(|(_, level)| level), Some(1), "the new role");
    let views = app.authy.users();
    let fine_now = views.find(id(named(&users, "fine"))).await.unwrap().unwrap();
    assert_eq!((fine_now.email.as_str(), fine_now.validated), ("Other@example.org", true));
    let three = views.find(id(named(&users, "mail-three"))).await.unwrap().unwrap();
    assert_eq!((three.email.as_str(), three.validated), ("three@example.org", true));
    assert_eq!(views.find(id(named(&users, "boss"))).await.unwrap().unwrap().level, None);
    let last_login = views.find(id(named(&users, "ADA"))).await.unwrap().unwrap().last_login.unwrap();
    assert_eq!(last_login.to_rfc3339(), "2024-01-01T17:00:00+00:00");

    // Tokens of a changed account are refused; the session goes on where a login still succeeds with the same password.
    for (client, _) in [&spaces, &fine, &four] {
        until("the token is refused", || async {
            client.get_self().await.is_err_and(|error| error.kind() == Some(ErrorKind::InvalidToken))
        })
        .await;
    }
    seven.0.get_self().await.unwrap();
    let refresh = async |tokens: &Tokens| {
        let token = RefreshToken { refresh_token: tokens.refresh_token.clone() };
        client.call::<Refresh>((), token).await.is_ok()
    };
    assert!(refresh(&fine.1).await && !refresh(&four.1).await && !refresh(&spaces.1).await);
    // Once more there is nothing to do.
    assert_eq!(import(&app.authy, first_authy(&old)).await.changed, 0);
}

#[tokio::test]
async fn what_changed_here_stays() {
    let (app, there, old, users) = imported().await;
    let (client, authy) = (app.anonymous(), &app.authy);
    let change = AccountChange::password(None, "tangerine-lighthouse-42").unwrap();
    authy.users().change(&operator(), id(named(&users, "four")), change).await.unwrap();
    authy.users().delete(&operator(), id(named(&users, "seven"))).await.unwrap();
    authy.users().erase(&operator(), id(named(&users, "spaces"))).await.unwrap();
    authy.users().restore(&operator(), id(named(&users, "gone"))).await.unwrap();
    authy.roles().grant(&operator(), &"guest".parse().unwrap(), id(named(&users, "fine"))).await.unwrap();
    let sql = app.sql().await;
    let email =
        "UPDATE authy.users SET email = 'new@example.org', email_key = 'new@example.org' WHERE username = 'ada'";
    sql.execute(email, &[]).await.unwrap();
    there
        .batch_execute(&format!(
            "UPDATE users SET password = '{}' WHERE username = 'four';
             UPDATE users SET email = 'changed@example.org' WHERE username = 'ada';
             UPDATE users SET last_login = '2024-01-01 12:00' WHERE username IN ('seven', 'spaces', 'gone');
             DELETE FROM user_role WHERE user_id = (SELECT id FROM users WHERE username = 'root');
             INSERT INTO user_role SELECT id, 5 FROM users WHERE username = 'fine'",
            hash_of("from there").await
        ))
        .await
        .unwrap();
    let report = import(authy, first_authy(&old)).await;
    let kept = report.notes.iter().filter(|note| note.kind.as_str() == "kept_here").count();
    assert_eq!(kept, 4, "four, ada, the erased one, and the last superadmin: {report:#?}");

    assert!(log_in(&app, &client, "four", "tangerine-lighthouse-42").await.is_some());
    assert_eq!(log_in(&app, &client, "four", "from there").await, None);
    let view = async |name: &str| authy.users().find(id(named(&users, name))).await.unwrap().unwrap();
    assert!(view("seven").await.deleted && view("spaces").await.deleted && !view("gone").await.deleted);
    assert!(view("spaces").await.username.as_str().starts_with("erased-"));
    assert_eq!(view("ada").await.email.as_str(), "new@example.org");
    assert_eq!(view("root").await.level.unwrap().get(), 0, "the last one with this role");
    let roles: Vec<_> = view("fine").await.roles.iter().map(|role| role.as_str().to_owned()).collect();
    assert_eq!(roles, ["user", "guest", "mega guest"]);
    // The same once more: conflicts are decided once.
    let report = import(authy, first_authy(&old)).await;
    assert_eq!(report.changed, 0, "{report:#?}");
}

#[tokio::test]
async fn weak_hashes_are_wrapped_at_once_and_their_users_log_in() {
    let users: Vec<_> = old_database::users().into_iter().filter(|user| user.roles == [3]).take(20).collect();
    let old = old_database::create(&users).await;
    let app = TestApp::new().await;
    let options = ImportOptions { wrap: true, ..ImportOptions::default() };
    let wrap = async || app.authy.import(&operator(), first_authy(&old), &options, |_| ()).await.unwrap();
    let report = wrap().await;
    let sql = app.sql().await;
    let weak = "SELECT count(*) FROM authy.password WHERE phc LIKE 'pbkdf2%' OR phc LIKE 'scrypt%'";
    assert_eq!(sql.query_one(weak, &[]).await.unwrap().get::<_, i64>(0), 0);
    for user in users.iter().filter(|user| matches!(user.fate, Fate::LogsIn(_))) {
        let (name, id) = (user.username.as_deref().unwrap(), user.public_id.as_deref().unwrap());
        assert_eq!(log_in(&app, &app.anonymous(), name, "wrong").await, None);
        assert!(log_in(&app, &app.anonymous(), name, &user.password).await.is_some(), "{user:?}");
        assert!(stored(&sql, id).await.unwrap().starts_with("$argon2id$"));
    }
    // Once more there is nothing to wrap.
    assert_eq!(wrap().await.unchanged, report.created);
}

#[tokio::test]
async fn another_import_wraps_what_an_earlier_one_stored_as_it_was() {
    let mut users: Vec<_> = old_database::users().into_iter().filter(|user| user.roles == [3]).take(5).collect();
    users.iter_mut().for_each(|user| user.method = "pbkdf2:sha256:1000");
    let old = old_database::create(&users).await;
    let app = TestApp::new().await;
    import(&app.authy, first_authy(&old)).await;
    // A user of this server, whose hash is of no import.
    let own = app.authy.users().create(&operator(), authy_tests::new_account("own", "user")).await.unwrap();
    let sql = app.sql().await;
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [own.as_uuid(), &authy_tests::FOREIGN_HASH];
    sql.execute("UPDATE authy.password SET phc = $2 WHERE user_id = $1", &params).await.unwrap();
    let weak = async || {
        let weak = "SELECT array_agg(username) FROM authy.password JOIN authy.users ON public_id = user_id
                    WHERE phc LIKE 'pbkdf2%' OR phc LIKE 'scrypt%'";
        sql.query_one(weak, &[]).await.unwrap().get::<_, Option<Vec<String>>>(0).unwrap_or_default()
    };
    assert!(weak().await.len() > 1);

    let options = ImportOptions { wrap: true, batch: 2, ..ImportOptions::default() };
    let found = weak().await.len() as u64 - 1;
    let mut shown = Vec::new();
    let on_progress = |progress: &ImportProgress| shown.push((progress.read, progress.wrapped, progress.to_wrap));
    let report = app.authy.import(&operator(), first_authy(&old), &options, on_progress).await.unwrap();
    assert_eq!((report.wrapped, weak().await), (found, vec!["own".to_owned()]), "{report:#?}");
    // First the rows, and then the hashes.
    assert_eq!(shown[0], (2, 0, None));
    assert_eq!(shown.last(), Some(&(report.read, found, Some(found))), "{shown:?}");
    for user in users.iter().filter(|user| matches!(user.fate, Fate::LogsIn(_))) {
        let name = user.username.as_deref().unwrap();
        assert!(log_in(&app, &app.anonymous(), name, &user.password).await.is_some(), "{user:?}");
    }
}

#[tokio::test]
async fn another_import_in_another_time_zone_is_refused_and_changes_nothing() {
    let (app, there, old, users) = imported().await;
    let sql = app.sql().await;
    let before = written(&sql).await;
    let zones = |app_zone: Option<&str>, database_zone: Option<&str>| {
        ImportSource::first_authy(FirstAuthy {
            database: old.clone(),
            roots: Roots::platform(),
            app_time_zone: app_zone.map(str::to_owned),
            database_time_zone: database_zone.map(str::to_owned),
        })
    };
    // Those of logins, of those who have logged in.
    there.execute("UPDATE users SET last_login = '2024-01-01 12:00'", &[]).await.unwrap();
    import(&app.authy, first_authy(&old)).await;
    let logged_in = written(&sql).await;
    assert_ne!(logged_in, before);
    for (source, part) in [
        (zones(None, None), "app-time-zone"),
        (zones(Some("Europe/Lisbon"), None), "app-time-zone"),
        (zones(Some("Europe/Berlin"), Some("America/Chicago")), "database-time-zone"),
    ] {
        let refused = app.authy.import(&operator(), source, &ImportOptions::default(), |_| ()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        assert!(authy_core::error::chain(&refused).contains(part), "{part}: {refused:?}");
    }
    assert_eq!(written(&sql).await, logged_in);

    // The same hours by another name are the same zone.
    assert_eq!(import(&app.authy, zones(Some("Europe/Vienna"), None)).await.unchanged, users.len() as u64);
    // The last import had the wrong one.
    let options = ImportOptions { correct_times: true, ..ImportOptions::default() };
    let report = app.authy.import(&operator(), zones(None, None), &options, |_| ()).await.unwrap();
    assert_eq!(report.changed, users.len() as u64, "{report:#?}");
    let ada = app.authy.users().find_named(&"ada".parse().unwrap()).await.unwrap().unwrap();
    assert!(ada.created.to_rfc3339().starts_with("2020-03-01T12:00:00"), "{ada:?}");
    assert_eq!(import(&app.authy, zones(None, None)).await.unchanged, users.len() as u64);
}
