//! A method for every endpoint.

use authy_core::{
    Level, RoleName, SessionId, UserId, Username,
    api::{
        Nothing,
        account::{
            Accepted, AccountChange, ChangeUser, Code, Export, ExportSelf, FindPasswordPage, ForgotPassword,
            ForgottenPassword, GetValidation, PasswordPage, PasswordReset, ResendValidation, ResetPassword,
            RestoreUser, SendReset, Validate, Validated, ValidationView,
        },
        event::{EventPage, EventQuery, ListEvents},
        role::{
            CreateRole, DeleteRole, GetRole, GrantRole, ListRoleUsers, ListRoles, Message, NewRole, OneRole,
            RevokeRole, RoleList, RoleMade, RoleUserPage, RoleUserQuery,
        },
        session::{
            AccessGranted, CheckAccess, Credentials, EndOtherSessions, EndSession, EndUserSessions, GetKeys,
            GetKeysAtRoot, GetRevocations, JwkSet, ListSessions, Login, Logout, Refresh, RefreshToken, RevocationPage,
            RevocationQuery, SessionList, Tokens,
        },
        system::{
            AsyncApi, EndpointList, GetAsyncApi, GetMetadata, GetMetadataAtRoot, GetOpenApi, GetRateLimited, GetStatus,
            ListEndpoints, OpenApi, ServerMetadata, Status,
        },
        user::{
            CreateUser, Created, DeleteSelf, DeleteUser, Deletion, FindUser, GetOwnRoles, GetSelf, GetUser,
            GetUserRoles, GetUsername, IdOfUser, ListUsers, NameOfUser, NewAccount, NewUser, OwnRoles, OwnView,
            Register, UserPage, UserQuery, UserRoles, UserView,
        },
    },
};

use crate::{Client, Result};

/// A row each: `method: Endpoint(path parameters) Request => Response`, without the request when it is `Nothing`. The types
/// are those of the endpoint, written out so that the documentation of a method shows them; a wrong one does not compile. A
/// group of rows is a block of methods in the documentation.
macro_rules! calls {
    ($(
        group $group:literal;
        $(
            #[doc = $doc:literal]
            $method:ident: $endpoint:ident($($param:ident: $type:ty),*) $($request:ident)? => $response:ident;
        )+
    )+) => {
        $(
            #[doc = $group]
            impl Client { $(
                #[doc = $doc]
                ///
                /// # Errors
                #[doc = concat!("Those of [`", stringify!($endpoint), "`] and of [`call`](Self::call).")]
                pub async fn $method(&self, $($param: $type,)* $(request: $request)?) -> Result<$response> {
                    self.call::<$endpoint>(($($param,)*), calls!(@ $(request $request)?)).await
                }
            )+ }
        )+

        /// The endpoints that have a method.
        #[cfg(test)]
        const CALLED: &[&str] = &[$($(stringify!($endpoint)),+),+];
    };
    (@) => { Nothing {} };
    (@ $request:ident $type:ident) => { $request };
}

