//! Splits and decodes a query.

use url::form_urlencoded;

use super::{Fields, MAX_FIELDS};
use crate::{Error, ErrorKind, Result};

/// Maximum length of a query in bytes. The longest that an endpoint can use has about 2 KiB, all of it percent-encoded.
const QUERY_LIMIT: usize = 8 * 1024;

impl Fields {
    /// Parses the query of a URL, without the question mark.
    ///
    /// # Errors
    /// [`ErrorKind::MalformedRequest`] when it is longer than 8 KiB or has more than 64 parameters.
    pub fn parse_query(query: &str) -> Result<Self> {
        pairs(query).map(Self::from_query)
    }
}

/// Decodes the parameters of a query.
fn pairs(query: &str) -> Result<Vec<(String, String)>> {
    let malformed = |detail| Error::new(ErrorKind::MalformedRequest, detail);
    if query.len() > QUERY_LIMIT {
        return Err(malformed("a query has at most 8 KiB"));
    }
    // Counted before they are decoded.
    if query.split('&').filter(|pair| !pair.is_empty()).count() > MAX_FIELDS {
        return Err(malformed("a query has at most 64 parameters"));
    }
    Ok(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_query_is_bounded() {
        let query = |count: usize| vec!["a=b"; count].join("&");
        assert_eq!(pairs(&query(64)).unwrap().len(), 64);
        assert_eq!(pairs(&query(65)).unwrap_err().kind(), ErrorKind::MalformedRequest);
        assert_eq!(pairs(&format!("a={}", "b".repeat(QUERY_LIMIT - 2))).unwrap().len(), 1);
        assert_eq!(pairs(&"b".repeat(QUERY_LIMIT + 1)).unwrap_err().kind(), ErrorKind::MalformedRequest);
        assert_eq!(pairs("").unwrap(), []);
    }

    proptest! {
        #[test]
        fn any_query_is_split_or_refused(query in "[a-c%=&+é]{0,200}") {
            if let Ok(pairs) = pairs(&query) {
                prop_assert!(pairs.len() <= MAX_FIELDS);
            }
        }
    }
}
