//! The API of the engine: [`Authy`], which has the handles of all subjects.

use std::sync::Arc;

use async_trait::async_trait;
use deadpool_postgres::Pool;
use tokio::sync::Mutex;
use tokio_postgres::Transaction;

use crate::{
    Authenticator, Identity, Result,
    api::system::ServerMetadata,
    engine::{
        background::{
            Background,
            maintenance::{Maintenance, MaintenanceReport},
        },
        config::Config,
        delivery::{Deliveries, relay::lag::RelayLag, sink::Sink},
        domain::{
            credential::PasswordVerifier,
            erased_name::ErasedNames,
            fallback_hash,
            going_back::{self, ExportOptions, ExportProgress, report::ExportReport},
            import::{
                self, ImportOptions, ImportProgress,
                report::ImportReport,
                source::{FirstAuthy, ImportSource},
            },
            instance::{InstanceReport, Instances},
            issuer,
            recovery::{self, RecoveryReport},
            role::Roles,
            session::Sessions,
            signing_key::SigningKeys,
            user::Users,
        },
        journal::{
            caller::Caller,
            event::Events,
            revocation::RevocationFeed,
            write::{Journal, Uncommitted},
        },
    },
};

mod builder;
mod database;
pub(in crate::engine) mod statistics;
mod within;

pub use builder::{
    Builder,
    inspect::{DatabaseReport, InspectedKey},
};
pub use within::{RolesWithin, SessionsWithin, UsersWithin, Within};

/// Authentication and authorization on one database. Cheap to clone.
///
/// Each subject has a handle: `authy.users().register(…)`, `authy.roles().grant(…)`. A method that changes something
/// takes the caller first. [`within`](Self::within) has the same methods for a transaction of the embedding program.
///
/// ```
/// use authy_core::{
///     Authenticator, Authy, ClientInfo,
///     api::{session::Credentials, user::NewUser},
///     engine::{Caller, MasterKeys},
/// };
///
/// # async fn embed() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = MasterKeys::parse(&std::fs::read_to_string("master.key")?)?;
/// let authy = Authy::builder("host=localhost user=shop dbname=shop".parse()?).master_keys(keys).start().await?;
///
/// let caller = Caller::anonymous(ClientInfo::default());
/// let id = authy.users().register(&caller, NewUser::new("ada", "ada@example.org", "difference-engine-no-2")?).await?;
/// let tokens = authy.sessions().login(&caller, Credentials::new("ada", "difference-engine-no-2")).await?;
/// assert_eq!(authy.authenticate(tokens.token.expose()).await?.public_id, id);
///
/// authy.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Authy {
    handles: Arc<Handles>,
    // Not among the handles: the background work has sinks, and a sink may have the handles. `None` in a sink's `Authy`.
    background: Arc<Mutex<Option<Background>>>,
}

struct Handles {
    config: Arc<Config>,
    journal: Arc<Journal>,
    users: Users,
    roles: Roles,
    sessions: Sessions,
    keys: Arc<SigningKeys>,
    events: Events,
    deliveries: Deliveries,
    passwords: PasswordVerifier,
    relay_lag: Arc<RelayLag>,
    instances: Arc<Instances>,
    erased: ErasedNames,
}

impl Authy {
    /// Returns a builder for this database. With several hosts and `target_session_attrs`, the engine follows a
    /// failover.
    pub fn builder(database: tokio_postgres::Config) -> Builder {
        Builder::new(database)
    }

    /// Returns the handle for users and their accounts.
    pub fn users(&self) -> &Users {
        &self.handles.users
    }

    /// Returns the handle for roles and their users.
    pub fn roles(&self) -> &Roles {
        &self.handles.roles
    }

    /// Returns the handle for sessions and their tokens.
    pub fn sessions(&self) -> &Sessions {
        &self.handles.sessions
    }

    /// Returns the handle for the keys that sign access tokens.
    pub fn keys(&self) -> &SigningKeys {
        &self.handles.keys
    }

    /// Returns the handle for the audit trail.
    pub fn events(&self) -> &Events {
        &self.handles.events
    }

    /// Returns the handle for the delivery of events to sinks.
    pub fn deliveries(&self) -> &Deliveries {
        &self.handles.deliveries
    }

    /// Returns the handle for revocations, for services that verify tokens themselves.
    pub fn revocations(&self) -> &Arc<RevocationFeed> {
        &self.handles.journal.feed
    }

