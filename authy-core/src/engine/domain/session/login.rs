//! Logging in.

use super::{Sessions, Ticket, TokenSubject, limit, no_role, sql};
use crate::{
    Error, ErrorKind, Result, Secret, SessionId, Username,
    api::{
        event::EventKind,
        session::{Credentials, Tokens},
    },
    engine::{
        domain::{
            credential::{Credential, refused},
            throttle::{Attempt, GuessTarget, Outcome},
            user::email_verification::{Authenticated, Sent, send_validation},
        },
        journal::{
            actor::Actor,
            caller::Caller,
            event::{Columns, Event},
        },
        storage::statement::Params,
    },
};

/// How often a login is tried whose account changes between the password and the session.
const ATTEMPTS: usize = 3;

impl Sessions {
    /// Logs in. An unknown name, a wrong password and a deleted user cost the same work and get the same answer; so does everybody
    /// while wrong passwords are slowed down, with the right password too. The [device token](Tokens::device_token) of an earlier
    /// login, in the caller's [`ClientInfo`](crate::engine::ClientInfo), has a count of its own.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidCredentials`]; [`ErrorKind::NotValidated`] when the address has yet to be confirmed;
    /// [`ErrorKind::NoRole`] when the account has no role; [`ErrorKind::Overloaded`] when too many passwords wait to be verified.
    pub async fn login(&self, caller: &Caller, credentials: Credentials) -> Result<Tokens> {
        let verifier = &self.passwords;
        // A storm is turned away before it costs the database anything.
        let unknown = caller.asker();
        // Whether a device token is valid shows with the account only.
        let hoped = match &caller.client_info().device_token {
            Some(_) => caller.asker_on_known_device(),
            None => unknown,
        };
        verifier.passwords.has_room(unknown).or_else(|_| verifier.passwords.has_room(hoped))?;
        let name = Username::existing(&credentials.username).ok();
        let known = verifier.find(name.as_ref()).await?;
        let device = known.as_ref().and_then(|known| self.known_device(caller, known));
        let asker = if device.is_some() { caller.asker_on_known_device() } else { unknown };
        verifier.passwords.has_room(asker)?;
        let target = match (&known, &device) {
            (Some(known), Some(device)) => GuessTarget::password_on(device, known.user),
            _ => {
                let key = name.as_ref().map(Username::key);
                let name = key.as_deref().unwrap_or(&credentials.username);
                GuessTarget::password_of(name, known.as_ref().map(|known| known.user))
            }
        };
        let attempt = verifier.limiter.attempt(caller, target).await?;
        let phc = known.as_ref().map(|known| known.phc.as_str());
        let (attempt, new_phc) = verifier.verify(asker, attempt, &credentials.password, phc).await?;
        let Some(mut known) = known else { return Err(refused()) };
        if self.config.require_validated && !known.is_validated {
            attempt.end(Outcome::Succeeded).await?;
            return Err(self.not_validated(caller, &known).await?);
        }
        let opened = self.open_unless_changed(caller, name.as_ref(), &mut known, device.is_some(), &attempt).await;
        let mut tokens = match opened {
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
            if let Err(error) = verifier.rehash(caller, &known, &new_phc).await {
                tracing::warn!(%error, "an outdated password hash could not be replaced");
            }
        }
        Ok(tokens)
    }

    /// Verifies the caller's own password again, before a change that matters.
    ///
    /// Wrong guesses are slowed down like those of a login, in a count of their own: guesses at the login do not keep a user from
    /// changing the password, and a stolen token does not permit faster guesses.
    ///
    /// # Errors
    /// [`ErrorKind::TokenRequired`] without a token; [`ErrorKind::InvalidCredentials`] when the password is wrong or the user was
    /// deleted; [`ErrorKind::RateLimited`] with a time to wait after too many wrong ones; [`ErrorKind::Overloaded`] when too many
    /// passwords wait to be verified; [`ErrorKind::Unavailable`] when the database is away.
    pub async fn verify_password(&self, caller: &Caller, password: &Secret) -> Result<()> {
        self.passwords.verify_again(caller, password).await
    }

    /// Sends a fresh code, and returns the error that says so. A caller who knows the password may learn that it is right.
    async fn not_validated(&self, caller: &Caller, known: &Credential) -> Result<Error> {
        let message = match send_validation(&self.journal, caller, known.user, Authenticated::ByPassword).await? {
            Sent::Code => "confirm your address first: a mail with a fresh code is on its way",
            Sent::TooMany => {
                "confirm your address first: too many codes were sent, and the next can be sent in an hour"
            }
            Sent::AddressLost => "somebody else has confirmed the address of this account: ask an administrator",
        };
        Ok(Error::new(ErrorKind::NotValidated, message))
    }

    /// Opens a session, also when the account changes meanwhile and the password stays the same.
    async fn open_unless_changed(
        &self,
        caller: &Caller,
        name: Option<&Username>,
        known: &mut Credential,
        is_known_device: bool,
        attempt: &Attempt,
    ) -> Result<Tokens> {
        for _ in 0..ATTEMPTS {
            if let Some(tokens) = self.open(caller, known, is_known_device, attempt.key()).await? {
                return Ok(tokens);
            }
            // The account changed while the password was verified.
            let now = self.passwords.find(name).await?;
            *known = now.filter(|now| now.phc == known.phc).ok_or_else(refused)?;
            if !known.has_role {
                return Err(no_role());
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "the account keeps changing"))
    }

    /// Opens a session; `None` when the account is not as it was.
    async fn open(
        &self,
        caller: &Caller,
        known: &Credential,
        is_known_device: bool,
        throttle_key: &str,
    ) -> Result<Option<Tokens>> {
        let first = Ticket { session: SessionId::random(), generation: 0 };
        let (lifetime, ttl) = (self.config.refresh_absolute.as_secs_f64(), self.config.access_ttl.as_secs_f64());
        let event = Event::new(EventKind::SessionOpened, &Actor::by_secret(caller));
        let Columns { event_id, kind, actor, actor_kind, ip, user_agent, request_id } = event.columns();
        let (user, session) = (known.user.as_uuid(), first.session.as_uuid());
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
            &actor_kind,
            &request_id,
            &throttle_key,
            &is_known_device,
            &limit::SESSIONS,
        ];
        let row = self.db().write(&sql::OPEN, params).await?;
        let Some(row) = row else { return Ok(None) };
        // The login is done; should this fail, the next login does it.
        if row.get::<_, i64>("live") >= limit::SESSIONS
            && let Err(error) = limit::end_oldest(&self.journal, caller, known.user).await
        {
            tracing::warn!(%error, "a user has too many sessions, and the least recently used could not be ended");
        }
        self.make_tokens(TokenSubject::of(&row)?, first, lifetime).await.map(Some)
    }
}
