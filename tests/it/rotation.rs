//! Rotation of signing keys: replaced under load without a refusal, revoked everywhere at once.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use authy_core::{
    Authenticator as _, Authy, ErrorKind, Secret, api::session::RefreshToken, claims::unverified_kid,
    engine::MasterKeys,
};
use authy_tests::{TestApp, cheap, credentials, forge::Forger, operator, until};

async fn states(app: &TestApp) -> Vec<(String, String)> {
    let keys = app.authy.keys().list().await.unwrap();
    keys.into_iter().map(|key| (key.kid, key.state.as_str().to_owned())).collect()
}

async fn active(app: &TestApp) -> String {
    let mut active = states(app).await.into_iter().filter(|(_, state)| state == "active");
    let (kid, _) = active.next().unwrap();
    assert_eq!(active.next(), None, "two keys are active");
    kid
}

#[tokio::test]
async fn keys_that_change_every_few_seconds_cause_no_refusal() {
    let quick = |config: &mut authy_core::engine::Config| {
        config.jwks_max_age = Duration::from_secs(1);
        config.key_rotation = Duration::from_secs(4);
        config.access_ttl = Duration::from_secs(2);
    };
    let first = TestApp::with(|config, _| quick(config)).await;
    let issuer = first.url();
    let second = TestApp::on(first.database.clone(), first.master_keys.clone(), |config, _| {
        quick(config);
        config.issuer = Some(issuer);
    });
    let second = second.await;
    let verifiers = [
        first.anonymous().verifier().start().await.unwrap(),
        second.anonymous().verifier().issuer(first.url()).start().await.unwrap(),
    ];
    let user = first.user().await;
    let mut refresh_token = user.refresh_token.expose().to_owned();
    let (mut kids, begun) = (HashSet::new(), Instant::now());
    let mut turn = 0;
    while kids.len() < 4 {
        assert!(begun.elapsed() < Duration::from_secs(40), "the keys do not change");
        turn += 1;
        let issuing = if turn % 2 == 0 { &first } else { &second };
        let request = RefreshToken { refresh_token: Secret::new(refresh_token) };
        let tokens = issuing.anonymous().refresh(request).await.unwrap();
        refresh_token = tokens.refresh_token.expose().to_owned();
        let token = tokens.token.expose();
        kids.insert(unverified_kid(token).unwrap());
        for app in [&first, &second] {
            app.authy.authenticate(token).await.unwrap();
            app.anonymous().authenticate(token).await.unwrap();
        }
        for verifier in &verifiers {
            verifier.authenticate(token).await.unwrap();
        }
    }
    active(&first).await;
    assert!(states(&first).await.iter().any(|(_, state)| state == "retiring"), "old keys verify a while longer");
}

#[tokio::test]
async fn servers_that_rotate_at_once_agree_on_one_active_key() {
    let quick = Duration::from_secs(1);
    let first = TestApp::with(|config, _| config.jwks_max_age = quick).await;
    let second =
        TestApp::on(first.database.clone(), first.master_keys.clone(), |config, _| config.jwks_max_age = quick).await;
    let old = active(&first).await;
    let caller = operator();
    let (one, other) = tokio::join!(first.authy.keys().rotate(&caller), second.authy.keys().rotate(&caller));
    assert_eq!(active(&first).await, old, "a key that no cache has seen does not sign");
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    until("a new key signs", || async { active(&second).await != old }).await;
    let states = states(&first).await;
    assert!(states.iter().filter(|(_, state)| state == "active").count() == 1, "{states:?}");
}

