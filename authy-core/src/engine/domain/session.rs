//! Sessions: opened by a login, extended by refresh tokens, checked with every access token, and ended.

use std::sync::Arc;

use tokio_postgres::{Row, Transaction};
use uuid::{NoContext, Timestamp, Uuid};

use crate::{
    Error, ErrorKind, Level, Result, RoleName, Secret, SessionId, UserId, Username,
    api::session::{EncodedGrant, Tokens},
    claims::Claims,
    engine::{
        config::Config,
        crypto::{mac::MacKeys, master::MasterKeys, random::random_text},
        domain::{credential::PasswordVerifier, role, signing_key::SigningKeys},
        journal::write::Journal,
        storage::{
            db::Db,
            row::{optional_level, stored, user_id},
        },
    },
    name::Stored as _,
    time::from_unix_seconds,
    token_cache::TokenCache,
};

mod authenticate;
mod device;
mod end;
mod issue;
mod legacy;
mod limit;
mod login;
mod refresh;
pub(in crate::engine) mod sql;
pub(in crate::engine) mod statistics;

#[cfg(feature = "fuzz-entry-points")]
pub(in crate::engine) use device::DeviceToken;
pub use end::AllSessionsEnded;
pub(in crate::engine) use end::{EVERYONE_TIMEOUT, end_all, end_everyone};
use legacy::LegacyVerifier;
#[cfg(feature = "fuzz-entry-points")]
pub(in crate::engine) use refresh::REFRESH_PURPOSE;
pub(in crate::engine) use refresh::Ticket;
use statistics::{SessionCounts, SessionStatistics};

/// Sessions and their tokens: [`Authy::sessions`](crate::Authy::sessions).
///
/// ```
/// use authy_core::{
///     Authenticator, Authy, ClientInfo, Result,
///     api::session::{Credentials, RefreshToken},
///     engine::Caller,
/// };
///
/// # async fn sessions(authy: &Authy, client: ClientInfo) -> Result<()> {
/// let anonymous = Caller::anonymous(client.clone());
/// let tokens = authy.sessions().login(&anonymous, Credentials::new("ada", "difference-engine-no-2")).await?;
/// let tokens = authy.sessions().refresh(&anonymous, RefreshToken { refresh_token: tokens.refresh_token }).await?;
///
/// let identity = authy.authenticate(tokens.token.expose()).await?;
/// println!("{} has {} sessions", identity.public_id, authy.sessions().list(&identity).await?.len());
/// authy.sessions().logout(&Caller::user(identity, client)).await?;
/// # Ok(())
/// # }
/// ```
pub struct Sessions {
    journal: Arc<Journal>,
    config: Arc<Config>,
    keys: Arc<SigningKeys>,
    passwords: PasswordVerifier,
    cache: TokenCache<Option<EncodedGrant>>,
    refresh_mac: MacKeys,
    device_mac: MacKeys,
    legacy: Option<LegacyVerifier>,
    counts: Arc<SessionCounts>,
}

impl Sessions {
    pub(in crate::engine) fn new(
        journal: Arc<Journal>,
        config: Arc<Config>,
        keys: Arc<SigningKeys>,
        passwords: PasswordVerifier,
        master: &MasterKeys,
    ) -> Result<Self> {
        let refresh_mac = MacKeys::new(master, refresh::REFRESH_PURPOSE)?;
        let device_mac = MacKeys::new(master, "authy device tokens")?;
        let legacy = config.legacy_tokens.as_ref().map(LegacyVerifier::new);
        let (cache, counts) = (TokenCache::new(), Arc::new(SessionCounts::default()));
        Ok(Self { journal, config, keys, passwords, cache, refresh_mac, device_mac, legacy, counts })
    }

    /// Returns how logins and refreshes ended.
    pub(in crate::engine) fn statistics(&self) -> SessionStatistics {
        self.counts.snapshot()
    }

    /// Returns what counts them.
    pub(in crate::engine) fn counts(&self) -> &Arc<SessionCounts> {
        &self.counts
    }

    fn db(&self) -> &Db {
        &self.journal.db
    }

