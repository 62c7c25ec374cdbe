//! Deletes a user.

use authy_client::{
    ErrorKind, Session, Username,
    api::user::{Deletion, IdOfUser},
};

use crate::{Result, output::print, session::call};

/// Deletes a user. That ends all sessions of the user, and every service refuses the tokens within a second.
pub(crate) async fn offboard(session: &Session, username: Username) -> Result {
    // A call may be made twice, so each needs a name of its own. An ID is copied.
    let found = call(session, |client| {
        let username = username.clone();
        async move { client.find_user(username).await }
    });
    let IdOfUser { public_id } = match found.await {
        Err(error) if error.kind() == Some(ErrorKind::NotFound) => {
            return Err(format!("there is no user {username}, or the user is deleted already").into());
        }
        found => found?,
    };
    call(session, |client| async move { client.delete_user(public_id, Deletion::PLAIN).await }).await?;
    print(format_args!("{username} is deleted, and all sessions have ended"))
}