#[tokio::test]
async fn a_stolen_key_is_refused_everywhere_within_a_second() {
    let first = TestApp::new().await;
    let issuer = first.url();
    let second =
        TestApp::on(first.database.clone(), first.master_keys.clone(), |config, _| config.issuer = Some(issuer)).await;
    let verifier = second.anonymous().verifier().issuer(first.url()).start().await.unwrap();
    let user = first.user().await;
    let (token, lost) = (user.token.expose(), active(&first).await);
    assert!(verifier.authenticate(token).await.is_ok());
    first.authy.keys().revoke(&operator(), &lost).await.unwrap();
    let revoked = Instant::now();
    let is_refused = |answer: authy_core::Result<_>| {
        answer.is_err_and(|error: authy_core::Error| error.kind() == ErrorKind::InvalidToken)
    };
    assert!(is_refused(first.authy.authenticate(token).await.map(drop)), "at once where it was revoked");
    until("every server refuses", || async { is_refused(second.authy.authenticate(token).await.map(drop)) }).await;
    until("every verifier refuses", || async { is_refused(verifier.authenticate(token).await.map(drop)) }).await;
    assert!(revoked.elapsed() < Duration::from_secs(1));
    // A user who logs in again is served by every server and every verifier, with another key.
    assert_ne!(active(&first).await, lost);
    for app in [&first, &second] {
        let token = app.anonymous().login(credentials(&user.username)).await.unwrap().token;
        assert_ne!(unverified_kid(token.expose()).unwrap(), lost);
        until("it is accepted", || async { verifier.authenticate(token.expose()).await.is_ok() }).await;
    }
    assert!(!first.anonymous().get_keys().await.unwrap().keys.iter().any(|key| key.kid == lost));
}

