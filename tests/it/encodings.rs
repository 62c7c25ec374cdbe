//! Databases in another encoding, and with another collation.

use authy_core::{
    Authy, ErrorKind,
    engine::{Delivery, MasterKeys},
};
use authy_tests::{database, essentials::try_essentials};
use tokio_postgres::Config;

async fn start(config: &Config) -> Result<Authy, authy_core::Error> {
    let builder = Authy::builder(config.clone()).master_keys(MasterKeys::generate().unwrap());
    builder.config(authy_tests::cheap()).without_background().start().await
}

#[tokio::test]
async fn a_database_that_is_not_encoded_in_utf_8_is_refused_before_anything_is_created_in_it() {
    for encoding in ["LATIN1", "EUC_JP", "SQL_ASCII"] {
        let config = database::created_with(&format!("ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")).await;
        let refused = start(&config).await.err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{encoding}");
        let sql = database::connect(&config).await;
        let schemas = sql.query("SELECT FROM pg_namespace WHERE nspname = 'authy'", &[]).await.unwrap();
        assert!(schemas.is_empty(), "{encoding}");

        // The command in the message creates a database that is good.
        let said = refused.to_string();
        let (_, options) = said.split_once("CREATE DATABASE authy ").expect("a way out");
        start(&database::created_with(options).await).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_collation_of_the_database_makes_no_difference() {
    // Upper and lower case are equal for it, as far as PostgreSQL allows it for a whole database, and i has a dot.
    let options = "ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR-u-ks-level1' TEMPLATE template0";
    let config = database::created_with(options).await;
    try_essentials(&config, &config, Delivery::PerSubject { in_flight: 4 }, |_| ()).await;
}
