//! Proof of the actor: the state of the caller's account in the database, inside the transaction of the write.
//!
//! A token contains the permissions at the time of its issue. Between its check and the commit there may be a slow
//! request body, row locks, the connection pool and the hash queue. So the account, its epoch, its session and its
//! level are read again in the transaction, with locks that keep them unchanged until it ends. A write on behalf of a
//! user is committed with an [`Event`](super::event::Event), and an event needs an [`Actor`], so no such write can skip
//! the proof.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio_postgres::Transaction;
use uuid::Uuid;

use crate::{
    ClientInfo, Error, ErrorKind, Identity, Level, Result, SessionId, UserId,
    access::ADMIN,
    engine::{
        journal::caller::{Caller, require_at_least, token_required},
        storage::row,
    },
    time::now,
};

pub(in crate::engine) mod sql;

/// Time after its expiry for which a token is accepted, to finish an operation: the time that a request body may take,
/// plus the difference between clocks.
const EXPIRY_LEEWAY: Duration = Duration::from_secs(60);

/// The actor, proven inside the transaction.
#[derive(Clone)]
pub(in crate::engine) struct Actor {
    power: Power,
    // Shared with the events of the actor.
    client: Arc<ClientInfo>,
}

#[derive(Clone, Copy)]
enum Power {
    /// No account: the operation checks a secret itself, and nothing else is permitted.
    Anonymous,
    /// A live account in a live session, with its current level; `None` without a role.
    Account { user: UserId, session: SessionId, level: Option<Level> },
    /// The program that runs authy.
    Operator,
}

/// An account that a write changes, locked until the transaction ends.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Subject {
    pub(in crate::engine) user: UserId,
    pub(in crate::engine) level: Option<Level>,
    pub(in crate::engine) is_deleted: bool,
    pub(in crate::engine) is_erased: bool,
    ver: u64,
}

impl Actor {
    /// Proves a caller whose write changes no account.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidToken`] when the caller's account, session or epoch has ended.
    pub(in crate::engine) async fn prove(tx: &Transaction<'_>, caller: &Caller) -> Result<Self> {
        Ok(Self::lock(tx, caller, None).await?.0)
    }

    /// Proves a caller whose write changes an account, deleted or not, and locks both accounts.
    ///
    /// # Errors
    /// As [`prove`](Self::prove), and [`ErrorKind::NotFound`] when the account does not exist.
    pub(in crate::engine) async fn prove_on(
        tx: &Transaction<'_>,
        caller: &Caller,
        user: UserId,
    ) -> Result<(Self, Subject)> {
        let (actor, subject) = Self::lock(tx, caller, Some(user)).await?;
        // Only callers who may act on accounts may learn whether one exists.
        if caller.id() != Some(user) {
            actor.require_administrator()?;
        }
        Ok((actor, subject.ok_or_else(no_such_user)?))
    }

    /// Returns the actor of an operation that checks a secret itself (a password, a code, a refresh token) and needs no
    /// permission. The identity of the caller is not proven, so it is not recorded.
    pub(in crate::engine) fn by_secret(caller: &Caller) -> Self {
        let power = if caller.is_operator() { Power::Operator } else { Power::Anonymous };
        Self::new(caller, power)
    }

    /// Returns the operator, for operations that users cannot perform.
    ///
    /// # Errors
    /// [`ErrorKind::BeyondYourLevel`] for every other caller.
    pub(in crate::engine) fn operator(caller: &Caller) -> Result<Self> {
        match caller.is_operator() {
            true => Ok(Self::new(caller, Power::Operator)),
            false => Err(Error::new(ErrorKind::BeyondYourLevel, "only the operator may do this")),
        }
    }

    async fn lock(tx: &Transaction<'_>, caller: &Caller, subject: Option<UserId>) -> Result<(Self, Option<Subject>)> {
        let identity = caller.identity();
        let mut ids: Vec<UserId> = caller.id().into_iter().chain(subject).collect();
        ids.dedup();
        if ids.is_empty() {
            return Ok((Self::by_secret(caller), None));
        }
        let mut accounts = lock_accounts(tx, &ids).await?;
        // Separate statements, which see the roles and the session after the accounts were locked.
        let ((), is_live) = tokio::try_join!(read_levels(tx, &mut accounts), share_session(tx, identity))?;
        let power = match identity {
            None if caller.is_operator() => Power::Operator,
            None => Power::Anonymous,
            Some(identity) => {
                let account = accounts.get(&identity.public_id).filter(|account| {
                    is_live && !account.is_deleted && account.ver == identity.ver && !is_expired(identity)
                });
                let level = account.ok_or_else(no_longer_valid)?.level;
                Power::Account { user: identity.public_id, session: identity.session_id, level }
            }
        };
        Ok((Self::new(caller, power), subject.and_then(|user| accounts.get(&user).copied())))
    }

    fn new(caller: &Caller, power: Power) -> Self {
        Self { power, client: Arc::new(caller.client_info().clone()) }
    }

    /// Returns the client of the actor's request.
    pub(in crate::engine) fn client_info(&self) -> &ClientInfo {
        &self.client
    }

    /// Returns the actor's account.
    pub(in crate::engine) fn user(&self) -> Option<UserId> {
        match self.power {
            Power::Account { user, .. } => Some(user),
            Power::Anonymous | Power::Operator => None,
        }
    }

    /// Returns the actor's session.
    pub(in crate::engine) fn session(&self) -> Option<SessionId> {
        match self.power {
            Power::Account { session, .. } => Some(session),
            Power::Anonymous | Power::Operator => None,
        }
    }

