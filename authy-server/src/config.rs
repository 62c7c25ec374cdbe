//! The settings of the program: environment, flags and file.

mod resolved;
mod setting;
mod source;
mod table;
mod value;

pub(crate) use resolved::{Problems, Resolved, ShownSetting};
pub(crate) use setting::Setting;
pub(crate) use source::Sources;
#[cfg(feature = "fuzz-entry-points")]
pub(crate) use source::parse_file;
pub use table::table_markdown;
pub(crate) use table::{Settings, TABLE};
#[cfg(feature = "webhook")]
pub(crate) use value::AcceptedStatus;
pub(crate) use value::{DatabaseUrl, HmacSecret, List, ListenAddress, LogFormat, Pause, ReplicaUrl};
