//! Files: JSON lines, and small exports of other systems, made by hand from their documentation.

use authy_core::engine::{FirebaseHash, ImportFormat, ImportNoteKind, ImportRecord};

use super::*;

/// A hash of the password `letmein-please`, with werkzeug's pbkdf2.
const PASSWORD: &str = "pässword with spaces 🔑";

/// Imports a text as a file.
async fn import_text(app: &TestApp, text: &str, format: ImportFormat) -> ImportReport {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    import(&app.authy, ImportSource::file(file.path(), format)).await
}

/// Whether a user has a phone number as the name, and no address: a number is none.
async fn is_known_by_phone(app: &TestApp, phone: &str) {
    let name = authy_core::Username::existing(phone).unwrap();
    let user = app.authy.users().find_named(&name).await.unwrap().unwrap();
    assert_eq!(user.email.as_str(), format!("{}@authy.invalid", user.public_id));
}

#[tokio::test]
async fn lines_of_json_are_users_and_a_line_that_is_none_stops_nothing() {
    let app = TestApp::new().await;
    let long = format!("{{\"username\":\"{}\"}}", "x".repeat(1 << 20));
    let lines = [
        r#"{"username":"ada","email":"ada@example.org","password_hash":"HASH","created":"2020-01-01T00:00:00+02:00","roles":["guest"]}"#,
        "",
        r#"{"username":"bob","public_id":"0b7c3b1e-6d5c-4a43-9d6b-0f3d2a4f8e10","validated":true,"email":"bob@example.org"}"#,
        r#"{"username":"ada","email":"again@example.org"}"#,
        r#"{"username":"eve","roles":["nonesuch"]}"#,
        r#"{"username":"typo","pasword_hash":"x"}"#,
        "{nonsense",
        r#"{"username":"nul\u0000","email":"nul@example.org"}"#,
        &long,
        r#"{"username":"last","created":null}"#,
    ];
    let text = lines.join("\n").replace("HASH", authy_tests::FOREIGN_HASH);
    let report = import_text(&app, &text, ImportFormat::JsonLines).await;
    assert_eq!((report.read, report.created, report.refused), (9, 4, 5), "{report:#?}");
    use ImportNoteKind::*;
    for (kind, row) in
        [(Unreadable, "line 6"), (Unreadable, "line 7"), (Unreadable, "line 9"), (InvalidUsername, "line 8")]
    {
        assert!(
            report.notes.iter().any(|note| note.kind == kind && note.row.contains(row)),
            "{kind} {row}: {report:#?}"
        );
    }
    assert!(report.counts.contains_key(&DuplicateRow) && report.counts.contains_key(&UnknownRole), "{report:#?}");
    let opened = log_in(&app, &app.anonymous(), "ada", PASSWORD).await;
    assert_eq!(opened.map(|(_, level)| level), Some(99));
    let ada = app.authy.users().find_named(&"ada".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(ada.created.to_rfc3339(), "2019-12-31T22:00:00+00:00");

    // The same file changes nothing.
    let report = import_text(&app, &text, ImportFormat::JsonLines).await;
    assert_eq!((report.created, report.changed, report.unchanged), (0, 0, 4), "{report:#?}");
}

#[tokio::test]
async fn an_address_that_looks_like_one_that_was_lost_is_replaced_and_reported() {
    let app = TestApp::new().await;
    let addresses =
        ["released:ada@example.org", "Released:bob@example.org", "ｒｅｌｅａｓｅｄ:eve@example.org", "released:"];
    let line = |(number, address): (usize, &&str)| {
        format!(r#"{{"username":"user{number}","email":"{address}","validated":true}}"#)
    };
    let mut lines: Vec<_> = addresses.iter().enumerate().map(line).collect();
    lines.push(r#"{"username":"mary","email":"mary@released.example","validated":true}"#.to_owned());
    let report = import_text(&app, &lines.join("\n"), ImportFormat::JsonLines).await;
    assert_eq!((report.created, report.counts.get(&ImportNoteKind::EmailReserved)), (5, Some(&4)), "{report:#?}");
    for number in 0..addresses.len() {
        let user = app.authy.users().find_named(&format!("user{number}").parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(user.email.as_str(), format!("{}@authy.invalid", user.public_id));
    }
    let released = "SELECT count(*) FROM authy.users WHERE email_key LIKE 'released:%'";
    assert_eq!(app.sql().await.query_one(released, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn a_program_that_embeds_the_crate_imports_its_own_records() {
    let app = TestApp::new().await;
    let record = |name: &str| {
        let mut record = ImportRecord::default();
        record.username = Some(name.to_owned());
        record
    };
    let source = || ImportSource::records([record("ada"), record("bob")]).named("shop");
    assert_eq!(import(&app.authy, source()).await.created, 2);
    assert_eq!(import(&app.authy, source()).await.unchanged, 2);
    // Another source is about other users.
    assert_eq!(import(&app.authy, source().named("other shop")).await.refused, 2);
}

#[tokio::test]
async fn a_realm_of_keycloak() {
    let app = TestApp::new().await;
    // pbkdf2-sha256 of the password, of 32 and of 64 bytes as Keycloak's own provider makes them, by Python's hashlib; and
    // argon2id, the default since version 24, by argon2-cffi.
    let text = r#"{"realm":"shop","enabled":true,"roles":{"realm":[]},"users":[
        {"id":"5c9a3b1e-6d5c-4a43-9d6b-0f3d2a4f8e11","createdTimestamp":1583064000000,"username":"ada","enabled":true,
         "emailVerified":true,"email":"ada@example.org","realmRoles":["default-roles-shop","offline_access","admin"],
         "credentials":[{"type":"otp"},{"id":"x","type":"password","secretData":"{\"value\":\"fVUpiN5U8vw0/bNfKCAKIfP7m5Dp6znvi2KMdl4XwXo=\",\"salt\":\"MDEyMzQ1Njc4OWFiY2RlZg==\",\"additionalParameters\":{}}",
          "credentialData":"{\"hashIterations\":1000,\"algorithm\":\"pbkdf2-sha256\",\"additionalParameters\":{}}"}]},
        {"id":"7c9a3b1e-6d5c-4a43-9d6b-0f3d2a4f8e12","username":"joan","enabled":true,"credentials":[{"type":"password",
          "secretData":"{\"value\":\"ag6UM1k3HVQdoYmRRrOntTL7iHPYTv/Ugw8TUS3YOmo=\",\"salt\":\"MDEyMzQ1Njc4OWFiY2RlZg==\",\"additionalParameters\":{}}",
          "credentialData":"{\"hashIterations\":2,\"algorithm\":\"argon2\",\"additionalParameters\":{\"hashLength\":[\"32\"],\"memory\":[\"64\"],\"type\":[\"id\"],\"version\":[\"1.3\"],\"parallelism\":[\"1\"]}}"}]},
        {"id":"8c9a3b1e-6d5c-4a43-9d6b-0f3d2a4f8e13","username":"hedy","enabled":true,"credentials":[{"type":"password",
          "secretData":"{\"value\":\"lU7owXQAq5z0bnz8/iGiMR458LE+0IIHY4a7LhruKUeRn6Adf3VbKIUgdDgg3kIQNqV+Y1q9ybf5IT1tMT33ww==\",\"salt\":\"ZmVkY2JhOTg3NjU0MzIxMA==\",\"additionalParameters\":{}}",
          "credentialData":"{\"hashIterations\":1000,\"algorithm\":\"pbkdf2-sha256\",\"additionalParameters\":{}}"}]},
        {"id":"9c9a3b1e-6d5c-4a43-9d6b-0f3d2a4f8e14","username":"service-account-shop","enabled":true,"serviceAccountClientId":"shop",
         "credentials":[],"realmRoles":["admin"]},
        {"id":"6c9a3b1e-6d5c-4a43-9d6b-0f3d2a4f8e11","username":"off","enabled":false,"credentials":[]}]}"#;
    let report = import_text(&app, text, ImportFormat::Keycloak).await;
    assert_eq!((report.created, report.refused, report.is_complete()), (4, 1, true), "{report:#?}");
    let rows = |kind: &str| -> Vec<_> {
        report.notes.iter().filter(|note| note.kind.as_str() == kind).map(|note| note.row.as_str()).collect()
    };
    // A program and no user; and those who could log in with the address, too.
    assert_eq!(rows("service_account"), ["9c9a3b1e-6d5c-4a43-9d6b-0f3d2a4f8e14"]);
    assert_eq!(rows("not_by_address"), ["5c9a3b1e-6d5c-4a43-9d6b-0f3d2a4f8e11"]);
    let opened = log_in(&app, &app.anonymous(), "ada", PASSWORD).await;
    assert_eq!(opened, Some(("5c9a3b1e-6d5c-4a43-9d6b-0f3d2a4f8e11".parse().unwrap(), 1)));
    for name in ["joan", "hedy"] {
        assert!(log_in(&app, &app.anonymous(), name, PASSWORD).await.is_some(), "{name}");
    }
    let off = app.authy.users().find_named(&"off".parse().unwrap()).await.unwrap().unwrap();
    assert!(off.deleted, "a disabled user must not log in");

    // An export whose users are in other files has none.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"{"realm":"shop"}"#).unwrap();
    let options = ImportOptions::default();
    let source = ImportSource::file(file.path(), ImportFormat::Keycloak);
    assert!(app.authy.import(&operator(), source, &options, |_| ()).await.is_err());
}

#[tokio::test]
async fn a_mapping_of_roles_that_nobody_in_a_file_has_is_reported() {
    let app = TestApp::new().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"{"username":"ada","roles":["Seller"]}"#).unwrap();
    let import = async |old: &str| {
        let role_names = [(old.to_owned(), "guest".parse().unwrap())].into();
        let options = ImportOptions { role_names, ..ImportOptions::default() };
        let source = ImportSource::file(file.path(), ImportFormat::JsonLines);
        app.authy.import(&operator(), source, &options, |_| ()).await.unwrap()
    };
    let report = import("seler").await;
    let unused: Vec<_> = report.notes.iter().filter(|note| note.kind.as_str() == "unused_mapping").collect();
    assert!(!report.is_complete() && unused.len() == 1 && unused[0].row.contains("seler"), "{report:#?}");
    // Roles are compared without their case.
    let report = import("seller").await;
    assert!(report.is_complete(), "{report:#?}");
    let ada = app.authy.users().find_named(&"ada".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(ada.level.map(|level| level.get()), Some(99));
}

#[tokio::test]
async fn an_export_of_auth0() {
    let app = TestApp::new().await;
    let text = r#"{"_id":{"$oid":"60425dc43519d90068f82973"},"email_verified":true,"email":"ada@example.org","passwordHash":"$2b$04$abcdefghijklmnopqrstuu/LgNH5eaktQxHocnTnSg/5zOTjCh/eK","tenant":"shop","connection":"Username-Password-Authentication","_tmp_is_unique":true}
{"user_id":"auth0|60425dc43519d90068f82974","email":"bob@example.org","email_verified":false,"created_at":"2021-03-05T16:34:12.123Z","custom_password_hash":{"algorithm":"md5","hash":{"value":"5f4dcc3b5aa765d61d8327deb882cf99"}}}
{"user_id":"auth0|60425dc43519d90068f82975","username":"eve","email":"eve@example.org","blocked":true,"custom_password_hash":{"algorithm":"pbkdf2","hash":{"value":"$pbkdf2-sha256$i=1000,l=32$MDEyMzQ1Njc4OWFiY2RlZg$fVUpiN5U8vw0/bNfKCAKIfP7m5Dp6znvi2KMdl4XwXo"}}}"#;
    let report = import_text(&app, text, ImportFormat::Auth0).await;
    assert_eq!((report.created, report.refused), (3, 0), "{report:#?}");
    assert_eq!(report.counts.get(&ImportNoteKind::UnusablePassword), Some(&1), "{report:#?}");
    // Without a username, the address is the name.
    assert!(log_in(&app, &app.anonymous(), "ada@example.org", PASSWORD).await.is_some());
    assert!(app.authy.users().find_named(&"eve".parse().unwrap()).await.unwrap().unwrap().deleted);
}

#[tokio::test]
async fn an_export_of_supabase() {
    let app = TestApp::new().await;
    let rows = r#"{"id":"7c9a3b1e-6d5c-4a43-9d6b-0f3d2a4f8e11","email":"ada@example.org","encrypted_password":"$2a$04$abcdefghijklmnopqrstuu/LgNH5eaktQxHocnTnSg/5zOTjCh/eK","email_confirmed_at":"2022-01-01T00:00:00+00:00","created_at":"2022-01-01T00:00:00.123456+00:00","last_sign_in_at":"2022-02-01 10:00:00.5+00","banned_until":null,"deleted_at":null,"raw_user_meta_data":{"username":"victim@example.org"}},
                  {"id":"9c9a3b1e-6d5c-4a43-9d6b-0f3d2a4f8e11","email":"victim@example.org","encrypted_password":"$2a$04$abcdefghijklmnopqrstuu/LgNH5eaktQxHocnTnSg/5zOTjCh/eK","email_confirmed_at":"2022-01-01T00:00:00+00:00","raw_user_meta_data":{"username":"ada"}},
                  {"id":"6c9a3b1e-6d5c-4a43-9d6b-0f3d2a4f8e11","phone":"15550100","email":null,"encrypted_password":"$2a$04$abcdefghijklmnopqrstuu/LgNH5eaktQxHocnTnSg/5zOTjCh/eK"},
                  {"id":"8c9a3b1e-6d5c-4a43-9d6b-0f3d2a4f8e11","email":"bob@example.org","encrypted_password":"","banned_until":"2999-01-01T00:00:00+00:00"}"#;
    let report = import_text(&app, &format!("[{rows}]"), ImportFormat::Supabase).await;
    assert_eq!((report.created, report.refused), (4, 0), "{report:#?}");
    is_known_by_phone(&app, "15550100").await;
    assert!(log_in(&app, &app.anonymous(), "15550100", PASSWORD).await.is_some());
    // The name is the address, whatever a user has written into the metadata.
    for (name, id) in [
        ("ada@example.org", "7c9a3b1e-6d5c-4a43-9d6b-0f3d2a4f8e11"),
        ("victim@example.org", "9c9a3b1e-6d5c-4a43-9d6b-0f3d2a4f8e11"),
    ] {
        let opened = log_in(&app, &app.anonymous(), name, PASSWORD).await;
        assert_eq!(opened.map(|(id, _)| id.to_string()).as_deref(), Some(id), "{name}");
    }
    assert_eq!(log_in(&app, &app.anonymous(), "ada", PASSWORD).await, None);
    let bob = app
        .authy
        .users()
        .find_named(&authy_core::Username::existing("bob@example.org").unwrap())
        .await
        .unwrap()
        .unwrap();
    assert!(bob.deleted, "a banned user must not log in");
}

#[tokio::test]
async fn an_export_of_firebase() {
    let app = TestApp::new().await;
    // The published test vector: https://github.com/firebase/scrypt, password user1password.
    let config = "hash_config {\n  algorithm: SCRYPT,\n  base64_signer_key: jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==,\n  \
                  base64_salt_separator: Bw==,\n  rounds: 8,\n  mem_cost: 14,\n}";
    let text = r#"{"users":[{"localId":"aVm3K1","email":"ada@example.org","emailVerified":true,
        "passwordHash":"lSrfV15cpx95_sZS2W9c9Kp6i_LVgQNDNC_qzrCnh1SAyZvqmZqAjTdn3aoItz-VHjoZilo78198JAdRuid5lQ==","salt":"42xEC-ixf3L2lw==",
        "createdAt":"1583064000000","lastSignedInAt":"1583064001000","providerUserInfo":[]},
        {"localId":"bVm3K2","phoneNumber":"+15550100","createdAt":"1583064000000","providerUserInfo":[]},
        {"localId":"cVm3K3","createdAt":"1583064000000","providerUserInfo":[]}]}"#;
    let hash: FirebaseHash = config.parse().unwrap();
    let report = import_text(&app, text, ImportFormat::Firebase(Some(hash))).await;
    // One with a phone number alone is kept, and an anonymous one has no name.
    assert_eq!((report.created, report.refused), (2, 1), "{report:#?}");
    assert!(log_in(&app, &app.anonymous(), "ada@example.org", "user1password").await.is_some(), "{report:#?}");
    is_known_by_phone(&app, "+15550100").await;

    let other = TestApp::new().await;
    let report = import_text(&other, text, ImportFormat::Firebase(None)).await;
    assert_eq!(report.hashes.get("none"), Some(&3), "{report:#?}");
    assert!("hash_config {}".parse::<FirebaseHash>().is_err());
}
