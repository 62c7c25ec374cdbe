//! Notifications: mails to a user because of an event. The mail sink writes and sends them.

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    Email, Result, Secret, UserId, Username,
    api::event::{
        EventKind, EventView,
        detail::{CodeDetail, LoginDetail},
    },
    engine::{
        delivery::Deliveries,
        domain::{code::Purpose, user},
        journal::{actor::Actor, caller::Caller, event},
        storage::{row::stored, statement::Params},
    },
    time::to_second,
};

pub(in crate::engine) mod sql;

/// Maximum reset mails per account and hour for anonymous requests. More send nothing, and earlier codes stay valid.
const RESETS_AN_HOUR: i64 = 5;

/// Maximum mails about new devices per account and day. A client that never keeps its device token is a new device at
/// each login, and an attacker who knows the password can cause any number; ten are enough for the owner to act on.
const NEW_DEVICES_A_DAY: i64 = 10;

/// Maximum mails per day to the owner of an address that other accounts request. One is enough to act on, and more
/// requests must not fill a mailbox.
const NOTICES_A_DAY: i64 = 3;

/// Maximum confirmation mails per hour to an address that no account has confirmed, for all accounts with that address
/// together: anyone can sign up repeatedly with someone else's address.
const CONFIRMATIONS_AN_HOUR: i64 = 10;

/// Maximum notices per day to an address that no account has confirmed, for all accounts with that address together.
const UNCONFIRMED_NOTICES_A_DAY: i64 = 10;

/// The kind of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotificationKind {
    /// A request to confirm the address of a new account. Contains a code.
    Validate,
    /// A request to confirm a new address, sent to that address. Contains a code.
    ConfirmEmail,
    /// A request to choose a new password. Contains a code.
    Reset,
    /// A request to choose the first password of an account that was created for its user. Contains a code.
    Invitation,
    /// The password was changed.
    PasswordChanged,
    /// A new address was requested. Sent to the current address.
    EmailRequested,
    /// Another account requested an address that this user has confirmed. Does not say which account.
    AddressClaimed,
    /// A login without the device token of an earlier login. At most one per day for the same user agent in the same
    /// network, and ten per day in total.
    NewDevice,
}

impl NotificationKind {
    /// All kinds.
    pub const ALL: &'static [Self] = &[
        Self::Validate,
        Self::ConfirmEmail,
        Self::Reset,
        Self::Invitation,
        Self::PasswordChanged,
        Self::EmailRequested,
        Self::AddressClaimed,
        Self::NewDevice,
    ];

    /// Returns the name of the kind, which is also the name of its templates.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::ConfirmEmail => "confirm-email",
            Self::Reset => "reset",
            Self::Invitation => "invitation",
            Self::PasswordChanged => "password-changed",
            Self::EmailRequested => "email-requested",
            Self::AddressClaimed => "address-claimed",
            Self::NewDevice => "new-device",
        }
    }

    /// Returns whether an event can cause a notification.
    pub fn may_come_of(event: &EventView) -> bool {
        use EventKind::*;
        match event.kind {
            UserRegistered | ValidationRequested | EmailRequested | ResetRequested | PasswordChanged => true,
            SessionOpened => is_from_a_new_device(event),
            _ => false,
        }
    }
}

/// A mail to a user.
#[derive(Clone, Debug)]
pub struct Notification {
    /// The kind.
    pub kind: NotificationKind,
    /// The recipient.
    pub to: Email,
    /// The username; `None` when the address is not confirmed. Anyone can sign up with someone else's address, and a
    /// name such as `www.example.com` would be a link in a mail under the operator's name. An invitation always contains
    /// it: an administrator chose it, and the user has to know it.
    pub username: Option<Username>,
    /// The one-time code.
    pub code: Option<Secret>,
    /// The expiry time of the code.
    pub expires: Option<DateTime<Utc>>,
    /// The time of the event.
    pub happened: DateTime<Utc>,
    /// The remote address of the client that caused the event.
    pub ip: Option<String>,
    /// The user agent of that client; `None` when the address is not confirmed, for the same reason as the username.
    pub user_agent: Option<String>,
}

impl Deliveries {
    /// Returns the notifications for an event, according to the current state: no code that was already used, and none
    /// for a deleted user. A notice precedes a code.
    ///
    /// For the operator only, because it returns one-time codes.
    ///
    /// # Errors
    /// [`ErrorKind::BeyondYourLevel`](crate::ErrorKind::BeyondYourLevel) for every other caller;
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn list_notifications(&self, caller: &Caller, event: &EventView) -> Result<Vec<Notification>> {
        Actor::operator(caller)?;
        let Some(subject) = event.subject else { return Ok(Vec::new()) };
        let event = &event::shown_to(subject, event.clone());
        let notifications = match event.kind {
            EventKind::UserRegistered | EventKind::ValidationRequested => {
                [None, self.with_code(event, NotificationKind::Validate, Purpose::Validate).await?]
            }
            EventKind::EmailRequested => {
                match self.with_code(event, NotificationKind::ConfirmEmail, Purpose::Email).await? {
                    // The code was used or replaced before the mail was sent. In the latter case, a later event sends
                    // its own.
                    None => [None, None],
                    Some(code) => {
                        let notice = self.notice(event, subject, NotificationKind::EmailRequested).await?;
                        [notice, self.unless_taken(event, subject, code).await?]
                    }
                }
            }
            EventKind::ResetRequested => [None, self.with_code(event, NotificationKind::Reset, Purpose::Reset).await?],
            EventKind::PasswordChanged => [self.notice(event, subject, NotificationKind::PasswordChanged).await?, None],
            EventKind::SessionOpened if is_from_a_new_device(event) => match self.is_noticed(event, subject).await? {
                true => [None, None],
                false => [self.notice(event, subject, NotificationKind::NewDevice).await?, None],
            },
            _ => [None, None],
        };
        Ok(notifications.into_iter().flatten().collect())
    }

