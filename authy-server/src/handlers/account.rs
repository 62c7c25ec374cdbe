//! Accounts: confirmation of addresses, changes, password resets, restoring, export.

use authy_core::{
    Error, ErrorKind, Result,
    api::{
        Nothing,
        account::{
            Accepted, ChangeUser, ExportSelf, FindPasswordPage, ForgotPassword, GetValidation, PasswordPage,
            ResendValidation, ResetPassword, RestoreUser, SendReset, Validate, Validated, ValidationView,
        },
        user::UserView,
    },
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use crate::call::Call;

pub(crate) async fn change(call: Call<'_, ChangeUser>) -> Result<UserView> {
    call.authy.users().change(call.caller, call.path.0, call.request).await
}

pub(crate) async fn get_validation(call: Call<'_, GetValidation>) -> Result<ValidationView> {
    call.authy.users().find_validation(call.path.0.as_secret()).await
}

pub(crate) async fn validate(call: Call<'_, Validate>) -> Result<Validated> {
    call.authy.users().validate(call.caller, call.path.0.as_secret()).await
}

pub(crate) async fn resend(call: Call<'_, ResendValidation>) -> Result<Accepted> {
    call.authy.users().resend_validation(call.caller).await?;
    Ok(accepted("a mail with a code is on its way, unless your address is confirmed"))
}

pub(crate) async fn forgot(call: Call<'_, ForgotPassword>) -> Result<Accepted> {
    call.authy.users().forgot_password(call.caller, &call.request).await?;
    Ok(accepted("if an account has this address, a mail with a code is on its way to it"))
}

pub(crate) async fn reset(call: Call<'_, ResetPassword>) -> Result<Nothing> {
    call.authy.users().reset_password(call.caller, call.request).await?;
    Ok(Nothing {})
}

pub(crate) async fn send_reset(call: Call<'_, SendReset>) -> Result<Accepted> {
    call.authy.users().send_reset(call.caller, call.path.0).await?;
    Ok(accepted("a mail with a code is on its way to the user"))
}

pub(crate) async fn restore(call: Call<'_, RestoreUser>) -> Result<Nothing> {
    call.authy.users().restore(call.caller, call.path.0).await?;
    Ok(Nothing {})
}

pub(crate) async fn export(call: Call<'_, ExportSelf>) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
    let chunks = call.authy.users().stream_export(call.identity()?.public_id).await?;
    Ok(chunks.map(|chunk| chunk.map(Bytes::from)))
}

pub(crate) async fn password_page(call: Call<'_, FindPasswordPage>) -> Result<PasswordPage> {
    let page = call.authy.change_password_url().map(|url| PasswordPage { url: url.to_owned() });
    page.ok_or_else(|| Error::new(ErrorKind::NotFound, "no page to change passwords is configured here"))
}

fn accepted(message: &str) -> Accepted {
    Accepted { message: message.to_owned() }
}
