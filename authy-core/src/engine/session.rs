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
    db::{Params, db_error},
    event::{Event, EventKind, Write},
    password::Verdict,
    role, user,
};
use crate::{
    Authenticator, Error, ErrorKind, Identity, Result, Secret, SessionId, Timestamp, UserId, Username,
    api::{
        role::RoleView,
        session::{AccessGranted, Credentials, JwkSet, RefreshToken, SessionView, Tokens},
    },
    claims::{Claims, Token},
    revocation::Void,
};

mod check;
mod end;
mod refresh;
pub(super) mod sql;

use refresh::Ticket;

impl Authy {
    /// Logs in. Unknown name, wrong password and deleted user cost the same work and get the same answer.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidCredentials`]; [`ErrorKind::NoRole`] when there is nothing the account may do;
    /// [`ErrorKind::Overloaded`] when too many passwords wait to be verified.
    pub async fn login(&self, caller: &Caller, credentials: Credentials) -> Result<Tokens> {
        let known = match credentials.username.parse::<Username>() {
            Ok(name) => self.db().read_opt(&user::sql::FIND_CREDENTIALS, &[&name.key()]).await?,
            // No account can have this name, and finding that out must take as long as any other refusal.
            Err(_) => None,
        };
        let known = known.filter(|row| !row.get::<_, bool>("deleted"));
        let (id, phc): (Option<Uuid>, Option<String>) = match &known {
            Some(row) => (row.get("public_id"), row.get("phc")),
            None => (None, None),
        };
        let verdict = self.passwords().verify(credentials.password.normalized(), phc.as_deref()).await?;
        let (Some(id), Some(phc)) = (id.map(UserId::from), phc) else { return Err(refused()) };
        let rehashed = match verdict {
            Verdict::Mismatch => return Err(refused()),
            Verdict::Match => None,
            Verdict::MatchButOutdated { new_phc } => Some(new_phc),
        };
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let (tokens, event) = self.open(write.tx(), caller, id, &phc).await?;
        if let Some(new) = rehashed {
            user::sql::REHASH.execute(write.tx(), &[id.as_uuid(), &phc, &new.as_str()]).await.map_err(db_error)?;
        }
        self.commit(write, event).await?;
        Ok(tokens)
    }

    async fn open<'a>(
        &self,
        tx: &Transaction<'_>,
        caller: &'a Caller,
        user: UserId,
        phc: &str,
    ) -> Result<(Tokens, Event<'a>)> {
        let config = self.config();
        let first = Ticket { session: SessionId::random(), generation: 0 };
        let row = sql::NOTE_LOGIN.row(tx, &[user.as_uuid(), &phc]).await?.ok_or_else(refused)?;
        let account = Account::read(tx, &row).await?;
        let level = account.level()?;
        let origin = caller.origin();
        let (lifetime, ttl) = (config.refresh_absolute.as_secs_f64(), config.access_ttl.as_secs_f64());
        sql::OPEN
            .execute(tx, &[first.session.as_uuid(), user.as_uuid(), &lifetime, &ttl, &origin.ip, &origin.user_agent])
            .await
            .map_err(db_error)?;
        let event = Event::new(EventKind::SessionOpened, caller).about(user).session(first.session);
        Ok((self.mint(account, first, lifetime)?, event.detail(json!({ "level": level }))))
    }

    /// The tokens of a session that lasts so many seconds more at most.
    fn mint(&self, account: Account, ticket: Ticket, remaining: f64) -> Result<Tokens> {
        let (config, level) = (self.config(), account.level()?);
        let now = Timestamp::now();
        let claims = Claims {
            public_id: account.id,
            username: Some(account.username),
            level,
            roles: Some(account.roles.into_iter().map(|role| role.name).collect()),
            ver: account.ver,
            sid: ticket.session,
            iss: config.issuer.clone(),
            aud: config.audience.clone(),
            sub: account.id,
            iat: now.as_unix(),
            exp: now.plus(config.access_ttl).as_unix(),
            jti: random_text::<12>()?,
        };
        Ok(Tokens {
            token: self.ring().sign(claims)?,
            token_type: "Bearer".to_owned(),
            expires_in: config.access_ttl.as_secs(),
            refresh_token: self.refresh_token(ticket),
            refresh_expires_in: config.refresh_idle.as_secs_f64().min(remaining).max(0.0) as u64,
            public_id: account.id,
        })
    }
}

/// What a token says about its user, as it is inside of a transaction that holds the user.
struct Account {
    id: UserId,
    username: Username,
    ver: u64,
    roles: Vec<RoleView>,
}

impl Account {
    async fn read(tx: &Transaction<'_>, user: &Row) -> Result<Self> {
        let id = user::id(user, "public_id");
        // A statement of its own: it sees the roles as they are now that the user is held.
        let roles = role::views(&role::sql::LIST_OF_USER.rows(tx, &[id.as_uuid()]).await?)?;
        let ver = user.get::<_, i64>("ver").unsigned_abs();
        Ok(Self { id, username: user::checked(user.get("username"))?, ver, roles })
    }

    fn level(&self) -> Result<crate::Level> {
        let first = self.roles.first().map(|role| role.level);
        first.ok_or_else(|| Error::new(ErrorKind::NoRole, "this account has no role: ask an administrator"))
    }
}

/// So many random bytes as text.
pub(super) fn random_text<const BYTES: usize>() -> Result<String> {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).map_err(|_| Error::new(ErrorKind::Internal, "the system has no randomness"))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

fn refused() -> Error {
    Error::new(ErrorKind::InvalidCredentials, "the username or the password is wrong")
}
