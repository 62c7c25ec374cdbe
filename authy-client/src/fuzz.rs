//! The private readers of untrusted bytes, for fuzz targets and property tests. Not part of the API: there without the
//! feature `fuzz-entry-points` is nothing of it.

pub use crate::local::fuzz::{Followed, follow, remembered};