    /// Returns the connections on which the engine runs its transactions, for transactions of the embedding program on
    /// the same database. There are [`Config::connections`](crate::engine::Config::connections) of them: raise it by as
    /// many as the program uses at a time, because a login or a write waits at most five seconds for a free one.
    ///
    /// The engine relies on the state of each connection: transactions are READ COMMITTED and READ WRITE unless they say
    /// otherwise, times are in UTC, a statement ends after 60 seconds, and waits at most 3 seconds for a lock. A program that
    /// changes the settings of a session must change them back, or use `SET LOCAL`.
    ///
    /// Behind a pooler in transaction mode ([`Config::pooler`](crate::engine::Config::pooler)), a connection has no session and
    /// none of these settings: use transactions, which set what they need, and `query_typed` instead of prepared statements.
    ///
    /// ```
    /// use authy_core::{Authy, Result, UserId, engine::Caller};
    ///
    /// async fn close_account(authy: &Authy, caller: &Caller, user: UserId) -> Result<()> {
    ///     let mut connection = authy.pool().get().await?;
    ///     let transaction = connection.transaction().await?;
    ///     transaction.execute("DELETE FROM shop.customer WHERE user_id = $1", &[&user]).await?;
    ///     let deleted = authy.within(&transaction).users().delete(caller, user).await?;
    ///     transaction.commit().await?;
    ///     authy.committed(deleted);
    ///     Ok(())
    /// }
    /// ```
    pub fn pool(&self) -> &Pool {
        self.handles.journal.db.pool()
    }

