//! Changing an account: by its owner, who has to be there in person, or by an administrator.

use std::time::Duration;

use super::*;
use crate::{
    Access, SessionId,
    access::ADMIN,
    api::account::AccountChange,
    engine::{
        actor::Subject,
        code::{self, Purpose},
        uncommitted::join_all,
    },
};

/// How long ago a login may be that is as good as the password. The challenge of [`ErrorKind::ReauthenticationRequired`] says
/// the same.
const RECENT: f64 = 600.0;

/// How many new addresses a user may ask for in an hour: each is sent a mail.
const ADDRESSES_AN_HOUR: i64 = 5;

impl Authy {
    /// Changes a user's password, address, or both. A new address is in force once its code comes back. A taken address
    /// gets the same answer: its owner gets a notice, and no code is sent.
    ///
    /// # Errors
    /// [`ErrorKind::ReauthenticationRequired`], [`ErrorKind::InvalidCredentials`] when `current_password` is wrong,
    /// [`ErrorKind::InsufficientLevel`] and [`ErrorKind::BeyondYourLevel`] for somebody else's account,
    /// [`ErrorKind::NotFound`], [`ErrorKind::AlreadyDeleted`], [`ErrorKind::WeakPassword`], [`ErrorKind::RateLimited`] after five new addresses in an hour, [`ErrorKind::Overloaded`].
    pub async fn change_user(&self, caller: &Caller, user: UserId, change: AccountChange) -> Result<UserView> {
        let change = self.prepare_change(caller, user, change).await?;
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        match self.change(write.tx(), caller, &change).await? {
            (Some(changed), Some(requested)) => {
                // It revokes nothing: what it says is in the event alone.
                requested.append(write.tx()).await?;
                self.commit(write, changed).await?;
            }
            (Some(event), None) | (None, Some(event)) => self.commit(write, event).await?,
            // It is the address that is in force.
            (None, None) => drop(write),
        }
        self.find_user(user).await?.ok_or_else(no_such_user)
    }

    /// [`change_user`](Self::change_user) in a transaction of the caller's.
    ///
    /// # Errors
    /// As there.
    pub async fn change_user_in(
        &self,
        tx: &Transaction<'_>,
        caller: &Caller,
        change: &PreparedChange,
    ) -> Result<Uncommitted> {
        join_all(tx, async {
            let (changed, requested) = self.change(tx, caller, change).await?;
            Ok([requested, changed].into_iter().flatten().collect())
        })
        .await
    }

    /// Checks and hashes, outside of a transaction; [`change_user_in`](Self::change_user_in) does the rest inside.
    ///
    /// # Errors
    /// As [`change_user`](Self::change_user).
    pub async fn prepare_change(&self, caller: &Caller, user: UserId, change: AccountChange) -> Result<PreparedChange> {
        let is_own = caller.id() == Some(user);
        if let Some(identity) = caller.identity() {
            Access::OwnOrLevel(ADMIN).permit(identity, Some(user))?;
        }
        let account = self.find_changeable(user).await?;
        let AccountChange { current_password, password, email, .. } = change;
        let proof = match (caller.identity().filter(|_| is_own), &current_password) {
            (Some(_), Some(current)) => {
                self.verify_password(caller, current).await?;
                Proof::Password(account.phc.clone())
            }
            (Some(identity), None) => {
                // Before anything is hashed in vain; the transaction asks once more.
                let params: Params<'_> = &[identity.session_id.as_uuid(), user.as_uuid(), &RECENT];
                require_recent(self.db().read_opt(&sql::IS_RECENT, params).await?)?;
                Proof::Login(identity.session_id)
            }
            (None, _) => {
                caller.may_act_on(account.level)?;
                Proof::Power
            }
        };
        // Whoever sets the address can have a code sent there that sets the password.
        if !is_own && !caller.is_operator() && !self.config().admin_sets_passwords {
            return Err(Error::new(
                ErrorKind::InsufficientLevel,
                "nobody sets somebody else's password or address here: send a reset",
            ));
        }
        let phc = match &password {
            Some(password) => Some(
                self.passwords()
                    .admit(caller.asker(), password.as_secret().normalized(), account.inputs(email.as_ref()))
                    .await?,
            ),
            None => None,
        };
        let email = email.filter(|email| email.key() != account.email.key());
        Ok(PreparedChange { user, proof, username: account.username, phc, email })
    }

