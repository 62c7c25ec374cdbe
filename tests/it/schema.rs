//! The schema: made and brought up to date by whoever comes first, and never used when it is newer than the program.

use authy_core::{Authy, ErrorKind, engine::MasterKeys};
use authy_tests::{at_once, cheap, database};

fn builder(config: &tokio_postgres::Config) -> authy_core::engine::Builder {
    Authy::builder(config.clone()).master_keys(MasterKeys::generate().unwrap()).config(cheap())
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
