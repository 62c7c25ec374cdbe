//! The private readers of untrusted bytes, for fuzz targets and property tests. Not part of the API: this module exists
//! only with the feature `fuzz-entry-points`.

pub use crate::local::fuzz::{Followed, follow, remembered};
