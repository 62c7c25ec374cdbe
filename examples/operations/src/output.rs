//! What the tool prints.
//!
//! `println!` and `eprintln!` end the program when nobody reads the output any more, as in `report | head -1`: then the
//! task would stop in its middle, and the session would go on.

use std::{
    fmt::Display,
    io::{self, Write as _},
};

use crate::Result;

/// Prints a line of the result. A reader that has gone has read enough; any other failure is one of the task.
pub(crate) fn print(line: impl Display) -> Result {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("the result: {error}").into()),
        _ => Ok(()),
    }
}

/// Prints a line for the operator. The task goes on without a reader.
pub(crate) fn report(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
