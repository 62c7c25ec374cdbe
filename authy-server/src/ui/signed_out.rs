//! Pages of people without a session: sign up, log in, confirm an address, choose a new password.

use authy_core::{
    Error, ErrorKind, Secret,
    api::{
        FromFields as _,
        account::{ForgottenPassword, PasswordReset, ValidationPurpose},
        session::Credentials,
        user::NewUser,
    },
};
use http::StatusCode;

use super::{
    answer::{Answer, Shown},
    form::FormState,
    guard,
    path::{ACCOUNT, FORGOT, LOGIN},
    view::{ConfirmView, ForgotView, Link, LoginView, MessageView, ResetView, SignUpView},
    visit::Visit,
};

/// The fields of a new password.
const NEW_PASSWORD: [&str; 2] = ["password", "confirm_password"];

/// Leads to the account, or to the login.
pub(super) async fn start(visit: &Visit<'_>) -> Shown {
    Ok(Answer::redirect(if visit.user.is_some() { ACCOUNT } else { LOGIN }))
}

pub(super) async fn choose_language(visit: &Visit<'_>) -> Shown {
    // Also a page about an error, which is not one that a login leads to.
    let here = visit.form.get("return").filter(|path| guard::is_own_path(path));
    let back = Answer::redirect(here.unwrap_or(ACCOUNT));
    let known = &visit.site.skin.languages;
    let chosen = visit.form.get("language").and_then(|code| known.iter().find(|language| language.code == code));
    let Some(chosen) = chosen else { return Ok(back) };
    let mut cookies = visit.no_cookies();
    cookies.set_language(&chosen.code);
    Ok(back.with_cookies(cookies))
}

pub(super) async fn login(visit: &Visit<'_>) -> Shown {
    if visit.user.is_some() {
        return Ok(onward(visit));
    }
    Ok(login_page(visit, FormState::default()))
}

pub(super) async fn log_in(visit: &Visit<'_>) -> Shown {
    const FIELDS: [&str; 2] = ["username", "password"];
    let form = FormState::typed(&visit.form, &["username", "remember"]);
    if !visit.has_flow {
        return Ok(without_flow(visit, form, login_page));
    }
    let refuse = |error: Error| {
        let form = form.clone().refuse(&visit.language.texts, &error, &FIELDS);
        unless_internal(error, |error| login_page(visit, form).refused(error))
    };
    let credentials = match Credentials::from_fields(visit.fields(&FIELDS)) {
        Ok(credentials) => credentials,
        Err(error) => return refuse(error),
    };
    let tokens = match visit.authy.sessions().login(&visit.anonymous(), credentials).await {
        Ok(tokens) => tokens,
        Err(error) => return refuse(error),
    };
    visit.end_replaced().await;
    let is_kept = visit.form.get("remember").is_some();
    Ok(onward(visit).with_cookies(visit.login_cookies(&tokens, is_kept)))
}

fn login_page(visit: &Visit<'_>, form: FormState) -> Answer {
    with_flow(visit, Answer::page(&LoginView { form, return_path: visit.return_path() }))
}

pub(super) async fn log_out(visit: &Visit<'_>) -> Shown {
    if let Ok(caller) = visit.caller() {
        visit.authy.sessions().logout(&caller).await?;
    }
    let mut cookies = visit.no_cookies();
    cookies.forget_tokens();
    Ok(Answer::redirect(format!("{LOGIN}?notice=logged_out")).with_cookies(cookies))
}

pub(super) async fn sign_up(visit: &Visit<'_>) -> Shown {
    if visit.user.is_some() {
        return Ok(Answer::redirect(ACCOUNT));
    }
    Ok(sign_up_page(visit, FormState::default()))
}

