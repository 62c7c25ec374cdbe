//! A method for every endpoint.

use authy_core::{
    Level, RoleName, SessionId, UserId, Username,
    api::{
        Endpoint, Nothing,
        account::{
            ChangeUser, Code, ExportSelf, FindPasswordPage, ForgotPassword, GetValidation, ResendValidation,
            ResetPassword, RestoreUser, SendReset, Validate,
        },
        event::ListEvents,
        role::{CreateRole, DeleteRole, GetRole, GrantRole, ListRoleUsers, ListRoles, RevokeRole},
        session::{
            CheckAccess, EndOtherSessions, EndSession, EndUserSessions, GetKeys, GetKeysAtRoot, GetRevocations,
            ListSessions, Login, Logout, Refresh,
        },
        system::{GetAsyncApi, GetMetadata, GetMetadataAtRoot, GetOpenApi, GetRateLimited, GetStatus, ListEndpoints},
        user::{
            CreateUser, DeleteSelf, DeleteUser, FindUser, GetOwnRoles, GetSelf, GetUser, GetUserRoles, GetUsername,
            ListUsers, Register,
        },
    },
};

use crate::{Client, Result};

/// A row each: `method: Endpoint(path parameters) request`. A group of rows is a block of methods in the documentation.
macro_rules! calls {
    ($(
        group $group:literal;
        $( #[doc = $doc:literal] $method:ident: $endpoint:ident($($param:ident: $type:ty),*) $($request:ident)?; )+
    )+) => {
        $(
            #[doc = $group]
            impl Client { $(
                #[doc = $doc]
                ///
                /// # Errors
                #[doc = concat!("Those of [`", stringify!($endpoint), "`] and of [`call`](Self::call).")]
                pub async fn $method(
                    &self,
                    $($param: $type,)*
                    $($request: <$endpoint as Endpoint>::Request,)?
                ) -> Result<<$endpoint as Endpoint>::Response> {
                    self.call::<$endpoint>(($($param,)*), calls!(@ $($request)?)).await
                }
            )+ }
        )+

        /// The endpoints that have a method.
        #[cfg(test)]
        const CALLED: &[&str] = &[$($(stringify!($endpoint)),+),+];
    };
    (@) => { Nothing {} };
    (@ $request:ident) => { $request };
}

calls! {
    group "Sessions, tokens and keys.";
    /// Logs in.
    login: Login() request;
    /// Exchanges a refresh token for new tokens. Safe to repeat within 30 seconds. [`Session`](crate::Session) does it.
    refresh: Refresh() request;
    /// Logs out: ends the session of the client's token.
    logout: Logout();
    /// Returns the caller's sessions.
    list_sessions: ListSessions();
    /// Ends all other sessions of the caller's.
    end_other_sessions: EndOtherSessions();
    /// Ends one of the caller's sessions.
    end_session: EndSession(session: SessionId);
    /// Ends all sessions of a user.
    end_user_sessions: EndUserSessions(user: UserId);
    /// Checks that the caller's level is this or smaller.
    check_access: CheckAccess(level: Level);
    /// Returns the public keys.
    get_keys: GetKeys();
    /// Returns what a verifier of access tokens must know of the server (RFC 8414).
    get_metadata: GetMetadata();
    /// Returns the same document from the path where libraries look for it.
    get_metadata_at_root: GetMetadataAtRoot();
    /// Returns the public keys from the path where libraries look for them.
    get_keys_at_root: GetKeysAtRoot();
    /// Returns the revocations that are in force.
    get_revocations: GetRevocations() request;
    group "Users.";
    /// Signs up.
    register: Register() request;
    /// Returns the caller.
    get_self: GetSelf();
    /// Deletes the caller.
    delete_self: DeleteSelf();
    /// Returns the caller's roles.
    get_own_roles: GetOwnRoles();
    /// Creates a user for another person. Without a password, the user is invited by mail to choose one.
    create_user: CreateUser() request;
    /// Returns a page of users. [`users`](Self::users) returns those of all pages.
    list_users: ListUsers() request;
    /// Returns one user.
    get_user: GetUser(user: UserId);
    /// Deletes a user; with `Deletion::ERASE`, erases all personal data.
    delete_user: DeleteUser(user: UserId) request;
    /// Returns a user's roles.
    get_user_roles: GetUserRoles(user: UserId);
    /// Returns a user's name.
    get_username: GetUsername(user: UserId);
    /// Returns the public id of a name.
    find_user: FindUser(username: Username);
    group "Passwords, addresses, and the data of an account.";
    /// Changes a user's password, address, or both.
    change_user: ChangeUser(user: UserId) request;
    /// Returns what a code from a mail confirms. Changes nothing.
    get_validation: GetValidation(code: Code);
    /// Confirms an address.
    validate: Validate(code: Code);
    /// Sends the caller a fresh code to confirm the address with.
    resend_validation: ResendValidation();
    /// Asks for a mail with a code that resets a password.
    forgot_password: ForgotPassword() request;
    /// Chooses a new password with a code.
    reset_password: ResetPassword() request;
    /// Sends a user a code that resets the password.
    send_reset: SendReset(user: UserId);
    /// Restores a deleted user.
    restore_user: RestoreUser(user: UserId);
    /// Returns everything that is stored about the caller.
    export_self: ExportSelf();
    /// Returns the page where users change their password.
    find_password_page: FindPasswordPage();
    group "Roles.";
    /// Returns all roles.
    list_roles: ListRoles();
    /// Creates a role.
    create_role: CreateRole() request;
    /// Returns one role.
    get_role: GetRole(role: RoleName);
    /// Deletes a role.
    delete_role: DeleteRole(role: RoleName);
    /// Returns a page of the users who have a role.
    list_role_users: ListRoleUsers(role: RoleName) request;
    /// Grants a role.
    grant_role: GrantRole(role: RoleName, user: UserId);
    /// Revokes a role.
    revoke_role: RevokeRole(role: RoleName, user: UserId);
    group "The audit trail, and the server itself.";
    /// Returns a page of the audit trail. [`events`](Self::events) returns those of all pages.
    list_events: ListEvents() request;
    /// Returns every path and its methods.
    list_endpoints: ListEndpoints();
    /// Returns the status of the server.
    get_status: GetStatus();
    /// Requests an answer with status 429, to test how a program handles it.
    get_rate_limited: GetRateLimited();
    /// Returns the OpenAPI document.
    get_openapi: GetOpenApi();
    /// Returns the AsyncAPI document of the messages that are published to a broker.
    get_asyncapi: GetAsyncApi();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_has_a_method() {
        let known: Vec<_> = authy_core::api::all().map(|info| info.name).collect();
        assert!(known.iter().all(|name| CALLED.contains(name)) && CALLED.len() == known.len());
    }
}
