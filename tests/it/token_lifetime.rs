//! How long tokens may live: known to every server and every verifier, so that a stolen key makes none that outlive it.

use std::time::Duration;

use authy_client::Client;
use authy_core::{
    Authenticator as _, Authy, ErrorKind,
    api::session::{RefreshToken, Tokens},
    engine::Config,
    time::from_unix_seconds,
};
use authy_tests::{TestApp, cheap, credentials, forge::Forger, proxy::Proxy, until};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

const HOUR: Duration = Duration::from_secs(3600);

fn is_refused<T>(answer: &authy_core::Result<T>) -> bool {
    answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::InvalidToken)
}

#[tokio::test]
async fn a_forged_token_that_outlives_what_any_server_issues_is_refused_at_once() {
    let app = TestApp::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authy.json");
    let proxy = Proxy::to(app.address).await;
    let client = || Client::builder(&proxy.url()).retries(0).build().unwrap();
    let start = || client().verifier().issuer(app.url()).persist_to(&file).max_staleness(HOUR).start();
    let verifier = start().await.unwrap();
    let forger = Forger::new(&app, &app.user().await).await;
    // The token was issued a moment ago, and its lifetime counts from then.
    let (good, forged) = (forger.living(880), [forger.living(910), forger.living(10 * 365 * 24 * 3600)]);
    for forged in &forged {
        assert!(is_refused(&app.authy.authenticate(forged).await));
        assert!(is_refused(&verifier.authenticate(forged).await));
    }
    app.authy.authenticate(&good).await.unwrap();
    verifier.authenticate(&good).await.unwrap();
    until("it is written down", || async { file.exists() }).await;
    drop(verifier);
    // A program that starts from its file knows how long tokens may live.
    proxy.cut();
    let verifier = start().await.unwrap();
    verifier.authenticate(&good).await.unwrap();
    for forged in &forged {
        assert!(verifier.authenticate(forged).await.is_err());
    }
}

#[tokio::test]
async fn tokens_come_with_the_times_at_which_they_expire() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let ends = |tokens: &Tokens| {
        let payload = tokens.token.expose().split('.').nth(1).unwrap();
        let claims: serde_json::Value =
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
        assert_eq!(tokens.expires_at, from_unix_seconds(claims["exp"].as_u64().unwrap()));
        let longer = tokens.refresh_expires_at - tokens.expires_at;
        assert_eq!(longer.num_seconds().unsigned_abs() + tokens.expires_in, tokens.refresh_expires_in);
        tokens.refresh_expires_at
    };
    let tokens = app.anonymous().login(credentials(&user.username)).await.unwrap();
    let end = ends(&tokens);
    let sessions = app.anonymous().with_token(tokens.token.clone()).list_sessions().await.unwrap().sessions;
    let session = sessions.iter().find(|session| session.current).unwrap();
    assert!((session.expires - end).num_seconds().abs() <= 1, "{session:?} {end}");
    let refresh_token = tokens.refresh_token;
    ends(&app.anonymous().refresh(RefreshToken { refresh_token }).await.unwrap());
}

#[tokio::test]
async fn tokens_may_live_as_long_as_those_of_any_server_until_none_issues_them() {
    let quick = Duration::from_secs(1);
    let first = TestApp::with(|config, _| config.jwks_max_age = quick).await;
    let verifier = first.anonymous().verifier().start().await.unwrap();
    let issuer = first.url();
    let longest = async |app: &TestApp| app.anonymous().get_metadata().await.unwrap().access_token_max_lifetime;
    assert_eq!(longest(&first).await, 900);
    let second = TestApp::on(first.database.clone(), first.master_keys.clone(), |config, _| {
        (config.jwks_max_age, config.access_ttl, config.issuer) = (quick, HOUR, Some(issuer));
    })
    .await;
    let user = second.user().await;
    // At once: the server waited with its first token until the other one knew, and the verifier asks that.
    verifier.authenticate(user.token.expose()).await.unwrap();
    first.authy.authenticate(user.token.expose()).await.unwrap();
    assert_eq!((longest(&first).await, longest(&second).await), (3600, 3600));
    let forged = Forger::new(&first, &user).await.living(3500);
    first.authy.authenticate(&forged).await.unwrap();
    verifier.authenticate(&forged).await.unwrap();
    // It goes on to be so for as long as such a token may live.
    second.stop().await;
    first.authy.maintain().await.unwrap();
    assert_eq!(longest(&first).await, 3600);
    let age = "UPDATE authy.token_life SET seen = seen - interval '3 hours' WHERE seconds = 3600";
    first.sql().await.execute(age, &[]).await.unwrap();
    until("no server issues them any more", || async { longest(&first).await == 900 }).await;
    until("the server refuses it", || async { is_refused(&first.authy.authenticate(&forged).await) }).await;
    until("the verifier refuses it", || async { is_refused(&verifier.authenticate(&forged).await) }).await;
}

#[tokio::test]
async fn a_server_whose_tokens_would_live_for_more_than_a_day_does_not_start() {
    let app = TestApp::new().await;
    let start = async |access_ttl| {
        let config = Config { access_ttl, ..cheap() };
        let builder = Authy::builder(app.database.clone())
            .without_background()
            .master_keys(app.master_keys.clone())
            .config(config);
        builder.start().await.map(drop).map_err(|error| error.kind())
    };
    assert_eq!(start(25 * HOUR).await, Err(ErrorKind::InvalidInput));
    assert_eq!(start(24 * HOUR).await, Ok(()));
}
