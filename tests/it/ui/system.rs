//! The pages of the console that are about the service: overview, events, signing keys, sinks.

use authy_core::UserId;
use authy_tests::TestUser;

use super::*;

mod browser;
mod events;
mod given_up;
mod keys;
mod overview;
mod sinks;

/// A new user who has this role alone, and a browser where the user is logged in.
async fn enter(app: &TestApp, role: &str) -> (TestUser, Visitor) {
    let user = app.user_with_role(role).await;
    let visitor = Visitor::logged_in(app, &user.username).await;
    (user, visitor)
}
