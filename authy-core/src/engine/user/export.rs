//! Everything that is held about a user.

use std::time::Duration;

use tokio::sync::Semaphore;

use super::*;
use crate::{
    SessionId,
    api::{
        account::{Export, ExportedSession, ExportedUser},
        event::EventQuery,
    },
    engine::{code, event},
};

/// How many users are exported at a time.
static EXPORTS: Semaphore = Semaphore::const_new(2);

impl Authy {
    /// Everything that is held about a user, except what is only good for recognizing the password.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Overloaded`] while others are exported; [`ErrorKind::Unavailable`] when the database
    /// is away.
    pub async fn export_user(&self, user: UserId) -> Result<Export> {
        // A long life takes much memory, until it is sent.
        let _turn = EXPORTS.try_acquire().map_err(|_| {
            Error::new(ErrorKind::Overloaded, "others are exported at present").retry_after(Duration::from_secs(2))
        })?;
        let row = self.db().read_opt(&sql::FIND_EXPORT, &[user.as_uuid()]).await?.ok_or_else(no_such_user)?;
        let pending = self.db().read_opt(&code::sql::FIND_PENDING_EMAIL, &[user.as_uuid()]).await?;
        let time = |column| row.get::<_, Option<SystemTime>>(column).map(Timestamp::from);
        let exported = ExportedUser {
            public_id: user,
            username: checked(row.get("username"))?,
            email: checked(row.get("email"))?,
            pending_email: pending.map(|row| checked(row.get("email"))).transpose()?,
            created: row.get::<_, SystemTime>("created").into(),
            last_login: time("last_login"),
            validated: time("validated_at"),
            password_changed: time("changed"),
        };
        let roles = role::views(&self.db().read(&role::sql::LIST_OF_USER, &[user.as_uuid()]).await?)?;
        let sessions = self.db().list(&session::sql::EXPORT, &[user.as_uuid()]).await?.iter().map(session).collect();
        let mut query = EventQuery { user: Some(user), kind: None, after: None, limit: PageSize::new(100).ok() };
        let mut events = Vec::new();
        loop {
            let page = self.list_events(&query).await?;
            events.extend(page.events.into_iter().map(|event| event::shown_to(user, event)));
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(Export { user: exported, roles, sessions, events }),
            }
        }
    }
}

fn session(row: &Row) -> ExportedSession {
    let time = |column| Timestamp::from(row.get::<_, SystemTime>(column));
    ExportedSession {
        session_id: SessionId::from(row.get::<_, uuid::Uuid>("session_id")),
        created: time("created"),
        last_used: time("last_used"),
        expires: time("expires"),
        ended: row.get::<_, Option<SystemTime>>("ended_at").map(Timestamp::from),
        ip: row.get("ip"),
        user_agent: row.get("user_agent"),
    }
}
