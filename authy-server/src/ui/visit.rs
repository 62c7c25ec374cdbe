//! A visit of a page: what a handler gets of a request.

use std::time::Duration;

use authy_core::{
    Access, Authy, ClientInfo, Error, ErrorKind, Identity, Result,
    access::ADMIN,
    api::{Fields, RECENT_LOGIN, session::Tokens},
    engine::Caller,
};
use chrono::{DateTime, Utc};

use super::{
    Site,
    answer::Interruption,
    cookie::{Cookie, SetCookies},
    form::Form,
    guard,
    language::Language,
    path::AGAIN,
};
use crate::listener::Listener;

/// How long a page can be read before its form asks for the password after all, which would lose what was typed.
const READING_TIME: Duration = Duration::from_secs(60);

/// A visit of a page.
pub(crate) struct Visit<'a> {
    pub(super) site: &'a Site,
    pub(super) authy: &'a Authy,
    pub(super) language: &'a Language,
    pub(super) listener: Listener,
    /// The path in the table, with parameters in braces.
    pub(super) route: &'static str,
    /// The path and the query.
    pub(super) target: &'a str,
    pub(super) parameters: &'a [(&'a str, String)],
    /// The parameters of the query.
    pub(super) query: Form,
    /// The fields of the form that was sent; empty for a GET.
    pub(super) form: Form,
    pub(super) client: ClientInfo,
    /// The owner of the session of the browser.
    pub(super) user: Option<Identity>,
    /// Whether the browser has shown that it keeps cookies, and that the form is not of another site.
    pub(super) has_flow: bool,
    /// Whether the browser keeps the session when it is closed.
    pub(super) is_kept: bool,
    pub(super) is_head: bool,
    /// Whether a form was sent.
    pub(super) is_form: bool,
    /// When it began.
    pub(super) now: DateTime<Utc>,
}

impl<'a> Visit<'a> {
    /// Returns a parameter in the path; empty when there is none.
    pub(super) fn parameter(&self, name: &str) -> &'a str {
        self.parameters.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// Returns the fields of the form with these names. Others are ignored: a password manager may have added them.
    pub(super) fn fields(&self, names: &[&str]) -> Fields {
        Fields::from_query(self.sent(names))
    }

    /// Returns the fields of the form with these names, and another one, which is not from the form.
    pub(super) fn fields_and(&self, names: &[&str], another: (String, String)) -> Fields {
        Fields::from_query(self.sent(names).chain([another]))
    }

    fn sent(&self, names: &[&str]) -> impl Iterator<Item = (String, String)> {
        self.form.pairs().filter(|(name, _)| names.contains(&name.as_str())).cloned()
    }

    /// Returns the caller without a session.
    pub(super) fn anonymous(&self) -> Caller {
        Caller::anonymous(self.client.clone())
    }

    /// Returns the owner of the session.
    ///
    /// # Errors
    /// [`ErrorKind::TokenRequired`] when nobody is logged in.
    pub(super) fn identity(&self) -> Result<&Identity> {
        self.user.as_ref().ok_or_else(|| Error::new(ErrorKind::TokenRequired, "this page needs a login"))
    }

    /// Returns the owner of the session as a caller.
    ///
    /// # Errors
    /// [`ErrorKind::TokenRequired`] when nobody is logged in.
    pub(super) fn caller(&self) -> Result<Caller> {
        Ok(Caller::user(self.identity()?.clone(), self.client.clone()))
    }

    /// Returns whether the console is here, and the owner of the session may enter it.
    pub(super) fn has_console(&self) -> bool {
        let permits = |identity| Access::Level(ADMIN).permit(identity, None).is_ok();
        self.listener.has_administration() && self.user.as_ref().is_some_and(permits)
    }

    /// Returns the page to continue with, when the request names one of ours.
    pub(super) fn return_path(&self) -> Option<String> {
        let named = self.form.get("return").or(self.query.get("return"))?;
        guard::is_own_page(self.site, named).then(|| named.to_owned())
    }

    /// Returns the message that the page before has asked for.
    pub(super) fn notice(&self) -> Option<String> {
        let key = format!("notice.{}", self.query.get("notice")?);
        self.language.texts.find(&key).map(str::to_owned)
    }

    /// Checks that the owner of the session has logged in a short time ago.
    ///
    /// # Errors
    /// The page that asks for the password again, and then leads back.
    pub(super) async fn require_recent(&self) -> Result<(), Interruption> {
        let age = if self.is_form { RECENT_LOGIN } else { RECENT_LOGIN - READING_TIME };
        match self.authy.users().has_logged_in_within(self.identity()?, age).await? {
            true => Ok(()),
            false => Err(Interruption::Redirect(self.with_return(AGAIN))),
        }
    }

    /// Returns a path with the parameter that leads back to this page.
    pub(super) fn with_return(&self, path: &str) -> String {
        match serde_urlencoded::to_string([("return", self.target)]) {
            Ok(query) if guard::is_own_page(self.site, self.target) => format!("{path}?{query}"),
            _ => path.to_owned(),
        }
    }

    /// Returns the cookies of a login. Without `is_kept` the browser forgets them when it is closed.
    pub(super) fn login_cookies(&self, tokens: &Tokens, is_kept: bool) -> SetCookies {
        let mut cookies = SetCookies::new(self.site.skin.is_secure);
        cookies.set_tokens(tokens, is_kept);
        cookies.forget(Cookie::Flow);
        cookies
    }

    /// Returns cookies to set.
    pub(super) fn no_cookies(&self) -> SetCookies {
        SetCookies::new(self.site.skin.is_secure)
    }

    /// Ends the session of the browser, whose cookies are about to be replaced or removed. What fails stops nothing: the
    /// new session or password is there already.
    pub(super) async fn end_replaced(&self) {
        let Ok(caller) = self.caller() else { return };
        if let Err(error) = self.authy.sessions().logout(&caller).await {
            tracing::warn!(%error, "the session that a browser had before could not be ended");
        }
    }
}
