//! Pages of lists.

use crate::api::page::ListCursor;

/// A page of a list.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListPage<T> {
    /// The items on this page.
    pub items: Vec<T>,
    /// The number of items on all pages: exact where at most 10,000 have to be counted or examined.
    pub total: u64,
    /// Whether the total is an estimate from the statistics of the database.
    pub total_is_estimate: bool,
    /// The `after` of the next page; `None` on the last one.
    pub next: Option<ListCursor>,
    /// The `after` of the previous page; `None` on the first one.
    pub previous: Option<ListCursor>,
}

impl<T> ListPage<T> {
    /// Returns the only page of a list without items.
    pub(in crate::engine) fn empty() -> Self {
        Self { items: Vec::new(), total: 0, total_is_estimate: false, next: None, previous: None }
    }
}
