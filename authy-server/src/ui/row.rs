//! A row of the table of pages: a path, who may see it, and what answers it.

use std::future::Future;

use authy_core::{
    Access,
    api::{Method, RateClass},
};
use futures_util::future::{BoxFuture, FutureExt as _};

use super::{answer::Shown, visit::Visit};

/// A page.
pub(crate) struct PageRow {
    /// The path, with parameters in braces.
    pub(crate) path: &'static str,
    /// Who may see it.
    pub(crate) access: Access,
    get: Option<Box<AnswerFn>>,
    post: Option<(RateClass, Box<AnswerFn>)>,
    /// Whether it is the same for everybody: no cookie is read.
    pub(super) is_asset: bool,
    /// Whether it asks for the password when the login is not recent.
    pub(super) needs_recent_login: bool,
}

type AnswerFn = dyn for<'a> Fn(&'a Visit<'a>) -> BoxFuture<'a, Shown> + Send + Sync;

/// An async function that answers a visit of a page.
pub(super) trait Handler<'a>: Copy + Send + Sync + 'static {
    /// The future of the answer.
    type Answer: Future<Output = Shown> + Send + 'a;

    /// Answers a visit.
    fn handle(self, visit: &'a Visit<'a>) -> Self::Answer;
}

impl<'a, F, A> Handler<'a> for F
where
    F: Fn(&'a Visit<'a>) -> A + Copy + Send + Sync + 'static,
    A: Future<Output = Shown> + Send + 'a,
{
    type Answer = A;

    fn handle(self, visit: &'a Visit<'a>) -> A {
        self(visit)
    }
}

impl PageRow {
    pub(super) fn new(path: &'static str, access: Access) -> Self {
        Self { path, access, get: None, post: None, is_asset: false, needs_recent_login: false }
    }

    /// Sets what answers GET and HEAD. It changes nothing.
    pub(super) fn get<H: for<'a> Handler<'a>>(mut self, handler: H) -> Self {
        self.get = Some(Box::new(move |visit| handler.handle(visit).boxed()));
        self
    }

    /// Sets what answers a form, and the limit that it counts in: that of the endpoint which does the same.
    pub(super) fn post<H: for<'a> Handler<'a>>(mut self, limit: RateClass, handler: H) -> Self {
        self.post = Some((limit, Box::new(move |visit| handler.handle(visit).boxed())));
        self
    }

    /// Declares that it is the same for everybody.
    pub(super) fn asset(mut self) -> Self {
        self.is_asset = true;
        self
    }

    /// Declares that it asks for the password, before it is shown and before anything is done, when the login is not
    /// recent.
    pub(super) fn recent(mut self) -> Self {
        self.needs_recent_login = true;
        self
    }

    /// Returns the methods that it answers, beside HEAD and OPTIONS.
    pub(super) fn methods(&self) -> Vec<Method> {
        let get = self.get.as_ref().map(|_| Method::GET);
        get.into_iter().chain(self.post.as_ref().map(|_| Method::POST)).collect()
    }

    /// Returns whether a path of it can be opened.
    pub(super) fn has_get(&self) -> bool {
        self.get.is_some()
    }

    /// Returns whether it answers a method.
    pub(crate) fn answers(&self, method: &Method) -> bool {
        self.handler(method).is_some()
    }

    /// Returns the limit of a request.
    pub(crate) fn limit(&self, method: &Method) -> RateClass {
        match &self.post {
            Some((limit, _)) if method == Method::POST => *limit,
            _ if self.is_asset => RateClass::Exempt,
            _ => RateClass::Default,
        }
    }

    pub(super) fn handler(&self, method: &Method) -> Option<&AnswerFn> {
        match *method {
            Method::GET | Method::HEAD => self.get.as_deref(),
            Method::POST => self.post.as_ref().map(|(_, handler)| &**handler),
            _ => None,
        }
    }
}
