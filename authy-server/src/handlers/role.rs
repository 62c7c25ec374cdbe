//! Roles, and the users who have them.

use authy_core::{
    Error, ErrorKind, Result,
    api::{
        Endpoint as _, Nothing, PathParams as _,
        role::{
            CreateRole, DeleteRole, GetRole, GrantRole, ListRoleUsers, ListRoles, Message, OneRole, RevokeRole,
            RoleList, RoleMade, RoleUserPage, RoleUserQuery,
        },
    },
    engine::ListPage,
};

use super::links::links;
use crate::call::Call;

pub(crate) async fn list(call: Call<'_, ListRoles>) -> Result<RoleList> {
    Ok(RoleList { roles: call.authy.roles().list().await? })
}

pub(crate) async fn create(call: Call<'_, CreateRole>) -> Result<RoleMade> {
    Ok(RoleMade { role: call.authy.roles().create(call.caller, call.request).await? })
}

pub(crate) async fn get(call: Call<'_, GetRole>) -> Result<OneRole> {
    let role = call.authy.roles().find(&call.path.0).await?.ok_or_else(no_such_role)?;
    Ok(OneRole { role })
}

pub(crate) async fn delete(call: Call<'_, DeleteRole>) -> Result<Nothing> {
    call.authy.roles().delete(call.caller, &call.path.0).await?;
    Ok(Nothing {})
}

pub(crate) async fn users(call: Call<'_, ListRoleUsers>) -> Result<RoleUserPage> {
    let found = call.authy.roles().list_users(&call.path.0, &call.request).await?;
    let (role, found) = found.ok_or_else(no_such_role)?;
    let other = |after| RoleUserQuery { page: None, after: Some(after) };
    let path = call.path.fill(ListRoleUsers::INFO.path);
    let (next_url, prev_url) = links(&path, (found.next, found.previous), other);
    let ListPage { items: users, total: total_records, total_is_estimate, .. } = found;
    Ok(RoleUserPage { role, users, total_records, total_is_estimate, next_url, prev_url })
}

pub(crate) async fn grant(call: Call<'_, GrantRole>) -> Result<Message> {
    let (role, user) = call.path;
    call.authy.roles().grant(call.caller, &role, user).await?;
    Ok(Message { message: format!("{user} has the role {role} now") })
}

pub(crate) async fn revoke(call: Call<'_, RevokeRole>) -> Result<Message> {
    let (role, user) = call.path;
    call.authy.roles().revoke(call.caller, &role, user).await?;
    Ok(Message { message: format!("{user} no longer has the role {role}") })
}

fn no_such_role() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such role")
}
