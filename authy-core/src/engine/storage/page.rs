//! Pages of lists.

/// A page of a list.
#[derive(Clone, Debug)]
pub struct ListPage<T> {
    /// The items on this page.
    pub items: Vec<T>,
    /// The number of items on all pages.
    pub total: u64,
}

/// Returns the LIMIT and OFFSET of a page. Pages are numbered from 1.
pub(in crate::engine) fn window(page: u32, size: u32) -> (i64, i64) {
    (i64::from(size), i64::from(page.saturating_sub(1)) * i64::from(size))
}
