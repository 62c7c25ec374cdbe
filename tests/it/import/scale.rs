//! The work of an import is in proportion to its rows, however many were written before.

use std::time::Duration;

use authy_core::engine::ImportRecord;

use super::*;

const USERS: usize = 4_000;

/// The rows that were read in the tables that grow with the users, by scans of the tables and of their indexes.
const READ: &str = "
    SELECT (SELECT coalesce(sum(n_tup_ins), 0)::bigint FROM pg_stat_user_tables WHERE relname = 'import_origin'),
           (SELECT sum(seq_tup_read)::bigint FROM pg_stat_user_tables WHERE relname IN ('users', 'import_origin', 'alias'))
           + (SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes WHERE relname IN ('users', 'import_origin', 'alias'))";

fn records() -> impl Iterator<Item = ImportRecord> {
    (0..USERS).map(|number| {
        let mut record = ImportRecord::default();
        record.username = Some(format!("user{number}"));
        record.email = Some(format!("user{number}@example.org"));
        record
    })
}

#[tokio::test]
async fn no_batch_reads_what_the_batches_before_it_have_written() {
    let app = TestApp::new().await;
    let options = ImportOptions { batch: 100, ..ImportOptions::default() };
    let report = app.authy.import(&operator(), ImportSource::records(records()), &options, |_| ()).await.unwrap();
    assert_eq!(report.created, USERS as u64, "{report:#?}");
    let sql = app.sql().await;
    // PostgreSQL publishes its counts with some delay: when the connection has been idle for a while, at the latest.
    let counts = async || {
        let row = sql.query_one(READ, &[]).await.unwrap();
        (row.get::<_, i64>(0), row.get::<_, i64>(1))
    };
    until("everything is counted", || async {
        app.authy.users().find_named(&"user0".parse().unwrap()).await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        counts().await.0 >= USERS as i64
    })
    .await;
    let (_, read) = counts().await;
    // A row is looked at by the checks of foreign keys, too.
    assert!(read <= 8 * USERS as i64, "{read} rows were read to write {USERS}");
}
