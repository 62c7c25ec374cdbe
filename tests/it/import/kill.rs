//! Imports and the wrapping of their hashes, killed and run again.

use std::{os::unix::process::ExitStatusExt as _, path::Path};

use tokio::process::Command;
use tokio_postgres::config::Host;

use super::*;

fn url(config: &tokio_postgres::Config) -> String {
    let [Host::Unix(folder)] = config.get_hosts() else { panic!("no socket") };
    let (folder, user): (&Path, _) = (folder, config.get_user().unwrap());
    let name = config.get_dbname().unwrap();
    format!("host={} user={user} dbname={name} application_name=import-process", folder.display())
}

/// Imports, or wraps, in a process of its own that kills itself at a step. Returns whether it got there.
async fn run_until(new: &tokio_postgres::Config, source: &str, keys: &MasterKeys, step: u64) -> bool {
    is_killed(&[url(new), source.to_owned(), step.to_string()], keys).await
}

/// Runs the process. Returns whether it killed itself.
pub(crate) async fn is_killed(arguments: &[String], keys: &MasterKeys) -> bool {
    loop {
        let mut command = Command::new(env!("CARGO_BIN_EXE_authy-import-process"));
        command.args(arguments).env("IMPORT_PROCESS_MASTER_KEY", &**keys.to_base64());
        let output = command.kill_on_drop(true).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        // On a machine that is too busy, the database interrupts it, and the next one continues as after a kill.
        if said.contains("the database did not answer in time") {
            continue;
        }
        assert!(output.status.success() || output.status.signal() == Some(9), "{said}");
        return !output.status.success();
    }
}

#[tokio::test]
async fn an_import_that_was_killed_anywhere_continues_and_imports_nobody_twice() {
    // Without expensive hashes: nobody logs in.
    let mut users = old_database::users();
    users.iter_mut().for_each(|user| user.method = "pbkdf2:sha256:1000");
    let old = old_database::create(&users).await;
    let keys = MasterKeys::generate().unwrap();
    let (whole, killed) = (database::fresh().await, database::fresh().await);
    let start = |database: &tokio_postgres::Config| {
        Authy::builder(database.clone())
            .without_background()
            .master_keys(keys.clone())
            .config(cheap())
            .default_issuer("http://authy.test")
            .start()
    };
    import(&start(&whole).await.unwrap(), first_authy(&old)).await;

    // Each run is killed a little later, and the next one continues.
    let mut kills = 0;
    for step in (1..).map(|round| 3 + round * 5) {
        if !run_until(&killed, &url(&old), &keys, step).await {
            break;
        }
        kills += 1;
    }
    assert!(kills >= 20, "it was killed {kills} times");
    let (whole, killed) = (database::connect(&whole).await, database::connect(&killed).await);
    let (expected, found) = (written(&whole).await, written(&killed).await);
    assert!(expected.len() > 300, "{expected:?}");
    assert_eq!(found, expected);
}

#[tokio::test]
async fn wrapping_that_was_killed_anywhere_leaves_every_hash_whole_and_continues() {
    let app = TestApp::new().await;
    let sql = app.sql().await;
    // More than one transaction replaces.
    let users = "INSERT INTO authy.users (public_id, username, username_key, email, email_key, validated_at)
                 SELECT gen_random_uuid(), 'user' || n, 'user' || n, n || '@example.org', n || '@example.org', now()
                 FROM generate_series(1, 230) AS n";
    sql.execute(users, &[]).await.unwrap();
    let passwords = "INSERT INTO authy.password (user_id, phc) SELECT public_id, $1 FROM authy.users
                     WHERE username LIKE 'user%'";
    let counts = async || {
        let query = "SELECT count(*) FILTER (WHERE phc = $1), count(*) FILTER (WHERE phc LIKE '$authy-wrap$%')
                     FROM authy.password";
        let row = sql.query_one(query, &[&authy_tests::FOREIGN_HASH]).await.unwrap();
        (row.get::<_, i64>(0), row.get::<_, i64>(1))
    };
    let mut states = Vec::new();
    for step in 1.. {
        sql.execute("DELETE FROM authy.password", &[]).await.unwrap();
        assert_eq!(sql.execute(passwords, &[&authy_tests::FOREIGN_HASH]).await.unwrap(), 230);
        let was_killed = run_until(&app.database, "wrap", &app.master_keys, step).await;
        until("PostgreSQL has ended its transaction", || async {
            let query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'import-process'
                         AND datname = current_database()";
            sql.query_one(query, &[]).await.unwrap().get::<_, i64>(0) == 0
        })
        .await;
        let (weak, wrapped) = counts().await;
        assert_eq!(weak + wrapped, 230, "step {step}: a hash is neither");
        if !was_killed {
            assert_eq!(weak, 0, "step {step}");
            break;
        }
        states.push(wrapped);
        // Again, without a kill: it continues, and nothing is wrapped twice.
        let done = app.authy.users().wrap_passwords(&operator(), |_| ()).await.unwrap();
        assert_eq!((done.found, done.wrapped), (weak as u64, weak as u64), "step {step}");
        assert_eq!(counts().await, (0, 230), "step {step}");
    }
    // Before the first transaction, between both, and after the second one.
    states.dedup();
    assert_eq!(states, [0, 200, 230], "killed at {} steps", states.len());
    let client = app.anonymous();
    for name in ["user1", "user230"] {
        let id = app.authy.users().find_named(&name.parse().unwrap()).await.unwrap().unwrap().public_id;
        app.authy.roles().grant(&operator(), &"user".parse().unwrap(), id).await.unwrap();
        let opened = log_in(&app, &client, name, authy_tests::FOREIGN_PASSWORD).await;
        assert_eq!(opened.map(|(id, _)| id), Some(*id.as_uuid()));
    }
}
