//! Imports that are killed, and run again.

use std::{os::unix::process::ExitStatusExt as _, path::Path};

use tokio::process::Command;
use tokio_postgres::config::Host;

use super::*;

fn url(config: &tokio_postgres::Config) -> String {
    let [Host::Unix(folder)] = config.get_hosts() else { panic!("no socket") };
    let (folder, user): (&Path, _) = (folder, config.get_user().unwrap());
    format!("host={} user={user} dbname={}", folder.display(), config.get_dbname().unwrap())
}

/// Imports in a process of its own that kills itself at a step. Returns whether it got there.
async fn import_until(
    new: &tokio_postgres::Config,
    old: &tokio_postgres::Config,
    keys: &MasterKeys,
    step: u64,
) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authy-import-process"));
    command.args([url(new), url(old), step.to_string()]).env("IMPORT_PROCESS_MASTER_KEY", &**keys.to_base64());
    let output = command.kill_on_drop(true).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || output.status.signal() == Some(9), "{said}");
    !output.status.success()
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
        if !import_until(&killed, &old, &keys, step).await {
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
