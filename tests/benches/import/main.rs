//! How many users of the first authy an import writes per second: `cargo bench -p authy-tests --bench import`.
//!
//! Both databases share the machine, in memory where there is `/dev/shm`. `IMPORT_USERS` is the number of users, 200,000 when left
//! out. The number is compared with that of the same rows that PostgreSQL copies into the same tables by itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use std::time::{Duration, Instant};

use authy_core::{
    Authy,
    engine::{FirstAuthy, ImportOptions, ImportSource, MasterKeys},
    tls::Roots,
};
use authy_tests::{cheap, database, old_database, operator};

// As the server has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The rows of an import, written by single statements.
const COPY: &str = "
    CREATE SCHEMA copy; SET search_path = copy;
    CREATE TABLE users (LIKE authy.users INCLUDING ALL);
    CREATE TABLE password (LIKE authy.password INCLUDING ALL);
    CREATE TABLE user_role (LIKE authy.user_role INCLUDING ALL);
    CREATE TABLE import_origin (LIKE authy.import_origin INCLUDING ALL);
    CREATE TABLE event (LIKE authy.event INCLUDING ALL);
    INSERT INTO users SELECT * FROM authy.users;
    INSERT INTO password SELECT * FROM authy.password;
    INSERT INTO user_role SELECT * FROM authy.user_role;
    INSERT INTO import_origin SELECT * FROM authy.import_origin;
    INSERT INTO event SELECT * FROM authy.event";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let users: u32 = std::env::var("IMPORT_USERS").map_or(200_000, |users| users.parse().unwrap());
        let old = old_database::create(&[]).await;
        let fill = format!(
            "INSERT INTO users (public_id, username, password, email, created, last_login, deleted, validated)
             SELECT gen_random_uuid(), 'user' || n, 'pbkdf2:sha512:1000000$abcdefghijklmnop$' || repeat(md5(n::text), 4),
                    'user' || n || '@example.org', timestamp '2015-01-01' + n * interval '3 minutes',
                    timestamp '2024-01-01' + n * interval '1 minute', n % 50 = 0, n % 10 <> 0
             FROM generate_series(1, {users}) AS n;
             INSERT INTO user_role SELECT id, 3 FROM users; ANALYZE"
        );
        database::connect(&old).await.batch_execute(&fill).await.unwrap();
        let new = database::fresh().await;
        let authy = Authy::builder(new.clone())
            .without_background()
            .master_keys(MasterKeys::generate().unwrap())
            .config(cheap())
            .default_issuer("http://authy.test")
            .start()
            .await
            .unwrap();
        let source = || {
            ImportSource::first_authy(FirstAuthy {
                database: old.clone(),
                roots: Roots::platform(),
                app_time_zone: Some("Europe/Berlin".to_owned()),
                database_time_zone: None,
            })
        };
        let rate = |time: Duration| f64::from(users) / time.as_secs_f64();
        let options = ImportOptions::default();
        let dry = ImportOptions { dry_run: true, ..ImportOptions::default() };
        for (name, options) in [("a dry run", &dry), ("an import", &options), ("an import again, with no change", &options)] {
            let begun = Instant::now();
            let report = authy.import(&operator(), source(), options, |_| ()).await.unwrap();
            // The fixture has a role that cannot be taken.
            assert_eq!((report.read, report.refused), (users.into(), 0));
            let time = begun.elapsed();
            println!("{name}: {:.0} users per second, {:.1} s for {users}", rate(time), time.as_secs_f64());
        }
        let begun = Instant::now();
        database::connect(&new).await.batch_execute(COPY).await.unwrap();
        println!("the same rows copied by PostgreSQL itself: {:.0} users per second", rate(begun.elapsed()));
    });
}
