//! Compiles the Rust code of the pages for services as doctests.
//!
//! A crate of its own, because a doctest sees every dependency of its crate: this one has authy-client, as a service has, and
//! nothing else of authy.

/// Compiles the code of a page as a doctest.
macro_rules! pages {
    ($($name:ident = $path:literal;)+) => { $(
        #[cfg(doctest)]
        #[doc = include_str!($path)]
        pub struct $name;
    )+ };
}

pages! {
    Services = "../../docs/services.md";
    SessionsAndTokens = "../../docs/sessions-and-tokens.md";
}
