//! Pages for people, under `/authy/ui`: sign up, log in, manage the account; and the console of administrators. HTML that
//! works without JavaScript. Beside them, at `/authy/docs`, the API reference, which needs it.
//!
//! A browser's login is an ordinary session: its tokens are in cookies that no script can read, and the handlers call
//! the engine as those of the API do. The API itself never reads a cookie.

use std::sync::Arc;

use arc_swap::ArcSwap;
use authy_core::{Authy, ClientInfo, UserId, api::Method};
use http::{HeaderValue, request::Parts};
use tokio::sync::Semaphore;

use crate::{listener::Listener, reply::Response};

mod account;
mod admin;
mod answer;
mod asset;
mod browser;
mod check;
mod color;
mod cookie;
mod docs;
mod error_page;
mod event_docs;
mod form;
mod frame;
mod guard;
mod language;
mod looks;
mod moment;
mod pages;
mod path;
mod row;
mod signed_out;
mod static_file;
mod table;
mod texts;
mod view;
mod visit;

pub use color::{Color, InvalidColor};
pub use looks::{InvalidLooks, Looks};
pub use pages::Pages;

pub(crate) use form::Form;
use pages::Skin;
#[cfg(feature = "cli")]
pub(crate) use path::{CONSOLE, DOCS};
use row::PageRow;

/// Maximum number of concurrent downloads of a server. Each reads pages of events as fast as the database gives them.
const MAX_DOWNLOADS: usize = 4;

/// The folder of all pages but the first.
const ROOT: &str = "/authy/ui";

/// The pages, as they look now.
pub(crate) struct Sites {
    pages: Pages,
    current: ArcSwap<Site>,
}

impl Sites {
    pub(crate) fn new(pages: &Pages) -> Self {
        Self { pages: pages.clone(), current: ArcSwap::from_pointee(Site::new(pages)) }
    }

    /// Returns the pages: made again when the files of their looks were read again.
    pub(crate) fn current(&self) -> Arc<Site> {
        let site = self.current.load_full();
        if Arc::ptr_eq(&site.skin.parts, &self.pages.looks.parts()) {
            return site;
        }
        // Two requests may do so at the same time, with the same result.
        let site = Arc::new(Site::new(&self.pages));
        self.current.store(site.clone());
        site
    }
}

/// Returns whether errors at this path are pages.
pub(crate) fn owns(path: &str) -> bool {
    let rest = path.strip_prefix(path::DOCS).or_else(|| path.strip_prefix(ROOT));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// All pages, ready to be answered.
pub(crate) struct Site {
    skin: Skin,
    /// The files of events that may be written at the same time.
    downloads: Arc<Semaphore>,
    rows: Vec<PageRow>,
    router: matchit::Router<usize>,
}

/// A page that a path leads to, with the parameters in the path.
pub(crate) struct FoundPage<'a> {
    row: &'a PageRow,
    listener: Listener,
    parameters: Vec<(&'a str, String)>,
}

impl Site {
    pub(crate) fn new(pages: &Pages) -> Self {
        let (rows, mut router) = (table::all(), matchit::Router::new());
        for (index, row) in rows.iter().enumerate() {
            if let Err(conflict) = router.insert(row.path, index) {
                // Two rows for the same path are an error in the source, which the tests find.
                tracing::error!(path = row.path, %conflict, "a page cannot be reached");
            }
        }
        Self { skin: Skin::new(pages), downloads: Arc::new(Semaphore::new(MAX_DOWNLOADS)), rows, router }
    }

    /// Returns the paths of all pages, each with its methods.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (&'static str, Vec<Method>)> {
        self.rows.iter().map(|row| (row.path, row.methods()))
    }

    /// Returns the page of a path on this listener.
    pub(crate) fn find<'a>(&'a self, listener: Listener, path: &'a str) -> Option<FoundPage<'a>> {
        let found = self.router.at(path).ok()?;
        let row = self.rows.get(*found.value)?;
        // The program that mounts the API has a start page of its own.
        let is_elsewhere = row.path == "/" && !listener.is_own();
        if is_elsewhere || row.access.is_administrative() && !listener.has_administration() {
            return None;
        }
        let decode = |(name, text)| {
            let decoded = percent_encoding::percent_decode_str(text).decode_utf8().ok()?;
            Some((name, decoded.into_owned()))
        };
        Some(FoundPage { row, listener, parameters: found.params.iter().map(decode).collect::<Option<_>>()? })
    }

    /// Returns a page that refuses a request which another site has sent; `None` for every other request.
    pub(crate) fn refuse_foreign(&self, head: &Parts) -> Option<Response> {
        guard::is_foreign(head, &self.skin.origin).then(|| error_page::foreign(self, head))
    }

    /// Answers a request for a page, whose method it has. `user` becomes the owner of the session.
    pub(crate) async fn answer(
        &self,
        authy: &Authy,
        page: &FoundPage<'_>,
        (head, form): (&Parts, Form),
        client: ClientInfo,
        user: &mut Option<UserId>,
    ) -> Response {
        browser::answer(self, authy, page, (head, form), client, user).await
    }
}

impl FoundPage<'_> {
    /// Returns the path in the table, with parameters in braces.
    pub(crate) fn path(&self) -> &'static str {
        self.row.path
    }

    /// Returns the row, with its access and limit.
    pub(crate) fn row(&self) -> &PageRow {
        self.row
    }

    /// Returns the value of the header `Allow`.
    pub(crate) fn allow(&self) -> HeaderValue {
        let methods = self.row.methods();
        let names: Vec<_> = std::iter::once("OPTIONS")
            .chain(methods.contains(&Method::GET).then_some("HEAD"))
            .chain(methods.iter().map(Method::as_str))
            .collect();
        HeaderValue::try_from(names.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
    }
}
