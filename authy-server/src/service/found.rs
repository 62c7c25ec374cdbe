//! What the path of a request leads to.

#[cfg(feature = "ui")]
use authy_core::api::{Method, RateClass};

#[cfg(feature = "ui")]
use crate::ui::{FoundPage, Site};
use crate::{operations::Operation, table::Resource};

/// What the path of a request leads to.
pub(super) enum Found<'a> {
    /// Endpoints, and the parameters in the path.
    Endpoints(&'a Resource, Vec<(&'a str, String)>),
    Operation(Operation),
    #[cfg(feature = "ui")]
    Page(&'a Site, FoundPage<'a>),
    Nothing,
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