#[tokio::test]
async fn a_master_key_is_replaced_without_a_stop() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let (old, new) = (app.master_keys.to_base64(), MasterKeys::generate().unwrap().to_base64());
    let both = MasterKeys::parse(&format!("{},{}", *new, *old)).unwrap();
    let issuer = app.url();
    let between = TestApp::on(app.database.clone(), both, |config, _| config.issuer = Some(issuer.clone())).await;
    assert!(between.authy.authenticate(user.token.expose()).await.is_ok());
    let request = RefreshToken { refresh_token: user.refresh_token.clone() };
    assert!(between.anonymous().refresh(request).await.is_ok(), "refresh tokens of the old key are good");
    let resealed = between.authy.keys().reseal(&operator()).await.unwrap();
    assert_eq!((resealed.keys, resealed.passwords_left), (1, 1));
    // Its owner logs in: the password is hashed anew.
    between.anonymous().login(credentials(&user.username)).await.unwrap();
    let resealed = between.authy.keys().reseal(&operator()).await.unwrap();
    assert_eq!((resealed.keys, resealed.passwords_left), (0, 0));

    let only_new = MasterKeys::parse(&new).unwrap();
    let after = TestApp::on(app.database.clone(), only_new, |config, _| config.issuer = Some(issuer.clone())).await;
    assert!(after.anonymous().login(credentials(&user.username)).await.is_ok());
    let only_old = Authy::builder(app.database.clone())
        .without_background()
        .master_keys(MasterKeys::parse(&old).unwrap())
        .config(cheap());
    assert_eq!(only_old.start().await.err().unwrap().kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn keys_of_an_unused_algorithm_retire_once_they_are_old() {
    let app = TestApp::new().await;
    let old = active(&app).await;
    let other = TestApp::on(app.database.clone(), app.master_keys.clone(), |config, _| {
        config.signing_algorithm = "ES256".parse().unwrap();
    });
    let other = other.await;
    let state = async |kid: &str| states(&other).await.into_iter().find(|(known, _)| known == kid).unwrap().1;
    other.authy.maintain().await.unwrap();
    assert_eq!(state(&old).await, "active", "it may still be in use");
    drop(app);
    let age = "UPDATE authy.signing_key SET changed = changed - interval '1 year' WHERE kid = $1";
    other.sql().await.execute(age, &[&old]).await.unwrap();
    // The server's own maintenance may have been first.
    other.authy.maintain().await.unwrap();
    assert_eq!(state(&old).await, "retired");
}

/// The token's key and its algorithm, as the published keys say.
async fn signed_with(app: &TestApp, token: &Secret) -> (String, String) {
    let kid = unverified_kid(token.expose()).unwrap();
    let keys = app.anonymous().get_keys().await.unwrap().keys;
    let algorithm = keys.into_iter().find(|key| key.kid == kid).map(|key| key.alg);
    (kid, algorithm.unwrap_or_default())
}

/// A server that signs with ES256, and an engine without background work on the same database that signs with EdDSA, as
/// the command line does when it is run without the server's settings.
async fn server_and_shell() -> (TestApp, Authy) {
    let server = TestApp::with(|config, _| config.signing_algorithm = "ES256".parse().unwrap()).await;
    let mut config = cheap();
    config.issuer = Some(server.url());
    let shell = Authy::builder(server.database.clone())
        .without_background()
        .master_keys(server.master_keys.clone())
        .config(config);
    (server, shell.start().await.unwrap())
}

#[tokio::test]
async fn a_key_is_revoked_by_an_engine_of_another_algorithm() {
    let (server, shell) = server_and_shell().await;
    let (user, leaving) = (server.user().await, server.user().await);
    let verifier = server.anonymous().verifier().start().await.unwrap();
    let (lost, algorithm) = signed_with(&server, &user.token).await;
    assert_eq!(algorithm, "ES256");
    // Signed with the other key: revoked by its session, and by nothing else.
    let issued = shell.sessions().issue_token(&operator(), leaving.id).await.unwrap();
    for token in [&user.token, &issued] {
        until("the server knows the key", || async { server.authy.authenticate(token.expose()).await.is_ok() }).await;
        until("the verifier knows the key", || async { verifier.authenticate(token.expose()).await.is_ok() }).await;
    }
    let caller = operator();
    let (revoked, ended) =
        tokio::join!(shell.keys().revoke(&caller, &lost), shell.sessions().end_all(&caller, leaving.id));
    revoked.unwrap();
    ended.unwrap();
    let since = Instant::now();
    for token in [&user.token, &issued] {
        let is_refused =
            |answer: authy_core::Result<_>| answer.is_err_and(|error| error.kind() == ErrorKind::InvalidToken);
        until("the server refuses it", || async { is_refused(server.authy.authenticate(token.expose()).await) }).await;
        until("the verifier refuses it", || async { is_refused(verifier.authenticate(token.expose()).await) }).await;
    }
    let token = server.anonymous().login(credentials(&user.username)).await.unwrap().token;
    let (kid, algorithm) = signed_with(&server, &token).await;
    assert_ne!(kid, lost);
    assert_eq!(algorithm, "ES256", "the successor is of the algorithm of the key that was revoked");
    server.authy.authenticate(token.expose()).await.unwrap();
    until("the verifier accepts it", || async { verifier.authenticate(token.expose()).await.is_ok() }).await;
    assert!(since.elapsed() < Duration::from_secs(1), "it took {:?}", since.elapsed());
}

#[tokio::test]
async fn a_key_that_ends_without_a_successor_takes_nothing_with_it() {
    let (server, shell) = server_and_shell().await;
    let (user, leaving) = (server.user().await, server.user().await);
    let (lost, _) = signed_with(&server, &user.token).await;
    let issued = shell.sessions().issue_token(&operator(), leaving.id).await.unwrap();
    until("the server knows the key", || async { server.authy.authenticate(issued.expose()).await.is_ok() }).await;
    // In one transaction, so that the server reads both at once: as an earlier version revoked a key of an algorithm
    // that is not its own.
    let mut sql = server.sql().await;
    let tx = sql.transaction().await.unwrap();
    shell.within(&tx).sessions().end_all(&operator(), leaving.id).await.map(drop).unwrap();
    let retire = "UPDATE authy.signing_key SET state = 'retired', changed = clock_timestamp() WHERE kid = $1";
    tx.execute(retire, &[&lost]).await.unwrap();
    let revoke = "INSERT INTO authy.revocation (kid, until) VALUES ($1, now() + interval '1 day')";
    tx.execute(revoke, &[&lost]).await.unwrap();
    tx.commit().await.unwrap();
    let since = Instant::now();
    for token in [&user.token, &issued] {
        until("the server refuses it", || async {
            server.authy.authenticate(token.expose()).await.is_err_and(|error| error.kind() == ErrorKind::InvalidToken)
        })
        .await;
    }
    until("there are logins again", || async { server.anonymous().login(credentials(&user.username)).await.is_ok() })
        .await;
    assert!(since.elapsed() < Duration::from_secs(1), "it took {:?}", since.elapsed());
    let token = server.anonymous().login(credentials(&user.username)).await.unwrap().token;
    let (kid, algorithm) = signed_with(&server, &token).await;
    assert_ne!(kid, lost);
    assert_eq!(algorithm, "ES256");
}

#[tokio::test]
async fn a_key_that_cannot_be_opened_or_read_holds_nothing_up() {
    let (app, other_app) = (TestApp::new().await, TestApp::new().await);
    let (user, leaving) = (app.user().await, app.user().await);
    let other = other_app.sql().await;
    let row = "SELECT kid, public_jwk::text, sealed FROM authy.signing_key";
    let row = other.query_one(row, &[]).await.unwrap();
    let (kid, public, sealed): (String, String, Vec<u8>) = (row.get(0), row.get(1), row.get(2));
    let mut sql = app.sql().await;
    let tx = sql.transaction().await.unwrap();
    app.authy.within(&tx).sessions().end_all(&operator(), leaving.id).await.map(drop).unwrap();
    let insert = "INSERT INTO authy.signing_key (kid, algorithm, state, public_jwk, sealed, changed)
                  VALUES ($1, 'EdDSA', 'retiring', $2::text::jsonb, $3, clock_timestamp())";
    // One that another master key sealed, one whose public half is not a key, and one that is nothing at all.
    tx.execute(insert, &[&kid, &public, &sealed]).await.unwrap();
    let broken = public.replace("Ed25519", "Ed448").replace("\"x\"", "\"z\"");
    tx.execute(insert, &[&"broken", &broken, &sealed]).await.unwrap();
    tx.execute(insert, &[&"nothing", &"{}", &Vec::<u8>::new()]).await.unwrap();
    tx.commit().await.unwrap();
    let since = Instant::now();
    until("the logout is in force", || async {
        let refused = app.authy.authenticate(leaving.token.expose()).await;
        refused.is_err_and(|error| error.kind() == ErrorKind::InvalidToken)
    })
    .await;
    assert!(since.elapsed() < Duration::from_secs(1), "it took {:?}", since.elapsed());
    // The other keys go on: they sign, verify, are replaced, revoked and sealed anew.
    let token = app.anonymous().login(credentials(&user.username)).await.unwrap().token;
    app.authy.authenticate(token.expose()).await.unwrap();
    let lost = active(&app).await;
    app.authy.keys().revoke(&operator(), &lost).await.unwrap();
    let token = app.anonymous().login(credentials(&user.username)).await.unwrap().token;
    assert_ne!(unverified_kid(token.expose()).unwrap(), lost);
    app.authy.keys().reseal(&operator()).await.unwrap();
    // What can be read of them is published, so that other servers' tokens are verified, and followers read the rest.
    let published: Vec<_> = app.anonymous().get_keys().await.unwrap().keys.into_iter().map(|key| key.kid).collect();
    assert!(published.contains(&kid) && !published.iter().any(|kid| kid == "broken" || kid == "nothing"));
    app.anonymous().verifier().start().await.unwrap().authenticate(token.expose()).await.unwrap();
    // A server that starts now is not kept from it either.
    let (issuer, keys) = (app.url(), app.master_keys.clone());
    let again = TestApp::on(app.database.clone(), keys, |config, _| config.issuer = Some(issuer)).await;
    again.authy.authenticate(token.expose()).await.unwrap();
}

fn is_refused<T>(answer: &authy_core::Result<T>) -> bool {
    answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::InvalidToken)
}