    /// Returns the kind of actor that an event records.
    pub(in crate::engine) fn kind(&self) -> &'static str {
        match self.power {
            Power::Anonymous => "anonymous",
            Power::Account { .. } => "user",
            Power::Operator => "operator",
        }
    }

    /// Checks that the actor is an administrator or the operator.
    ///
    /// # Errors
    /// [`ErrorKind::TokenRequired`] for an anonymous caller, [`ErrorKind::InsufficientLevel`] for any other.
    pub(in crate::engine) fn require_administrator(&self) -> Result<()> {
        match self.power {
            Power::Operator => Ok(()),
            Power::Account { level: Some(level), .. } if level.at_least(Level::clamped(ADMIN)) => Ok(()),
            Power::Account { .. } => Err(Error::new(ErrorKind::InsufficientLevel, "your roles do not permit this")),
            Power::Anonymous => Err(token_required()),
        }
    }

    /// Checks that the actor is an administrator, and that this level is not more powerful than the actor's. `None` is
    /// less powerful than any level.
    ///
    /// # Errors
    /// As [`require_administrator`](Self::require_administrator), and [`ErrorKind::BeyondYourLevel`].
    pub(in crate::engine) fn require_power_over(&self, level: Option<Level>) -> Result<()> {
        self.require_administrator()?;
        match self.power {
            Power::Account { level: own, .. } => require_at_least(own, level),
            Power::Operator | Power::Anonymous => Ok(()),
        }
    }

    /// Checks that the actor has the most powerful level.
    ///
    /// # Errors
    /// As [`require_power_over`](Self::require_power_over).
    pub(in crate::engine) fn require_full_power(&self) -> Result<()> {
        self.require_power_over(Some(Level::clamped(0)))
    }

    /// Checks that the account is the actor's own, or that the actor may act on it.
    ///
    /// # Errors
    /// As [`require_power_over`](Self::require_power_over).
    pub(in crate::engine) fn require_own_or_power_over(&self, subject: &Subject) -> Result<()> {
        match self.user() == Some(subject.user) {
            true => Ok(()),
            false => self.require_power_over(subject.level),
        }
    }
}

impl Subject {
    /// Returns the account, unless it is deleted.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyDeleted`].
    pub(in crate::engine) fn live(self) -> Result<Self> {
        match self.is_deleted {
            true => Err(Error::new(ErrorKind::AlreadyDeleted, "the user was deleted")),
            false => Ok(self),
        }
    }
}

/// Locks an account that is not deleted, for an operation that checks a secret itself.
///
/// # Errors
/// [`ErrorKind::NotFound`], [`ErrorKind::AlreadyDeleted`].
pub(in crate::engine) async fn lock_live(tx: &Transaction<'_>, user: UserId) -> Result<Subject> {
    let mut accounts = lock_accounts(tx, &[user]).await?;
    read_levels(tx, &mut accounts).await?;
    accounts.get(&user).copied().ok_or_else(no_such_user)?.live()
}

/// Refuses a transaction of the embedding program that is not READ COMMITTED: with a snapshot older than its locks, two
/// superadmins could delete each other.
///
/// # Errors
/// [`ErrorKind::InvalidInput`].
pub(in crate::engine) async fn require_read_committed(tx: &Transaction<'_>) -> Result<()> {
    let row = sql::ISOLATION.row(tx, &[]).await?;
    match row.is_some_and(|row| row.get::<_, &str>(0) == "read committed") {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::InvalidInput,
            "authy writes in READ COMMITTED transactions only: begin this one with that isolation level",
        )),
    }
}

/// Locks accounts in the order of their IDs, so that two users who act on each other do not deadlock. Does not read
/// their levels.
async fn lock_accounts(tx: &Transaction<'_>, ids: &[UserId]) -> Result<HashMap<UserId, Subject>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| *id.as_uuid()).collect();
    let rows = sql::LOCK.rows(tx, &[&ids]).await?;
    let accounts = rows.iter().map(|row| {
        let user = row::user_id(row, "public_id");
        let subject = Subject {
            user,
            level: None,
            is_deleted: row.get("deleted"),
            is_erased: row.get("erased"),
            ver: row.get::<_, i64>("ver").unsigned_abs(),
        };
        (user, subject)
    });
    Ok(accounts.collect())
}

/// Reads the levels of locked accounts.
async fn read_levels(tx: &Transaction<'_>, accounts: &mut HashMap<UserId, Subject>) -> Result<()> {
    let ids: Vec<Uuid> = accounts.keys().map(|id| *id.as_uuid()).collect();
    for row in sql::LIST_LEVELS.rows(tx, &[&ids]).await? {
        if let Some(account) = accounts.get_mut(&row::user_id(&row, "user_id")) {
            account.level = Some(row::level(&row));
        }
    }
    Ok(())
}

/// Returns whether the session of a token is live, and locks it in that state until the transaction ends.
async fn share_session(tx: &Transaction<'_>, identity: Option<&Identity>) -> Result<bool> {
    let Some(Identity { session_id, public_id, .. }) = identity else { return Ok(false) };
    Ok(sql::SHARE_SESSION.row(tx, &[session_id.as_uuid(), public_id.as_uuid()]).await?.is_some())
}

fn is_expired(identity: &Identity) -> bool {
    identity.expires <= now() - EXPIRY_LEEWAY
}

pub(in crate::engine) fn no_such_user() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such user")
}

fn no_longer_valid() -> Error {
    Error::new(ErrorKind::InvalidToken, "the token is no longer valid")
}
