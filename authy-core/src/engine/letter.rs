//! Letters: what a user is told by mail of an event. Who writes and sends them is outside.

use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    Authy, Caller,
    actor::Actor,
    code::{self, Purpose},
    db::Params,
    event, session, user,
};
use crate::{
    Email, Result, Secret, Timestamp, UserId, Username,
    api::event::{EventKind, EventView},
};

/// How many letters with a code that resets the password a user gets in an hour because somebody asked who did not say who he
/// is: more go to nobody. The codes in those that went out work.
const RESETS_AN_HOUR: i64 = 5;

/// Maximum number of letters about new devices per user and day. A client that never keeps its device token is a new device
/// at each login, and somebody who knows the password can make as many as he likes; ten are enough for the owner to act on.
const NEW_DEVICES_A_DAY: i64 = 10;

/// How many notices a day go to the owner of an address that others ask for. One is enough to act on; more
/// requests must not fill a mailbox.
const NOTICES_A_DAY: i64 = 3;

/// How many letters in an hour ask to confirm an address that nobody has confirmed, of all accounts that name it together: anybody
/// can sign up with the address of somebody else, again and again.
const CONFIRMATIONS_AN_HOUR: i64 = 10;

/// How many notices a day go to an address that nobody has confirmed, of all accounts that name it together.
const UNCONFIRMED_NOTICES_A_DAY: i64 = 10;

/// What a letter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LetterKind {
    /// Confirm the address of the new account; with a code.
    Validate,
    /// Confirm the new address, to which it goes; with a code.
    ConfirmEmail,
    /// Choose a new password; with a code.
    Reset,
    /// The password was changed.
    PasswordChanged,
    /// A new address was asked for; goes to the one in force.
    EmailRequested,
    /// Somebody asked to use an address that this user has confirmed. Goes to that user, and does not say who asked.
    AddressClaimed,
    /// Somebody logged in without the device token of an earlier login. At most one a day for the same user agent in the same
    /// network, and ten a day in all.
    NewDevice,
}

impl LetterKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::Validate,
        Self::ConfirmEmail,
        Self::Reset,
        Self::PasswordChanged,
        Self::EmailRequested,
        Self::AddressClaimed,
        Self::NewDevice,
    ];

    /// Its name, which its templates are called by.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::ConfirmEmail => "confirm-email",
            Self::Reset => "reset",
            Self::PasswordChanged => "password-changed",
            Self::EmailRequested => "email-requested",
            Self::AddressClaimed => "address-claimed",
            Self::NewDevice => "new-device",
        }
    }

    /// Whether anybody may be told by mail of an event.
    pub fn may_come_of(event: &EventView) -> bool {
        use EventKind::*;
        match event.known_kind() {
            Some(UserRegistered | ValidationRequested | EmailRequested | ResetRequested | PasswordChanged) => true,
            Some(SessionOpened) => is_from_a_new_device(event),
            _ => false,
        }
    }
}

/// A letter to a user.
#[derive(Clone, Debug)]
pub struct Letter {
    /// What it is about.
    pub kind: LetterKind,
    /// Where it goes.
    pub to: Email,
    /// The name of the user; `None` when the address is not confirmed. Anybody can sign up with somebody else's address, and a
    /// name such as `www.example.com` would be a link in a mail under the operator's name.
    pub username: Option<Username>,
    /// The code in it.
    pub code: Option<Secret>,
    /// Until when the code works.
    pub expires: Option<Timestamp>,
    /// When what it tells of happened.
    pub happened: Timestamp,
    /// The address from which it was done.
    pub ip: Option<String>,
    /// What it was done with; `None` when the address is not confirmed, like the name.
    pub user_agent: Option<String>,
}

impl Authy {
    /// What is to be told by mail of an event, as things are now: nothing of a code that has been used, and nothing to a user
    /// who was deleted. A notice comes before a code.
    ///
    /// For the operator only, because it returns one-time codes.
    ///
    /// # Errors
    /// [`ErrorKind::BeyondYourLevel`](crate::ErrorKind::BeyondYourLevel) for every other caller;
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is away.
    pub async fn list_letters(&self, caller: &Caller, event: &EventView) -> Result<Vec<Letter>> {
        Actor::operator(caller)?;
        let (Some(kind), Some(subject)) = (event.known_kind(), event.subject) else { return Ok(Vec::new()) };
        let event = &event::shown_to(subject, event.clone());
        let letters = match kind {
            EventKind::UserRegistered | EventKind::ValidationRequested => {
                [None, self.with_code(event, LetterKind::Validate, Purpose::Validate).await?]
            }
            EventKind::EmailRequested => match self.with_code(event, LetterKind::ConfirmEmail, Purpose::Email).await? {
                // Used or replaced before anybody was told: then there is a later event to tell of.
                None => [None, None],
                Some(code) => {
                    let notice = self.notice(event, subject, LetterKind::EmailRequested).await?;
                    [notice, self.unless_taken(event, subject, code).await?]
                }
            },
            EventKind::ResetRequested => [None, self.with_code(event, LetterKind::Reset, Purpose::Reset).await?],
            EventKind::PasswordChanged => [self.notice(event, subject, LetterKind::PasswordChanged).await?, None],
            EventKind::SessionOpened if is_from_a_new_device(event) => match self.is_noticed(event, subject).await? {
                true => [None, None],
                false => [self.notice(event, subject, LetterKind::NewDevice).await?, None],
            },
            _ => [None, None],
        };
        Ok(letters.into_iter().flatten().collect())
    }

