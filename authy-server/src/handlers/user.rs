//! Users: sign-up, the caller's own account, and administration.

use authy_core::{
    Error, ErrorKind, Result,
    api::{
        Endpoint as _, Nothing,
        user::{
            CreateUser, Created, DeleteSelf, DeleteUser, FindUser, GetOwnRoles, GetSelf, GetUser, GetUserRoles,
            GetUsername, IdOfUser, ListUsers, NameOfUser, OwnRoles, OwnView, Register, UserPage, UserQuery, UserRoles,
            UserView,
        },
    },
    engine::ListPage,
};

use super::links::links;
use crate::call::Call;

pub(crate) async fn register(call: Call<'_, Register>) -> Result<Created> {
    Ok(Created { public_id: call.authy.users().register(call.caller, call.request).await? })
}

pub(crate) async fn create(call: Call<'_, CreateUser>) -> Result<Created> {
    Ok(Created { public_id: call.authy.users().create(call.caller, call.request).await? })
}

pub(crate) async fn get_self(call: Call<'_, GetSelf>) -> Result<OwnView> {
    call.authy.users().find_own(call.identity()?.public_id).await?.ok_or_else(no_such_user)
}

pub(crate) async fn delete_self(call: Call<'_, DeleteSelf>) -> Result<Nothing> {
    call.authy.users().delete(call.caller, call.identity()?.public_id).await?;
    Ok(Nothing {})
}

pub(crate) async fn own_roles(call: Call<'_, GetOwnRoles>) -> Result<OwnRoles> {
    let user = call.authy.users().find_roles(call.identity()?.public_id).await?;
    Ok(OwnRoles { roles: user.ok_or_else(no_such_user)?.roles })
}

pub(crate) async fn list(call: Call<'_, ListUsers>) -> Result<UserPage> {
    let found = call.authy.users().list(&call.request).await?;
    Ok(user_page(&call.request, found))
}

/// Returns the response to a query, with the links to other pages.
pub(crate) fn user_page(query: &UserQuery, found: ListPage<UserView>) -> UserPage {
    let other = |after| UserQuery { page: None, after: Some(after), ..query.clone() };
    let (next_url, prev_url) = links(ListUsers::INFO.path, (found.next, found.previous), other);
    let ListPage { items: users, total: total_records, total_is_estimate, .. } = found;
    UserPage { users, total_records, total_is_estimate, next_url, prev_url }
}

pub(crate) async fn get(call: Call<'_, GetUser>) -> Result<UserView> {
    call.authy.users().find(call.path.0).await?.ok_or_else(no_such_user)
}

pub(crate) async fn delete(call: Call<'_, DeleteUser>) -> Result<Nothing> {
    match call.request.erase {
        Some(true) => call.authy.users().erase(call.caller, call.path.0).await?,
        Some(false) | None => call.authy.users().delete(call.caller, call.path.0).await?,
    }
    Ok(Nothing {})
}

pub(crate) async fn roles(call: Call<'_, GetUserRoles>) -> Result<UserRoles> {
    call.authy.users().find_roles(call.path.0).await?.ok_or_else(no_such_user)
}

pub(crate) async fn name(call: Call<'_, GetUsername>) -> Result<NameOfUser> {
    let username = call.authy.users().find_username(call.path.0).await?.ok_or_else(no_such_user)?;
    Ok(NameOfUser { username })
}

pub(crate) async fn find(call: Call<'_, FindUser>) -> Result<IdOfUser> {
    let public_id = call.authy.users().find_id(&call.path.0).await?.ok_or_else(no_such_user)?;
    Ok(IdOfUser { public_id })
}

fn no_such_user() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such user")
}
