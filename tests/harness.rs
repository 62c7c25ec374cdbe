//! A [`TestApp`] for every test: a real server on a real PostgreSQL, with a database of its own, and users to call it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use authy_client::Client;
use authy_core::{
    Authy, ClientInfo, Secret, UserId,
    api::{
        event::{EventKind, EventQuery},
        session::{Credentials, Login},
        user::{NewAccount, NewUser},
    },
    engine::{Background, Caller, Config, MasterKeys, Notification, Sink},
};
use authy_server::{HttpConfig, RateLimit, RateLimits, Server};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

#[path = "harness/certificates.rs"]
pub mod certificates;
#[path = "harness/collector.rs"]
pub mod collector;
#[path = "harness/cost.rs"]
pub mod cost;
#[path = "harness/database.rs"]
pub mod database;
#[path = "harness/essentials.rs"]
pub mod essentials;
#[path = "harness/failover.rs"]
pub mod failover;
#[path = "harness/first_authy.rs"]
pub mod first_authy;
#[path = "harness/forge.rs"]
pub mod forge;
#[path = "harness/fuzz.rs"]
pub mod fuzz;
#[path = "harness/legacy.rs"]
pub mod legacy;
#[path = "harness/link.rs"]
pub mod link;
#[path = "harness/monitoring.rs"]
pub mod monitoring;
#[path = "harness/old_database.rs"]
pub mod old_database;
#[path = "harness/patroni.rs"]
pub mod patroni;
#[path = "harness/pgbouncer.rs"]
pub mod pgbouncer;
#[path = "harness/proxy.rs"]
pub mod proxy;
#[path = "harness/rabbit.rs"]
pub mod rabbit;
#[path = "harness/receiver.rs"]
pub mod receiver;
#[path = "harness/recording_sink.rs"]
pub mod recording_sink;
#[path = "harness/smtp.rs"]
pub mod smtp;
#[path = "harness/tools.rs"]
pub mod tools;
#[path = "harness/trace.rs"]
pub mod trace;
#[path = "harness/watchdog.rs"]
pub mod watchdog;
#[path = "harness/wire.rs"]
pub mod wire;

/// A password that is strong enough, for every user whose password does not matter.
pub const PASSWORD: &str = "tangerine-lighthouse-42";

/// A hash of the first authy's, as werkzeug's `generate_password_hash` makes it, of [`FOREIGN_PASSWORD`].
pub const FOREIGN_HASH: &str = "scrypt:1024:8:1$Xk3vQz9LmN0pRs7T$171dcb2b52cedb81fc13a841276afd6a63e3a912c2ac8191152e109e\
                                3496fcc2e27c03d1c64d510f7b924602223712d84ea2775d294144feef1486e7ca8c1de6";

/// The password of [`FOREIGN_HASH`].
pub const FOREIGN_PASSWORD: &str = "pässword with spaces 🔑";

/// The issuer of servers in processes of their own: the same for all, so that one accepts the tokens of another.
pub const SERVER_PROCESS_ISSUER: &str = "http://authy.test";

/// An engine, a server and a database for one test.
pub struct TestApp {
    /// The engine the server runs on.
    pub authy: Authy,
    /// Where the server listens.
    pub address: SocketAddr,
    /// How to connect to the database.
    pub database: tokio_postgres::Config,
    /// The master keys.
    pub master_keys: MasterKeys,
    stop: Option<oneshot::Sender<()>>,
    background: Option<Background>,
    serving: JoinHandle<std::io::Result<()>>,
}

/// A user who has logged in.
pub struct TestUser {
    /// The account's name.
    pub username: String,
    /// The account's public id.
    pub id: UserId,
    /// The access token.
    pub token: Secret,
    /// The refresh token.
    pub refresh_token: Secret,
    /// A client that sends the token.
    pub client: Client,
}

impl TestApp {
    /// An app with the default settings, without rate limits and with cheap hashes.
    pub async fn new() -> Self {
        Self::with(|_, _| ()).await
    }

    /// An app with changed settings.
    pub async fn with(change: impl FnOnce(&mut Config, &mut HttpConfig)) -> Self {
        Self::on(database::fresh().await, MasterKeys::generate().unwrap(), change).await
    }

    /// An app on an existing database.
    pub async fn on(
        database: tokio_postgres::Config,
        master_keys: MasterKeys,
        change: impl FnOnce(&mut Config, &mut HttpConfig),
    ) -> Self {
        Self::build(database, master_keys, change, |_| Vec::new()).await
    }

    /// An app that delivers events to these sinks.
    pub async fn with_sinks(sinks: impl FnOnce(&Authy) -> Vec<Arc<dyn Sink>>) -> Self {
        Self::build(database::fresh().await, MasterKeys::generate().unwrap(), |_, _| (), sinks).await
    }

