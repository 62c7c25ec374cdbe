//! Pages of the account of the person who is logged in.

use authy_core::{
    Error, ErrorKind,
    api::{
        FromFields as _,
        account::{AccountChange, Export},
        session::{Credentials, SessionView},
    },
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream::empty};
use http::{
    HeaderValue,
    header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY},
};

use super::{
    answer::{Answer, Shown},
    form::FormState,
    moment::Moment,
    path::{ACCOUNT, LOGIN, SESSIONS},
    signed_out::unless_internal,
    view::{AccountView, AgainView, DeleteView, EmailView, PasswordView, RoleLine, SessionLine, SessionsView},
    visit::Visit,
};
use crate::reply;

pub(super) async fn overview(visit: &Visit<'_>) -> Shown {
    account(visit, None).await
}

async fn account(visit: &Visit<'_>, alert: Option<String>) -> Shown {
    let identity = visit.identity()?;
    let users = visit.authy.users();
    let (user, roles) = (users.find(identity.public_id).await?, users.find_roles(identity.public_id).await?);
    let (Some(user), Some(roles)) = (user, roles) else { return Err(gone().into()) };
    let sessions = visit.authy.sessions().list(identity).await?.len();
    let moment = |time| Moment::new(time, visit.now, &visit.language.texts);
    Ok(Answer::page(&AccountView {
        alert,
        username: user.username.as_str().to_owned(),
        email: user.email.as_str().to_owned(),
        is_confirmed: user.validated,
        created: moment(user.created),
        last_login: user.last_login.map(moment),
        roles: roles.roles.iter().map(RoleLine::from).collect(),
        sessions,
    }))
}

/// Sends another code to confirm the address.
pub(super) async fn resend(visit: &Visit<'_>) -> Shown {
    match visit.authy.users().resend_validation(&visit.caller()?).await {
        Ok(()) => Ok(Answer::redirect(format!("{ACCOUNT}?notice=code_sent"))),
        Err(error) => {
            let shown = account(visit, Some(visit.language.texts.error(&error))).await?;
            unless_internal(error, |error| shown.refused(error))
        }
    }
}

pub(super) async fn again(visit: &Visit<'_>) -> Shown {
    again_page(visit, FormState::default()).await
}

/// Logs in again: another session takes the place of this one.
pub(super) async fn log_in_again(visit: &Visit<'_>) -> Shown {
    const FIELDS: [&str; 1] = ["password"];
    let username = name(visit).await?;
    let credentials = match Credentials::from_fields(visit.fields_and(&FIELDS, ("username".to_owned(), username))) {
        Ok(credentials) => credentials,
        Err(error) => return refuse_again(visit, error).await,
    };
    let tokens = match visit.authy.sessions().login(&visit.anonymous(), credentials).await {
        Ok(tokens) => tokens,
        Err(error) => return refuse_again(visit, error).await,
    };
    visit.end_replaced().await;
    let next = visit.return_path().unwrap_or_else(|| ACCOUNT.to_owned());
    Ok(Answer::redirect(next).with_cookies(visit.login_cookies(&tokens, visit.is_kept)))
}

async fn refuse_again(visit: &Visit<'_>, error: Error) -> Shown {
    let mut form = FormState::default().refuse(&visit.language.texts, &error, &["password"]);
    if error.kind() == ErrorKind::InvalidCredentials {
        form = FormState::default();
        form.focus = Some("password".to_owned());
        form.errors.insert("password".to_owned(), visit.language.texts.get("error.wrong_password"));
    }
    let page = again_page(visit, form).await?;
    unless_internal(error, |error| page.refused(error))
}

async fn again_page(visit: &Visit<'_>, form: FormState) -> Shown {
    Ok(Answer::page(&AgainView { form, username: name(visit).await?, return_path: visit.return_path() }))
}

pub(super) async fn email(visit: &Visit<'_>) -> Shown {
    email_page(visit, FormState::default()).await
}

pub(super) async fn change_email(visit: &Visit<'_>) -> Shown {
    const FIELDS: [&str; 2] = ["email", "current_password"];
    match change(visit, &FIELDS).await {
        Ok(()) => Ok(Answer::redirect(format!("{ACCOUNT}?notice=email_requested"))),
        Err(error) => {
            let form = FormState::typed(&visit.form, &["email"]).refuse(&visit.language.texts, &error, &FIELDS);
            let page = email_page(visit, form).await?;
            unless_internal(error, |error| page.refused(error))
        }
    }
}

async fn email_page(visit: &Visit<'_>, form: FormState) -> Shown {
    let user = visit.authy.users().find(visit.identity()?.public_id).await?.ok_or_else(gone)?;
    let (username, email) = (user.username.as_str().to_owned(), user.email.as_str().to_owned());
    Ok(Answer::page(&EmailView { form, username, email }))
}

