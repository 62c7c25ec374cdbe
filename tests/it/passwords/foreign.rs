//! Hashes of other programs, made by the libraries that applications use: verified, replaced, and wrapped.

use std::{collections::BTreeMap, sync::Arc};

use authy_core::engine::{MasterKeys, WrapProgress};
use authy_tests::{operator, tools};
use tokio::sync::Notify;

use super::*;

/// Four characters; composed and decomposed ones; more bytes than bcrypt takes.
const PASSWORDS: [&str; 4] = [
    "abc1",
    "pässword with spaces 🔑",
    "cafe\u{301} Bjo\u{308}rk",
    "a sentence that is a good deal longer than the seventy-two bytes that bcrypt takes, and goes on a little",
];

/// Returns hashes of a password by name of their format, from `tests/harness/foreign_hashes.py`.
async fn hashes_of(password: &str) -> BTreeMap<String, String> {
    let script = tools::root().join("tests/harness/foreign_hashes.py");
    let output = tokio::process::Command::new(tools::python()).arg(script).arg(password).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn store(app: &TestApp, hash: &str) {
    let sql = app.sql().await;
    assert_eq!(sql.execute("UPDATE authy.password SET phc = $1", &[&hash]).await.unwrap(), 1);
    // There are more wrong guesses here than one address may make.
    sql.execute("DELETE FROM authy.throttle", &[]).await.unwrap();
}

/// Logs ada in with a wrong password and with the right one, and again.
async fn log_in_twice(app: &TestApp, password: &str, what: &str) {
    let log_in = async |password: &str| app.anonymous().login(Credentials::new("ada", Secret::new(password))).await;
    let before = stored(app, "ada").await;
    let wrong = log_in(&format!("x{password}")).await.unwrap_err();
    assert_eq!(wrong.kind(), Some(ErrorKind::InvalidCredentials), "{what}");
    assert_eq!(stored(app, "ada").await, before, "{what}: a refused login changes nothing");
    log_in(password).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    let replaced = stored(app, "ada").await;
    assert!(replaced.starts_with("$argon2id$v=19$m=8,t=1,p=1,keyid="), "{what}: {replaced}");
    log_in(password).await.unwrap_or_else(|error| panic!("{what}, again: {error}"));
    assert_eq!(stored(app, "ada").await, replaced, "{what}: the second login changes nothing");
}

#[tokio::test]
async fn a_hash_of_any_library_lets_its_owner_in_as_it_is_and_wrapped() {
    let app = TestApp::new().await;
    app.anonymous().register(new_user("ada")).await.unwrap();
    for password in PASSWORDS {
        let hashes = hashes_of(password).await;
        assert!(hashes.len() > 25, "{hashes:?}");
        for (format, hash) in &hashes {
            store(&app, hash).await;
            log_in_twice(&app, password, format).await;

            store(&app, hash).await;
            let done = app.authy.users().wrap_passwords(&operator(), |_| ()).await.unwrap();
            let now = stored(&app, "ada").await;
            if format.contains("argon2") {
                assert_eq!((done.wrapped, &now), (0, hash), "{format}");
                continue;
            }
            assert_eq!((done.found, done.wrapped, done.skipped), (1, 1, 0), "{format}");
            assert!(now.starts_with("$authy-wrap$"), "{format}: {now}");
            let digest = &hash[hash.len() - 16..];
            assert!(!now.contains(digest), "{format}: the hash is still there: {now}");
            log_in_twice(&app, password, &format!("{format}, wrapped")).await;
        }
    }
}

#[tokio::test]
async fn wrapping_continues_where_it_was_interrupted_and_leaves_out_what_is_no_hash() {
    let app = TestApp::new().await;
    let sql = app.sql().await;
    let hash = &hashes_of("abc1").await["ldap {SSHA}"];
    let users = "INSERT INTO authy.users (public_id, username, username_key, email, email_key, validated_at)
                 SELECT gen_random_uuid(), 'user' || n, 'user' || n, n || '@example.org', n || '@example.org', now()
                 FROM generate_series(1, 450) AS n";
    sql.execute(users, &[]).await.unwrap();
    let passwords = "INSERT INTO authy.password (user_id, phc)
                     SELECT public_id, CASE username WHEN 'user7' THEN 'junk' WHEN 'user8' THEN '' ELSE $1 END
                     FROM authy.users WHERE username LIKE 'user%'";
    assert_eq!(sql.execute(passwords, &[hash]).await.unwrap(), 450);
    let weak = async || {
        let row = sql.query_one("SELECT count(*) FROM authy.password WHERE phc = $1", &[hash]).await.unwrap();
        row.get::<_, i64>(0)
    };

    // Ends after the first transaction: the program is interrupted.
    let stop = Arc::new(Notify::new());
    let wrapping = {
        let stop = stop.clone();
        let progress = move |_: WrapProgress| stop.notify_one();
        let authy = app.authy.clone();
        tokio::spawn(async move { authy.users().wrap_passwords(&operator(), progress).await })
    };
    stop.notified().await;
    wrapping.abort();
    let _ = wrapping.await;
    let left = weak().await;
    assert!(left < 448, "nothing was done");

    let mut reports = Vec::new();
    let done = app.authy.users().wrap_passwords(&operator(), |progress| reports.push(progress)).await.unwrap();
    // Without a usable hash, there is nothing to wrap.
    assert_eq!((done.found, done.wrapped, done.skipped), (left as u64 + 2, left as u64, 2));
    assert_eq!(reports.last(), Some(&done));
    assert_eq!(weak().await, 0);
    let odd = sql.query_one("SELECT count(*) FROM authy.password WHERE phc IN ('junk', '')", &[]).await.unwrap();
    assert_eq!(odd.get::<_, i64>(0), 2);
    // No password opens those.
    for name in ["user7", "user8"] {
        for password in ["", "junk", "abc1"] {
            let refused = app.anonymous().login(Credentials::new(name, Secret::new(password))).await.unwrap_err();
            assert_eq!(refused.kind(), Some(ErrorKind::InvalidCredentials));
        }
    }
    let role = app.anonymous().login(Credentials::new("user9", Secret::new("abc1"))).await.unwrap_err();
    assert_eq!(role.kind(), Some(ErrorKind::NoRole), "the password is right");
}

#[tokio::test]
async fn a_hash_of_another_program_depends_on_no_master_key_until_it_is_wrapped() {
    let app = TestApp::new().await;
    app.anonymous().register(new_user("ada")).await.unwrap();
    store(&app, FOREIGN_HASH).await;
    let newer = MasterKeys::generate().unwrap().to_base64();
    let keys = format!("{},{}", *newer, *app.master_keys.to_base64());
    let rotated = TestApp::on(app.database.clone(), MasterKeys::parse(&keys).unwrap(), |_, _| ()).await;
    let depends = async || rotated.authy.keys().reseal(&operator()).await.unwrap().passwords_left;
    assert_eq!(depends().await, 0);
    app.authy.users().wrap_passwords(&operator(), |_| ()).await.unwrap();
    assert_eq!(depends().await, 1);
    log_in_twice(&rotated, FOREIGN_PASSWORD, "wrapped with the pepper of the older key").await;
    assert_eq!(depends().await, 0);
}