    async fn notice(&self, event: &EventView, user: UserId, kind: NotificationKind) -> Result<Option<Notification>> {
        let row = self.journal.db.read_opt(&user::sql::FIND_ADDRESS, &[user.as_uuid()]).await?;
        let Some(row) = row else { return Ok(None) };
        if !row.get::<_, bool>("validated") {
            // Without a limit, anyone could sign up with this address many times, and cause a notice to it for each
            // account.
            let email: Email = stored(&row, "email");
            // The same event may also be counted for the owner of another address, so the ID is derived.
            let once = id_of(&format!("authy notice {} {}", event.event_id, kind.as_str()));
            let mailbox = id_of(&format!("authy mailbox {}", email.key()));
            let params: Params<'_> = &[&once, &mailbox, &UNCONFIRMED_NOTICES_A_DAY];
            if self.journal.db.write_quietly(&sql::COUNT_NOTICE, params).await?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(notification(event, kind, &row)))
    }

    /// Returns whether the owner of an account got enough mails today about logins like this one. The events record all
    /// of them.
    async fn is_noticed(&self, login: &EventView, user: UserId) -> Result<bool> {
        let params: Params<'_> = &[user.as_uuid(), login.event_id.as_uuid(), &login.happened];
        let row = self.journal.db.read_one(&sql::COMPARE_NEW_DEVICE, params).await?;
        Ok(row.get("is_repeated") || row.get::<_, i64>("others") >= NEW_DEVICES_A_DAY)
    }

    /// Returns the mail with the code when no other account has or had the new address. Otherwise returns a notice to
    /// the owner of the address. Neither of them reveals the other account.
    async fn unless_taken(&self, event: &EventView, user: UserId, code: Notification) -> Result<Option<Notification>> {
        let params: Params<'_> = &[&self.erased.forms(&code.to.key()), user.as_uuid()];
        let Some(owner) = self.journal.db.read_opt(&user::sql::FIND_OWNER, params).await? else {
            return Ok(Some(code));
        };
        if owner.get("deleted") {
            return Ok(None);
        }
        let params: Params<'_> = &[event.event_id.as_uuid(), &owner.get::<_, Uuid>("public_id"), &NOTICES_A_DAY];
        if self.journal.db.write_quietly(&sql::COUNT_NOTICE, params).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(Notification {
            kind: NotificationKind::AddressClaimed,
            to: stored(&owner, "email"),
            username: Some(stored(&owner, "username")),
            code: None,
            expires: None,
            happened: event.happened,
            ip: None,
            user_agent: None,
        }))
    }

    async fn with_code(
        &self,
        event: &EventView,
        kind: NotificationKind,
        purpose: Purpose,
    ) -> Result<Option<Notification>> {
        let code = event.detail_as::<CodeDetail>().ok();
        let Some(id) = code.and_then(|code| Uuid::try_parse(&code.code_id).ok()) else { return Ok(None) };
        use EventKind::{ResetRequested, UserRegistered, ValidationRequested};
        let (kinds, most) = match purpose {
            Purpose::Reset if event.actor.is_none() => (vec![ResetRequested.as_str()], Some(RESETS_AN_HOUR)),
            Purpose::Validate => {
                (vec![UserRegistered.as_str(), ValidationRequested.as_str()], Some(CONFIRMATIONS_AN_HOUR))
            }
            // Counted when they are requested.
            Purpose::Reset | Purpose::Email => (Vec::new(), None),
        };
        let params: Params<'_> = &[&id, &purpose.as_str(), event.event_id.as_uuid(), &kinds, &most];
        let row = self.journal.db.read_opt(&sql::FIND_WITH_CODE, params).await?;
        Ok(row.map(|row| {
            let sent = Notification {
                code: Some(self.codes.write(id)),
                expires: Some(to_second(row.get("expires"))),
                ..notification(event, kind, &row)
            };
            match kind == NotificationKind::Reset && !row.get::<_, bool>("has_password") {
                // Only administrators create accounts without a password, so the name is none of an anonymous caller's.
                true => Notification {
                    kind: NotificationKind::Invitation,
                    username: Some(stored(&row, "username")),
                    ..sent
                },
                false => sent,
            }
        }))
    }
}

fn notification(event: &EventView, kind: NotificationKind, row: &Row) -> Notification {
    let is_confirmed: bool = row.get("validated");
    Notification {
        kind,
        to: stored(row, "email"),
        username: is_confirmed.then(|| stored(row, "username")),
        code: None,
        expires: None,
        happened: event.happened,
        ip: event.ip.clone(),
        user_agent: event.user_agent.clone().filter(|_| is_confirmed),
    }
}

/// Derives an ID from a text, to count things without an ID: several accounts may have the same address.
fn id_of(text: &str) -> Uuid {
    let hash = digest(&SHA256, text.as_bytes());
    Uuid::from_slice(hash.as_ref().get(..16).unwrap_or_default()).unwrap_or_default()
}

fn is_from_a_new_device(login: &EventView) -> bool {
    login.detail_as::<LoginDetail>().is_ok_and(|detail| detail.new_device)
}
