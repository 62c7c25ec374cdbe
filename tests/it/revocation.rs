//! What is revoked is refused everywhere, also when a part is slow, cut off, restarted or late.

use std::time::{Duration, Instant};

use authy_client::{Client, LocalVerifier, WhenStale};
use authy_core::{
    Authenticator, ErrorKind,
    engine::MasterKeys,
    revocation::{Cursor, IdHash, RevokedTokens},
};
use authy_postgres::Cluster;
use authy_tests::{TestApp, TestUser, database, operator, proxy::Proxy, until};
use futures_util::StreamExt as _;

mod self_test;
mod snapshot;

use snapshot::published;

async fn verdict(authenticator: &impl Authenticator, user: &TestUser) -> Result<(), ErrorKind> {
    authenticator.authenticate(user.token.expose()).await.map(drop).map_err(|error| error.kind())
}

async fn until_it_is(expected: Result<(), ErrorKind>, authenticator: &impl Authenticator, user: &TestUser) {
    until(&format!("it is {expected:?}"), || async { verdict(authenticator, user).await == expected }).await;
}

/// Another server on the same database, under the same name.
async fn another(app: &TestApp) -> TestApp {
    let issuer = app.url();
    TestApp::on(app.database.clone(), app.master_keys.clone(), |config, _| config.issuer = Some(issuer)).await
}

fn by(proxy: &Proxy) -> Client {
    Client::builder(&proxy.url()).retries(0).build().unwrap()
}

const REVOKED: Result<(), ErrorKind> = Err(ErrorKind::InvalidToken);
const UNKNOWN: Result<(), ErrorKind> = Err(ErrorKind::Unavailable);

#[tokio::test]
async fn what_one_server_revokes_every_server_and_every_verifier_refuses() {
    let first = TestApp::new().await;
    let apps = [another(&first).await, another(&first).await, first];
    let mut verifiers = Vec::new();
    for number in 0..10 {
        let app = &apps[number % apps.len()];
        verifiers.push(app.anonymous().verifier().issuer(apps[2].url()).start().await.unwrap());
    }
    for round in 0..12 {
        let user = apps[2].user().await;
        for verifier in &verifiers {
            assert_eq!(verdict(verifier, &user).await, Ok(()));
        }
        let at = &apps[round % apps.len()];
        at.anonymous().with_token(user.token.clone()).logout().await.unwrap();
        // Where it was revoked, it is refused before the answer; elsewhere within a second.
        assert_eq!(verdict(&at.authy, &user).await, REVOKED);
        let deadline = Instant::now() + Duration::from_secs(1);
        for app in &apps {
            until_it_is(REVOKED, &app.authy, &user).await;
        }
        for verifier in &verifiers {
            until_it_is(REVOKED, verifier, &user).await;
        }
        assert!(Instant::now() < deadline, "it took more than a second");
    }
}

#[tokio::test]
async fn a_transaction_that_commits_late_is_not_skipped() {
    let app = TestApp::new().await;
    let other = another(&app).await;
    let verifier = other.anonymous().verifier().issuer(app.url()).start().await.unwrap();
    let late = app.user().await;
    let mut host = app.sql().await;
    // It writes its revocation first,
    let tx = host.transaction().await.unwrap();
    // It is not handed back after the commit: the poll must find it.
    drop(app.authy.within(&tx).users().delete(&operator(), late.id).await.unwrap());
    // others come later and are heard of everywhere, so that every cursor has moved on,
    for _ in 0..3 {
        let user = app.user().await;
        user.client.logout().await.unwrap();
        until_it_is(REVOKED, &other.authy, &user).await;
        until_it_is(REVOKED, &verifier, &user).await;
    }
    assert_eq!(verdict(&verifier, &late).await, Ok(()), "nothing is committed yet");
    // and only then it commits.
    tx.commit().await.unwrap();
    until_it_is(REVOKED, &app.authy, &late).await;
    until_it_is(REVOKED, &other.authy, &late).await;
    until_it_is(REVOKED, &verifier, &late).await;
}

