//! What is stored about the passwords of another system, when their hashes are weak.

use std::fmt::Write as _;

use authy_core::engine::ImportRecord;
use aws_lc_rs::digest::{SHA256, digest};

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn record(name: &str, hash: &str) -> ImportRecord {
    let mut record = ImportRecord::default();
    (record.username, record.password_hash) = (Some(name.to_owned()), Some(Secret::new(hash)));
    record.email = Some(format!("{name}@example.org"));
    record
}

async fn wrap(app: &TestApp, source: ImportSource) -> ImportReport {
    let options = ImportOptions { wrap: true, ..ImportOptions::default() };
    app.authy.import(&operator(), source, &options, |_| ()).await.unwrap()
}

/// The digests that the next import compares.
async fn digests(app: &TestApp) -> Vec<(Vec<u8>, Vec<u8>)> {
    let query = "SELECT digest, password_digest FROM authy.import_origin ORDER BY source_id";
    let rows = app.sql().await.query(query, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn a_stolen_dump_has_nothing_with_which_a_guess_could_be_compared_at_the_cost_of_the_old_hash() {
    let unusable = "sha256$salt$93181c6d179ccf34176d0db0ef9258d414b3b239b4f45a1756c323e9c3647a5c";
    let hashes = [
        "pbkdf2:sha256:1000$salt$00112233445566778899aabbccddeeff",
        "{SSHA}hOplQEZAg+uqUKjjWpeJb6WCXUx2LkXI",
        "$2b$04$abcdefghijklmnopqrstuu/LgNH5eaktQxHocnTnSg/5zOTjCh/eK",
        "pbkdf2:sha256:1000$$00112233445566778899aabbccddeeff",
        unusable,
    ];
    let records = |hashes: &[String]| {
        let records = hashes.iter().enumerate().map(|(number, hash)| record(&format!("user{number}"), hash));
        ImportSource::records(records.collect::<Vec<_>>())
    };
    let hashes = hashes.map(str::to_owned);
    let app = TestApp::new().await;
    assert_eq!(wrap(&app, records(&hashes)).await.created, 5);
    let dump = database::run_program("pg_dump", &app.database, &["--data-only"]).await;
    assert!(dump.contains("$authy-wrap$") && dump.contains("user4"));
    for hash in &hashes {
        let weak = hash.rsplit('$').next().unwrap().rsplit('}').next().unwrap();
        assert!(!dump.contains(weak), "{hash} is in the dump");
        // What such digests were before.
        for text in [serde_json::to_vec(&Some(hash)).unwrap(), hash.clone().into_bytes(), weak.as_bytes().to_vec()] {
            let digest = hex(digest(&SHA256, &text).as_ref());
            assert!(!dump.contains(&digest[..32]), "a digest of {hash} is in the dump");
        }
    }

    // Other hashes with the same salts leave the same digests, so that these say nothing about the hashes.
    let others = hashes.each_ref().map(|hash| match hash.as_str() {
        "{SSHA}hOplQEZAg+uqUKjjWpeJb6WCXUx2LkXI" => "{SSHA}iOplQEZAg+uqUKjjWpeJb6WCXUx2LkXI".to_owned(),
        hash => hash.replace("00112233", "ff112233").replace("uu/Lg", "uuaLg").replace("93181c6d", "5e884898"),
    });
    assert!(hashes.iter().zip(&others).all(|(hash, other)| hash != other));
    let other = TestApp::new().await;
    wrap(&other, records(&others)).await;
    assert_eq!(digests(&app).await, digests(&other).await);
    // And one with another salt is a new password.
    let mut new = hashes.clone();
    new[0] = new[0].replace("$salt$", "$sale$");
    let report = wrap(&app, records(&new)).await;
    assert_eq!((report.changed, report.unchanged), (1, 4), "{report:#?}");
}

#[tokio::test]
async fn an_old_hash_does_not_come_back_when_the_digest_of_an_earlier_version_was_deleted() {
    let mut users: Vec<_> = old_database::users().into_iter().filter(|user| user.roles == [3]).take(5).collect();
    users.iter_mut().for_each(|user| user.method = "pbkdf2:sha256:1000");
    users.retain(|user| matches!(user.fate, Fate::LogsIn(_)));
    let old = old_database::create(&users).await;
    let app = TestApp::new().await;
    import(&app.authy, first_authy(&old)).await;
    let (sql, client) = (app.sql().await, app.anonymous());
    let user = &users[0];
    let (name, id) = (user.username.as_deref().unwrap(), user.public_id.as_deref().unwrap());
    assert!(log_in(&app, &client, name, &user.password).await.is_some());
    let upgraded = stored(&sql, id).await;

    // As the migration does.
    sql.execute("UPDATE authy.import_origin SET digest = NULL, password_digest = NULL", &[]).await.unwrap();
    for report in [wrap(&app, first_authy(&old)).await, import(&app.authy, first_authy(&old)).await] {
        assert_eq!((report.changed, report.unchanged), (0, users.len() as u64), "{report:#?}");
    }
    assert_eq!(stored(&sql, id).await, upgraded);
    assert!(digests(&app).await.len() == users.len(), "there is a new digest of each");

    // So a later change is found.
    let changed = OldUser { password: "changed there".to_owned(), ..user.clone() };
    let hash = old_database::werkzeug(std::slice::from_ref(&changed)).await.remove(0);
    let there = database::connect(&old).await;
    there.execute("UPDATE users SET password = $1 WHERE id = $2", &[&hash, &user.id]).await.unwrap();
    assert_eq!(import(&app.authy, first_authy(&old)).await.changed, 1);
    assert!(log_in(&app, &client, name, "changed there").await.is_some());
}