pub(super) async fn password(visit: &Visit<'_>) -> Shown {
    password_page(visit, FormState::default()).await
}

pub(super) async fn change_password(visit: &Visit<'_>) -> Shown {
    const FIELDS: [&str; 3] = ["current_password", "password", "confirm_password"];
    match change(visit, &FIELDS).await {
        Ok(()) => Ok(Answer::redirect(format!("{ACCOUNT}?notice=password_changed"))),
        Err(error) => {
            let form = FormState::default().refuse(&visit.language.texts, &error, &FIELDS);
            let page = password_page(visit, form).await?;
            unless_internal(error, |error| page.refused(error))
        }
    }
}

async fn password_page(visit: &Visit<'_>, form: FormState) -> Shown {
    Ok(Answer::page(&PasswordView { form, username: name(visit).await? }))
}

/// Changes the account as the form says. The current password is required, also shortly after a login.
async fn change(visit: &Visit<'_>, fields: &[&str]) -> Result<(), Error> {
    let change = AccountChange::from_fields(visit.fields(fields))?;
    if change.current_password.is_none() {
        return Err(Error::new(ErrorKind::InvalidCredentials, "the current password is required"));
    }
    visit.authy.users().change(&visit.caller()?, visit.identity()?.public_id, change).await?;
    Ok(())
}

pub(super) async fn sessions(visit: &Visit<'_>) -> Shown {
    let sessions = visit.authy.sessions().list(visit.identity()?).await?;
    let has_others = sessions.iter().any(|session| !session.current);
    let line = |session: &SessionView| SessionLine::new(session, session.current, visit.now, &visit.language.texts);
    Ok(Answer::page(&SessionsView { sessions: sessions.iter().map(line).collect(), has_others }))
}

/// Ends the session that the form names, or all others.
pub(super) async fn end_sessions(visit: &Visit<'_>) -> Shown {
    let (caller, identity) = (visit.caller()?, visit.identity()?);
    let sessions = visit.authy.sessions();
    let Some(session) = visit.form.get("session") else {
        sessions.end_others(&caller).await?;
        return Ok(Answer::redirect(format!("{SESSIONS}?notice=sessions_ended")));
    };
    let unknown = || Error::new(ErrorKind::NotFound, "there is no such session");
    let session = session.parse().map_err(|_| unknown())?;
    match sessions.end(&caller, identity.public_id, session).await {
        // It has ended meanwhile: that is what was wanted.
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ if session == identity.session_id => Ok(logged_out(visit, "logged_out")),
        _ => Ok(Answer::redirect(format!("{SESSIONS}?notice=session_ended"))),
    }
}

/// Answers with everything that is stored about the user, as a file.
pub(super) async fn export(visit: &Visit<'_>) -> Shown {
    let mut response = match visit.is_head {
        true => reply::chunked::<Export>(empty()),
        false => {
            let chunks = visit.authy.users().stream_export(visit.identity()?.public_id).await?;
            reply::chunked::<Export>(chunks.map(|chunk| chunk.map(Bytes::from)))
        }
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"account.json\""));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    Ok(Answer::raw(response))
}

pub(super) async fn deletion(visit: &Visit<'_>) -> Shown {
    visit.require_recent().await?;
    delete_page(visit, None).await
}

pub(super) async fn delete(visit: &Visit<'_>) -> Shown {
    visit.require_recent().await?;
    match visit.authy.users().delete(&visit.caller()?, visit.identity()?.public_id).await {
        Ok(()) => Ok(logged_out(visit, "deleted")),
        Err(error) => {
            let page = delete_page(visit, Some(visit.language.texts.error(&error))).await?;
            unless_internal(error, |error| page.refused(error))
        }
    }
}

async fn delete_page(visit: &Visit<'_>, alert: Option<String>) -> Shown {
    Ok(Answer::page(&DeleteView { alert, username: name(visit).await? }))
}

/// Leads to the login, after the session has ended.
fn logged_out(visit: &Visit<'_>, notice: &str) -> Answer {
    let mut cookies = visit.no_cookies();
    cookies.forget_tokens();
    Answer::redirect(format!("{LOGIN}?notice={notice}")).with_cookies(cookies)
}

/// Returns the name of the user. A token that is too short for it does not contain it.
async fn name(visit: &Visit<'_>) -> Result<String, Error> {
    let identity = visit.identity()?;
    let name = match &identity.username {
        Some(name) => name.clone(),
        None => visit.authy.users().find_username(identity.public_id).await?.ok_or_else(gone)?,
    };
    Ok(name.as_str().to_owned())
}

fn gone() -> Error {
    Error::new(ErrorKind::InvalidToken, "the account does not exist any more")
}