#[tokio::test]
async fn cut_off_a_verifier_accepts_until_the_bound_and_refuses_beyond() {
    let app = TestApp::new().await;
    let proxy = Proxy::to(app.address).await;
    let bound = Duration::from_secs(2);
    let builder = || by(&proxy).verifier().issuer(app.url()).max_staleness(bound);
    let (strict, asking) =
        (builder().start().await.unwrap(), builder().when_stale(WhenStale::AskServer).start().await.unwrap());
    let user = app.user().await;
    for verifier in [&strict, &asking] {
        assert_eq!(verdict(verifier, &user).await, Ok(()));
    }
    proxy.cut();
    let cut = Instant::now();
    assert_eq!(verdict(&strict, &user).await, Ok(()), "what is known is recent enough");
    until_it_is(UNKNOWN, &strict, &user).await;
    assert!(cut.elapsed() < bound * 2);
    // No server can be asked; it may have received it a moment later than the other.
    until_it_is(UNKNOWN, &asking, &user).await;
    assert!(strict.staleness().unwrap() > bound);
    let forged = strict.authenticate("a.b.c").await.unwrap_err();
    assert_eq!(forged.kind(), ErrorKind::InvalidToken, "what is wrong is wrong, however stale");
    proxy.mend(app.address);
    for verifier in [&strict, &asking] {
        until_it_is(Ok(()), verifier, &user).await;
    }
    user.client.logout().await.unwrap();
    for verifier in [&strict, &asking] {
        until_it_is(REVOKED, verifier, &user).await;
    }
}

