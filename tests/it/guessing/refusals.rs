//! A refusal reveals nothing else; and failures elsewhere do not count as guesses.

use authy_core::api::account::{Code, PasswordReset};
use authy_tests::{FOREIGN_HASH, FOREIGN_PASSWORD, new_user};

use super::*;

#[tokio::test]
async fn refusals_reveal_neither_whether_an_account_exists_nor_whether_a_password_is_right() {
    let app = TestApp::with(|config, _| config.require_validated = true).await;
    let [known, deleted, foreign, replaced] = [(); 4].map(|()| app.user());
    let (known, deleted, foreign, replaced) = tokio::join!(known, deleted, foreign, replaced);
    let [wrapped, junk] = [(); 2].map(|()| Box::pin(app.user()));
    let (wrapped, junk) = tokio::join!(wrapped, junk);
    app.authy.users().delete(&operator(), deleted.id).await.unwrap();
    let import = "UPDATE authy.password SET phc = $1 WHERE user_id = $2";
    app.sql().await.execute(import, &[&FOREIGN_HASH, wrapped.id.as_uuid()]).await.unwrap();
    assert_eq!(app.authy.users().wrap_passwords(&operator(), |_| ()).await.unwrap().wrapped, 1);
    for (user, hash) in [(&foreign, FOREIGN_HASH), (&replaced, FOREIGN_HASH), (&junk, "scrypt:1048576:8:1$salt$00")] {
        app.sql().await.execute(import, &[&hash, user.id.as_uuid()]).await.unwrap();
    }
    // Its first login has replaced the hash.
    let owner = Credentials::new(&replaced.username, Secret::new(FOREIGN_PASSWORD));
    app.anonymous().login(owner).await.unwrap();
    let unvalidated = fresh_name("unvalidated");
    app.anonymous().register(new_user(&unvalidated)).await.unwrap();
    let names = [
        known.username,
        deleted.username,
        foreign.username,
        replaced.username,
        wrapped.username,
        junk.username,
        unvalidated,
        fresh_name("unknown"),
        "no name at all".to_owned(),
    ];
    let mut answers = Vec::new();
    for name in &names {
        let mut series = Vec::new();
        for attempt in 0..2 * FREE {
            // Once it is slowed, the right one too.
            let password = if attempt > FREE { PASSWORD } else { "wrong" };
            let Answer { status, mut headers, body } = log_in(&app, name, password, "").await;
            headers.retain(|(name, _)| name != "date");
            series.push((status, headers, body));
        }
        answers.push(series);
    }
    let first = answers[0][0].clone();
    assert_eq!(first.0, 401);
    assert!(answers.iter().flatten().all(|answer| *answer == first), "{answers:#?}");
    // And neither does the table, which holds no name and no address.
    let counted = "SELECT count(*) FROM authy.throttle WHERE failures = 5 AND refused = 5 AND pending = 0";
    assert_eq!(number(&app, counted).await, 9);
    let named = "SELECT count(*) FROM authy.throttle WHERE key ILIKE '%unknown%' OR key LIKE '%127.0.0.1%'";
    assert_eq!(number(&app, named).await, 0);
}

#[tokio::test]
async fn wrong_codes_count_for_their_address_in_all_instances_together() {
    let app = behind_a_proxy().await;
    let other = TestApp::on(app.database.clone(), app.master_keys.clone(), |_, http| {
        http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    });
    let other = other.await;
    let ask = async |app: &TestApp, method: &str, address: &str| {
        let head = format!("{method} /authy/validate/no-such-code HTTP/1.1\nx-forwarded-for: {address}");
        send(app.address, &head, "").await.status
    };
    let wrong = async |app: &TestApp, address: &str| ask(app, "POST", address).await;
    // To look changes nothing: a page with images could otherwise shut out all users behind an address.
    for method in ["GET", "HEAD"] {
        for _ in 0..60 {
            assert_eq!(ask(&app, method, "192.0.2.1").await, 404);
        }
    }
    for number in 0..100 {
        let app = if number % 2 == 0 { &app } else { &other };
        assert_eq!(wrong(app, "192.0.2.1").await, 404, "{number}");
    }
    assert_eq!(ask(&other, "GET", "192.0.2.1").await, 404);
    assert_eq!((wrong(&app, "192.0.2.1").await, wrong(&other, "192.0.2.1").await), (429, 429));
    assert_eq!(wrong(&other, "192.0.2.2").await, 404);
    // A wrong password from there is not looked at either, and a right code is not from elsewhere only.
    assert_eq!(log_in(&app, "unknown", "wrong", "x-forwarded-for: 192.0.2.1").await.status, 401);
    let reset = PasswordReset::new(Secret::new("no-such-code"), Secret::new("carousel-marmalade-58")).unwrap();
    let refused = app.anonymous().reset_password(reset).await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::NotFound));
    assert!(app.anonymous().validate(Code::new(Secret::new("another"))).await.is_err());
}

#[tokio::test]
async fn a_right_password_is_no_failure_because_the_database_is_slow() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let mut sql = app.sql().await;
    let holder = sql.transaction().await.unwrap();
    holder.batch_execute("LOCK TABLE authy.session IN ACCESS EXCLUSIVE MODE").await.unwrap();
    // More than a wrong password would be forgiven, four at a time.
    for _ in 0..2 {
        let answers = at_once(4, |_| {
            let (client, credentials) = (app.anonymous(), credentials(&user.username));
            async move { client.login(credentials).await.unwrap_err().kind() }
        });
        assert!(answers.await.iter().all(|kind| *kind == Some(ErrorKind::Unavailable)));
    }
    drop(holder);
    assert!(gets_in(&app.anonymous(), &user.username).await);
}
