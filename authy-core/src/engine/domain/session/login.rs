//! Login.

use super::{Sessions, Ticket, TokenSubject, device, limit, new_session_id, no_role, sql};
use crate::{
    Error, ErrorKind, Result, Secret, Username,
    api::{
        event::EventKind,
        session::{Credentials, Tokens},
    },
    engine::{
        domain::{
            credential::{Credential, refused},
            throttle::{Attempt, GuessTarget, LoginKeys, Outcome},
            user::email_verification::{Authenticated, Sent, send_validation},
        },
        journal::{
            actor::Actor,
            caller::Caller,
            event::{Columns, Event},
        },
        storage::statement::Params,
    },
    time::unix_now,
};

/// Number of attempts to log in while the account changes between the verification of the password and the new session.
const MAX_OPEN_ATTEMPTS: usize = 3;

impl Sessions {
    /// Logs in. An unknown username, a wrong password and a deleted user cost the same work and have the same result;
    /// so does a login with the correct password while wrong passwords slow down the account. With the [device
    /// token](Tokens::device_token) of an earlier login, in the caller's [`ClientInfo`](crate::ClientInfo), the
    /// login has a separate count.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidCredentials`]; [`ErrorKind::NotValidated`] when the address must be confirmed first;
    /// [`ErrorKind::NoRole`] when the account has no role; [`ErrorKind::Overloaded`] when too many passwords wait to be
    /// verified; [`ErrorKind::Unavailable`] when the database is not available, or its clock and this machine's differ by
    /// more than 30 seconds.
    pub async fn login(&self, caller: &Caller, credentials: Credentials) -> Result<Tokens> {
        let Credentials { username, password } = credentials;
        self.counts.count_login(self.log_in(caller, &username, &[&password]).await)
    }

    /// Logs in with the password of `credentials` or with `other`, which is tried second: for clients of which some send
    /// passwords encoded and others do not. Both together are one attempt, counted once. A refusal takes two hashes in
    /// place of one, whether or not the user exists.
    ///
    /// # Errors
    /// As [`login`](Self::login).
    pub async fn login_with_either(&self, caller: &Caller, credentials: Credentials, other: Secret) -> Result<Tokens> {
        let Credentials { username, password } = credentials;
        self.counts.count_login(self.log_in(caller, &username, &[&password, &other]).await)
    }

    /// Logs in with a password in any of these forms.
    async fn log_in(&self, caller: &Caller, username: &str, password: &[&Secret]) -> Result<Tokens> {
        self.journal.feed.require_right_clock()?;
        let verifier = &self.passwords;
        // A flood is refused before it costs a query.
        let anonymous = caller.hash_requester();
        // Whether a device token is valid is only known with the account.
        let hoped = match &caller.client_info().device_token {
            Some(_) => caller.hash_requester_on_known_device(),
            None => anonymous,
        };
        verifier.passwords.require_room(anonymous).or_else(|_| verifier.passwords.require_room(hoped))?;
        let name = Username::existing(username).ok();
        let key = name.as_ref().map(Username::key);
        let unknown = GuessTarget::password_of_unknown(key.as_deref().unwrap_or(username));
        let presented = device::presented(caller).map(|token| token.device);
        let keys = verifier.limiter.login_keys(caller, &unknown, presented);
        let found = verifier.find(name.as_ref(), &keys).await?;
        let known = found.credential;
        let device = known.as_ref().and_then(|known| self.known_device(caller, known));
        let requester = if device.is_some() { caller.hash_requester_on_known_device() } else { anonymous };
        verifier.passwords.require_room(requester)?;
        let (target, standing) = match (&known, &device) {
            (Some(known), Some(device)) => (GuessTarget::password_on(device, known.user), found.standing_on_device),
            (Some(known), None) => (GuessTarget::password_of(known.user), found.standing),
            (None, _) => (unknown, found.standing),
        };
        let attempt = verifier.limiter.attempt(caller, target, Some(standing)).await?;
        let phc = known.as_ref().map(|known| known.phc.as_str());
        let (attempt, new_phc) = verifier.verify(requester, attempt, password, phc).await?;
        let Some(mut known) = known else { return Err(refused()) };
        if self.config.require_validated && !known.is_validated {
            attempt.end(Outcome::Succeeded).await?;
            return Err(self.not_validated(caller, &known).await?);
        }
        let opened =
            self.open_unless_changed(caller, (name.as_ref(), &keys), &mut known, device.is_some(), &attempt).await;
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
        if let Some(new_phc) = &new_phc {
            // The login has succeeded; the next login can replace the hash.
            if let Err(error) = verifier.rehash(caller, &known, new_phc).await {
                tracing::warn!(%error, "an outdated password hash could not be replaced");
            }
        }
        verifier.fallback.offer(known.user, new_phc.as_deref().unwrap_or(&known.phc), password);
        Ok(tokens)
    }