/// Signs up, and logs in where that needs no confirmed address.
pub(super) async fn register(visit: &Visit<'_>) -> Shown {
    const FIELDS: [&str; 4] = ["username", "email", "password", "confirm_password"];
    let form = FormState::typed(&visit.form, &["username", "email"]);
    if !visit.has_flow {
        return Ok(without_flow(visit, form, sign_up_page));
    }
    let refuse = |error: Error| {
        let form = form.clone().refuse(&visit.language.texts, &error, &FIELDS);
        unless_internal(error, |error| sign_up_page(visit, form).refused(error))
    };
    let new = match NewUser::from_fields(visit.fields(&FIELDS)) {
        Ok(new) => new,
        Err(error) => return refuse(error),
    };
    let credentials = Credentials::new(new.username.as_str(), new.password.as_secret().clone());
    let caller = visit.anonymous();
    if let Err(error) = visit.authy.users().register(&caller, new).await {
        return refuse(error);
    }
    let texts = &visit.language.texts;
    let message = |paragraphs| MessageView {
        title: texts.get("signed_up.title"),
        paragraphs,
        link: Some(Link::new("/login", texts, "signed_up.login")),
    };
    if visit.authy.requires_validated() {
        return Ok(Answer::page(&message(vec![texts.get("signed_up.confirm_first")])));
    }
    match visit.authy.sessions().login(&caller, credentials).await {
        Ok(tokens) => {
            visit.end_replaced().await;
            let next = Answer::redirect(format!("{ACCOUNT}?notice=signed_up"));
            Ok(next.with_cookies(visit.login_cookies(&tokens, false)))
        }
        // The account is there; what fails here, the login page tells.
        Err(error) => {
            tracing::debug!(%error, "nobody is logged in after a sign-up");
            Ok(Answer::page(&message(vec![texts.get("signed_up.done")])))
        }
    }
}

fn sign_up_page(visit: &Visit<'_>, form: FormState) -> Answer {
    with_flow(visit, Answer::page(&SignUpView { form }))
}

/// Shows what the code of a mail confirms. Changes nothing: mail programs and scanners open links, too.
pub(super) async fn confirmation(visit: &Visit<'_>) -> Shown {
    let view = match visit.authy.users().find_validation(&code(visit)).await {
        Ok(view) => view,
        Err(error) => return confirmation_refused(visit, error),
    };
    if view.already_confirmed {
        return Ok(confirmed(visit, true));
    }
    let is_new = view.purpose == ValidationPurpose::NewAddress;
    Ok(Answer::page(&ConfirmView { hint: view.email_hint, is_new }))
}

pub(super) async fn confirm(visit: &Visit<'_>) -> Shown {
    match visit.authy.users().validate(&visit.anonymous(), &code(visit)).await {
        Ok(validated) => Ok(confirmed(visit, validated.already_confirmed)),
        Err(error) => confirmation_refused(visit, error),
    }
}

fn confirmed(visit: &Visit<'_>, before: bool) -> Answer {
    let texts = &visit.language.texts;
    let title = texts.get(if before { "confirm.before_title" } else { "confirm.done_title" });
    let link = match visit.user.is_some() {
        true => Link::new("/account", texts, "confirm.account"),
        false => Link::new("/login", texts, "confirm.login"),
    };
    Answer::page(&MessageView { title, paragraphs: vec![texts.get("confirm.done")], link: Some(link) })
}

pub(super) async fn forgot(visit: &Visit<'_>) -> Shown {
    let is_sent = visit.query.get("sent").is_some();
    Ok(Answer::page(&ForgotView { form: FormState::default(), is_sent }))
}

/// Sends a reset. What is shown is the same whether or not an account has the address.
pub(super) async fn send_reset(visit: &Visit<'_>) -> Shown {
    const FIELDS: [&str; 1] = ["email"];
    let form = FormState::typed(&visit.form, &FIELDS);
    let refuse = |error: Error| {
        let form = form.refuse(&visit.language.texts, &error, &FIELDS);
        unless_internal(error, |error| Answer::page(&ForgotView { form, is_sent: false }).refused(error))
    };
    let request = match ForgottenPassword::from_fields(visit.fields(&FIELDS)) {
        Ok(request) => request,
        Err(error) => return refuse(error),
    };
    match visit.authy.users().forgot_password(&visit.anonymous(), &request).await {
        Ok(()) => Ok(Answer::redirect(format!("{FORGOT}?sent"))),
        Err(error) => refuse(error),
    }
}

/// Shows for whom the code of a mail sets a password. Changes nothing.
pub(super) async fn new_password(visit: &Visit<'_>) -> Shown {
    match reset_page(visit, FormState::default()).await {
        Ok(page) => Ok(page),
        Err(error) => reset_link_refused(visit, error),
    }
}

