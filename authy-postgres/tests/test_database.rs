//! Databases of tests: one PostgreSQL for all of a process, and nothing that stays.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

use std::path::PathBuf;

use authy_postgres::TestDatabase;
use tokio_postgres::{NoTls, config::Host};

/// Returns the folder of the PostgreSQL that a database is in.
fn folder(database: &TestDatabase) -> PathBuf {
    match database.config().get_hosts() {
        [Host::Unix(socket)] => socket.parent().unwrap().to_owned(),
        hosts => panic!("{hosts:?}"),
    }
}

async fn run(database: &TestDatabase, statement: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = database.config().connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(statement).await
}

// One test, because others in this process would share its PostgreSQL.
#[tokio::test]
async fn databases_share_a_postgresql_that_is_removed_with_the_last_of_them() {
    let (first, second) = (TestDatabase::create().await.unwrap(), TestDatabase::create().await.unwrap());
    let shared = folder(&first);
    assert_eq!(shared, folder(&second));
    for database in [&first, &second] {
        run(database, "CREATE TABLE note (number int)").await.unwrap();
    }

    // Connections that are still open do not keep a database.
    let (client, connection) = first.config().connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    drop(first);
    assert!(client.batch_execute("SELECT 1").await.is_err());
    run(&second, "SELECT * FROM note").await.unwrap();
    let third = TestDatabase::create().await.unwrap();
    assert_eq!(folder(&third), shared);
    second.remove().await;
    run(&third, "CREATE TABLE note (number int)").await.unwrap();
    drop(third);
    assert!(!shared.exists(), "{} stays", shared.display());

    let later = TestDatabase::create().await.unwrap();
    assert_ne!(folder(&later), shared);
    later.remove().await;
}
