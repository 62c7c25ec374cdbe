//! A command-line tool for the operator of an authy server, built on `authy-client`. With a server running (`make run`),
//! and the password that it printed at its first start:
//!
//! ```text
//! export AUTHY=http://127.0.0.1:8080 ADMIN_USERNAME=admin ADMIN_PASSWORD=…
//! cargo run -p authy-example-operations -- import users.csv
//! cargo run -p authy-example-operations -- report
//! cargo run -p authy-example-operations -- export-events --since 2019-06-11T00:00:00Z --to events.ndjson
//! cargo run -p authy-example-operations -- offboard ada
//! ```
//!
//! - `import` creates the users of a CSV file with the columns `username`, `email` and `role`, and each is invited by
//!   mail. It can be repeated: names that are taken are skipped.
//! - `report` counts the users: by role, with an unconfirmed address, deleted.
//! - `export-events` appends the audit trail to a file, one JSON object a line. The next run continues where the file
//!   ends.
//! - `offboard` deletes a user, which ends all sessions of the user.
//!
//! Each run is a session of its own, and logs out at its end. The file `.authy-operations-device` in the home folder, or
//! `ADMIN_DEVICE_FILE`, makes the runs those of one device: a scheduled run is not reported as a login from a new one.

mod export;
mod import;
mod offboard;
mod output;
mod report;
mod session;

use std::{error::Error, path::PathBuf, process::ExitCode};

use authy_client::{Timestamp, Username};
use clap::{Parser, Subcommand};

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// Tasks of the operator of the authy server at AUTHY, as the administrator ADMIN_USERNAME with ADMIN_PASSWORD.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Create the users of a CSV file, who are invited by mail. Names that are taken are skipped.
    Import {
        /// A CSV file with the columns username, email and role. An empty role is `user`.
        file: PathBuf,
    },
    /// Count the users.
    Report,
    /// Append the audit trail to a file, from where the file ends.
    ExportEvents {
        /// Only events at this time or later, such as 2019-06-11T10:03:09Z.
        #[arg(long)]
        since: Option<Timestamp>,
        /// The file, with one JSON object a line.
        #[arg(long)]
        to: PathBuf,
    },
    /// Delete a user, and end all sessions of the user.
    Offboard {
        /// The user's name.
        #[arg(value_parser = Username::existing)]
        username: Username,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse().task).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::report(format_args!("error: {error}"));
            let mut cause = error.source();
            while let Some(error) = cause {
                output::report(format_args!("  because: {error}"));
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(task: Task) -> Result {
    let session = session::log_in().await?;
    let outcome = match task {
        Task::Import { file } => import::import(&session, &file).await,
        Task::Report => report::report(&session).await,
        Task::ExportEvents { since, to } => export::export(&session, since, &to).await,
        Task::Offboard { username } => offboard::offboard(&session, username).await,
    };
    // What the task has done stays done, so a failure of this is only reported.
    if let Err(error) = session.logout().await {
        output::report(format_args!("the session of this run was not ended: {error}"));
    }
    outcome
}