    /// Verifies the caller's own password again, before a sensitive change.
    ///
    /// Wrong guesses are slowed down as at a login, with a separate count: guesses at the login do not prevent users
    /// from changing their password, and a stolen token does not permit faster guesses.
    ///
    /// # Errors
    /// [`ErrorKind::TokenRequired`] without a token; [`ErrorKind::InvalidCredentials`] when the password is wrong or
    /// the user is deleted; [`ErrorKind::RateLimited`] with a time to wait after too many wrong ones;
    /// [`ErrorKind::Overloaded`] when too many passwords wait to be verified; [`ErrorKind::Unavailable`] when the
    /// database is not available.
    pub async fn verify_password(&self, caller: &Caller, password: &Secret) -> Result<()> {
        self.passwords.verify_again(caller, password).await
    }

    /// Sends a new code, and returns the error with a corresponding message. It may reveal that the password is
    /// correct.
    async fn not_validated(&self, caller: &Caller, known: &Credential) -> Result<Error> {
        let message = match send_validation(&self.journal, caller, known.user, Authenticated::ByPassword).await? {
            Sent::Code => "confirm your address first: a mail with a new code will be sent",
            Sent::TooMany => {
                "confirm your address first: too many codes were sent, and the next can be sent in an hour"
            }
            Sent::AddressLost => "another account has confirmed the address of this account: contact an administrator",
        };
        Ok(Error::new(ErrorKind::NotValidated, message))
    }

    /// Opens a session. Tries again when the account changes meanwhile and the password stays the same.
    async fn open_unless_changed(
        &self,
        caller: &Caller,
        (name, keys): (Option<&Username>, &LoginKeys),
        known: &mut Credential,
        is_known_device: bool,
        attempt: &Attempt,
    ) -> Result<Tokens> {
        for _ in 0..MAX_OPEN_ATTEMPTS {
            if let Some(tokens) = self.open(caller, known, is_known_device, attempt.key()).await? {
                return Ok(tokens);
            }
            // The account changed during the verification of the password.
            let now = self.passwords.find(name, keys).await?.credential;
            *known = now.filter(|now| now.phc == known.phc).ok_or_else(refused)?;
            if !known.has_role {
                return Err(no_role());
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "the account keeps changing"))
    }

    /// Opens a session; `None` when the account has changed.
    async fn open(
        &self,
        caller: &Caller,
        known: &Credential,
        is_known_device: bool,
        throttle_key: &str,
    ) -> Result<Option<Tokens>> {
        let first = Ticket { session: new_session_id(), generation: 0 };
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
            &limit::MAX_SESSIONS_PER_USER,
        ];
        // Again: the password may have waited for its hash.
        self.journal.feed.require_right_clock()?;
        let now = unix_now();
        let row = self.db().write(&sql::OPEN, params).await?;
        let Some(row) = row else { return Ok(None) };
        self.journal.feed.history.note_commit(event_id);
        // The login has succeeded; when this fails, the next login repeats it.
        if row.get::<_, i64>("live") >= limit::MAX_SESSIONS_PER_USER
            && let Err(error) = limit::end_oldest(&self.journal, caller, known.user).await
        {
            tracing::warn!(%error, "a user has too many sessions, and the least recently used could not be ended");
        }
        self.make_tokens(TokenSubject::of(&row)?, first, lifetime, now).await.map(Some)
    }
}
