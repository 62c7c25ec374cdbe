//! Which messages are logged.

use tracing_subscriber::{EnvFilter, filter::ParseError};

use super::EMPTY_PART;

/// A filter of messages, in the syntax of `tracing`.
#[derive(Clone, Debug)]
pub(crate) struct LogFilter(pub(crate) String);

impl LogFilter {
    /// Returns the filter for a subscriber.
    pub(crate) fn build(&self) -> EnvFilter {
        // It was parsed before, when it was checked.
        filter(&self.0).unwrap_or_default()
    }
}

/// Reads a filter. No value of a field is a regular expression: one of a hundred bytes can take minutes to compile.
fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().with_regex(false).parse(text)
}

impl LogFilter {
    /// Reads a filter.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        // The library skips empty parts, and without any other nothing but errors is logged.
        if text.split(',').any(|part| part.trim().is_empty()) {
            return Err(EMPTY_PART.to_owned());
        }
        // The library cuts other characters in two, and panics.
        if !text.is_ascii() {
            return Err("must be a level or a filter, in ASCII".to_owned());
        }
        // As regular expressions, values may take minutes to compile; as plain text, equal ones panic in the library's
        // debug build.
        let mut fields = text.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        if fields.any(|fields| fields.contains('=')) {
            return Err("must be a level or a filter without values of fields".to_owned());
        }
        match filter(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(format!("must be a level or a filter: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_filter_that_the_library_would_cut_in_two_is_refused() {
        for text in ["authy_core=loud", "[[[", "\u{2000}\u{1bc9e}="] {
            assert!(LogFilter::read(text).is_err(), "{text}");
        }
        assert!(LogFilter::read("info,authy_core=debug").is_ok());
        assert!(LogFilter::read("info,authy_core[request{id}]=debug").is_ok());
        assert!(LogFilter::read("info,authy_core[request{id=a}]=debug").is_err());
    }

    proptest! {
        #[test]
        fn no_filter_panics(text: String) {
            let _ = LogFilter::read(&text);
        }
    }
}
