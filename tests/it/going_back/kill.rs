//! Exports that are killed, and run again.

use std::path::Path;

use tokio_postgres::config::Host;

use super::*;
use crate::import::kill::is_killed;

fn url(config: &tokio_postgres::Config) -> String {
    let [Host::Unix(folder)] = config.get_hosts() else { panic!("no socket") };
    let (folder, user): (&Path, _) = (folder, config.get_user().unwrap());
    format!("host={} user={user} dbname={}", folder.display(), config.get_dbname().unwrap())
}

/// Exports in a process of its own that kills itself at a step. Returns whether it got there.
async fn export_until(
    here: &tokio_postgres::Config,
    old: &tokio_postgres::Config,
    keys: &MasterKeys,
    step: u64,
) -> bool {
    is_killed(&[url(here), url(old), step.to_string(), "export".to_owned()], keys).await
}

/// A copy of a database that nobody uses any more.
async fn copy(of: &tokio_postgres::Config) -> tokio_postgres::Config {
    let copy = database::created_with(&format!("TEMPLATE {} STRATEGY FILE_COPY", of.get_dbname().unwrap())).await;
    let zone = format!("ALTER DATABASE {} SET timezone = 'America/New_York'", copy.get_dbname().unwrap());
    database::connect(&copy).await.batch_execute(&zone).await.unwrap();
    copy
}

/// What the old database has, but for the numbers of new rows.
async fn exported(old: &tokio_postgres::Config) -> Vec<String> {
    let query = "SELECT (to_jsonb(u) - 'id')::text || ARRAY(
                     SELECT name FROM user_role JOIN role ON role.id = role_id WHERE user_id = u.id ORDER BY level)::text
                 FROM users u
                 UNION ALL SELECT (to_jsonb(r) - 'id')::text FROM role r ORDER BY 1";
    database::connect(old).await.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn an_export_that_was_killed_anywhere_continues_and_writes_nothing_twice() {
    let users = cheap_users();
    let old = old_database::create(&users).await;
    let app = TestApp::new().await;
    import(&app.authy, &old).await;
    for number in 0..20 {
        app.authy.users().register(&operator(), new_user(&format!("newcomer-{number}"))).await.unwrap();
    }
    let role = new_role("night shift", "Works at night", 42);
    app.authy.roles().create(&operator(), role.clone()).await.unwrap();
    for name in ["four", "fine", "ada", "spaces", "keys", "100%"] {
        let user = id(named(&users, name));
        app.authy.users().change(&operator(), user, AccountChange::password(None, OTHER).unwrap()).await.unwrap();
        app.authy.roles().grant(&operator(), &role.name, user).await.unwrap();
    }
    app.authy.users().delete(&operator(), id(named(&users, "@home"))).await.unwrap();
    app.authy.users().erase(&operator(), id(named(&users, "visitor"))).await.unwrap();
    let (keys, here) = (app.master_keys.clone(), app.database.clone());
    app.stop().await;
    database::close(&here).await;
    database::close(&old).await;
    let (whole, killed) = ((copy(&here).await, copy(&old).await), (copy(&here).await, copy(&old).await));
    assert!(!export_until(&whole.0, &whole.1, &keys, 1_000_000).await);

    // Each run is killed a little later, and the next one continues.
    let mut kills = 0;
    for step in (1..).map(|round| 1 + round * 3) {
        if !export_until(&killed.0, &killed.1, &keys, step).await {
            break;
        }
        kills += 1;
    }
    assert!(kills >= 10, "it was killed {kills} times");
    let (expected, found) = (exported(&whole.1).await, exported(&killed.1).await);
    assert!(expected.len() > 100, "{expected:?}");
    assert_eq!(found, expected);
    // What is recorded here is complete: nothing is written once more.
    let app = TestApp::on(killed.0, keys, |_, _| ()).await;
    let again = export(&app.authy, &killed.1).await;
    assert_eq!((again.created, again.changed, again.refused), (0, 0, 0), "{again:#?}");
}

