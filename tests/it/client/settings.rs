//! A verifier whose issuer or audience is not the server's: it says so, and does not just refuse every token.

use std::time::Duration;

use authy_client::{Authenticator as _, Client, ErrorKind, StartError};
use authy_tests::{TestApp, operator, proxy::Proxy, trace::Captured, until};

#[tokio::test]
async fn a_verifier_that_expects_another_issuer_or_audience_does_not_start_and_says_which() {
    let app = TestApp::with(|config, _| config.audience = "shop".to_owned()).await;
    let user = app.user().await;
    // The same server by another name.
    let named = Client::builder(&format!("http://localhost:{}", app.address.port())).build().unwrap();
    let refused = named.verifier().audience("shop").start().await.unwrap_err();
    assert!(matches!(refused, StartError::Issuer { .. }) && !refused.is_unavailable(), "{refused:?}");
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    let said = refused.to_string();
    for part in [app.url(), format!("http://localhost:{}", app.address.port()), format!(".issuer({:?})", app.url())] {
        assert!(said.contains(&part), "{part} is missing from {said}");
    }
    let refused = named.verifier().issuer(app.url()).start().await.unwrap_err();
    assert!(matches!(refused, StartError::Audience { .. }), "{refused:?}");
    let said = refused.to_string();
    assert!(said.contains("\"authy\"") && said.contains(".audience(\"shop\")"), "{said}");
    let verifier = named.verifier().issuer(app.url()).audience("shop").start().await.unwrap();
    assert_eq!(verifier.authenticate(user.token.expose()).await.unwrap().public_id, user.id);
    let shown = format!("{verifier:?}");
    assert!(shown.contains("staleness: Some(") && !shown.contains("keys"), "{shown}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_named_in_the_error() {
    let app = TestApp::new().await;
    let proxy = Proxy::to(app.address).await;
    proxy.cut();
    let client = Client::builder(&proxy.url()).retries(0).build().unwrap();
    let error = client.get_status().await.unwrap_err();
    assert!(error.to_string().contains(&proxy.url()), "{error}");
    let StartError::Unavailable(cause) = client.verifier().start().await.unwrap_err() else { panic!("another error") };
    let causes = std::iter::successors(Some(&cause as &dyn std::error::Error), |cause| cause.source());
    assert!(causes.map(ToString::to_string).any(|cause| cause.contains(&proxy.url())), "{cause:?}");
}

#[tokio::test]
async fn a_verifier_that_started_from_its_file_logs_another_issuer_when_the_server_is_back() {
    let (app, other) = (TestApp::new().await, TestApp::new().await);
    let proxy = Proxy::to(app.address).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authy.json");
    let client = Client::builder(&proxy.url()).retries(0).build().unwrap();
    let builder = || client.verifier().issuer(app.url()).persist_to(&file).max_staleness(Duration::from_secs(3600));
    let first = builder().start().await.unwrap();
    until("it is written down", || async { file.exists() }).await;
    drop(first);
    proxy.cut();
    let log = Captured::begin();
    let _verifier = builder().start().await.unwrap();
    let (url, expected) = (other.url(), app.url());
    let mismatch = ["ERROR", "every token of the server is refused", url.as_str(), expected.as_str()];
    assert_eq!(log.lines(&mismatch).len(), 0);
    proxy.mend(other.address);
    until("it is logged", || async { log.lines(&mismatch).len() == 1 }).await;
    assert!(builder().start().await.is_err_and(|error| matches!(error, StartError::Issuer { .. })));
}

#[tokio::test]
async fn tokens_of_another_issuer_are_logged_once_a_minute_and_never_as_they_are() {
    let app = TestApp::new().await;
    // A server on the same database, with the same keys, that was started after the issuer was replaced.
    app.authy.set_issuer(&operator(), "https://renamed.example").await.unwrap();
    let renamed = TestApp::on(app.database.clone(), app.master_keys.clone(), |config, _| {
        config.audience = "shop".to_owned();
    })
    .await;
    let user = renamed.user().await;
    let verifier = app.anonymous().verifier().start().await.unwrap();
    let log = Captured::begin();
    for _ in 0..3 {
        for authenticator in [&verifier as &dyn authy_client::Authenticator, &app.authy] {
            let refused = authenticator.authenticate(user.token.expose()).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidToken);
        }
    }
    let (issuer, expected) = ("https://renamed.example", app.url());
    let lines = log.lines(&["ERROR", issuer, &expected, "\"shop\"", "\"authy\"", "AUTHY_ISSUER"]);
    assert_eq!(lines.len(), 2, "one of the verifier, one of the server: {lines:?}");
    assert!(log.lines(&[user.token.expose()]).is_empty());
}