    /// Creates the tokens of a session that lasts at most `remaining` more seconds. `now`, in seconds since 1970, was read
    /// before the session was written: however long that took, the database knows how long the access token is valid.
    async fn make_tokens(&self, subject: TokenSubject, ticket: Ticket, remaining: f64, now: u64) -> Result<Tokens> {
        let expires_in = self.config.access_ttl.as_secs();
        let refresh_expires_in = self.config.refresh_idle.as_secs_f64().min(remaining).max(0.0) as u64;
        Ok(Tokens {
            token: self.access_token(&subject, ticket.session, now).await?,
            token_type: "Bearer".to_owned(),
            expires_in,
            expires_at: from_unix_seconds(now.saturating_add(expires_in)),
            refresh_token: ticket.write(&self.refresh_mac),
            refresh_expires_in,
            refresh_expires_at: from_unix_seconds(now.saturating_add(refresh_expires_in)),
            public_id: subject.id,
            device_token: None,
        })
    }

    /// Creates the access token of a session. `now` is as for [`make_tokens`](Self::make_tokens).
    async fn access_token(&self, subject: &TokenSubject, session: SessionId, now: u64) -> Result<Secret> {
        self.keys.signer().await?.sign(Claims {
            public_id: subject.id,
            username: Some(subject.username.clone()),
            level: subject.level,
            roles: Some(subject.roles.clone()),
            ver: subject.ver,
            sid: session,
            iss: self.keys.issuer().to_owned(),
            aud: self.config.audience.clone(),
            sub: subject.id,
            iat: now,
            exp: now.saturating_add(self.config.access_ttl.as_secs()),
            jti: random_text::<12>()?,
        })
    }
}

/// Returns the ID of a new session. It begins with the time (RFC 9562, version 7), so that new sessions are neighbors in
/// the index: with random ones, each login writes to another page of it. 74 bits are random, so nobody finds the session
/// of a hash that is published as revoked.
fn new_session_id() -> SessionId {
    Uuid::new_v7(Timestamp::now(NoContext)).into()
}

/// The claims of a token about its user.
struct TokenSubject {
    id: UserId,
    username: Username,
    ver: u64,
    level: Level,
    roles: Vec<RoleName>,
}

impl TokenSubject {
    /// Reads the claims from the row of a statement.
    fn of(row: &Row) -> Result<Self> {
        Ok(Self {
            id: user_id(row, "public_id"),
            username: stored(row, "username"),
            ver: row.get::<_, i64>("ver").unsigned_abs(),
            level: optional_level(row).ok_or_else(no_role)?,
            roles: row.get::<_, Vec<String>>("roles").into_iter().map(RoleName::stored).collect(),
        })
    }

    /// Reads the claims inside of a transaction that has locked the user.
    async fn read(tx: &Transaction<'_>, user: &Row) -> Result<Self> {
        let id = user_id(user, "public_id");
        // A separate statement, which sees the roles after the user was locked.
        let roles = role::views(&role::sql::LIST_OF_USER.rows(tx, &[id.as_uuid()]).await?);
        Ok(Self {
            id,
            username: stored(user, "username"),
            ver: user.get::<_, i64>("ver").unsigned_abs(),
            level: roles.first().map(|role| role.level).ok_or_else(no_role)?,
            roles: roles.into_iter().map(|role| role.name).collect(),
        })
    }
}

fn no_role() -> Error {
    Error::new(ErrorKind::NoRole, "this account has no role: contact an administrator")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_of_new_sessions_begin_with_the_time_and_end_at_random() {
        let ids: Vec<_> = (0..1000).map(|_| *new_session_id().as_uuid()).collect();
        let times: Vec<_> = ids.iter().map(|id| id.as_u128() >> 80).collect();
        assert!(times.is_sorted(), "{times:?}");
        // Not a counter beside some random bits, as other versions of the algorithm have it.
        for bits in [0..12, 20..52, 50..62, 64..76] {
            let parts: HashSet<_> =
                ids.iter().map(|id| (id.as_u128() >> bits.start) & ((1 << bits.len()) - 1)).collect();
            assert!(parts.len() > 800, "{} of bits {bits:?}", parts.len());
        }
    }
}
