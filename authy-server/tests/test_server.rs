//! The server for tests of services, as such a test uses it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use authy_core::{Authenticator as _, Secret, api::account::PasswordReset, engine::NotificationKind};
use authy_server::test_util::TestServer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Returns the answer to a GET, or `None` when nothing listens there.
async fn get(url: &str, path: &str) -> Option<String> {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    Some(answer)
}

#[tokio::test]
async fn a_server_has_users_an_administrator_and_mails_and_is_gone_afterwards() {
    let authy = TestServer::start().await;
    let url = authy.url().to_owned();
    assert!(get(&url, "/livez").await.unwrap().starts_with("HTTP/1.1 200"));
    let issuer = format!("\"issuer\":\"{url}\"");
    assert!(get(&url, "/.well-known/oauth-authorization-server").await.unwrap().contains(&issuer));

    authy.create_role("auctioneer", 7).await;
    let mut ada = authy.create_user("ada", "auctioneer").await;
    let token = authy.log_in(&ada).await.token;
    let identity = authy.authy().authenticate(token.expose()).await.unwrap();
    assert_eq!((identity.public_id, identity.level.get()), (ada.id, 7));
    let administrator = authy.log_in(authy.administrator()).await.token;
    assert_eq!(authy.authy().authenticate(administrator.expose()).await.unwrap().level.get(), 0);

    authy.authy().users().send_reset(&authy.operator(), ada.id).await.unwrap();
    let mail = authy.mails().take("ada@example.org", NotificationKind::Reset).await;
    assert!(
        mail.subject.starts_with("Choose a new password") && mail.text.contains(mail.code.as_ref().unwrap().expose())
    );
    assert!(!format!("{mail:?}").contains(mail.code.as_ref().unwrap().expose()));
    ada.credentials.password = Secret::new("analytical-engine-no-1");
    let reset = PasswordReset::new(mail.code.unwrap(), ada.credentials.password.clone()).unwrap();
    authy.authy().users().reset_password(&authy.operator(), reset).await.unwrap();
    authy.log_in(&ada).await;
    assert_eq!(authy.mails().list().len(), 1);

    authy.stop().await;
    assert_eq!(get(&url, "/livez").await, None);
}

#[tokio::test]
async fn servers_at_the_same_time_have_users_of_their_own() {
    let (first, second) = (TestServer::start().await, TestServer::start().await);
    first.create_user("ada", "user").await;
    second.create_user("ada", "guest").await;
    let url = first.url().to_owned();
    drop(first);
    tokio::task::yield_now().await;
    assert_eq!(get(&url, "/livez").await, None);
    assert!(get(second.url(), "/livez").await.is_some());
}

#[tokio::test]
#[should_panic(expected = "there is no such role")]
async fn a_user_with_an_unknown_role_fails_the_test_with_the_reason() {
    TestServer::start().await.create_user("ada", "auctioneer").await;
}
