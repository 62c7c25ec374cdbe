//! Exports that are killed, and run again.

use std::{os::unix::process::ExitStatusExt as _, path::Path};

use tokio::process::Command;
use tokio_postgres::config::Host;

use super::*;

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
    let mut command = Command::new(env!("CARGO_BIN_EXE_authy-import-process"));
    command.args([url(here), url(old), step.to_string(), "export".to_owned()]);
    command.env("IMPORT_PROCESS_MASTER_KEY", &**keys.to_base64());
    let output = command.kill_on_drop(true).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || output.status.signal() == Some(9), "{said}");
    !output.status.success()
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
