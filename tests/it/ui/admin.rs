//! The console of administrators, over HTTP: who may come in, what is offered, what is asked before it is done, and what the
//! engine refuses.

use authy_core::{SessionId, UserId};
use authy_tests::TestUser;

use super::*;

mod access;
mod actions;
mod browser;
mod listener;
mod recent;
mod roles;
mod users;

/// What is done with a user, by the last part of the path.
const ACTIONS: [&str; 6] = ["reset", "unlock", "end-sessions", "delete", "restore", "erase"];

impl Visitor {
    /// One with the session of a new user who has this role alone.
    async fn with_role(app: &TestApp, role: &str) -> (TestUser, Self) {
        let user = app.user_with_role(role).await;
        let visitor = Self::logged_in(app, &user.username).await;
        (user, visitor)
    }
}

/// Returns the path of a page about a user.
fn of(user: UserId, page: &str) -> String {
    format!("/authy/ui/admin/users/{user}{page}")
}

/// Returns the kinds of the events about a user, oldest first.
async fn kinds(app: &TestApp, user: UserId) -> Vec<String> {
    let query = api::event::EventQuery { user: Some(user), ..Default::default() };
    let events = app.authy.events().list(&query).await.unwrap().events;
    let about = events.iter().rev().filter(|event| event.subject == Some(user));
    about.map(|event| event.kind.as_str().to_owned()).collect()
}

/// Returns the roles of a user.
async fn held(app: &TestApp, user: UserId) -> Vec<String> {
    let user = app.authy.users().find(user).await.unwrap().unwrap();
    user.roles.iter().map(|role| role.as_str().to_owned()).collect()
}

/// Returns the sessions of a user.
async fn sessions_of(app: &TestApp, user: UserId) -> Vec<SessionId> {
    app.authy.sessions().list_of(user).await.unwrap().iter().map(|session| session.session_id).collect()
}
