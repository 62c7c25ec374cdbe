//! A method for every endpoint.

use authy_core::{
    Level, RoleName, SessionId, UserId, Username,
    api::{Endpoint, Nothing, account::*, event::*, role::*, session::*, system::*, user::*},
};

use crate::{Client, Result};

/// A row each: `method: Endpoint(path parameters) request`.
macro_rules! calls {
    ($( #[doc = $doc:literal] $method:ident: $endpoint:ident($($param:ident: $type:ty),*) $($request:ident)?; )+) => {
        impl Client { $(
            #[doc = $doc]
            ///
            /// # Errors
            /// What the server said, or why it could not be asked.
            pub async fn $method(
                &self,
                $($param: $type,)*
                $($request: <$endpoint as Endpoint>::Request,)?
            ) -> Result<<$endpoint as Endpoint>::Response> {
                self.call::<$endpoint>(($($param,)*), calls!(@ $($request)?)).await
            }
        )+ }

        /// The endpoints that have a method.
        #[cfg(test)]
        const CALLED: &[&str] = &[$(stringify!($endpoint)),+];
    };
    (@) => { Nothing {} };
    (@ $request:ident) => { $request };
}

calls! {
    /// Logs in.
    login: Login() request;
    /// Exchanges a refresh token for fresh tokens. Safe to repeat within half a minute.
    refresh: Refresh() request;
    /// Ends the session the token came from.
    logout: Logout();
    /// The caller's sessions.
    list_sessions: ListSessions();
    /// Ends all other sessions of the caller's.
    end_other_sessions: EndOtherSessions();
    /// Ends one of the caller's sessions.
    end_session: EndSession(session: SessionId);
    /// Ends all sessions of a user.
    end_user_sessions: EndUserSessions(user: UserId);
    /// Checks that the caller's level is this or smaller.
    check_access: CheckAccess(level: Level);
    /// The public keys.
    get_keys: GetKeys();
    /// What a verifier of access tokens must know of the server (RFC 8414).
    get_metadata: GetMetadata();
    /// The same document, from the path where libraries look for it.
    get_metadata_at_root: GetMetadataAtRoot();
    /// The public keys, from where libraries look for them.
    get_keys_at_root: GetKeysAtRoot();
    /// Which tokens are void.
    get_revocations: GetRevocations() request;
    /// Signs up.
    register: Register() request;
    /// The caller.
    get_self: GetSelf();
    /// Deletes the caller.
    delete_self: DeleteSelf();
    /// The caller's roles.
    get_own_roles: GetOwnRoles();
    /// A page of all users.
    list_users: ListUsers() request;
    /// One user.
    get_user: GetUser(user: UserId);
    /// Deletes a user, with `Deletion::ERASE` for good.
    delete_user: DeleteUser(user: UserId) request;
    /// A user's roles.
    get_user_roles: GetUserRoles(user: UserId);
    /// A user's name.
    get_username: GetUsername(user: UserId);
    /// The public id of a name.
    find_user: FindUser(username: Username);
    /// Changes a user's password, address, or both.
    change_user: ChangeUser(user: UserId) request;
    /// What a code from a mail confirms. Changes nothing.
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
    /// Brings a deleted user back.
    restore_user: RestoreUser(user: UserId);
    /// Everything that is held about the caller.
    export_self: ExportSelf();
    /// Where to change one's password.
    find_password_page: FindPasswordPage();
    /// All roles.
    list_roles: ListRoles();
    /// Creates a role.
    create_role: CreateRole() request;
    /// One role.
    get_role: GetRole(role: RoleName);
    /// Deletes a role.
    delete_role: DeleteRole(role: RoleName);
    /// A page of those who have a role.
    list_role_users: ListRoleUsers(role: RoleName) request;
    /// Grants a role.
    grant_role: GrantRole(role: RoleName, user: UserId);
    /// Takes a role away.
    revoke_role: RevokeRole(role: RoleName, user: UserId);
    /// The audit trail.
    list_events: ListEvents() request;
    /// Every path and its methods.
    list_endpoints: ListEndpoints();
    /// That the server is there.
    get_status: GetStatus();
    /// 429, always.
    get_rate_limited: GetRateLimited();
    /// The OpenAPI document.
    get_openapi: GetOpenApi();
    /// The AsyncAPI document of the messages that a broker is sent.
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