calls! {
    group "Sessions, tokens and keys.";
    /// Logs in.
    login: Login() Credentials => Tokens;
    /// Exchanges a refresh token for new tokens. Safe to repeat within 30 seconds. [`Session`](crate::Session) does it.
    refresh: Refresh() RefreshToken => Tokens;
    /// Logs out: ends the session of the client's token.
    logout: Logout() => Nothing;
    /// Returns the caller's sessions.
    list_sessions: ListSessions() => SessionList;
    /// Ends all other sessions of the caller's.
    end_other_sessions: EndOtherSessions() => Nothing;
    /// Ends one of the caller's sessions.
    end_session: EndSession(session: SessionId) => Nothing;
    /// Ends all sessions of a user.
    end_user_sessions: EndUserSessions(user: UserId) => Nothing;
    /// Checks that the caller's level is this or smaller.
    check_access: CheckAccess(level: Level) => AccessGranted;
    /// Returns the public keys.
    get_keys: GetKeys() => JwkSet;
    /// Returns what a verifier of access tokens must know of the server (RFC 8414).
    get_metadata: GetMetadata() => ServerMetadata;
    /// Returns the same document from the path where libraries look for it.
    get_metadata_at_root: GetMetadataAtRoot() => ServerMetadata;
    /// Returns the public keys from the path where libraries look for them.
    get_keys_at_root: GetKeysAtRoot() => JwkSet;
    /// Returns the revocations that are in force.
    get_revocations: GetRevocations() RevocationQuery => RevocationPage;
    group "Users.";
    /// Signs up.
    register: Register() NewUser => Created;
    /// Returns the caller.
    get_self: GetSelf() => OwnView;
    /// Deletes the caller.
    delete_self: DeleteSelf() => Nothing;
    /// Returns the caller's roles.
    get_own_roles: GetOwnRoles() => OwnRoles;
    /// Creates a user for another person. Without a password, the user is invited by mail to choose one.
    create_user: CreateUser() NewAccount => Created;
    /// Returns a page of users. [`users`](Self::users) returns those of all pages.
    list_users: ListUsers() UserQuery => UserPage;
    /// Returns one user.
    get_user: GetUser(user: UserId) => UserView;
    /// Deletes a user; with `Deletion::ERASE`, erases all personal data.
    delete_user: DeleteUser(user: UserId) Deletion => Nothing;
    /// Returns a user's roles.
    get_user_roles: GetUserRoles(user: UserId) => UserRoles;
    /// Returns a user's name.
    get_username: GetUsername(user: UserId) => NameOfUser;
    /// Returns the public id of a name.
    find_user: FindUser(username: Username) => IdOfUser;
    group "Passwords, addresses, and the data of an account.";
    /// Changes a user's password, address, or both.
    change_user: ChangeUser(user: UserId) AccountChange => UserView;
    /// Returns what a code from a mail confirms. Changes nothing.
    get_validation: GetValidation(code: Code) => ValidationView;
    /// Confirms an address.
    validate: Validate(code: Code) => Validated;
    /// Sends the caller a fresh code to confirm the address with.
    resend_validation: ResendValidation() => Accepted;
    /// Asks for a mail with a code that resets a password.
    forgot_password: ForgotPassword() ForgottenPassword => Accepted;
    /// Chooses a new password with a code.
    reset_password: ResetPassword() PasswordReset => Nothing;
    /// Sends a user a code that resets the password.
    send_reset: SendReset(user: UserId) => Accepted;
    /// Restores a deleted user.
    restore_user: RestoreUser(user: UserId) => Nothing;
    /// Returns everything that is stored about the caller.
    export_self: ExportSelf() => Export;
    /// Returns the page where users change their password.
    find_password_page: FindPasswordPage() => PasswordPage;
    group "Roles.";
    /// Returns all roles.
    list_roles: ListRoles() => RoleList;
    /// Creates a role.
    create_role: CreateRole() NewRole => RoleMade;
    /// Returns one role.
    get_role: GetRole(role: RoleName) => OneRole;
    /// Deletes a role.
    delete_role: DeleteRole(role: RoleName) => Nothing;
    /// Returns a page of the users who have a role.
    list_role_users: ListRoleUsers(role: RoleName) RoleUserQuery => RoleUserPage;
    /// Grants a role.
    grant_role: GrantRole(role: RoleName, user: UserId) => Message;
    /// Revokes a role.
    revoke_role: RevokeRole(role: RoleName, user: UserId) => Message;
    group "The audit trail, and the server itself.";
    /// Returns a page of the audit trail. [`events`](Self::events) returns those of all pages.
    list_events: ListEvents() EventQuery => EventPage;
    /// Returns every path and its methods.
    list_endpoints: ListEndpoints() => EndpointList;
    /// Returns the status of the server.
    get_status: GetStatus() => Status;
    /// Requests an answer with status 429, to test how a program handles it.
    get_rate_limited: GetRateLimited() => Nothing;
    /// Returns the OpenAPI document.
    get_openapi: GetOpenApi() => OpenApi;
    /// Returns the AsyncAPI document of the messages that are published to a broker.
    get_asyncapi: GetAsyncApi() => AsyncApi;
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
