//! Deletes a user.

use authy_client::{
    ErrorKind, Session, Username,
    api::user::{Deletion, IdOfUser},
};

use crate::{Result, session::call};

/// Deletes a user. That ends all sessions of the user, and every service refuses the tokens within a second.
pub(crate) async fn offboard(session: &Session, username: Username) -> Result {
    let found = call(session, async |client| client.find_user(username.clone()).await).await;
    let IdOfUser { public_id } = match found {
        Err(error) if error.kind() == Some(ErrorKind::NotFound) => {
            return Err(format!("there is no user {username}, or the user is deleted already").into());
        }
        found => found?,
    };
    call(session, async |client| client.delete_user(public_id, Deletion::PLAIN).await).await?;
    println!("{username} is deleted, and all sessions have ended");
    Ok(())
}