    /// An app with everything to choose: database, master keys, settings, sinks.
    pub async fn build(
        database: tokio_postgres::Config,
        master_keys: MasterKeys,
        change: impl FnOnce(&mut Config, &mut HttpConfig),
        sinks: impl FnOnce(&Authy) -> Vec<Arc<dyn Sink>>,
    ) -> Self {
        trace::begin();
        trace::secret("master", &master_keys.to_base64());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mut config, mut http) = (cheap(), unlimited());
        change(&mut config, &mut http);
        let authy = Authy::builder(database.clone())
            .without_background()
            .master_keys(master_keys.clone())
            .config(config)
            .default_issuer(format!("http://{address}"))
            .start()
            .await
            .unwrap();
        let background = Some(authy.start_background_with(sinks(&authy)).await.unwrap());
        let (stop, stopped) = oneshot::channel();
        let server = Server::new(authy.clone(), http);
        let serving = tokio::spawn(server.serve(listener, async { drop(stopped.await) }));
        Self { authy, address, database, master_keys, stop: Some(stop), background, serving }
    }

    /// Ends the background work, so that maintenance happens only where the test asks for it.
    pub fn end_background(&mut self) {
        self.background = None;
    }

    /// Stops the server, and waits until it has.
    pub async fn stop(mut self) {
        drop((self.stop.take(), self.background.take()));
        (&mut self.serving).await.unwrap().unwrap();
    }

    /// The server's base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A connection to the database.
    pub async fn sql(&self) -> tokio_postgres::Client {
        database::connect(&self.database).await
    }

    /// A client without a token.
    pub fn anonymous(&self) -> Client {
        Client::builder(&self.url()).retries(0).build().unwrap()
    }

    /// A user with the role `user`.
    pub async fn user(&self) -> TestUser {
        self.user_with_role("user").await
    }

    /// A user with the role `admin`.
    pub async fn admin(&self) -> TestUser {
        self.user_with_role("admin").await
    }

    /// A user with the role `superadmin`.
    pub async fn superadmin(&self) -> TestUser {
        self.user_with_role("superadmin").await
    }

    /// A user with that role only, under a fresh name.
    pub async fn user_with_role(&self, role: &str) -> TestUser {
        let username = fresh_name(role);
        let id = self.authy.users().create(&operator(), new_account(&username, role)).await.unwrap();
        self.log_in(&username, id).await
    }

    /// The same user, in a new session.
    pub async fn again(&self, user: &TestUser) -> TestUser {
        self.log_in(&user.username, user.id).await
    }

    /// [`notifications`] of this app.
    pub async fn notifications(&self, user: UserId, kind: EventKind) -> Vec<Notification> {
        notifications(&self.authy, user, kind).await
    }

    /// [`code`] of this app.
    pub async fn code(&self, user: UserId, kind: EventKind) -> Secret {
        code(&self.authy, user, kind).await
    }

    async fn log_in(&self, username: &str, id: UserId) -> TestUser {
        let tokens = self.anonymous().call::<Login>((), credentials(username)).await.unwrap();
        trace::secret("token", tokens.token.expose());
        trace::secret("refresh", tokens.refresh_token.expose());
        tokens.device_token.iter().for_each(|token| trace::secret("device", token.expose()));
        let client = self.anonymous().with_token(tokens.token.clone());
        TestUser { username: username.to_owned(), id, token: tokens.token, refresh_token: tokens.refresh_token, client }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Returns the notifications of a user's last event of a kind.
pub async fn notifications(authy: &Authy, user: UserId, kind: EventKind) -> Vec<Notification> {
    let query = EventQuery { user: Some(user), kind: Some(kind), ..EventQuery::default() };
    let events = authy.events().list(&query).await.unwrap().events;
    authy.deliveries().list_notifications(&operator(), events.first().unwrap()).await.unwrap()
}

/// The code that a user is to be sent because of the last event of a kind.
pub async fn code(authy: &Authy, user: UserId, kind: EventKind) -> Secret {
    notifications(authy, user, kind).await.into_iter().find_map(|notification| notification.code).unwrap()
}

/// The operator as a caller.
pub fn operator() -> Caller {
    Caller::operator(ClientInfo::default())
}

/// A unique name.
pub fn fresh_name(beginning: &str) -> String {
    format!("{beginning}-{}", &UserId::random().to_string()[..8])
}

/// A sign-up that passes.
pub fn new_user(username: &str) -> NewUser {
    NewUser::new(username, &format!("{username}@example.org"), Secret::new(PASSWORD)).unwrap()
}

/// An account with a password, a confirmed address and a role, as the operator creates it.
pub fn new_account(username: &str, role: &str) -> NewAccount {
    let NewUser { username, email, password, .. } = new_user(username);
    NewAccount { username, email, password: Some(password), role: role.parse().ok(), validated: Some(true) }
}

/// A login that passes.
pub fn credentials(username: &str) -> Credentials {
    Credentials::new(username, Secret::new(PASSWORD))
}

/// The engine's settings, with hashes that cost next to nothing.
pub fn cheap() -> Config {
    let mut config = Config::default();
    config.hash.argon2 = "m=8,t=1,p=1".parse().unwrap();
    config
}

/// The server's settings, without rate limits.
pub fn unlimited() -> HttpConfig {
    let off: RateLimit = "off".parse().unwrap();
    HttpConfig {
        limits: RateLimits {
            login: off.clone(),
            register: off.clone(),
            validate: off.clone(),
            forgot: off.clone(),
            default: off,
        },
        ..HttpConfig::default()
    }
}

/// Waits until something holds.
///
/// # Panics
/// When it does not within ten seconds.
pub async fn until<F: Future<Output = bool>>(what: &str, holds: impl FnMut() -> F) {
    until_within(Duration::from_secs(10), what, holds).await;
}

/// The same for what takes longer.
///
/// # Panics
/// When it does not within that time.
pub async fn until_within<F: Future<Output = bool>>(timeout: Duration, what: &str, mut holds: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + timeout;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "timed out waiting until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Runs many tasks that start at the same moment. Returns their results in order.
pub async fn at_once<T: Send + 'static, F>(times: usize, work: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let gate = Arc::new(tokio::sync::Barrier::new(times));
    let tasks: Vec<_> = (0..times)
        .map(|number| {
            let (gate, work) = (gate.clone(), work(number));
            tokio::spawn(async move {
                gate.wait().await;
                work.await
            })
        })
        .collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}
