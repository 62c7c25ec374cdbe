//! The links between the pages of a list.

use authy_core::api::{
    Request,
    page::{PageNumber, PageSize},
};

/// Returns the links from one page of a list to the next and to the previous one, relative to the server.
///
/// `query` returns the query of another page, which is otherwise as it was requested.
pub(super) fn links<Q: Request>(
    path: &str,
    (page, size, total): (PageNumber, PageSize, u64),
    query: impl Fn(PageNumber) -> Q,
) -> (Option<String>, Option<String>) {
    let (page, last) = (page.get(), total.div_ceil(size.get().into()));
    let link = |page: u32| {
        let query = serde_urlencoded::to_string(query(PageNumber::new(page).ok()?)).ok()?;
        Some(format!("{path}?{query}"))
    };
    let next = if u64::from(page) < last { page.checked_add(1) } else { None };
    // From beyond the end the way back leads to the last page, not to another empty one.
    let previous = u64::from(page - 1).min(last).try_into().ok().filter(|&page: &u32| page > 0);
    (next.and_then(link), previous.and_then(link))
}

#[cfg(test)]
mod tests {
    use authy_core::api::user::UserQuery;

    use super::*;

    fn linked(page: u32, per_page: u32, total: u64) -> (Option<String>, Option<String>) {
        let (page, size) = (PageNumber::new(page).unwrap(), PageSize::new(per_page).unwrap());
        links("/list", (page, size, total), |page| UserQuery {
            page: Some(page),
            q: Some("a&b é".to_owned()),
            deleted: Some(false),
            ..UserQuery::default()
        })
    }

    #[test]
    fn pages_are_linked_to_the_next_and_the_previous_one() {
        let link = |page: u32| Some(format!("/list?page={page}&q=a%26b+%C3%A9&deleted=false"));
        assert_eq!(linked(1, 20, 0), (None, None));
        assert_eq!(linked(1, 20, 20), (None, None));
        assert_eq!(linked(1, 20, 21), (link(2), None));
        assert_eq!(linked(2, 20, 50), (link(3), link(1)));
        assert_eq!(linked(3, 20, 50), (None, link(2)));
        assert_eq!(linked(9, 20, 50), (None, link(3)), "beyond the end");
        assert_eq!(linked(1_000_000_000, 1, 0), (None, None));
    }
}
