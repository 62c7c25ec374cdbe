//! The schema: made and brought up to date by the server that comes first, and never used when it is newer than the
//! program.

use std::time::Duration;

use authy_core::{Authy, ErrorKind, engine::MasterKeys};
use authy_tests::{at_once, cheap, database, pgbouncer::PgBouncer, trace::Captured, until};

fn builder(config: &tokio_postgres::Config) -> authy_core::engine::Builder {
    Authy::builder(config.clone()).without_background().master_keys(MasterKeys::generate().unwrap()).config(cheap())
}

#[tokio::test]
async fn any_number_of_servers_may_start_on_an_empty_database() {
    let config = database::empty().await;
    let reports = at_once(4, move |_| {
        let builder = builder(&config);
        async move { builder.migrate().await.unwrap() }
    });
    let reports = reports.await;
    let made: Vec<_> = reports.iter().filter(|report| !report.applied.is_empty()).collect();
    assert_eq!(made.len(), 1, "one of them makes the schema");
    assert!(reports.iter().all(|report| report.version == made[0].version));
    let files = std::fs::read_dir(authy_tests::tools::root().join("migrations")).unwrap().count();
    assert_eq!(made[0].applied.len(), files);
}

/// A database as it was before addresses belonged to those who confirmed them, with a user in it.
async fn before_email_owners() -> tokio_postgres::Config {
    let config = database::fresh().await;
    let sql = database::connect(&config).await;
    sql.batch_execute(
        "DROP INDEX authy.users_email_owner, authy.code_by_email, authy.users_deleted, authy.users_unconfirmed,
                    authy.user_role_by_grant, authy.event_by_kind, authy.delivery_failed, authy.delivery_repeated,
                    authy.delivery_given_up;
         CREATE INDEX user_role_by_role ON authy.user_role (role_id, user_id);
         ALTER TABLE authy.users DROP COLUMN legacy_ver, ADD CONSTRAINT users_email_unique UNIQUE (email_key);
         DROP TABLE authy.import_origin, authy.spent_code, authy.administrator_name, authy.installation, authy.alias;
         DROP TABLE authy.fallback_hash, authy.export_intent, authy.instance;
         ALTER TABLE authy.role ADD CONSTRAINT role_level_check CHECK (level BETWEEN 0 AND 99999);
         ALTER TABLE authy.event_cursor DROP COLUMN shows_status;
         ALTER TABLE authy.delivery DROP COLUMN shows_status, DROP COLUMN first_failure,
                                     DROP COLUMN dismissed;
         CREATE INDEX delivery_of_user ON authy.delivery (subject, happened) WHERE sink = 'webhook';
         CREATE INDEX delivery_made ON authy.delivery (changed) WHERE state = 'delivered' AND sink <> 'webhook';
         DELETE FROM authy.migration
         WHERE version >= (SELECT version FROM authy.migration WHERE name = 'email_owners');
         INSERT INTO authy.users (public_id, username, username_key, email, email_key)
         VALUES (gen_random_uuid(), 'ada', 'ada', 'ada@example.org', 'ada@example.org');
         -- Snapshots that last would be waited for.
         DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = %L', current_database(),
                                    'repeatable read'); END $$",
    )
    .await
    .unwrap();
    config
}

/// What an attempt leaves that was killed.
const BROKEN: &str = "CREATE UNIQUE INDEX users_email_owner ON authy.users (email_key);
                      UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'authy.users_email_owner'::regclass";

#[tokio::test]
async fn a_large_index_is_built_without_blocking_writes() {
    build_beside_writers("", Duration::ZERO).await;
    build_beside_writers(BROKEN, Duration::ZERO).await;
}

/// Time limits that an operator has set, for every program on the database.
const LIMITS: &str = "DO $$ BEGIN EXECUTE format(
    'ALTER DATABASE %1$I SET statement_timeout = 500; ALTER DATABASE %1$I SET lock_timeout = 500;
     ALTER DATABASE %1$I SET idle_in_transaction_session_timeout = 500', current_database()); END $$";

#[tokio::test]
async fn a_migration_is_not_ended_by_the_time_limits_of_the_database_and_others_say_for_whom_they_wait() {
    let log = Captured::begin();
    build_beside_writers(LIMITS, Duration::from_secs(1)).await;
    let waiting = log.lines(&["waiting for another instance, which migrates the schema", "application_name=\"authy\""]);
    assert_eq!(waiting.len(), 2, "{waiting:?}");
}

