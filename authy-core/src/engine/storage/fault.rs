//! Fault points: a test kills the process with SIGKILL at one of them, to see what a crash leaves behind. They are at
//! every statement sent to PostgreSQL, around every commit, and around every delivery of an event to a sink.
//!
//! Without the feature `dangerous-fault-points` they compile to nothing. With it they have no effect until a program
//! calls [`dangerous_die_at`].

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
