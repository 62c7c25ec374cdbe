//! The links between the pages of a list.

use authy_core::api::{Request, page::ListCursor};

/// Returns the links to the next and to the previous page, relative to the server. `query` returns the query of the page at
/// a position.
pub(crate) fn links<Q: Request>(
    path: &str,
    (next, previous): (Option<ListCursor>, Option<ListCursor>),
    query: impl Fn(ListCursor) -> Q,
) -> (Option<String>, Option<String>) {
    let link = |after| {
        let query = serde_urlencoded::to_string(query(after)).ok()?;
        Some(format!("{path}?{query}"))
    };
    (next.and_then(link), previous.and_then(link))
}

#[cfg(test)]
mod tests {
    use authy_core::api::user::UserQuery;

    use super::*;

    #[test]
    fn a_link_has_the_position_and_keeps_the_rest_of_the_query() {
        let cursor: ListCursor = "AQAAAAAAAAAAAA".parse().unwrap();
        let query = |after| UserQuery {
            q: Some("a&b é".to_owned()),
            deleted: Some(false),
            after: Some(after),
            ..UserQuery::default()
        };
        let (next, previous) = links("/list", (Some(cursor), None), query);
        assert_eq!(next.as_deref(), Some("/list?q=a%26b+%C3%A9&deleted=false&after=AQAAAAAAAAAAAA"));
        assert_eq!(previous, None);
    }
}