#[tokio::test]
async fn a_stream_that_falls_behind_makes_no_verifier_fresh() {
    let app = TestApp::new().await;
    let proxy = Proxy::to(app.address).await;
    let bound = Duration::from_secs(2);
    let verifier = by(&proxy).verifier().issuer(app.url()).max_staleness(bound).start().await.unwrap();
    let user = app.user().await;
    assert_eq!(verdict(&verifier, &user).await, Ok(()));
    // The server sends one event a second, the link lets one through in three: it falls behind, and is never silent for
    // long.
    proxy.slow_down(Duration::from_secs(3));
    let mut was_stale = false;
    let slow = Instant::now();
    while slow.elapsed() < Duration::from_secs(9) {
        was_stale |= verdict(&verifier, &user).await == UNKNOWN;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(was_stale, "news that are late were taken for fresh ones");
    user.client.logout().await.unwrap();
    let revoked = Instant::now();
    let mut accepted = Duration::ZERO;
    while revoked.elapsed() < Duration::from_secs(10) {
        let at = revoked.elapsed();
        if verdict(&verifier, &user).await == Ok(()) {
            accepted = at;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(accepted <= bound, "a revoked token was accepted for {accepted:?}");
    proxy.slow_down(Duration::ZERO);
    until_it_is(REVOKED, &verifier, &user).await;
}

#[tokio::test]
async fn a_verifier_that_is_stale_may_ask_the_server_instead() {
    let app = TestApp::new().await;
    let proxy = Proxy::to(app.address).await;
    let verifier = by(&proxy).verifier().issuer(app.url()).max_staleness(Duration::ZERO);
    let verifier = verifier.when_stale(WhenStale::AskServer).start().await.unwrap();
    let user = app.user().await;
    assert_eq!(verdict(&verifier, &user).await, Ok(()));
    user.client.logout().await.unwrap();
    assert_eq!(verdict(&verifier, &user).await, REVOKED, "the server knows at once");
}

#[tokio::test]
async fn what_was_revoked_while_the_stream_was_down_arrives_when_it_is_back() {
    let first = TestApp::new().await;
    let second = another(&first).await;
    let proxy = Proxy::to(first.address).await;
    let verifier = by(&proxy).verifier().issuer(first.url()).start().await.unwrap();
    let (during, before) = (first.user().await, first.user().await);
    before.client.logout().await.unwrap();
    until_it_is(REVOKED, &verifier, &before).await;
    assert_eq!(verdict(&verifier, &during).await, Ok(()));
    // The server goes, as in a restart, and a user logs out at another one meanwhile.
    proxy.cut();
    first.stop().await;
    second.anonymous().with_token(during.token.clone()).logout().await.unwrap();
    assert_eq!(verdict(&verifier, &during).await, Ok(()), "it could not know yet");
    proxy.mend(second.address);
    until_it_is(REVOKED, &verifier, &during).await;
    assert_eq!(verdict(&verifier, &before).await, REVOKED);
}

async fn starts(
    client: &Client,
    app_url: &str,
    file: &std::path::Path,
    bound: Duration,
) -> Result<LocalVerifier, ErrorKind> {
    let builder = client.verifier().issuer(app_url).persist_to(file).max_staleness(bound);
    builder.start().await.map_err(|error| error.kind())
}

#[tokio::test]
async fn a_verifier_with_a_file_starts_while_the_server_is_away() {
    let app = TestApp::new().await;
    let proxy = Proxy::to(app.address).await;
    let folder = tempfile::tempdir().unwrap();
    let (file, url, long) = (folder.path().join("authy.json"), app.url(), Duration::from_secs(3600));
    let client = by(&proxy);
    let (good, revoked) = (app.user().await, app.user().await);
    let verifier = starts(&client, &url, &file, Duration::from_secs(4)).await.unwrap();
    revoked.client.logout().await.unwrap();
    until_it_is(REVOKED, &verifier, &revoked).await;
    let session = app.authy.authenticate(good.token.expose()).await.unwrap().session_id;
    let session = IdHash::of_session(session).to_string();
    until("it is written down", || async {
        std::fs::read_to_string(&file).is_ok_and(|text| text.contains("\"session\"") && !text.contains(&session))
    })
    .await;
    drop(verifier);
    proxy.cut();
    let again = starts(&client, &url, &file, long).await.unwrap();
    assert_eq!((verdict(&again, &good).await, verdict(&again, &revoked).await), (Ok(()), REVOKED));
    assert!(again.staleness().unwrap() < long);
    // Too old, of another issuer, damaged, not there: then nothing is known.
    assert_eq!(starts(&client, &url, &file, Duration::ZERO).await.err(), Some(ErrorKind::Unavailable));
    assert_eq!(starts(&client, "http://elsewhere", &file, long).await.err(), Some(ErrorKind::Unavailable));
    std::fs::write(&file, "{\"as_of\":").unwrap();
    assert_eq!(starts(&client, &url, &file, long).await.err(), Some(ErrorKind::Unavailable));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(starts(&client, &url, &file, long).await.err(), Some(ErrorKind::Unavailable));
    proxy.mend(app.address);
    assert!(starts(&client, &url, &file, long).await.is_ok());
}

#[tokio::test]
async fn a_file_that_another_user_can_write_is_not_used_and_prevents_no_start() {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};
    let app = TestApp::new().await;
    let proxy = Proxy::to(app.address).await;
    let folder = tempfile::tempdir().unwrap();
    let (file, url, long) = (folder.path().join("authy.json"), app.url(), Duration::from_secs(3600));
    let (client, user) = (by(&proxy), app.user().await);
    let verifier = starts(&client, &url, &file, long).await.unwrap();
    until("it is written down", || async { file.exists() }).await;
    drop(verifier);
    for (path, loose, tight) in [(&*file, 0o666, 0o600), (folder.path(), 0o777, 0o700)] {
        let set = |mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        set(loose);
        proxy.cut();
        assert_eq!(starts(&client, &url, &file, long).await.err(), Some(ErrorKind::Unavailable), "{}", path.display());
        set(tight);
        assert!(starts(&client, &url, &file, long).await.is_ok());
        set(loose);
        proxy.mend(app.address);
        let verifier = starts(&client, &url, &file, long).await.unwrap();
        assert_eq!(verdict(&verifier, &user).await, Ok(()));
        drop(verifier);
        set(tight);
    }
}

#[tokio::test]
async fn a_follower_starts_with_a_snapshot_and_resumes_where_it_was() {
    // A cluster of its own: a transaction of another test that runs for long would hold the cursor back, as it should.
    let folder = database::folder();
    let cluster = Cluster::builder(folder.path()).dangerous_volatile().start().await.unwrap();
    let app = TestApp::on(cluster.config(), MasterKeys::generate().unwrap(), |_, _| ()).await;
    // More than one event holds.
    let sql = app.sql().await;
    sql.execute(
        "INSERT INTO authy.revocation (session_id, until)
         SELECT gen_random_uuid(), now() + interval '1 hour' FROM generate_series(1, 2500)",
        &[],
    )
    .await
    .unwrap();
    until("a poll has found them", || async { published(&app).await.revocations.len() == 2500 }).await;
    let mut batches = Box::pin(app.authy.revocations().follow(None).await.unwrap());
    let first = batches.next().await.unwrap();
    assert_eq!(first.revocations.len(), 2500);
    let verifier = app.anonymous().verifier().start().await.unwrap();
    let user = app.user().await;
    assert_eq!(verdict(&verifier, &user).await, Ok(()));
    user.client.logout().await.unwrap();
    until_it_is(REVOKED, &verifier, &user).await;
    let resumed = app.authy.revocations().read(Some(&first.cursor)).await.unwrap();
    assert!((1..2500).contains(&resumed.revocations.len()), "{}", resumed.revocations.len());
    // A cursor of another cluster, from before a restore say, begins anew.
    let other: Cursor = "1-1-99999999".parse().unwrap();
    assert_eq!(app.authy.revocations().read(Some(&other)).await.unwrap().revocations.len(), 2501);
    // So does one of an earlier version, which names no timeline.
    let text = resumed.cursor.to_string();
    let parts: Vec<_> = text.split('-').collect();
    let old: Cursor = format!("{}-{}", parts[0], parts[2]).parse().unwrap();
    assert_eq!(app.authy.revocations().read(Some(&old)).await.unwrap().revocations.len(), 2501);
}

#[tokio::test]
async fn while_nothing_happens_the_stream_says_so_every_second() {
    let app = TestApp::new().await;
    let mut batches = Box::pin(app.authy.revocations().follow(None).await.unwrap());
    batches.next().await.unwrap();
    for _ in 0..2 {
        let batch = tokio::time::timeout(Duration::from_secs(3), batches.next()).await.unwrap().unwrap();
        assert!(batch.revocations.is_empty());
    }
}

#[tokio::test]
async fn old_revocations_are_forgotten() {
    let app = TestApp::with(|config, _| config.jwks_max_age = Duration::from_secs(1)).await;
    let sql = app.sql().await;
    sql.execute(
        "INSERT INTO authy.revocation (session_id, until) VALUES (gen_random_uuid(), now() - interval '1 day')",
        &[],
    )
    .await
    .unwrap();
    until("it is forgotten", || async {
        sql.query_one("SELECT count(*) FROM authy.revocation", &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
}

#[tokio::test]
async fn revocations_are_published_without_ids() {
    let app = TestApp::new().await;
    let (test_user, admin) = (app.user().await, app.admin().await);
    let session = app.authy.authenticate(test_user.token.expose()).await.unwrap().session_id;
    let verifier = app.anonymous().verifier().start().await.unwrap();
    test_user.client.logout().await.unwrap();
    // Three changes of one user, each of which revokes all older tokens.
    let guest = "guest".parse().unwrap();
    app.authy.roles().grant(&operator(), &guest, admin.id).await.unwrap();
    app.authy.roles().revoke(&operator(), &guest, admin.id).await.unwrap();
    app.authy.roles().grant(&operator(), &guest, admin.id).await.unwrap();
    for changed in [&test_user, &admin] {
        until_it_is(REVOKED, &verifier, changed).await;
    }
    let page = app.authy.revocations().read(None).await.unwrap();
    let text = serde_json::to_string(&page).unwrap();
    for id in [session.to_string(), test_user.id.to_string(), admin.id.to_string()] {
        assert!(!text.contains(&id), "{id} is in {text}");
    }
    let mut published: Vec<_> = page.revocations.into_iter().map(|revocation| revocation.tokens).collect();
    let user = IdHash::of_user(admin.id);
    published.sort_by_key(|tokens| matches!(tokens, RevokedTokens::User { .. }));
    let ver = app.authy.authenticate(app.again(&admin).await.token.expose()).await.unwrap().ver;
    let expected = [RevokedTokens::Session { session: IdHash::of_session(session) }, RevokedTokens::User { user, ver }];
    assert_eq!(published, expected, "the rows of one user are one entry, of the newest epoch");
}
