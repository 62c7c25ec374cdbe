//! The follower of a verifier: what it does when its stream ends or is late, and when its file cannot be written.

use std::time::Duration;

use authy_client::{Authenticator, Client, LocalVerifier};
use authy_tests::{TestApp, TestUser, proxy::Proxy, trace::Captured, until, until_within};

fn by(proxy: &Proxy) -> Client {
    Client::builder(&proxy.url()).retries(0).build().unwrap()
}

async fn accepts(verifier: &LocalVerifier, user: &TestUser) -> bool {
    verifier.authenticate(user.token.expose()).await.is_ok()
}

#[tokio::test]
async fn a_verifier_whose_server_stops_goes_on_with_the_next_one() {
    let first = TestApp::new().await;
    let issuer = first.url();
    let second =
        TestApp::on(first.database.clone(), first.master_keys.clone(), |config, _| config.issuer = Some(issuer));
    let second = second.await;
    let proxy = Proxy::to(first.address).await;
    let verifier = by(&proxy).verifier().issuer(first.url()).start().await.unwrap();
    let user = first.user().await;
    assert!(accepts(&verifier, &user).await);
    let log = Captured::begin();
    // It ends the stream, as a server does that is replaced.
    first.stop().await;
    let ended = ["reconnecting", "the server ended the stream of revocations"];
    until("it notices", || async { !log.lines(&ended).is_empty() }).await;
    proxy.mend(second.address);
    second.anonymous().with_token(user.token.clone()).logout().await.unwrap();
    until("the logout arrives", || async { !accepts(&verifier, &user).await }).await;
}

#[tokio::test]
async fn a_stream_that_is_late_is_replaced() {
    let app = TestApp::new().await;
    let proxy = Proxy::to(app.address).await;
    let bound = Duration::from_secs(1);
    let verifier = by(&proxy).verifier().issuer(app.url()).max_staleness(bound).start().await.unwrap();
    let user = app.user().await;
    let log = Captured::begin();
    proxy.slow_down(Duration::from_secs(2));
    let is_late = || async { !log.lines(&["the stream of revocations is late"]).is_empty() };
    until_within(Duration::from_secs(20), "it is noticed", is_late).await;
    proxy.slow_down(Duration::ZERO);
    until("it is current again", || async { accepts(&verifier, &user).await }).await;
}

#[tokio::test]
async fn a_verifier_whose_file_cannot_be_written_says_so_and_goes_on() {
    let app = TestApp::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gone/authy.json");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    let log = Captured::begin();
    let verifier = app.anonymous().verifier().persist_to(&file).max_staleness(Duration::from_secs(4)).start().await;
    let verifier = verifier.unwrap();
    until("it is written down", || async { file.exists() }).await;
    std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
    until("it is logged", || async { !log.lines(&["WARN", "cannot be saved", "gone/authy.json"]).is_empty() }).await;
    let user = app.user().await;
    assert!(accepts(&verifier, &user).await);
    user.client.logout().await.unwrap();
    until("it still follows", || async { !accepts(&verifier, &user).await }).await;
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    until("it is written down again", || async { file.exists() }).await;
}
