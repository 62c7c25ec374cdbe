//! Sessions: opened by a login, prolonged by refresh tokens, checked with every access token, ended.

use std::{sync::Arc, time::SystemTime};

use async_trait::async_trait;
use aws_lc_rs::rand;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::json;
use tokio_postgres::{Row, Transaction};
use uuid::Uuid;

use super::{
    Authy, Caller,
    actor::Actor,
    db::{Params, db_error},
    event::{Columns, Event, Write},
    feed::Void,
    role,
    throttle::{Outcome, Subject},
    uncommitted::{Uncommitted, join},
    user,
};
use crate::{
    Authenticator, Error, ErrorKind, Identity, Level, Result, RoleName, Secret, SessionId, Timestamp, UserId, Username,
    api::{
        event::EventKind,
        session::{AccessGranted, Credentials, JwkSet, RefreshToken, SessionView, Tokens},
    },
    claims::{Claims, Token},
};

mod bound;
mod check;
mod device;
mod end;
mod issue;
mod refresh;
pub(super) mod sql;
mod verify;

#[cfg(feature = "fuzz-entry-points")]
pub(super) use device::DeviceToken;
pub(super) use refresh::Ticket;

impl Authy {
    /// Logs in. Unknown name, wrong password and deleted user cost the same work and get the same answer; so does everybody
    /// while too many wrong passwords are slowed, the right one included. The [device token](Tokens::device_token) of an
    /// earlier login, in the caller's [`Origin`](super::Origin), has a count of its own.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidCredentials`]; [`ErrorKind::NotValidated`] when the address has yet to be confirmed;
    /// [`ErrorKind::NoRole`] when there is nothing the account may do;
    /// [`ErrorKind::Overloaded`] when too many passwords wait to be verified.
    pub async fn login(&self, caller: &Caller, credentials: Credentials) -> Result<Tokens> {
        // A storm is turned away before it costs the database anything.
        let stranger = caller.asker();
        // Whether a device token is good shows with the account only.
        let hoped = match &caller.origin().device_token {
            Some(_) => caller.asker_on_known_device(),
            None => stranger,
        };
        self.passwords().has_room(stranger).or_else(|_| self.passwords().has_room(hoped))?;
        let name = Username::existing(&credentials.username).ok();
        let known = self.find_account(name.as_ref()).await?;
        let device = known.as_ref().and_then(|known| self.known_device(caller, known));
        let asker = if device.is_some() { caller.asker_on_known_device() } else { stranger };
        self.passwords().has_room(asker)?;
        let subject = match (&known, &device) {
            (Some(known), Some(device)) => Subject::password_on(device, known.id),
            _ => {
                let key = name.as_ref().map(Username::key);
                let name = key.as_deref().unwrap_or(&credentials.username);
                Subject::password_of(name, known.as_ref().map(|known| known.id))
            }
        };
        let attempt = self.attempt(caller, subject).await?;
        let phc = known.as_ref().map(|known| known.phc.as_str());
        let (attempt, new_phc) = self.try_password(asker, attempt, &credentials.password, phc).await?;
        let Some(mut known) = known else { return Err(refused()) };
        if self.config().require_validated && !known.is_validated {
            attempt.end(Outcome::Succeeded).await?;
            // Who knows the password may know that it is right, and needs a code to get in.
            let message = match self.send_validation(caller, known.id, user::Shown::Password).await? {
                user::Resent::Sent => "confirm your address first: a mail with a fresh code is on its way",
                user::Resent::Enough => {
                    "confirm your address first: too many codes were sent, and the next can be sent in an hour"
                }
                user::Resent::Lost => "somebody else has confirmed the address of this account: ask an administrator",
            };
            return Err(Error::new(ErrorKind::NotValidated, message));
        }
        let opened = async {
            for _ in 0..3 {
                if let Some(tokens) = self.open(caller, &known, device.is_some(), attempt.key()).await? {
                    return Ok(tokens);
                }
                // The account changed while the password was verified.
                let now = self.find_account(name.as_ref()).await?;
                known = now.filter(|now| now.phc == known.phc).ok_or_else(refused)?;
                if !known.has_role {
                    return Err(no_role());
                }
            }
            Err(Error::new(ErrorKind::Unavailable, "the account keeps changing"))
        };
        let mut tokens = match opened.await {
            Ok(tokens) => tokens,
            Err(error) => {
                match error.kind() {
                    ErrorKind::InvalidCredentials => attempt.end(Outcome::Failed).await?,
                    ErrorKind::NoRole => attempt.end(Outcome::Succeeded).await?,
                    _ => attempt.retract().await,
                }
                return Err(error);
            }
        };
        attempt.settled();
        tokens.device_token = Some(self.device_token(&known, device)?);
        if let Some(new_phc) = new_phc {
            // The login is done; a hash that stays as it is will be replaced at the next.
            if let Err(error) = self.rehash(&known, &new_phc).await {
                tracing::warn!(%error, "an outdated password hash could not be replaced");
            }
        }
        Ok(tokens)
    }

    /// The account of a name, unless it was deleted. No account can have no name, and finding that out must take as long
    /// as any other refusal.
    async fn find_account(&self, name: Option<&Username>) -> Result<Option<Known>> {
        let Some(name) = name else { return Ok(None) };
        let row = self.db().read_opt(&user::sql::FIND_CREDENTIALS, &[&name.key()]).await?;
        let row = row.filter(|row| row.get("is_found") && !row.get::<_, bool>("deleted"));
        Ok(row.and_then(|row| {
            let phc = row.get::<_, Option<String>>("phc")?;
            Some(Known {
                id: user::id(&row, "public_id"),
                ver: row.get("ver"),
                has_role: row.get("has_role"),
                is_validated: row.get("validated"),
                phc,
                password_since: row.get("changed"),
            })
        }))
    }