    /// Returns handles that write within a transaction of the embedding program, so that its rows and authy's rows are
    /// committed together. The transaction must be READ COMMITTED. Pass the result of each method to
    /// [`committed`](Self::committed) after the commit.
    pub fn within<'a>(&'a self, transaction: &'a Transaction<'a>) -> Within<'a> {
        Within::new(self, transaction)
    }

    /// Applies the revocations of a committed write in this process, and returns the value of the write. Call it after
    /// the commit, never before: a write that is rolled back must not revoke anything.
    pub fn committed<T>(&self, write: Uncommitted<T>) -> T {
        self.handles.journal.committed(write)
    }

    /// Ends the background work that [`Builder::start`] has started, for all clones of this `Authy`. Returns when the
    /// deliveries under way have been recorded, as [`Background::stop`] describes. Without this call the work ends when
    /// the last clone is dropped, and sinks get the deliveries under way again.
    ///
    /// Meanwhile, and for at most ten seconds, passwords that were just used or set get the hashes that
    /// [`Config::keep_fallback_hashes`](crate::engine::Config::keep_fallback_hashes) asks for.
    ///
    /// The handles go on working. Once the known revocations are older than
    /// [`Config::max_staleness`](crate::engine::Config::max_staleness), every token check queries the database.
    pub async fn stop(&self) {
        let mut background = self.background.lock().await;
        let ended = async {
            if let Some(background) = background.take() {
                background.stop().await;
            }
        };
        tokio::join!(ended, self.handles.passwords.fallback.finish());
    }

    /// Starts background work with sinks, for a program that was built
    /// [`without_background`](Builder::without_background) and controls it by itself. In a database on which no
    /// background work has begun yet, a sink gets every event. Later, a new sink gets every event from now on, and a known
    /// sink continues where it stopped.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn start_background_with(&self, sinks: Vec<Arc<dyn Sink>>) -> Result<Background> {
        let Handles { journal, keys, config, relay_lag, instances, .. } = &*self.handles;
        Background::start(journal, keys, config, relay_lag, instances, sinks).await
    }

    /// Returns the instances with background work that run on the database, or have run in the last day, and what they have
    /// counted together.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn list_instances(&self) -> Result<InstanceReport> {
        self.handles.instances.list().await
    }

    /// Runs the maintenance once: performs the due steps of the key rotation, deletes expired rows, and creates and
    /// drops partitions of the audit trail. The background work runs it regularly.
    ///
    /// Does not drop a partition before every sink has received all of its events. The background work considers only
    /// its own sinks, so that a sink which is no longer configured does not keep partitions.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn maintain(&self) -> Result<MaintenanceReport> {
        let Handles { journal, keys, config, .. } = &*self.handles;
        Maintenance::new(journal.clone(), keys.clone(), config).run(None).await
    }

    /// Makes a database safe that has gone back in time, by a restore to an earlier time or a failover to a standby that
    /// was behind: ends all sessions, and revokes all access tokens, one-time codes and signing keys, also those that
    /// the database has forgotten. Everybody has to log in again. For the operator only.
    ///
    /// [`RevocationFeed::database_status`] tells whether that was noticed.
    ///
    /// # Errors
    /// As [`Sessions::end_everyone`].
    pub async fn recover(&self, caller: &Caller) -> Result<RecoveryReport> {
        let Handles { journal, keys, .. } = &*self.handles;
        recovery::recover(journal, keys, caller).await
    }

    /// Imports users from another system, with their names, addresses, password hashes, roles and times. Each user gets an
    /// event `user.imported`. No mail is sent and no webhook is called. For the operator only.
    ///
    /// It writes batch by batch, and continues where an earlier import was interrupted. An import of the same source again
    /// brings what has changed there; where it has changed here, too, what is here stays. `on_progress` is called after
    /// each batch.
    ///
    /// Rows that cannot be imported are in the report, and do not stop the import.
    ///
    /// # Errors
    /// [`ErrorKind::BeyondYourLevel`](crate::ErrorKind::BeyondYourLevel) unless the caller is the operator;
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when the source cannot be read or has no users, or a role
    /// is mapped to one that does not exist; [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when one of the
    /// databases is not available: import again.
    pub async fn import(
        &self,
        caller: &Caller,
        source: ImportSource,
        options: &ImportOptions,
        mut on_progress: impl FnMut(&ImportProgress) + Send,
    ) -> Result<ImportReport> {
        let Handles { journal, erased, passwords, .. } = &*self.handles;
        import::run(journal, (&passwords.passwords, erased), caller, source, options, &mut on_progress).await
    }

    /// Writes users who were created or changed here into the database of the first authy, from which the others were
    /// imported, so that it can be started again. Only for the operator. Stop the servers before, or export once more after.
    ///
    /// New users, new passwords, addresses, confirmations, deletions, roles and last logins are written. What has changed there
    /// too stays as it is there, and is in the report, except deletions and revoked roles, which are written in any case. A
    /// password is written as a hash that the first authy understands, where one is known: of users who have not logged in
    /// here, and those that [`Config::keep_fallback_hashes`](crate::engine::Config::keep_fallback_hashes) kept. Other users
    /// cannot log in there before they have reset the password, and are in the report.
    ///
    /// It writes batch by batch, continues where an earlier export was interrupted, and writes nothing when nothing has
    /// changed. A later import takes what changes there afterwards. `on_progress` is called after each batch.
    ///
    /// # Errors
    /// [`ErrorKind::BeyondYourLevel`](crate::ErrorKind::BeyondYourLevel) unless the caller is the operator;
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when the target cannot be written, or is another database
    /// than the one of the import; [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when one of the databases is
    /// not available: export again.
    pub async fn export(
        &self,
        caller: &Caller,
        target: &FirstAuthy,
        options: &ExportOptions,
        mut on_progress: impl FnMut(&ExportProgress) + Send,
    ) -> Result<ExportReport> {
        let Handles { journal, passwords, .. } = &*self.handles;
        going_back::run(journal, &passwords.fallback, caller, target, options, &mut on_progress).await
    }

    /// Deletes the hashes that were kept for the first authy, when it will not be started again. Only for the operator.
    /// Returns their number. Servers with [`Config::keep_fallback_hashes`](crate::engine::Config::keep_fallback_hashes) keep
    /// new ones, so turn it off on all of them before.
    ///
    /// # Errors
    /// [`ErrorKind::BeyondYourLevel`](crate::ErrorKind::BeyondYourLevel) unless the caller is the operator;
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn forget_fallback_hashes(&self, caller: &Caller) -> Result<u64> {
        fallback_hash::forget_all(&self.handles.journal, caller).await
    }

    /// Returns the number of hashes that are kept for the first authy.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn count_fallback_hashes(&self) -> Result<u64> {
        fallback_hash::count(&self.handles.journal.db).await
    }

    /// Replaces the issuer of the tokens that the database keeps. Every instance issues and accepts tokens of the new one
    /// from its next start on, which therefore has to follow: an instance that has started refuses the tokens of one that
    /// has not. Sessions continue, because their refresh tokens name no issuer.
    ///
    /// # Errors
    /// [`ErrorKind::BeyondYourLevel`](crate::ErrorKind::BeyondYourLevel) unless the caller has full power;
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when the text is empty.
    pub async fn set_issuer(&self, caller: &Caller, issuer: &str) -> Result<()> {
        issuer::set(&self.handles.journal, caller, issuer).await
    }

    /// Returns the page where users change their password, if there is one.
    pub fn change_password_url(&self) -> Option<&str> {
        self.handles.config.change_password_url.as_deref()
    }

    /// Returns whether only a user with a confirmed address can log in.
    pub fn requires_validated(&self) -> bool {
        self.handles.config.require_validated
    }

    /// Returns the metadata for verifiers of the access tokens of this instance and of all other instances on its
    /// database.
    pub fn metadata(&self) -> ServerMetadata {
        let (config, keys, issuer) = (&self.handles.config, self.keys().published(), self.keys().issuer());
        let mut algorithms: Vec<String> = keys.keys.iter().map(|key| key.alg.clone()).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        let is_url = issuer.starts_with("https://") || issuer.starts_with("http://");
        ServerMetadata {
            jwks_uri: is_url.then(|| format!("{}/authy/.well-known/jwks.json", issuer.trim_end_matches('/'))),
            issuer: issuer.to_owned(),
            access_token_audience: config.audience.clone(),
            access_token_signing_alg_values_supported: algorithms,
            access_token_max_lifetime: self.keys().longest_lifetime().as_secs(),
            max_age: keys.max_age,
        }
    }
}

#[async_trait]
impl Authenticator for Authy {
    async fn authenticate(&self, token: &str) -> Result<Identity> {
        self.handles.sessions.authenticate(token).await
    }
}
