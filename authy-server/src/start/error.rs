//! The error of a command.

/// An error that ends a command: its text, and those of its causes, are printed.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
