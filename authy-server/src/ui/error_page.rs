//! Errors, as pages.

use authy_core::{
    Error, ErrorKind,
    api::{Method, failure::whole_seconds, status},
};
use http::{StatusCode, request::Parts};
use minijinja::{Value, value::Serde};

use super::{
    Site,
    answer::{add_refusal, html},
    frame::Frame,
    guard,
    language::Language,
    view::{MessageView, View},
    visit::Visit,
};
use crate::reply::Response;

/// What was opened when an error happened.
#[derive(Clone, Copy)]
pub(super) struct Opened<'a> {
    /// Where it is known who has opened it.
    visit: Option<&'a Visit<'a>>,
    /// The path and the query.
    target: &'a str,
    is_form: bool,
}

impl<'a> Opened<'a> {
    /// Returns what a request has opened that no page has answered: nothing when it was a form. Whether it can be opened
    /// again would tell which paths there are on another listener.
    pub(super) fn by(head: &'a Parts) -> Self {
        let is_form = ![Method::GET, Method::HEAD].contains(&head.method);
        let target = if is_form { "" } else { head.uri.path_and_query().map_or("", |target| target.as_str()) };
        Self { visit: None, target, is_form }
    }

    /// Returns what was opened, without who has opened it.
    pub(super) fn by_nobody(self) -> Self {
        Self { visit: None, ..self }
    }
}

impl<'a> From<&'a Visit<'a>> for Opened<'a> {
    fn from(visit: &'a Visit<'a>) -> Self {
        Self { visit: Some(visit), target: visit.target, is_form: visit.is_form }
    }
}

/// Returns the page about an error, which is logged once. That of a server error says nothing about the cause.
pub(super) fn about(site: &Site, language: &Language, opened: Opened<'_>, error: Error, request_id: &str) -> Response {
    let texts = &language.texts;
    let status = status(error.kind());
    let (title, mut paragraphs) = match error.kind() {
        ErrorKind::NotFound | ErrorKind::MethodNotAllowed => {
            (texts.get("wrong.not_found_title"), vec![texts.get("wrong.not_found")])
        }
        kind if texts.find(&format!("error.{kind}")).is_some() => (texts.get("wrong.title"), vec![texts.error(&error)]),
        _ if status.is_client_error() => (texts.get("wrong.title"), vec![texts.get("error.other")]),
        _ => (texts.get("wrong.title"), vec![texts.get("wrong.here"), texts.format("wrong.id", &[("id", request_id)])]),
    };
    if let Some(wait) = error.retry_after() {
        let seconds = whole_seconds(wait).to_string();
        paragraphs.push(texts.format("wrong.wait", &[("seconds", &seconds)]));
    }
    let mut response = page(site, language, opened, status, MessageView { title, paragraphs, link: None });
    add_refusal(&mut response, &error, request_id);
    response
}

/// Returns the page about a form that another site has sent.
pub(super) fn foreign(site: &Site, head: &Parts) -> Response {
    let language = site.skin.language(&head.headers);
    let texts = &language.texts;
    let paragraphs =
        vec![texts.get("wrong.foreign"), texts.format("wrong.foreign_address", &[("origin", &site.skin.origin)])];
    let view = MessageView { title: texts.get("wrong.foreign_title"), paragraphs, link: None };
    page(site, language, Opened::by(head), StatusCode::FORBIDDEN, view)
}

fn page(site: &Site, language: &Language, opened: Opened<'_>, status: StatusCode, view: MessageView) -> Response {
    let Opened { visit, target, is_form } = opened;
    let here = guard::reopened(site, target, is_form).to_owned();
    let frame = Frame::new(&site.skin, language, visit.and_then(|visit| visit.user.as_ref()), here);
    let frame = frame.with_console(visit.is_some_and(Visit::has_console), "");
    let rendered = language.render(MessageView::TEMPLATE, frame.into(), Value::from(Serde(&view)));
    html(
        status,
        rendered.unwrap_or_else(|error| {
            tracing::error!(%error, "the page about an error cannot be written");
            String::new()
        }),
    )
}

impl Site {
    /// Returns the page about an error of a request that no handler has answered.
    pub(crate) fn error(&self, head: &Parts, error: Error, request_id: &str) -> Response {
        about(self, self.skin.language(&head.headers), Opened::by(head), error, request_id)
    }
}
