//! A token without a login: for whoever runs the house and tells a neighbour of a user.

use super::*;
use crate::engine::actor::no_such_user;

impl Authy {
    /// An access token of a user's, for the operator only: so that a neighbour that is told of the user can ask back in the
    /// user's name.
    ///
    /// It has a session of its own, which nobody has a refresh token of, so that it is void with the user, a change of roles or
    /// the end of that session, as any other is, and over when it expires. The session shows in the user's list under the
    /// `user_agent` of the caller. It is no login: `last_login` stays as it is.
    ///
    /// # Errors
    /// [`ErrorKind::BeyondYourLevel`] unless the caller is the operator; [`ErrorKind::NotFound`],
    /// [`ErrorKind::AlreadyDeleted`]; [`ErrorKind::NoRole`] when there is nothing the account may do.
    pub async fn issue_token(&self, caller: &Caller, user: UserId) -> Result<Secret> {
        let operator = Actor::operator(caller)?;
        // Its refresh token is never made, and nobody else can make it.
        let ticket = Ticket { session: SessionId::random(), generation: 0 };
        let ttl = self.config().access_ttl.as_secs_f64();
        let Columns { event_id, kind, actor, origin, ip, user_agent, request_id } =
            Event::new(EventKind::TokenIssued, &operator).columns();
        let (id, session) = (user.as_uuid(), ticket.session.as_uuid());
        let params: Params<'_> = &[id, session, &ttl, &ip, &user_agent, &event_id, &kind, &actor, &origin, &request_id];
        let issued = match self.db().write(&sql::ISSUE, params).await? {
            // The user was being changed.
            None => self.db().write(&sql::ISSUE, params).await?,
            issued => issued,
        };
        match issued {
            Some(row) => self.access_token(&Account::of(&row)?, ticket.session).await,
            None => Err(match self.find_user(user).await? {
                None => no_such_user(),
                Some(user) if user.deleted => Error::new(ErrorKind::AlreadyDeleted, "the user was deleted"),
                Some(_) => no_role(),
            }),
        }
    }
}
