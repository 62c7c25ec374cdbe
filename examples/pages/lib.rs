//! Compiles the Rust code of the pages for services as doctests.
//!
//! A crate of its own, because a doctest sees every dependency of its crate: this one has authy-client, as a service has, and
//! nothing else of authy.

#[cfg(doctest)]
#[doc = include_str!("../../docs/services.md")]
pub struct Services;

#[cfg(doctest)]
#[doc = include_str!("../../docs/sessions-and-tokens.md")]
pub struct SessionsAndTokens;