#[tokio::test]
async fn a_forged_token_that_was_accepted_while_its_key_lived_is_refused_after_the_key_retired() {
    let app = TestApp::with(|config, _| {
        config.jwks_max_age = Duration::from_secs(1);
        config.access_ttl = Duration::from_secs(3600);
    })
    .await;
    let verifier = app.anonymous().verifier().start().await.unwrap();
    let user = app.user().await;
    // As long as the server issues them, and far longer than the test.
    let forged = Forger::new(&app, &user).await.living(3600);
    app.authy.authenticate(&forged).await.unwrap();
    verifier.authenticate(&forged).await.unwrap();
    let old = active(&app).await;
    app.authy.keys().rotate(&operator()).await.unwrap();
    until("another key signs", || async { active(&app).await != old }).await;
    let age = "UPDATE authy.signing_key SET changed = changed - interval '2 hours' WHERE kid = $1";
    app.sql().await.execute(age, &[&old]).await.unwrap();
    until("the old key has retired", || async {
        states(&app).await.iter().any(|(kid, state)| *kid == old && state == "retired")
    })
    .await;
    until("the server refuses it", || async { is_refused(&app.authy.authenticate(&forged).await) }).await;
    until("the verifier refuses it", || async { is_refused(&verifier.authenticate(&forged).await) }).await;
}

