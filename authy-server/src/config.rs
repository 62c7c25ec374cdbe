//! The settings of the program: environment, flags and file.

mod resolved;
mod setting;
mod source;
mod table;
mod value;

#[cfg(feature = "fuzz-entry-points")]
pub(crate) use resolved::Problems;
pub(crate) use resolved::Resolved;
pub(crate) use source::Sources;
#[cfg(feature = "fuzz-entry-points")]
pub(crate) use source::parse_file;
pub use table::table_markdown;
pub(crate) use table::{Settings, TABLE};
pub(crate) use value::{List, ListenAddress, LogFilter, LogFormat, Pause};
