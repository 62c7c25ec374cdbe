//! What a token check allocates, beside hyper. In a process of its own, because it counts with an allocator of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use std::{
    convert::Infallible,
    io::{Read as _, Write as _},
    mem,
    net::{SocketAddr, TcpStream},
    thread,
};

use authy_tests::TestApp;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot};

/// Number of requests of a round: few enough that the background work of the engine falls into some rounds and not into all.
const REQUESTS: u32 = 200;

const ROUNDS: usize = 25;

/// Serves this answer on the thread of the runtime, in the memory of the headers of each request.
async fn bare_server(body: Bytes) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(move |mut request: Request<Incoming>| {
            let mut response = Response::new(Full::new(body.clone()));
            *response.headers_mut() = mem::take(request.headers_mut());
            response.headers_mut().clear();
            async move { Ok::<_, Infallible>(response) }
        });
        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
    });
    address
}

/// A client on another thread, whose allocations are not counted.
struct Client(TcpStream);

impl Client {
    fn ask(&mut self, request: &[u8], times: u32) {
        let mut answer = [0; 8192];
        for _ in 0..times {
            self.0.write_all(request).unwrap();
            let length = self.0.read(&mut answer).unwrap();
            assert!(answer[..length].starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&answer[..length]));
        }
    }
}

/// Returns the number of allocations of one request on a connection that had some, rounded up: the fewest of many rounds.
fn allocations(runtime: &Runtime, address: SocketAddr, request: &[u8]) -> u64 {
    let mut client = None;
    let mut round = || {
        let (mut used, request) = (client.take(), request.to_owned());
        let (done, answered) = oneshot::channel();
        let count = allocation_counter::measure(|| {
            runtime.block_on(async {
                thread::spawn(move || {
                    let client = used.get_or_insert_with(|| Client(TcpStream::connect(address).unwrap()));
                    client.ask(&request, REQUESTS);
                    let _ = done.send(used);
                });
                client = answered.await.unwrap();
            });
        });
        count.count_total.div_ceil(u64::from(REQUESTS))
    };
    round();
    (0..ROUNDS).map(|_| round()).min().unwrap()
}

#[test]
fn a_check_allocates_once_beside_hyper() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (app, token) = runtime.block_on(async {
        let app = TestApp::new().await;
        let token = app.user().await.token;
        (app, token)
    });
    let request = |path: &str| {
        let token = token.expose();
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nx-access-token: {token}\r\n\r\n").into_bytes()
    };
    let check = request("/authy/checkaccess/10");
    let bare = runtime.block_on(bare_server(Bytes::from_static(b"{}")));
    let bare = allocations(&runtime, bare, &check);
    let of_check = allocations(&runtime, app.address, &check);
    let of_other = allocations(&runtime, app.address, &request("/authy/status"));
    println!("hyper {bare}, a check {of_check}, the status {of_other}");
    assert!(of_check <= bare + 1, "{of_check} allocations, and hyper alone {bare}");
    // Otherwise nothing is counted.
    assert!(of_other > of_check, "{of_other}");
}
