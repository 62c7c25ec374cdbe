//! One of three servers behind a balancer loses its database: its readiness takes it out, and nothing else fails.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use authy_core::Authy;
use authy_server::Server;
use authy_tests::{
    TestApp, TestUser, cheap, credentials,
    link::{Endpoint, Link, Mode},
    unlimited, until, until_within,
    wire::{KeptConnection, get, send},
};
use tokio::{net::TcpListener, time::sleep};
use tokio_postgres::config::Host;

use crate::balancer::Balancer;

/// Maximum time until the balancer sends nothing to a server that is not ready: two checks, one a second, of which each
/// may wait a second for the database, and the answer before, which may be a second old.
const TAKEN_OUT: Duration = Duration::from_secs(6);

/// How long the partition goes on after the server was taken out.
const WITHOUT: Duration = Duration::from_secs(10);

/// A request through the balancer.
struct Request {
    sent: Instant,
    status: u16,
    server: String,
}

/// Sends checks and logins on one connection until it ends.
async fn load(
    address: SocketAddr,
    token: String,
    login: String,
    ends: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Request>>>,
) {
    let mut connection = KeptConnection::open(address).await;
    let check = format!("GET /authy/checkaccess/99 HTTP/1.1\nauthorization: Bearer {token}");
    for number in 0.. {
        if ends.load(Ordering::Relaxed) {
            return;
        }
        let sent = Instant::now();
        let answer = match number % 10 {
            0 => connection.send("POST /authy/login HTTP/1.1\ncontent-type: application/json", &login).await,
            _ => connection.send(&check, "").await,
        };
        let server = answer.header("x-served-by").to_owned();
        seen.lock().unwrap().push(Request { sent, status: answer.status, server });
        // Below what the machine can do: the subject is the partition.
        sleep(Duration::from_millis(5)).await;
    }
}

/// Starts a server on the database of the app, or on the way to it.
async fn start(app: &TestApp, database: tokio_postgres::Config) -> (SocketAddr, Authy) {
    let mut config = cheap();
    config.issuer = Some(app.url());
    let authy = Authy::builder(database).master_keys(app.master_keys.clone()).config(config).start().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Until the test ends.
    tokio::spawn(Server::new(authy.clone(), unlimited()).serve(listener, std::future::pending()));
    (address, authy)
}

/// A network to the database, and how to connect through it.
async fn network(app: &TestApp) -> (Link, tokio_postgres::Config) {
    let [Host::Unix(folder)] = app.database.get_hosts() else { panic!("no socket") };
    let link = Link::new().await;
    link.lead_to(Some(Endpoint::Unix(folder.join(".s.PGSQL.5432"))));
    let mut through = tokio_postgres::Config::new();
    through.host("127.0.0.1").port(link.address.port());
    through.user(app.database.get_user().unwrap()).dbname(app.database.get_dbname().unwrap());
    (link, through)
}

/// Checks a token with one server, and returns the status.
async fn check(server: SocketAddr, user: &TestUser) -> u16 {
    let head = format!("GET /authy/checkaccess/99 HTTP/1.1\nauthorization: Bearer {}", user.token.expose());
    send(server, &head, "").await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "operations: make test-operations"]
async fn a_server_without_its_database_is_taken_out_and_comes_back() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let (link, through) = network(&app).await;
    let mut servers = Vec::new();
    for database in [through, app.database.clone(), app.database.clone()] {
        servers.push(start(&app, database).await);
    }
    let addresses: Vec<_> = servers.iter().map(|(address, _)| *address).collect();
    let max_staleness = cheap().max_staleness;
    let balancer = Balancer::start(&addresses, None).await;
    let (ends, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let mut clients = Vec::new();
    for _ in 0..8 {
        // An account each: a login that hangs delays the next ones to the same account, at every server.
        let login = serde_json::to_string(&credentials(&app.user().await.username)).unwrap();
        let (token, ends, seen) = (user.token.expose().to_owned(), ends.clone(), seen.clone());
        clients.push(tokio::spawn(load(balancer.address, token, login, ends, seen)));
    }
    let by_first = |since: Instant| {
        seen.lock().unwrap().iter().filter(|request: &&Request| request.sent >= since && request.server == "s0").count()
    };

    for mode in [Mode::Cut, Mode::Hung] {
        until_within(Duration::from_secs(30), "the first server gets requests", async || {
            by_first(Instant::now() - Duration::from_secs(1)) > 50
        })
        .await;
        // Known by every server before.
        let revoked = app.user().await;
        for server in &addresses {
            assert_eq!(check(*server, &revoked).await, 200);
        }
        let began = Instant::now();
        link.set(mode);
        revoked.client.logout().await.unwrap();
        let acknowledged = Instant::now();
        for server in &addresses[1..] {
            until("the others refuse the token", async || check(*server, &revoked).await == 401).await;
        }
        let (others, mut last_accepted) = (acknowledged.elapsed(), began);
        // Until it cannot tell any more, and the others have been alone for a while.
        let until = TAKEN_OUT + WITHOUT.max(max_staleness + Duration::from_secs(1));
        let mut status = 200;
        while status == 200 || began.elapsed() < until {
            let asked = Instant::now();
            status = check(addresses[0], &revoked).await;
            match status {
                200 => last_accepted = asked,
                _ => assert_eq!(status, 503),
            }
            assert!(began.elapsed() < until + Duration::from_secs(30), "it goes on accepting the token");
            sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(get(addresses[0], "/readyz").await.status, 503);
        let healed = Instant::now();
        link.set(Mode::Open);
        until_within(Duration::from_secs(30), "the first server gets requests again", async || by_first(healed) > 50)
            .await;
        let back = seen
            .lock()
            .unwrap()
            .iter()
            .find(|request| request.sent >= healed && request.server == "s0")
            .map(|request| request.sent - healed);
        assert_eq!(check(addresses[0], &revoked).await, 401, "it has come back without the revocation");
        sleep(Duration::from_secs(3)).await;

        let seen = seen.lock().unwrap();
        let during: Vec<_> = seen.iter().filter(|request| request.sent >= began && request.sent < healed).collect();
        let last = during.iter().filter(|request| request.server == "s0").map(|request| request.sent - began).max();
        let (last, failed) = (last.unwrap(), during.iter().filter(|request| request.status != 200).count());
        let later = during.iter().filter(|request| request.sent - began > last).count();
        println!(
            "{mode:?}: {failed} of {} requests failed before it was out after {last:?}, then 0 of {later}; the revoked token \
             was refused by the others after {others:?}, accepted by it for {:?}; back {:?} after the end",
            during.len() - later,
            last_accepted - began,
            back.unwrap()
        );
        for request in seen.iter().filter(|request| request.sent >= began && request.status != 200) {
            let when = request.sent - began;
            assert!(
                request.server == "s0" && request.status == 503 && when < TAKEN_OUT,
                "{} by {} after {when:?}",
                request.status,
                request.server
            );
        }
        assert!(last < TAKEN_OUT && later > 500, "out after {last:?}, {later} requests later");
        assert!(
            last_accepted - began <= max_staleness + Duration::from_secs(1),
            "accepted for {:?}",
            last_accepted - began
        );
        assert!(others < Duration::from_secs(2), "the others took {others:?}");
        drop(seen);
    }
    ends.store(true, Ordering::Relaxed);
    for client in clients {
        // An error: a connection ended without an answer.
        client.await.unwrap();
    }
}
