//! Configures and starts the server of a test.

use std::net::Ipv4Addr;

use authy_core::{
    Authy,
    api::session::Credentials,
    engine::{Builder, Config, MasterKeys},
    error::chain,
};
use authy_postgres::Error;
use tokio::{net::TcpListener, sync::oneshot};

use super::{BoxError, Serving, TestDatabase, TestMailbox, TestServer, TestUser, operator};
use crate::{HttpConfig, RateLimits, Server, sink::Mails};

/// Connections for transactions of one server: enough for a test, and few enough for many tests at a time.
const CONNECTIONS: usize = 4;

/// Configures and starts a [`TestServer`].
pub struct TestServerBuilder {
    config: Config,
    http: HttpConfig,
    engine: EngineChange,
}

type EngineChange = Box<dyn FnOnce(Builder) -> Builder + Send>;

impl TestServerBuilder {
    pub(super) fn new() -> Self {
        let mut config = Config { connections: CONNECTIONS, ..Config::default() };
        // The least that argon2 permits. The text is valid: a test says so.
        config.hash.argon2 = "m=8,t=1,p=1".parse().unwrap_or_default();
        // All requests of a test come from one address.
        let http = HttpConfig { limits: RateLimits::off(), ..HttpConfig::default() };
        Self { config, http, engine: Box::new(|engine| engine) }
    }

    /// Changes the settings of the engine.
    ///
    /// ```no_run
    /// # async fn test() {
    /// use authy_server::test_util::TestServer;
    ///
    /// let authy = TestServer::builder().config(|config| config.require_validated = true).start().await;
    /// # }
    /// ```
    #[must_use]
    pub fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Changes the settings of HTTP, the limits of requests for example, or the proxies that are trusted.
    ///
    /// ```no_run
    /// # async fn test() -> Result<(), Box<dyn std::error::Error>> {
    /// use authy_server::test_util::TestServer;
    ///
    /// let (limit, loopback) = ("6/minute".parse()?, "127.0.0.1/32".parse()?);
    /// let authy = TestServer::builder().http(|http| {
    ///     http.limits.login = limit;
    ///     http.trusted_proxies.push(loopback);
    /// });
    /// let authy = authy.start().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn http(mut self, change: impl FnOnce(&mut HttpConfig)) -> Self {
        change(&mut self.http);
        self
    }

    /// Changes the engine that is about to start: adds a sink of the program under test, for example.
    #[must_use]
    pub fn engine(mut self, change: impl FnOnce(Builder) -> Builder + Send + 'static) -> Self {
        let earlier = self.engine;
        self.engine = Box::new(|engine| change(earlier(engine)));
        self
    }

    /// Starts the server.
    ///
    /// # Panics
    /// When it cannot be started, because PostgreSQL is not installed for example. The message says what to do.
    #[expect(clippy::panic, reason = "a test without its server fails")]
    pub async fn start(self) -> TestServer {
        match self.try_start().await {
            Ok(server) => server,
            Err(error) => panic!("the server of a test cannot be started: {}", chain(&*error)),
        }
    }

    async fn try_start(self) -> Result<TestServer, BoxError> {
        let Self { config, http, engine } = self;
        let database = TestDatabase::create().await.map_err(explain)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let mailbox = TestMailbox::new();
        let mails = Mails::test(&mailbox, &url)?;
        let builder = Authy::builder(database.config())
            .master_keys(MasterKeys::generate()?)
            .config(config)
            .default_issuer(&url)
            .sink_with(|authy| Ok(mails.sink(authy)));
        let authy = engine(builder).start().await?;
        let first = authy.users().create_first_administrator(&operator()).await?;
        let (name, password) = first.ok_or("there is an administrator already")?;
        let id = authy.users().find_id(&name).await?.ok_or("the administrator is not found")?;
        let administrator = TestUser { id, credentials: Credentials::new(name.as_str(), password) };
        let (stop, stopped) = oneshot::channel();
        let server = Server::new(authy.clone(), http);
        let task = tokio::spawn(server.serve(listener, async { drop(stopped.await) }));
        Ok(TestServer {
            url,
            authy,
            administrator,
            mails: mailbox,
            serving: Some(Serving { stop: Some(stop), task }),
            database,
        })
    }
}

/// Says what the author of a test can do.
fn explain(error: Error) -> BoxError {
    match error {
        Error::NotInstalled => "the PostgreSQL server programs (postgres, initdb) were not found: install them (Debian: \
             apt-get install postgresql; macOS: brew install postgresql), or name their folder in AUTHY_PG_BIN"
            .into(),
        Error::NotTraversable { folder, user } => format!(
            "PostgreSQL does not run as root, so it runs as {user}, who cannot enter {}: set TMPDIR to a folder that every user \
             may enter, such as /tmp, or run the tests as an ordinary user",
            folder.display()
        )
        .into(),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_cost_next_to_nothing() {
        assert_eq!(TestServerBuilder::new().config.hash.argon2.to_string(), "m=8,t=1,p=1");
    }

    #[test]
    fn an_author_of_a_test_is_told_what_to_install() {
        let why = explain(Error::NotInstalled).to_string();
        assert!(why.contains("apt-get install postgresql") && !why.contains("DATABASE_URL"), "{why}");
    }
}
