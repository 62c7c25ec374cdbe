//! The handler of every endpoint, one line each.

use authy_core::api::{
    account::{
        ChangeUser, ExportSelf, FindPasswordPage, ForgotPassword, GetValidation, ResendValidation, ResetPassword,
        RestoreUser, SendReset, Validate,
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
};

use crate::{
    handlers::{account, event, role, session, system, user},
    route::{Route, Routed as _},
};

/// Returns every route.
pub(crate) fn all() -> Vec<Route> {
    with_documents(ListEndpoints::always(system::endpoints), GetOpenApi::always(system::openapi))
}

/// Returns the routes that are not for administrators alone. Their documents name no others.
pub(crate) fn public() -> Vec<Route> {
    let documents = (ListEndpoints::always(system::public_endpoints), GetOpenApi::always(system::public_openapi));
    let mut routes = with_documents(documents.0, documents.1);
    routes.retain(|route| !route.info.access.is_administrative());
    routes
}

fn with_documents(list: Route, openapi: Route) -> Vec<Route> {
    vec![
        list,
        openapi,
        Login::to(session::log_in),
        Refresh::to(session::refresh),
        Logout::to(session::log_out),
        ListSessions::to(session::list),
        EndOtherSessions::to(session::end_others),
        EndSession::to(session::end),
        EndUserSessions::to(session::end_all_of),
        CheckAccess::to(session::check_access),
        GetKeys::to(session::keys),
        GetKeysAtRoot::to(session::keys),
        GetRevocations::to_either(session::revocations, session::revocation_stream),
        Register::to(user::register),
        GetSelf::to(user::get_self),
        DeleteSelf::to(user::delete_self),
        GetOwnRoles::to(user::own_roles),
        CreateUser::to(user::create),
        ListUsers::to(user::list),
        GetUser::to(user::get),
        DeleteUser::to(user::delete),
        GetUserRoles::to(user::roles),
        GetUsername::to(user::name),
        FindUser::to(user::find),
        ChangeUser::to(account::change),
        GetValidation::to_page(account::get_validation),
        Validate::to_page(account::validate),
        ResendValidation::to(account::resend),
        ForgotPassword::to(account::forgot),
        ResetPassword::to(account::reset),
        SendReset::to(account::send_reset),
        RestoreUser::to(account::restore),
        ExportSelf::to_chunks(account::export),
        FindPasswordPage::to(account::password_page),
        ListRoles::to(role::list),
        CreateRole::to(role::create),
        GetRole::to(role::get),
        DeleteRole::to(role::delete),
        ListRoleUsers::to(role::users),
        GrantRole::to(role::grant),
        RevokeRole::to(role::revoke),
        ListEvents::to(event::list),
        GetStatus::to(system::status),
        GetMetadata::to(system::metadata),
        GetMetadataAtRoot::to(system::metadata),
        GetRateLimited::to(system::rate_limited),
        GetAsyncApi::always(system::asyncapi),
    ]
}