pub(super) async fn reset(visit: &Visit<'_>) -> Shown {
    let fields = visit.fields_and(&NEW_PASSWORD, ("code".to_owned(), visit.parameter("code").to_owned()));
    let reset = match PasswordReset::from_fields(fields) {
        Ok(reset) => reset,
        Err(error) => return reset_refused(visit, error).await,
    };
    match visit.authy.users().reset_password(&visit.anonymous(), reset).await {
        Ok(()) => {
            // Every session of the account has ended. That of the browser may be of another one.
            visit.end_replaced().await;
            let mut cookies = visit.no_cookies();
            cookies.forget_tokens();
            Ok(Answer::redirect(format!("{LOGIN}?notice=password_set")).with_cookies(cookies))
        }
        Err(error) => reset_refused(visit, error).await,
    }
}

/// Returns the page on which a password is chosen, with the name of the account for password managers.
async fn reset_page(visit: &Visit<'_>, form: FormState) -> Result<Answer, Error> {
    let pending = visit.authy.users().find_reset(&code(visit)).await?;
    let username = pending.username.as_str().to_owned();
    Ok(Answer::page(&ResetView { form, username, is_first: !pending.has_password }))
}

/// Returns the page about a reset that was refused: its form, as long as the link works.
async fn reset_refused(visit: &Visit<'_>, error: Error) -> Shown {
    if error.kind() == ErrorKind::NotFound {
        return reset_link_refused(visit, error);
    }
    let form = FormState::default().refuse(&visit.language.texts, &error, &NEW_PASSWORD);
    match reset_page(visit, form).await {
        Ok(page) => unless_internal(error, |error| page.refused(error)),
        Err(gone) => reset_link_refused(visit, gone),
    }
}

/// Returns the page about a link that sets a password and does not work.
fn reset_link_refused(visit: &Visit<'_>, error: Error) -> Shown {
    match error.kind() {
        ErrorKind::NotFound => {
            link_refused(visit, error, "reset_link", Link::new("/forgot", &visit.language.texts, "wrong.ask_for_link"))
        }
        _ => Err(error.into()),
    }
}

/// Returns the page about a link that confirms an address and does not work.
fn confirmation_refused(visit: &Visit<'_>, error: Error) -> Shown {
    let about = match error.kind() {
        ErrorKind::NotFound => "link",
        ErrorKind::AlreadyRegistered => "address_taken",
        _ => return Err(error.into()),
    };
    link_refused(visit, error, about, Link::new("/account", &visit.language.texts, "confirm.account"))
}

/// Returns the page about a link that does not work, and where to go on.
fn link_refused(visit: &Visit<'_>, error: Error, about: &str, next: Link) -> Shown {
    let texts = &visit.language.texts;
    let (title, text) = (texts.get(&format!("wrong.{about}_title")), texts.get(&format!("wrong.{about}")));
    Ok(Answer::page(&MessageView { title, paragraphs: vec![text], link: Some(next) }).refused(error))
}

/// Returns the code in the link.
fn code(visit: &Visit<'_>) -> Secret {
    Secret::new(visit.parameter("code"))
}

/// Sets the cookie that shows that the browser keeps cookies, and that the form is ours.
fn with_flow(visit: &Visit<'_>, answer: Answer) -> Answer {
    if visit.has_flow {
        return answer;
    }
    let mut cookies = visit.no_cookies();
    cookies.set_flow();
    answer.with_cookies(cookies)
}

/// Answers a form that came without the flow cookie. A login in another tab removes that cookie, so a browser that is logged in is
/// led to its account, with the session that it has. Any other browser gets the form again, and the advice to permit cookies.
fn without_flow(visit: &Visit<'_>, form: FormState, page: fn(&Visit<'_>, FormState) -> Answer) -> Answer {
    if visit.user.is_some() {
        return onward(visit);
    }
    let form = FormState { alert: Some(visit.language.texts.get("error.no_cookies")), ..form };
    page(visit, form).with_status(StatusCode::FORBIDDEN)
}

/// Leads to the page that the visit is to go on with, or to the account.
fn onward(visit: &Visit<'_>) -> Answer {
    Answer::redirect(visit.return_path().unwrap_or_else(|| ACCOUNT.to_owned()))
}

/// Shows an error in its form, unless it is one that only the log explains.
pub(super) fn unless_internal(error: Error, shown: impl FnOnce(Error) -> Answer) -> Shown {
    match error.kind() {
        ErrorKind::Internal => Err(error.into()),
        _ => Ok(shown(error)),
    }
}
