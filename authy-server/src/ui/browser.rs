//! The session of a browser, and the frame of every answer.
//!
//! The access token and the refresh token are in cookies. The access token is checked as in the API; when it has expired,
//! the refresh token is exchanged, and the new tokens are set as cookies. Tabs that do so at the same moment get the same
//! tokens, by the grace of refresh tokens.

use authy_core::{
    Authenticator as _, Authy, ClientInfo, Error, ErrorKind, Identity, Result, Secret, UserId,
    api::{Method, session::RefreshToken, status},
    engine::Caller,
    time::now,
};
use http::{header::CONTENT_SECURITY_POLICY, request::Parts};
use minijinja::Value;

use super::{
    FoundPage, Site,
    answer::{Answer, Content, Interruption, Shown, add_refusal, html, see_other},
    cookie::{Cookie, CookieJar, SetCookies},
    error_page::{self, Opened},
    form::Form,
    frame::Frame,
    guard,
    path::{LOGIN, section},
    row::PageRow,
    visit::Visit,
};
use crate::reply::Response;

/// Answers a visit: identifies the owner of the session, calls the handler, and renders what it returns.
pub(super) async fn answer(
    site: &Site,
    authy: &Authy,
    page: &FoundPage<'_>,
    (head, form): (&Parts, Form),
    client: ClientInfo,
    user: &mut Option<UserId>,
) -> Response {
    let language = site.skin.language(&head.headers);
    let jar = CookieJar::new(&head.headers, site.skin.is_secure);
    let request_id = client.request_id.clone().unwrap_or_default();
    let client = ClientInfo { device_token: jar.get(Cookie::Device).map(Secret::new), ..client };
    let mut cookies = SetCookies::new(site.skin.is_secure);
    let identified = match page.row.is_asset {
        true => Ok(None),
        false => identify(authy, &jar, &client, &mut cookies).await,
    };
    let query = head.uri.query().filter(|_| !page.row.is_asset).unwrap_or_default();
    // What a page shows that is for everybody does not depend on it.
    let identified = if page.row.access.needs_token() { identified } else { identified.or(Ok(None)) };
    let mut visit = Visit {
        site,
        authy,
        language,
        listener: page.listener,
        route: page.row.path,
        target: head.uri.path_and_query().map_or("/", |target| target.as_str()),
        parameters: &page.parameters,
        query: Form::parse(query.as_bytes()),
        form,
        client,
        user: None,
        has_flow: jar.get(Cookie::Flow).is_some(),
        is_kept: jar.refresh_token().is_some_and(|(_, is_kept)| is_kept),
        is_head: head.method == Method::HEAD,
        is_form: head.method == Method::POST,
        now: now(),
    };
    let shown = match identified {
        Ok(identity) => {
            *user = identity.as_ref().map(|identity| identity.public_id);
            visit.user = identity;
            call(page.row, &head.method, &visit).await
        }
        Err(error) => Err(error.into()),
    };
    let mut response = render(&visit, shown, &mut cookies, &request_id);
    cookies.write(response.headers_mut());
    response
}

/// Returns the owner of the session, if there is one.
async fn identify(
    authy: &Authy,
    jar: &CookieJar<'_>,
    client: &ClientInfo,
    cookies: &mut SetCookies,
) -> Result<Option<Identity>> {
    if let Some(token) = jar.get(Cookie::Access) {
        match authy.authenticate(token).await {
            Err(error) if error.kind() == ErrorKind::InvalidToken => {}
            known => return known.map(Some),
        }
    }
    let Some((refresh_token, is_kept)) = jar.refresh_token() else { return Ok(None) };
    let request = RefreshToken { refresh_token };
    match authy.sessions().refresh(&Caller::anonymous(client.clone()), request).await {
        Ok(tokens) => {
            cookies.set_tokens(&tokens, is_kept);
            match authy.authenticate(tokens.token.expose()).await {
                Err(error) if error.kind() == ErrorKind::InvalidToken => Ok(None),
                known => known.map(Some),
            }
        }
        Err(error) if matches!(error.kind(), ErrorKind::InvalidRefreshToken | ErrorKind::NoRole) => {
            cookies.forget_tokens();
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Calls the handler of a page for those who may see it.
async fn call(row: &PageRow, method: &Method, visit: &Visit<'_>) -> Shown {
    if row.access.needs_token() {
        match &visit.user {
            Some(identity) => row.access.permit(identity, None)?,
            // A form cannot be sent again after the login, but its page can be opened again.
            None => return Err(Interruption::Redirect(visit.with_return(LOGIN))),
        }
    }
    if row.needs_recent_login {
        visit.require_recent().await?;
    }
    let Some(handler) = row.handler(method) else {
        return Err(Error::new(ErrorKind::MethodNotAllowed, "this page does not answer this method").into());
    };
    handler(visit).await
}

fn render(visit: &Visit<'_>, shown: Shown, cookies: &mut SetCookies, request_id: &str) -> Response {
    let site = visit.site;
    let answer = match shown {
        Ok(answer) => answer,
        Err(Interruption::Redirect(path)) => Answer::redirect(path),
        Err(Interruption::Error(error)) => match error.kind() {
            // The session has ended, or the account has changed, since the request began: the next request finds out.
            ErrorKind::InvalidToken | ErrorKind::TokenRequired => Answer::redirect(visit.with_return(LOGIN)),
            _ => return error_page::about(site, visit.language, visit.into(), error, request_id),
        },
    };
    let status = answer.refusal.as_ref().map_or(answer.status, |error| status(error.kind()));
    let mut response = match answer.content {
        Content::Redirect(path) => see_other(&site.skin.url(&path)),
        Content::Raw(response) => response,
        Content::Page(template, view) => match visit.language.render(template, frame(visit), view) {
            Ok(text) => html(status, text),
            Err(error) => {
                return error_page::about(site, visit.language, Opened::from(visit).by_nobody(), error, request_id);
            }
        },
    };
    if let Some(policy) = answer.policy {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    if let Some(error) = &answer.refusal {
        add_refusal(&mut response, error, request_id);
    }
    if let Some(more) = answer.cookies {
        cookies.extend(more);
    }
    response
}

/// Returns what is around a page.
fn frame(visit: &Visit<'_>) -> Value {
    let here = guard::reopened(visit.site, visit.target, visit.is_form);
    let frame = Frame::new(&visit.site.skin, visit.language, visit.user.as_ref(), here.to_owned());
    frame.with_notice(visit.notice()).with_console(visit.has_console(), section(visit.route)).into()
}
