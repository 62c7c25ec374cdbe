//! Creates the users of a CSV file.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    path::Path,
};

use authy_client::{ErrorKind, Session, api::user::NewAccount};
use serde::Deserialize;

use crate::{
    Result,
    output::{print, report},
    session::call,
};

/// A line of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    username: String,
    email: String,
    /// `None` when the cell is empty.
    role: Option<String>,
}

/// What became of the lines so far.
#[derive(Default)]
struct Progress {
    created: usize,
    skipped: usize,
    failed: usize,
}

/// Creates the users of a file, who are invited by mail. When a line of the file is invalid, nobody is created.
pub(crate) async fn import(session: &Session, file: &Path) -> Result {
    let accounts = read(file)?;
    let mut progress = Progress::default();
    for (line, account) in &accounts {
        let created = call(session, |client| {
            let account = account.clone();
            async move { client.create_user(account).await }
        });
        match created.await {
            Ok(_) => progress.created += 1,
            // A name is taken after an earlier run. An address that is taken belongs to another user.
            Err(error) if error.kind() == Some(ErrorKind::AlreadyRegistered) => {
                match error.fields().iter().any(|field| field.field == "username") {
                    true => progress.skipped += 1,
                    false => progress.fail(*line, "the email address belongs to another user"),
                }
            }
            Err(error) if matches!(error.kind(), Some(ErrorKind::InvalidInput | ErrorKind::BeyondYourLevel)) => {
                progress.fail(*line, &error.to_string());
            }
            // About the users who follow, too.
            Err(error) => {
                report(format_args!("stopped at line {line}: {progress}; a repetition skips those who are created"));
                return Err(error.into());
            }
        }
        progress.show(accounts.len());
    }
    print(&progress)?;
    if progress.failed > 0 { Err("some users were not created".into()) } else { Ok(()) }
}

/// Returns the accounts of a file, each with its line.
fn read(file: &Path) -> Result<Vec<(u64, NewAccount)>> {
    let named = |error: csv::Error| format!("{}: {error}", file.display());
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(file).map_err(named)?;
    let headers = reader.headers().map_err(named)?.clone();
    let (mut accounts, mut invalid) = (Vec::new(), 0);
    for record in reader.records() {
        let record = record.map_err(named)?;
        let line = record.position().map_or(0, csv::Position::line);
        match account(record.deserialize(Some(&headers)).map_err(named)?) {
            Ok(account) => accounts.push((line, account)),
            Err(error) => {
                invalid += 1;
                report(format_args!("line {line}: {error}"));
            }
        }
    }
    if invalid > 0 { Err(format!("{invalid} lines are invalid, so nobody was created").into()) } else { Ok(accounts) }
}

fn account(row: Row) -> Result<NewAccount> {
    let role = row.role.map(|role| role.parse()).transpose().map_err(|error| format!("role: {error}"))?;
    Ok(NewAccount { role, ..NewAccount::new(&row.username, &row.email)? })
}

impl Progress {
    fn fail(&mut self, line: u64, reason: &str) {
        self.failed += 1;
        report(format_args!("line {line}: {reason}"));
    }

    /// Shows one line on a terminal, which the next one replaces. A log gets the result only.
    fn show(&self, total: usize) {
        if stderr().is_terminal() {
            let done = self.created + self.skipped + self.failed;
            let _ = write!(stderr(), "\r{done} of {total}{}", if done == total { "\n" } else { "" });
        }
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} created, {} skipped, {} failed", self.created, self.skipped, self.failed)
    }
}
