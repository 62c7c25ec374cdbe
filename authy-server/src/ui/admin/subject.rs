//! Whom a page of the console is about.

use authy_core::{Error, ErrorKind, Result, UserId, api::user::UserView};

use crate::ui::visit::Visit;

/// Returns the user in the path.
///
/// # Errors
/// [`ErrorKind::NotFound`] when there is none.
pub(super) async fn find(visit: &Visit<'_>) -> Result<UserView> {
    let id: UserId = visit.parameter("public_id").parse().map_err(|_| unknown())?;
    visit.authy.users().find(id).await?.ok_or_else(unknown)
}

/// Returns the error for a user who does not exist.
pub(super) fn unknown() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such user")
}

/// Returns the error for a page about something that is beyond the level of the caller.
pub(in crate::ui) fn beyond() -> Error {
    Error::new(ErrorKind::BeyondYourLevel, "it is more powerful than your level")
}