#[tokio::test]
async fn a_migration_that_has_lost_its_lock_commits_nothing() {
    let config = before_email_owners().await;
    let (mut busy, sql) = (database::connect(&config).await, database::connect(&config).await);
    let busy = busy.transaction().await.unwrap();
    busy.batch_execute("UPDATE authy.users SET last_login = now()").await.unwrap();
    let migrating = tokio::spawn(builder(&config).migrate());
    until("the lock was taken away while the index is being built", || async {
        let end = "SELECT pg_terminate_backend(l.pid) FROM pg_locks l, pg_stat_activity building
                   WHERE l.locktype = 'advisory' AND l.database = building.datid AND building.datname = current_database()
                     AND building.query LIKE 'CREATE%INDEX CONCURRENTLY%' AND building.pid <> pg_backend_pid()";
        !sql.query(end, &[]).await.unwrap().is_empty()
    })
    .await;
    busy.commit().await.unwrap();
    migrating.await.unwrap().unwrap_err();
    let migrated = "SELECT 1 FROM authy.migration WHERE name = 'email_owners'";
    assert!(sql.query(migrated, &[]).await.unwrap().is_empty());
    assert!(!builder(&config).migrate().await.unwrap().applied.is_empty());
}

#[tokio::test]
async fn an_index_that_cannot_be_built_behind_a_pooler_is_built_without_it() {
    let config = before_email_owners().await;
    let (mut busy, sql) = (database::connect(&config).await, database::connect(&config).await);
    sql.batch_execute(LIMITS).await.unwrap();
    let busy = busy.transaction().await.unwrap();
    busy.batch_execute("UPDATE authy.users SET last_login = now()").await.unwrap();
    let pgbouncer = PgBouncer::start(&config, "transaction", 4).await;
    let refused = builder(&pgbouncer.config(&config)).migrate().await.unwrap_err();
    assert!(refused.to_string().contains("a database URL that leads to PostgreSQL itself"), "{refused}");
    busy.commit().await.unwrap();
    assert!(!builder(&config).migrate().await.unwrap().applied.is_empty());
}

/// Three instances migrate while another transaction holds them up for some time.
async fn build_beside_writers(prepared: &str, time: Duration) {
    let config = before_email_owners().await;
    let (mut busy, sql) = (database::connect(&config).await, database::connect(&config).await);
    sql.batch_execute(prepared).await.unwrap();
    // The index waits for who has written and not committed.
    let busy = busy.transaction().await.unwrap();
    busy.batch_execute("UPDATE authy.users SET last_login = now()").await.unwrap();
    let reports = tokio::spawn(at_once(3, {
        let config = config.clone();
        move |_| {
            let builder = builder(&config);
            async move { builder.migrate().await.unwrap() }
        }
    }));
    until("the index is being built", || async {
        let building = "SELECT count(*) FROM pg_stat_activity
                        WHERE datname = current_database() AND query LIKE '%INDEX CONCURRENTLY%' AND pid <> pg_backend_pid()
                          AND wait_event_type = 'Lock' AND query_start < now() - make_interval(secs => $1)";
        sql.query_one(building, &[&time.as_secs_f64()]).await.unwrap().get::<_, i64>(0) == 1
    })
    .await;
    let write = "SET lock_timeout = '2s';
                 INSERT INTO authy.users (public_id, username, username_key, email, email_key)
                 VALUES (gen_random_uuid(), 'bob', 'bob', 'bob@example.org', 'bob@example.org')";
    sql.batch_execute(write).await.expect("no write is blocked meanwhile");
    busy.commit().await.unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(20), reports).await;
    let reports = waited.expect("no index build waits for ever").unwrap();
    assert_eq!(reports.iter().filter(|report| !report.applied.is_empty()).count(), 1);
    let index =
        "SELECT indisvalid AND indisunique FROM pg_index WHERE indexrelid = 'authy.users_email_owner'::regclass";
    assert!(sql.query_one(index, &[]).await.unwrap().get::<_, bool>(0));
    let later = "SELECT count(*) FROM pg_index
                 WHERE indisvalid AND indexrelid IN ('authy.users_deleted'::regclass, 'authy.users_unconfirmed'::regclass)";
    assert_eq!(sql.query_one(later, &[]).await.unwrap().get::<_, i64>(0), 2);
    // Two may name an address, and one may have confirmed it.
    let twice = "UPDATE authy.users SET email_key = 'ada@example.org'";
    sql.batch_execute(twice).await.unwrap();
    let refused = sql.batch_execute("UPDATE authy.users SET validated_at = now()").await.unwrap_err();
    assert!(refused.to_string().contains("db error") && refused.code().unwrap().code() == "23505", "{refused:?}");
}

#[tokio::test]
async fn a_schema_of_a_later_version_is_refused() {
    let config = database::fresh().await;
    let sql = database::connect(&config).await;
    sql.execute(
        "INSERT INTO authy.migration (version, name, applied_on, checksum) VALUES (9999, 'later', 'now', '0')",
        &[],
    )
    .await
    .unwrap();
    let error = builder(&config).start().await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.to_string().contains("newer than this program"), "{error}");
}

#[tokio::test]
async fn every_statement_fits_the_schema_and_one_that_does_not_is_noticed() {
    let config = database::fresh().await;
    let authy = builder(&config).start().await.unwrap();
    assert!(authy.check().await.unwrap() > 40);
    database::connect(&config).await.batch_execute("ALTER TABLE authy.session DROP COLUMN user_agent").await.unwrap();
    assert_eq!(authy.check().await.unwrap_err().kind(), ErrorKind::Internal);
}
