//! Servers that are restarted behind a load balancer, and one that stops while a sink hangs.

use std::{
    collections::BTreeMap,
    future::pending,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use authy_core::{
    Authy,
    api::event::EventView,
    engine::{Delivery, DeliveryError, MasterKeys, Sink},
};
use authy_server::{
    Server,
    tls::{Tls, TlsFiles},
};
use authy_tests::{
    TestApp, certificates, cheap, credentials, database, fresh_name, new_user, operator, unlimited, until_within,
    wire::KeptConnection,
};
use tokio::{
    net::TcpSocket,
    sync::{Semaphore, oneshot},
    task::JoinHandle,
};

use crate::balancer::Balancer;

/// What the program `authy-server` has by default.
const STOP_DELAY: Duration = Duration::from_secs(5);

/// One of the servers behind the balancer, always at the same address.
struct Instance {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Instance {
    async fn start(app: &TestApp, address: SocketAddr, tls: Option<Tls>) -> Self {
        let mut config = cheap();
        config.issuer = Some(app.url());
        let builder = Authy::builder(app.database.clone()).master_keys(app.master_keys.clone()).config(config);
        let authy = builder.start().await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(4096).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let mut http = unlimited();
        http.stop_delay = STOP_DELAY;
        let mut server = Server::new(authy.clone(), http);
        if let Some(tls) = tls {
            server = server.with_tls(tls);
        }
        let serving = tokio::spawn(async move {
            let served = server.serve(listener, async { drop(stopped.await) }).await;
            authy.stop().await;
            served
        });
        Self { address, stop, serving }
    }

    async fn stop(self) -> SocketAddr {
        drop(self.stop);
        self.serving.await.unwrap().unwrap();
        self.address
    }
}

/// What the clients of the balancer have seen.
#[derive(Default)]
struct Seen {
    ends: AtomicBool,
    answered: AtomicUsize,
    by_server: Mutex<BTreeMap<String, usize>>,
    by_protocol: Mutex<BTreeMap<String, usize>>,
    /// Statuses other than 200.
    failed: Mutex<BTreeMap<u16, usize>>,
}

impl Seen {
    fn by(&self, server: usize) -> usize {
        self.by_server.lock().unwrap().get(&format!("s{server}")).copied().unwrap_or_default()
    }

    /// Sends checks and logins until it ends, on one connection.
    async fn load(self: Arc<Self>, address: SocketAddr, token: String, login: String) {
        let mut connection = KeptConnection::open(address).await;
        let check = format!("GET /authy/checkaccess/99 HTTP/1.1\nauthorization: Bearer {token}");
        for number in 0.. {
            if self.ends.load(Ordering::Relaxed) {
                return;
            }
            let answer = match number % 10 {
                0 => {
                    let head = "POST /authy/login HTTP/1.1\ncontent-type: application/json";
                    connection.send(head, &login).await
                }
                _ => connection.send(&check, "").await,
            };
            if answer.status != 200 {
                *self.failed.lock().unwrap().entry(answer.status).or_default() += 1;
            }
            self.answered.fetch_add(1, Ordering::Relaxed);
            *self.by_server.lock().unwrap().entry(answer.header("x-served-by").to_owned()).or_default() += 1;
            *self.by_protocol.lock().unwrap().entry(answer.header("x-protocol").to_owned()).or_default() += 1;
            // Below what the machine can do: the subject is the restart.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "operations: make test-operations"]
async fn a_rolling_restart_behind_a_balancer_without_retries_fails_no_request() {
    rolling_restart(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "operations: make test-operations"]
async fn a_rolling_restart_with_http2_over_tls_fails_no_request() {
    let folder = tempfile::tempdir().unwrap();
    certificates::certify(folder.path());
    let seen = rolling_restart(Some(folder.path())).await;
    let by_protocol = seen.by_protocol.lock().unwrap().clone();
    assert!(by_protocol.keys().eq(["h2"]), "{by_protocol:?}");
}

/// Restarts three servers one after the other, which speak HTTP/2 over TLS when there is a folder of certificates.
async fn rolling_restart(certificates: Option<&Path>) -> Arc<Seen> {
    let tls = certificates.map(|folder| {
        let [certificate, key] = ["server.pem", "server.key"].map(|file| folder.join(file));
        Tls::open(TlsFiles { certificate, key, client_authorities: None }).unwrap()
    });
    let app = TestApp::new().await;
    // Two, because many logins of one user end the earliest session.
    let (user, visitor) = (app.user().await, app.user().await);
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let mut instances = Vec::new();
    for _ in 0..3 {
        instances.push(Instance::start(&app, any, tls.clone()).await);
    }
    let addresses: Vec<_> = instances.iter().map(|instance| instance.address).collect();
    let authority = certificates.map(|folder| folder.join("ca.pem"));
    let balancer = Balancer::start(&addresses, authority.as_deref()).await;
    let seen = Arc::new(Seen::default());
    let login = serde_json::to_string(&credentials(&visitor.username)).unwrap();
    let load = |_| seen.clone().load(balancer.address, user.token.expose().to_owned(), login.clone());
    let clients: Vec<_> = (0..16).map(load).map(tokio::spawn).collect();
    for number in 0..3 {
        let address = instances.remove(0).stop().await;
        let before = seen.by(number);
        instances.push(Instance::start(&app, address, tls.clone()).await);
        until_within(Duration::from_secs(30), "the server gets requests again", || async {
            seen.by(number) > before + 200
        })
        .await;
    }
    seen.ends.store(true, Ordering::Relaxed);
    for client in clients {
        // An error: a connection ended without an answer.
        client.await.unwrap();
    }
    let (answered, failed) = (seen.answered.load(Ordering::Relaxed), seen.failed.lock().unwrap().clone());
    println!("{answered} requests, failed by status: {failed:?}, {:?}", seen.by_server.lock().unwrap());
    assert!(failed.is_empty() && answered > 3000, "{answered} requests, failed by status: {failed:?}");
    seen
}

#[tokio::test]
#[ignore = "operations: make test-operations"]
async fn a_sink_that_hangs_delays_a_stop_by_ten_seconds_and_gets_the_event_again() {
    /// A sink that never answers.
    struct HangingSink(Delivery, Semaphore);

    #[async_trait]
    impl Sink for HangingSink {
        fn name(&self) -> &'static str {
            "hanging"
        }

        fn delivery(&self) -> Delivery {
            self.0
        }

        async fn deliver(&self, _: &EventView) -> Result<(), DeliveryError> {
            self.1.add_permits(1);
            pending().await
        }
    }

    for delivery in [Delivery::Ordered { in_flight: 4 }, Delivery::PerSubject { in_flight: 4 }] {
        let sink = Arc::new(HangingSink(delivery, Semaphore::new(0)));
        let (database, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
        let builder = || Authy::builder(database.clone()).master_keys(keys.clone()).config(cheap()).sink(sink.clone());
        let authy = builder().start().await.unwrap();
        authy.users().register(&operator(), new_user(&fresh_name("ada"))).await.unwrap();
        sink.1.acquire().await.unwrap().forget();
        tokio::time::timeout(Duration::from_secs(30), authy.stop()).await.expect("the stop hangs");
        let next = builder().start().await.unwrap();
        let again = tokio::time::timeout(Duration::from_secs(10), sink.1.acquire()).await;
        again.expect("the event is lost").unwrap().forget();
        drop(next);
    }
}