    /// What is told of a changed password, and of an address that was asked for.
    async fn change<'a>(
        &self,
        tx: &Transaction<'_>,
        caller: &'a Caller,
        change: &PreparedChange,
    ) -> Result<(Option<Event<'a>>, Option<Event<'a>>)> {
        let PreparedChange { user, proof, username, phc, email } = change;
        let user = *user;
        let (actor, subject) = Actor::prove_on(tx, caller, user).await?;
        proof.holds(tx, &actor, &subject.live()?).await?;
        let changed = match phc {
            Some(phc) => {
                let own = actor.session().filter(|_| actor.user() == Some(user));
                let sessions = own.map_or(Sessions::Ended, Sessions::EndedBut);
                let event = self.set_password(tx, &actor, user, username, phc, sessions).await?;
                Some(event.detail(json!({ "reset": false })))
            }
            None => None,
        };
        let requested = match email {
            Some(email) => Some(self.request_email(tx, &actor, user, email).await?),
            None => None,
        };
        Ok((changed, requested))
    }

    /// Asks for a new address, inside of a transaction that holds the user.
    async fn request_email<'a>(
        &self,
        tx: &Transaction<'_>,
        actor: &Actor<'a>,
        user: UserId,
        email: &Email,
    ) -> Result<Event<'a>> {
        // Whether anybody has the address is not asked here: the answer, its time and what is stored are the same either way.
        // That is looked up when the mail is sent.
        let kind = EventKind::EmailRequested;
        let row = code::sql::COUNT_REQUESTED.row(tx, &[user.as_uuid(), &kind.as_str()]).await?;
        if row.is_some_and(|row| row.get::<_, i64>(0) >= ADDRESSES_AN_HOUR) {
            let error = Error::new(ErrorKind::RateLimited, "this account was given so many new addresses already");
            return Err(error.retry_after(Duration::from_secs(3600)));
        }
        code::void(tx, user, Some(Purpose::Email)).await?;
        let code = code::create(tx, user, Purpose::Email, Some(email)).await?;
        Ok(Event::new(kind, actor).about(user).detail(json!({ "code_id": code })))
    }

    /// Sets a password, inside of a transaction that holds the user; what was guessed at the old one is forgiven.
    pub(super) async fn set_password<'a>(
        &self,
        tx: &Transaction<'_>,
        actor: &Actor<'a>,
        user: UserId,
        username: &Username,
        phc: &str,
        sessions: Sessions,
    ) -> Result<Event<'a>> {
        self.forgive_guesses(tx, username).await?;
        sql::SET_PASSWORD.execute(tx, &[user.as_uuid(), &phc]).await.map_err(db_error)?;
        door::pass(tx, actor, user, EventKind::PasswordChanged, sessions).await
    }

    /// An account as it is before its change.
    pub(super) async fn find_changeable(&self, user: UserId) -> Result<Account> {
        let row = self.db().read_opt(&sql::FIND_ACCOUNT, &[user.as_uuid()]).await?.ok_or_else(no_such_user)?;
        if row.get("deleted") {
            return Err(Error::new(ErrorKind::AlreadyDeleted, "the user was deleted"));
        }
        Ok(Account {
            username: checked(row.get("username"))?,
            email: checked(row.get("email"))?,
            phc: row.get("phc"),
            level: row.get::<_, Option<i32>>("level").map(|level| Level::clamped(level.unsigned_abs())),
        })
    }
}

/// A change of an account that may be made: whoever wants it has shown that he may, and the password is strong and hashed.
#[derive(Debug)]
pub struct PreparedChange {
    user: UserId,
    proof: Proof,
    username: Username,
    phc: Option<String>,
    email: Option<Email>,
}

/// Why somebody may change an account.
#[derive(Debug)]
enum Proof {
    /// It is one's own, and the password was right: the one of this hash.
    Password(Option<String>),
    /// It is one's own, and the session is young.
    Login(SessionId),
    /// It is somebody else's, who is not more powerful.
    Power,
}

impl Proof {
    /// That it still holds now that nobody else can change the account.
    async fn holds(&self, tx: &Transaction<'_>, actor: &Actor<'_>, subject: &Subject) -> Result<()> {
        let user = subject.user;
        match self {
            Self::Power => actor.require_power_over(subject.level),
            // Prepared by somebody else.
            _ if actor.user() != Some(user) => {
                Err(Error::new(ErrorKind::BeyondYourLevel, "only its owner may change the account so"))
            }
            Self::Login(session) => {
                let params: Params<'_> = &[session.as_uuid(), user.as_uuid(), &RECENT];
                require_recent(sql::IS_RECENT.row(tx, params).await?)
            }
            Self::Password(phc) => match sql::HAS_PASSWORD.row(tx, &[user.as_uuid(), phc]).await? {
                Some(_) => Ok(()),
                None => Err(Error::new(ErrorKind::InvalidCredentials, "the password was changed meanwhile")),
            },
        }
    }
}

/// An account before its change.
pub(super) struct Account {
    pub(super) username: Username,
    pub(super) email: Email,
    phc: Option<String>,
    level: Option<Level>,
}

impl Account {
    /// What a password must not resemble: the name, and the address, which may be a new one.
    pub(super) fn inputs(&self, new_email: Option<&Email>) -> UserInputs {
        let email = new_email.unwrap_or(&self.email);
        UserInputs { username: self.username.as_str().to_owned(), email: email.as_str().to_owned() }
    }
}

fn require_recent(row: Option<Row>) -> Result<()> {
    match row {
        Some(_) => Ok(()),
        None => Err(Error::new(
            ErrorKind::ReauthenticationRequired,
            "send current_password, or log in again: the last login was more than ten minutes ago",
        )),
    }
}
