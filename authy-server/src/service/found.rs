//! What the path of a request leads to.

use std::sync::Arc;

#[cfg(feature = "ui")]
use authy_core::api::{Method, RateClass};
use http::request::Parts;

use super::Service;
#[cfg(feature = "ui")]
pub(super) use crate::ui::Site;
#[cfg(feature = "ui")]
use crate::ui::{FoundPage, Sites, owns};
use crate::{listener::Listener, operations::Operation, table::Resource};

/// There are no pages.
#[cfg(not(feature = "ui"))]
pub(super) type Site = std::convert::Infallible;

/// What the path of a request leads to.
pub(super) enum Found<'a> {
    /// Endpoints, and the parameters in the path.
    Endpoints(&'a Resource, Vec<(&'a str, String)>),
    Operation(Operation),
    #[cfg(feature = "ui")]
    Page(&'a Site, FoundPage<'a>),
    Nothing,
}

impl<'a> Found<'a> {
    /// Returns the page of a path, if there is one.
    #[cfg(feature = "ui")]
    pub(super) fn page(site: Option<&'a Site>, listener: Listener, head: &'a Parts) -> Self {
        let found = site.and_then(|site| Some((site, site.find(listener, head.uri.path())?)));
        found.map_or(Self::Nothing, |(site, page)| Self::Page(site, page))
    }

    #[cfg(not(feature = "ui"))]
    pub(super) fn page(_: Option<&'a Site>, _: Listener, _: &'a Parts) -> Self {
        Self::Nothing
    }
}

impl Service {
    /// Returns the pages, for a path that may be one of theirs. Most requests are for others.
    #[cfg(feature = "ui")]
    pub(super) fn site(&self, head: &Parts) -> Option<Arc<Site>> {
        let path = head.uri.path();
        self.sites.as_ref().filter(|_| path == "/" || owns(path)).map(Sites::current)
    }

    #[cfg(not(feature = "ui"))]
    pub(super) fn site(&self, _: &Parts) -> Option<Arc<Site>> {
        None
    }
}

impl Found<'_> {
    pub(super) fn endpoints(&self) -> Option<(&Resource, &[(&str, String)])> {
        match self {
            Self::Endpoints(resource, segments) => Some((resource, segments)),
            _ => None,
        }
    }

    /// Returns whether other programs call it all the time.
    pub(super) fn is_frequent(&self) -> bool {
        match self {
            Self::Endpoints(resource, _) => resource.is_frequent(),
            Self::Operation(_) => true,
            #[cfg(feature = "ui")]
            Self::Page(_, page) => page.row().limit(&Method::GET) == RateClass::Exempt,
            Self::Nothing => false,
        }
    }
}
