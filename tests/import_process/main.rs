//! An import or an export for the tests to kill: it kills itself at the n-th step.
//!
//! `authy-import-process DATABASE SOURCE N [export]`, or `wrap` in place of the source for the wrapping of imported hashes, with the master
//! key in `IMPORT_PROCESS_MASTER_KEY`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use authy_core::{
    Authy,
    engine::{ExportOptions, FirstAuthy, ImportOptions, ImportSource, MasterKeys, Track, dangerous_die_at},
    tls::Roots,
};
use authy_tests::{cheap, operator};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let keys = MasterKeys::parse(&std::env::var("IMPORT_PROCESS_MASTER_KEY").unwrap()).unwrap();
    let authy = Authy::builder(arguments[0].parse().unwrap())
        .without_background()
        .master_keys(keys)
        .config(cheap())
        .default_issuer("http://authy.test")
        .start()
        .await
        .unwrap();
    let nth = arguments[2].parse().unwrap();
    if arguments[1] == "wrap" {
        dangerous_die_at(Track::Request, nth);
        authy.users().wrap_passwords(&operator(), |_| ()).await.unwrap();
        return;
    }
    let first_authy = FirstAuthy {
        database: arguments[1].parse().unwrap(),
        roots: Roots::platform(),
        app_time_zone: Some("Europe/Berlin".to_owned()),
        database_time_zone: None,
    };
    dangerous_die_at(Track::Request, nth);
    if arguments.get(3).is_some_and(|work| work == "export") {
        let options = ExportOptions { batch: 7, ..ExportOptions::default() };
        authy.export(&operator(), &first_authy, &options, |_| ()).await.unwrap();
        return;
    }
    let options = ImportOptions { batch: 7, ..ImportOptions::default() };
    authy.import(&operator(), ImportSource::first_authy(first_authy), &options, |_| ()).await.unwrap();
}
