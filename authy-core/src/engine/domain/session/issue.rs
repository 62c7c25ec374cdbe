//! Access tokens without a login, for the operator.

use super::{Sessions, Ticket, TokenSubject, new_session_id, no_role, sql};
use crate::{
    Error, ErrorKind, Result, Secret, UserId,
    api::event::EventKind,
    engine::{
        domain::user,
        journal::{
            actor::{Actor, no_such_user},
            caller::Caller,
            event::{Columns, Event},
        },
        storage::statement::Params,
    },
    time::unix_now,
};

impl Sessions {
    /// Issues an access token of a user, for the operator only. With it, a service that gets an event about the user
    /// can call authy on behalf of the user.
    ///
    /// The token has a separate session without a refresh token, and ends when it expires. Like any other, it is
    /// revoked with the user, by a change of roles, or by the end of its session. The user's list of sessions shows it
    /// with the caller's `user_agent`. It does not count as a login: `last_login` stays unchanged.
    ///
    /// # Errors
    /// [`ErrorKind::BeyondYourLevel`] unless the caller is the operator; [`ErrorKind::NotFound`],
    /// [`ErrorKind::AlreadyDeleted`]; [`ErrorKind::NoRole`] when the account has no role.
    pub async fn issue_token(&self, caller: &Caller, user: UserId) -> Result<Secret> {
        self.journal.feed.require_right_clock()?;
        let event = Event::new(EventKind::TokenIssued, &Actor::operator(caller)?);
        // Its refresh token is never issued, and nobody else can create it.
        let ticket = Ticket { session: new_session_id(), generation: 0 };
        let ttl = self.config.access_ttl.as_secs_f64();
        let Columns { event_id, kind, actor, actor_kind, ip, user_agent, request_id } = event.columns();
        let (id, session) = (user.as_uuid(), ticket.session.as_uuid());
        let params: Params<'_> =
            &[id, session, &ttl, &ip, &user_agent, &event_id, &kind, &actor, &actor_kind, &request_id];
        let now = unix_now();
        let issued = match self.db().write(&sql::ISSUE, params).await? {
            // The user was changed concurrently.
            None => self.db().write(&sql::ISSUE, params).await?,
            issued => issued,
        };
        match issued {
            Some(row) => {
                self.journal.feed.history.note_commit(event_id);
                self.access_token(&TokenSubject::of(&row)?, ticket.session, now).await
            }
            None => Err(match user::find(self.db(), user).await? {
                None => no_such_user(),
                Some(user) if user.deleted => Error::new(ErrorKind::AlreadyDeleted, "the user was deleted"),
                Some(_) => no_role(),
            }),
        }
    }
}
