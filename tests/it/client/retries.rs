//! What is sent again, and when: only what is safe, and not before the server wants it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use authy_client::{
    Client, ErrorKind, Secret,
    api::{
        Problem,
        session::{Credentials, Login},
    },
    authy_core::{self, time::HttpDate},
};
use authy_tests::receiver::{Reaction, Received, Receiver};
use futures_util::future::join_all;

/// A refusal of this kind, with this `Retry-After`.
fn refusal(kind: ErrorKind, retry_after: &str) -> Vec<u8> {
    let problem = Problem::of(&authy_core::Error::new(kind, "not now"), "id");
    let body = serde_json::to_string(&problem).unwrap();
    let head = format!("HTTP/1.1 {} x\r\nretry-after: {retry_after}\r\nconnection: close", problem.status);
    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A server that refuses the first two requests, and answers the third one.
async fn server(kind: ErrorKind, retry_after: String) -> Receiver {
    let count = Arc::new(AtomicUsize::new(0));
    let answer = "HTTP/1.1 204 x\r\nconnection: close\r\n\r\n";
    Receiver::start(move |_: &Received| match count.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => Reaction::Bytes(refusal(kind, &retry_after)),
        _ => Reaction::Bytes(answer.into()),
    })
    .await
}

fn client(server: &Receiver) -> Client {
    Client::builder(&format!("http://{}", server.address)).build().unwrap()
}

fn date(from_now: Duration) -> String {
    HttpDate((SystemTime::now() + from_now).into()).to_string()
}

#[tokio::test]
async fn a_post_is_sent_again_only_when_the_server_refused_to_begin() {
    for (kind, requests) in [
        (ErrorKind::RateLimited, 3),
        (ErrorKind::Overloaded, 3),
        (ErrorKind::Unavailable, 1),
        (ErrorKind::Internal, 1),
        (ErrorKind::InvalidCredentials, 1),
    ] {
        let server = server(kind, "0".to_owned()).await;
        let answer = client(&server).logout().await;
        assert_eq!((answer.is_ok(), server.received().len()), (requests == 3, requests), "{kind}");
    }
    // Without an answer nobody knows whether it was executed.
    let silent = Receiver::start(|_| Reaction::Close).await;
    let error = client(&silent).call::<Login>((), Credentials::new("ada", Secret::new("x"))).await.unwrap_err();
    assert!(error.may_have_been_sent());
    assert_eq!(silent.received().len(), 1);
}

#[tokio::test]
async fn a_get_is_sent_again_when_there_may_be_an_answer_later() {
    for (kind, requests) in [
        (ErrorKind::RateLimited, 3),
        (ErrorKind::Overloaded, 3),
        (ErrorKind::Unavailable, 3),
        (ErrorKind::Internal, 3),
        (ErrorKind::NotFound, 1),
    ] {
        let server = server(kind, "0".to_owned()).await;
        let _ = client(&server).get_self().await;
        assert_eq!(server.received().len(), requests, "{kind}");
    }
    let silent = Receiver::start(|_| Reaction::Close).await;
    client(&silent).get_self().await.unwrap_err();
    assert_eq!(silent.received().len(), 3);
}

#[tokio::test]
async fn a_wait_is_kept_as_seconds_and_as_a_date_and_a_long_one_ends_the_retries() {
    let short = [("1".to_owned(), 3), (date(Duration::from_secs(2)), 3), (date(Duration::ZERO), 3)];
    let long = [("6".to_owned(), 1), ("86400".to_owned(), 1), (date(Duration::from_secs(60)), 1)];
    let ask = async |kind, retry_after: &str, requests| {
        let server = server(kind, retry_after.to_owned()).await;
        let answer = client(&server).logout().await;
        assert_eq!(server.received().len(), requests, "{kind} {retry_after}");
        if let Err(error) = answer {
            assert!(error.retry_after().unwrap() > Duration::from_secs(5), "{retry_after}: {error:?}");
        }
    };
    let asked = short.iter().chain(&long).flat_map(|(retry_after, requests)| {
        [ErrorKind::RateLimited, ErrorKind::Overloaded].map(|kind| ask(kind, retry_after, *requests))
    });
    join_all(asked).await;
}