/// Changes the addresses of users, as confirmed ones.
async fn set_emails(app: &TestApp, emails: &[(UserId, &str)]) {
    let sql = app.sql().await;
    for (user, email) in emails {
        let statement = "UPDATE authy.users SET email = $2, email_key = $2 WHERE public_id = $1::text::uuid";
        sql.execute(statement, &[&user.to_string(), email]).await.unwrap();
    }
}

#[tokio::test]
async fn what_changes_here_after_an_export_was_killed_between_its_commits_is_written_all_the_same() {
    let names = ["root", "four", "seven", "ada", "fine"];
    let is_one = |user: &OldUser| names.contains(&user.username.as_deref().unwrap_or_default());
    let users: Vec<_> = cheap_users().into_iter().filter(is_one).collect();
    let old = old_database::create(&users).await;
    let app = keeping(&old).await;
    let [four, seven, ada, fine] = ["four", "seven", "ada", "fine"].map(|name| id(named(&users, name)));
    let change = async |app: &TestApp, user: UserId, password: &str| {
        let change = AccountChange::password(None, password).unwrap();
        app.authy.users().change(&operator(), user, change).await.unwrap();
    };
    let newcomer = app.authy.users().register(&operator(), new_user("newcomer")).await.unwrap();
    let leaver = app.authy.users().register(&operator(), new_user("leaver")).await.unwrap();
    let (role, user_role) = (new_role("night shift", "Works at night", 42), "user".parse().unwrap());
    app.authy.roles().create(&operator(), role.clone()).await.unwrap();
    change(&app, four, OTHER).await;
    app.authy.roles().grant(&operator(), &role.name, seven).await.unwrap();
    app.authy.roles().revoke(&operator(), &user_role, seven).await.unwrap();
    app.authy.users().delete(&operator(), ada).await.unwrap();
    set_emails(&app, &[(fine, "second@example.org")]).await;
    // All of them are in one batch.
    app.sql().await.execute("UPDATE authy.users SET validated_at = now()", &[]).await.unwrap();
    until_kept(&app.authy, 3).await;
    let (keys, here) = (app.master_keys.clone(), app.database.clone());
    app.stop().await;

    // The role is created there before.
    let before = async || there(&old, four).await["password"].clone();
    let password = before().await;
    let mut step = 0;
    while before().await == password {
        step += 1;
        assert!(export_until(&here, &old, &keys, step).await, "it was never killed between the commits");
    }
    assert!(!there(&old, newcomer).await.is_null());

    let app = TestApp::on(here, keys, |config, _| config.keep_fallback_hashes = true).await;
    let last = "marzipan-astrolabe-19";
    change(&app, four, last).await;
    change(&app, newcomer, last).await;
    app.authy.users().restore(&operator(), ada).await.unwrap();
    app.authy.roles().grant(&operator(), &user_role, seven).await.unwrap();
    app.authy.roles().revoke(&operator(), &role.name, seven).await.unwrap();
    set_emails(&app, &[(fine, "third@example.org"), (newcomer, "moved@example.org")]).await;
    app.authy.users().erase(&operator(), leaver).await.unwrap();
    until_kept(&app.authy, 2).await;
    let report = export(&app.authy, &old).await;
    assert!(report.is_complete() && report.refused == 0, "{report:#?}");
    for user in [four, newcomer] {
        assert!(opens(&old, user, last).await, "{user}");
    }
    assert_eq!(there(&old, ada).await["deleted"], false);
    assert_eq!(there(&old, seven).await["roles"], serde_json::json!(["user"]));
    assert_eq!(there(&old, fine).await["email"], "third@example.org");
    assert_eq!(there(&old, newcomer).await["email"], "moved@example.org");
    let left = there(&old, leaver).await;
    assert_eq!((&left["deleted"], &left["email"], &left["password"]), (&true.into(), &().into(), &"!".into()));
    let again = export(&app.authy, &old).await;
    assert_eq!((again.created, again.changed, again.refused), (0, 0, 0), "{again:#?}");
    let intents = app.sql().await.query_one("SELECT count(*) FROM authy.export_intent", &[]).await.unwrap();
    assert_eq!(intents.get::<_, i64>(0), 0);
}
