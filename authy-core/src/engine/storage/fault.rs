//! Points at which a test kills the process with SIGKILL, to see what a crash leaves behind: with a statement on its way to
//! PostgreSQL and after it, before, during and after every commit, and around every event that is handed to a sink.
//!
//! Without the feature `dangerous-fault-points` all of this compiles to nothing. With it nothing happens either, until a
//! program asks for its own death.

#[cfg(feature = "dangerous-fault-points")]
mod armed;
#[cfg(not(feature = "dangerous-fault-points"))]
mod unarmed;

#[cfg(feature = "dangerous-fault-points")]
pub use armed::{DangerousHold, Track, dangerous_die_at};
#[cfg(feature = "dangerous-fault-points")]
pub(in crate::engine) use armed::{around, on, point};
#[cfg(not(feature = "dangerous-fault-points"))]
pub(in crate::engine) use unarmed::{Track, around, on, point};
