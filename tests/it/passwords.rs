//! Passwords at rest and on the way there: stored hashes grow with their time, and a storm is turned away at once.

use std::{io::Write as _, time::Duration};

use authy_core::{ErrorKind, Secret, api::session::Credentials};
use authy_tests::{FOREIGN_HASH, FOREIGN_PASSWORD, PASSWORD, TestApp, at_once, credentials, new_user, wire::post};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

mod foreign;

async fn stored(app: &TestApp, username: &str) -> String {
    let sql = app.sql().await;
    let row = sql
        .query_one(
            "SELECT phc FROM authy.password JOIN authy.users ON public_id = user_id WHERE username = $1",
            &[&username],
        )
        .await
        .unwrap();
    row.get(0)
}

#[tokio::test]
async fn a_hash_of_yesterday_is_replaced_at_the_next_login() {
    let app = TestApp::new().await;
    app.anonymous().register(new_user("ada")).await.unwrap();
    let before = stored(&app, "ada").await;
    assert!(before.starts_with("$argon2id$v=19$m=8,t=1,p=1,keyid="), "{before}");
    app.anonymous().login(credentials("ada")).await.unwrap();
    assert_eq!(stored(&app, "ada").await, before, "a hash of today stays");

    let stronger = TestApp::on(app.database.clone(), app.master_keys.clone(), |config, _| {
        config.hash.argon2 = "m=16,t=2,p=1".parse().unwrap();
    });
    let stronger = stronger.await;
    stronger.anonymous().login(credentials("ada")).await.unwrap();
    let after = stored(&app, "ada").await;
    assert!(after.starts_with("$argon2id$v=19$m=16,t=2,p=1,keyid="), "{after}");
    stronger.anonymous().login(credentials("ada")).await.unwrap();
}

#[tokio::test]
async fn a_hash_of_the_first_authy_lets_its_owner_in_and_is_replaced() {
    let app = TestApp::new().await;
    app.anonymous().register(new_user("ada")).await.unwrap();
    app.sql().await.execute("UPDATE authy.password SET phc = $1", &[&FOREIGN_HASH]).await.unwrap();
    let log_in = |password: &'static str| {
        let anonymous = app.anonymous();
        async move { anonymous.login(Credentials::new("ada", Secret::new(password))).await }
    };
    assert_eq!(log_in("wrong").await.unwrap_err().kind(), Some(ErrorKind::InvalidCredentials));
    log_in(FOREIGN_PASSWORD).await.unwrap();
    assert!(stored(&app, "ada").await.starts_with("$argon2id$"));
    log_in(FOREIGN_PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_breached_password_cannot_be_chosen_and_a_missing_list_refuses_no_sign_up() {
    let mut list = tempfile::NamedTempFile::new().unwrap();
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, PASSWORD.as_bytes());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    write!(list, "{:0>40}:7\r\n{hash}:3\r\n{:F>40}:1\r\n", "", "").unwrap();
    let app = TestApp::with(|config, _| config.pwned_passwords = Some(list.path().to_owned())).await;
    let refused = app.anonymous().register(new_user("ada")).await.unwrap_err();
    assert_eq!((refused.kind(), refused.status()), (Some(ErrorKind::WeakPassword), Some(400)));
    let body = r#"{"username":"ada","email":"ada@example.org","password":"PW","confirm_password":"PW"}"#;
    for password in [PASSWORD, "Password1"] {
        let answer = post(app.address, "/authy/user", &body.replace("PW", password)).await;
        assert_eq!(answer.code(), "weak_password");
        let warning = answer.json()["feedback"]["warning"].as_str().unwrap_or_default().to_owned();
        assert!(warning.contains("breached"), "{answer:?}");
    }
    let answer = post(app.address, "/authy/user", &body.replace("PW", "tangerine-lighthouse-43")).await;
    assert_eq!(answer.status, 201, "{answer:?}");

    for missing in ["/no/such/file", "/"] {
        let app = TestApp::with(|config, _| config.pwned_passwords = Some(missing.into())).await;
        app.anonymous().register(new_user("ada")).await.unwrap();
    }
}

#[tokio::test]
async fn a_storm_of_logins_is_refused_at_once_and_delays_no_other_request() {
    let app = TestApp::with(|config, _| {
        config.hash.threads = 1;
        config.hash.queue = 2;
        // Long enough for the storm to meet a full queue, whatever the machine.
        config.hash.argon2 = "m=65536,t=3,p=1".parse().unwrap();
    });
    let app = app.await;
    let user = app.user().await;
    // Each with a name of its own: equal passwords of one account are verified together.
    let anonymous = app.anonymous();
    let storm = at_once(16, move |number| {
        let anonymous = anonymous.clone();
        async move { anonymous.login(credentials(&format!("nobody-{number}"))).await.unwrap_err() }
    });
    let checks = async {
        for _ in 0..20 {
            let checked = tokio::time::timeout(Duration::from_secs(5), user.client.get_self()).await;
            checked.expect("a check waited for the storm").unwrap();
        }
    };
    let (answers, ()) = tokio::join!(storm, checks);
    let (verified, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|error| error.kind() == Some(ErrorKind::InvalidCredentials));
    assert!(!verified.is_empty() && !refused.is_empty(), "{} of 16 were refused", refused.len());
    for error in refused {
        assert_eq!((error.kind(), error.status()), (Some(ErrorKind::Overloaded), Some(503)));
        assert!(error.retry_after().is_some());
    }
    app.anonymous().login(credentials(&user.username)).await.unwrap();
}