    /// Opens a session; `None` when the account is not as it was.
    async fn open(
        &self,
        caller: &Caller,
        known: &Known,
        is_known_device: bool,
        throttle_key: &str,
    ) -> Result<Option<Tokens>> {
        let config = self.config();
        let first = Ticket { session: SessionId::random(), generation: 0 };
        let (lifetime, ttl) = (config.refresh_absolute.as_secs_f64(), config.access_ttl.as_secs_f64());
        let Columns { event_id, kind, actor, origin, ip, user_agent, request_id } =
            Event::new(EventKind::SessionOpened, &Actor::by_secret(caller)).columns();
        let (user, session) = (known.id.as_uuid(), first.session.as_uuid());
        let params: Params<'_> = &[
            user,
            &known.ver,
            session,
            &lifetime,
            &ttl,
            &ip,
            &user_agent,
            &event_id,
            &kind,
            &actor,
            &origin,
            &request_id,
            &throttle_key,
            &is_known_device,
            &bound::SESSIONS,
        ];
        let row = self.db().write(&sql::OPEN, params).await?;
        let Some(row) = row else { return Ok(None) };
        // The login is done; should this fail, the next login does it.
        if row.get::<_, i64>("live") >= bound::SESSIONS
            && let Err(error) = self.bound_sessions(caller, known.id).await
        {
            tracing::warn!(%error, "a user has too many sessions, and the least recently used could not be ended");
        }
        self.mint(Account::of(&row)?, first, lifetime).await.map(Some)
    }

    async fn rehash(&self, known: &Known, new_phc: &str) -> Result<()> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let params: Params<'_> = &[known.id.as_uuid(), &known.phc, &new_phc];
        user::sql::REHASH.execute(write.tx(), params).await.map_err(db_error)?;
        write.commit_without_event().await
    }

    /// The tokens of a session that lasts so many seconds more at most.
    async fn mint(&self, account: Account, ticket: Ticket, remaining: f64) -> Result<Tokens> {
        let config = self.config();
        Ok(Tokens {
            token: self.access_token(&account, ticket.session).await?,
            token_type: "Bearer".to_owned(),
            expires_in: config.access_ttl.as_secs(),
            refresh_token: self.refresh_token(ticket),
            refresh_expires_in: config.refresh_idle.as_secs_f64().min(remaining).max(0.0) as u64,
            public_id: account.id,
            device_token: None,
        })
    }

    async fn access_token(&self, account: &Account, session: SessionId) -> Result<Secret> {
        let config = self.config();
        let now = Timestamp::now();
        let signer = self.ring().signer(self.db(), |kid| self.feed().voids_key(kid)).await?;
        signer.sign(Claims {
            public_id: account.id,
            username: Some(account.username.clone()),
            level: account.level,
            roles: Some(account.roles.clone()),
            ver: account.ver,
            sid: session,
            iss: config.issuer.clone(),
            aud: config.audience.clone(),
            sub: account.id,
            iat: now.as_unix(),
            exp: now.plus(config.access_ttl).as_unix(),
            jti: random_text::<12>()?,
        })
    }
}

/// An account as it was when its password was looked up.
struct Known {
    id: UserId,
    ver: i64,
    has_role: bool,
    is_validated: bool,
    phc: String,
    /// When the password was chosen; a new hash of the same one does not change it.
    password_since: SystemTime,
}

/// What a token says about its user.
struct Account {
    id: UserId,
    username: Username,
    ver: u64,
    level: Level,
    roles: Vec<RoleName>,
}

impl Account {
    /// As a statement returned it.
    fn of(row: &Row) -> Result<Self> {
        let level: Option<i32> = row.get("level");
        let level = level.ok_or_else(no_role)?.unsigned_abs();
        Ok(Self {
            id: user::id(row, "public_id"),
            username: user::checked(row.get("username"))?,
            ver: row.get::<_, i64>("ver").unsigned_abs(),
            level: Level::clamped(level),
            roles: row.get::<_, Vec<String>>("roles").into_iter().map(user::checked).collect::<Result<_>>()?,
        })
    }

    /// As it is inside of a transaction that holds the user.
    async fn read(tx: &Transaction<'_>, user: &Row) -> Result<Self> {
        let id = user::id(user, "public_id");
        // A statement of its own: it sees the roles as they are now that the user is held.
        let roles = role::views(&role::sql::LIST_OF_USER.rows(tx, &[id.as_uuid()]).await?)?;
        Ok(Self {
            id,
            username: user::checked(user.get("username"))?,
            ver: user.get::<_, i64>("ver").unsigned_abs(),
            level: roles.first().map(|role| role.level).ok_or_else(no_role)?,
            roles: roles.into_iter().map(|role| role.name).collect(),
        })
    }
}

/// So many random bytes as text.
pub(super) fn random_text<const BYTES: usize>() -> Result<String> {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).map_err(|_| Error::new(ErrorKind::Internal, "the system has no randomness"))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

fn no_role() -> Error {
    Error::new(ErrorKind::NoRole, "this account has no role: ask an administrator")
}

fn refused() -> Error {
    Error::new(ErrorKind::InvalidCredentials, "the username or the password is wrong")
}