    async fn notice(&self, event: &EventView, user: UserId, kind: LetterKind) -> Result<Option<Letter>> {
        let row = self.db().read_opt(&user::sql::FIND_ADDRESS, &[user.as_uuid()]).await?;
        let Some(row) = row else { return Ok(None) };
        if !row.get::<_, bool>("validated") {
            // Without a limit, anybody could sign up with this address many times, and have a notice sent there for each account.
            let email: Email = user::checked(row.get("email"))?;
            // The event may be counted by itself for the owner of another address.
            let once = id_of(&format!("authy notice {} {}", event.event_id, kind.as_str()));
            let mailbox = id_of(&format!("authy mailbox {}", email.key()));
            let params: Params<'_> = &[&once, &mailbox, &UNCONFIRMED_NOTICES_A_DAY];
            if self.db().note(&user::sql::COUNT_NOTICE, params).await?.is_none() {
                return Ok(None);
            }
        }
        letter(event, kind, &row).map(Some)
    }

    /// Whether the owner of an account has heard enough today of logins like this one. The events tell of all of them.
    async fn is_noticed(&self, login: &EventView, user: UserId) -> Result<bool> {
        let params: Params<'_> = &[user.as_uuid(), login.event_id.as_uuid(), &SystemTime::from(login.happened)];
        let row = self.db().read_one(&session::sql::COMPARE_NEW_DEVICE, params).await?;
        Ok(row.get("is_repeated") || row.get::<_, i64>("others") >= NEW_DEVICES_A_DAY)
    }

    /// The code for a new address when nobody else has or had it. Otherwise a notice to its owner, from which neither learns of the
    /// other.
    async fn unless_taken(&self, event: &EventView, user: UserId, code: Letter) -> Result<Option<Letter>> {
        let params: Params<'_> = &[&self.keys_of(&code.to.key()), user.as_uuid()];
        let Some(owner) = self.db().read_opt(&user::sql::FIND_OWNER, params).await? else { return Ok(Some(code)) };
        if owner.get("deleted") {
            return Ok(None);
        }
        let params: Params<'_> = &[event.event_id.as_uuid(), &owner.get::<_, Uuid>("public_id"), &NOTICES_A_DAY];
        if self.db().note(&user::sql::COUNT_NOTICE, params).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(Letter {
            kind: LetterKind::AddressClaimed,
            to: user::checked(owner.get("email"))?,
            username: Some(user::checked(owner.get("username"))?),
            code: None,
            expires: None,
            happened: event.happened,
            ip: None,
            user_agent: None,
        }))
    }

    async fn with_code(&self, event: &EventView, kind: LetterKind, purpose: Purpose) -> Result<Option<Letter>> {
        let id = event.detail.get("code_id").and_then(Value::as_str).and_then(|id| Uuid::try_parse(id).ok());
        let Some(id) = id else { return Ok(None) };
        use EventKind::{ResetRequested, UserRegistered, ValidationRequested};
        let (kinds, most) = match purpose {
            Purpose::Reset if event.actor.is_none() => (vec![ResetRequested.as_str()], Some(RESETS_AN_HOUR)),
            Purpose::Validate => {
                (vec![UserRegistered.as_str(), ValidationRequested.as_str()], Some(CONFIRMATIONS_AN_HOUR))
            }
            // They are counted when they are asked for.
            Purpose::Reset | Purpose::Email => (Vec::new(), None),
        };
        let params: Params<'_> = &[&id, &purpose.as_str(), event.event_id.as_uuid(), &kinds, &most];
        let row = self.db().read_opt(&code::sql::FIND_LETTER, params).await?;
        row.map(|row| {
            let (code, expires) = (Some(self.code_text(id)), Some(row.get::<_, SystemTime>("expires").into()));
            Ok(Letter { code, expires, ..letter(event, kind, &row)? })
        })
        .transpose()
    }
}

fn letter(event: &EventView, kind: LetterKind, row: &Row) -> Result<Letter> {
    let is_confirmed: bool = row.get("validated");
    Ok(Letter {
        kind,
        to: user::checked(row.get("email"))?,
        username: is_confirmed.then(|| user::checked(row.get("username"))).transpose()?,
        code: None,
        expires: None,
        happened: event.happened,
        ip: event.ip.clone(),
        user_agent: event.user_agent.clone().filter(|_| is_confirmed),
    })
}

/// An id for a text, where something is counted that has none: several accounts may name one address.
fn id_of(text: &str) -> Uuid {
    let hash = digest(&SHA256, text.as_bytes());
    Uuid::from_slice(hash.as_ref().get(..16).unwrap_or_default()).unwrap_or_default()
}

fn is_from_a_new_device(login: &EventView) -> bool {
    login.detail.get("new_device") == Some(&Value::Bool(true))
}
