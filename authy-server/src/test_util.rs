//! A server for tests of services, on a PostgreSQL of its own.
//!
//! Enable the feature `test-util` in `[dev-dependencies]` only: hashes cost next to nothing here, and nothing is durable.
//! Needed are PostgreSQL's server programs (Debian: `apt-get install postgresql`); no service has to run.
//!
//! - [`TestServer`] is a server with users, an administrator, and a mailbox.
//! - [`TestDatabase`] and [`TestMailbox`] are for tests of a program that embeds the engine.

use std::{error::Error as StdError, io};

use authy_core::{
    Authy, ClientInfo, Level, NewPassword, UserId,
    api::{
        role::NewRole,
        session::{Credentials, Tokens},
        user::NewAccount,
    },
    engine::{Caller, tokio_postgres},
    error::chain,
};
use tokio::{sync::oneshot, task::JoinHandle};

mod builder;

pub use authy_postgres::TestDatabase;
pub use builder::TestServerBuilder;

pub use crate::sink::{TestMail, TestMailbox};

/// A server on a random port of the loopback interface, with a database of its own. Dropping it stops it, and removes
/// everything.
///
/// Tests that run at the same time in one process share a PostgreSQL ([`TestDatabase`]). A method panics when it does not
/// succeed, so that the test fails, with the reason.
///
/// ```no_run
/// use authy_server::test_util::TestServer;
///
/// #[tokio::test]
/// async fn a_shop_logs_its_customers_in() {
///     let authy = TestServer::start().await;
///     let ada = authy.create_user("ada", "user").await;
///     // The program under test reaches the server at `authy.url()`, which is also the issuer of its tokens, and logs in
///     // with `ada.credentials`.
///     let token = authy.log_in(&ada).await.token;
///     let administrator = authy.log_in(authy.administrator()).await.token;
/// }
/// ```
pub struct TestServer {
    url: String,
    authy: Authy,
    administrator: TestUser,
    mails: TestMailbox,
    serving: Option<Serving>,
    // Removed last: fields are dropped in this order.
    database: TestDatabase,
}

/// An account of a [`TestServer`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TestUser {
    /// The ID.
    pub id: UserId,
    /// The username and the password.
    pub credentials: Credentials,
}

/// A server that accepts connections, until this is dropped.
struct Serving {
    /// The server stops in order when it is dropped.
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<io::Result<()>>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The password of the users. It is not one that is easy to guess, which is refused.
const PASSWORD: &str = "difference-engine-no-2";

impl TestServer {
    /// Starts a server with the default settings, except that hashes are cheap, and requests are not limited.
    ///
    /// # Panics
    /// When it cannot be started, because PostgreSQL is not installed for example. The message says what to do.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Begins a server with other settings.
    pub fn builder() -> TestServerBuilder {
        TestServerBuilder::new()
    }

    /// Returns the URL, such as `http://127.0.0.1:40123`. It is also the issuer.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the engine, which creates, changes and reads what the test needs, as the [`operator`](Self::operator).
    pub fn authy(&self) -> &Authy {
        &self.authy
    }

    /// Returns the caller who may do everything.
    pub fn operator(&self) -> Caller {
        operator()
    }

    /// Returns the first administrator, who has the role `superadmin`.
    pub fn administrator(&self) -> &TestUser {
        &self.administrator
    }

    /// Returns the mails to all users.
    pub fn mails(&self) -> &TestMailbox {
        &self.mails
    }

    /// Returns the connection settings of the database.
    pub fn database(&self) -> tokio_postgres::Config {
        self.database.config()
    }

    /// Creates a user with a role, `user` for example, a password, and the confirmed address `<name>@example.org`.
    ///
    /// # Panics
    /// When the name is not valid or is taken, or there is no such role.
    #[expect(clippy::panic, reason = "a test that cannot create its user fails")]
    pub async fn create_user(&self, name: &str, role: &str) -> TestUser {
        let created = async {
            let account = NewAccount::new(name, &format!("{name}@example.org"))?;
            let password = Some(NewPassword::new(PASSWORD.into())?);
            let account = NewAccount { password, role: Some(role.parse()?), validated: Some(true), ..account };
            Ok::<_, BoxError>(self.authy.users().create(&operator(), account).await?)
        };
        match created.await {
            Ok(id) => TestUser { id, credentials: Credentials::new(name, PASSWORD) },
            Err(error) => panic!("the user {name:?} with the role {role:?} cannot be created: {}", chain(&*error)),
        }
    }

    /// Creates a role, or finds it. No two roles have the same level: those of `superadmin`, `admin`, `user` and `guest` are
    /// 0, 1, 10 and 99.
    ///
    /// # Panics
    /// When the name is not valid, or another role has the level.
    #[expect(clippy::panic, reason = "a test that cannot create its role fails")]
    pub async fn create_role(&self, name: &str, level: u32) {
        let created = async {
            let role = NewRole { name: name.parse()?, description: name.parse()?, level: Level::try_from(level)? };
            self.authy.roles().ensure(&operator(), role).await?;
            Ok::<_, BoxError>(())
        };
        if let Err(error) = created.await {
            panic!("the role {name:?} with level {level} cannot be created: {}", chain(&*error));
        }
    }

    /// Logs a user in, and returns the tokens of the new session.
    ///
    /// # Panics
    /// When the login is refused.
    #[expect(clippy::panic, reason = "a test that cannot log in fails")]
    pub async fn log_in(&self, user: &TestUser) -> Tokens {
        let anonymous = Caller::anonymous(ClientInfo::default());
        match self.authy.sessions().login(&anonymous, user.credentials.clone()).await {
            Ok(tokens) => tokens,
            Err(error) => panic!("{} cannot log in: {}", user.credentials.username, chain(&error)),
        }
    }

    /// Answers the requests under way, stops the server, and removes everything. Dropping the server does not wait for
    /// requests.
    pub async fn stop(mut self) {
        if let Some(mut serving) = self.serving.take() {
            drop(serving.stop.take());
            let _ = (&mut serving.task).await;
        }
        self.authy.stop().await;
        self.database.remove().await;
    }
}

type BoxError = Box<dyn StdError + Send + Sync>;

fn operator() -> Caller {
    Caller::operator(ClientInfo::default())
}