#[tokio::test]
async fn a_retired_key_is_revoked_once_and_has_no_successor() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let (signing, old) = (active(&app).await, "retired-key");
    let copy = "INSERT INTO authy.signing_key (kid, algorithm, state, public_jwk, sealed)
                SELECT $2, algorithm, 'retired', public_jwk, sealed FROM authy.signing_key WHERE kid = $1";
    app.sql().await.execute(copy, &[&signing, &old]).await.unwrap();
    let before = states(&app).await.len();
    app.authy.keys().revoke(&operator(), old).await.unwrap();
    assert_eq!((states(&app).await.len(), active(&app).await), (before, signing));
    let sql = app.sql().await;
    let count = "SELECT (SELECT count(*) FROM authy.revocation WHERE kid = $1),
                        (SELECT count(*) FROM authy.event WHERE kind = 'key.revoked' AND detail->>'kid' = $1)";
    let row = sql.query_one(count, &[&old]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (1, 1));
    let again = app.authy.keys().revoke(&operator(), old).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::NotFound);
    app.authy.authenticate(user.token.expose()).await.unwrap();
}

#[tokio::test]
async fn a_forged_token_that_lives_longer_than_any_that_is_issued_is_refused_at_once() {
    let app = TestApp::new().await;
    let verifier = app.anonymous().verifier().start().await.unwrap();
    let user = app.user().await;
    let forger = Forger::new(&app, &user).await;
    for lifetime in [900, 901, 3600, 10 * 365 * 24 * 3600] {
        let (forged, is_issued) = (forger.living(lifetime), lifetime <= 900);
        assert_eq!(app.authy.authenticate(&forged).await.is_ok(), is_issued, "{lifetime} s, by the server");
        assert_eq!(verifier.authenticate(&forged).await.is_ok(), is_issued, "{lifetime} s, by the verifier");
    }
}

#[tokio::test]
async fn servers_whose_tokens_live_differently_accept_each_others() {
    let short = TestApp::new().await;
    let verifier = short.anonymous().verifier().start().await.unwrap();
    let issuer = short.url();
    let long = TestApp::on(short.database.clone(), short.master_keys.clone(), |config, _| {
        config.access_ttl = Duration::from_secs(7200);
        config.issuer = Some(issuer);
    })
    .await;
    let user = long.user().await;
    // Neither had heard of such a long lifetime, and both ask again.
    short.authy.authenticate(user.token.expose()).await.unwrap();
    verifier.authenticate(user.token.expose()).await.unwrap();
    assert_eq!(short.anonymous().get_metadata().await.unwrap().access_token_max_lifetime, 7200);
    // Once its last token must have expired the longer lifetime is forgotten.
    long.stop().await;
    let later = "UPDATE authy.token_life SET seen = seen - interval '4 hours' WHERE seconds = 7200";
    short.sql().await.execute(later, &[]).await.unwrap();
    let again = TestApp::on(short.database.clone(), short.master_keys.clone(), |_, _| ()).await;
    assert_eq!(again.anonymous().get_metadata().await.unwrap().access_token_max_lifetime, 900);
}
