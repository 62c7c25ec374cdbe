//! `authy-server recover`: after a restore to an earlier time.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use authy_core::{
    Authy,
    engine::{AllSessionsEnded, Caller},
};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::arguments::{json, print_result};
use crate::start::BoxError;

pub(super) fn command() -> Command {
    Command::new("recover")
        .about("After a restore to an earlier time: end all sessions, and revoke all tokens, codes and signing keys")
        .long_about(
            "After a restore of the database to an earlier time, or a failover to a standby that was behind, tokens, \
             sessions, codes and keys that had been revoked are valid again. This ends all of them: all sessions, all \
             access tokens, all codes in mails, and all signing keys, which are replaced. Everybody has to log in again. \
             Run it before the servers start, or beside them.",
        )
        .arg(yes())
        .arg(json())
}

pub(super) async fn run(authy: &Authy, caller: &Caller, matches: &ArgMatches) -> Result<(), BoxError> {
    confirm(
        matches,
        "All users have to log in again, every link that was mailed is void, and the signing keys change.",
    )?;
    let report = authy.recover(caller).await?;
    let AllSessionsEnded { sessions, users, codes } = report.ended;
    let keys = &report.revoked_keys;
    let value = serde_json::json!({ "sessions": sessions, "users": users, "codes": codes, "revoked_keys": keys });
    print_result(matches, &value, || {
        let mut lines = vec![ended(&report.ended)];
        lines.extend(keys.iter().map(|kid| format!("the signing key {kid} is revoked")));
        lines.push(
            "every token from before is refused everywhere within a second\n\
             users who were deleted, and roles that were revoked, since the restored time are back: `event list`, or the\n\
             copies that your sinks have, tell which"
                .to_owned(),
        );
        lines.join("\n")
    })
}

/// Returns what has ended, for people.
pub(super) fn ended(ended: &AllSessionsEnded) -> String {
    let AllSessionsEnded { sessions, users, codes } = ended;
    format!("{sessions} sessions have ended; the tokens of {users} users and {codes} codes are revoked")
}

/// Returns the argument that confirms.
pub(super) fn yes() -> Arg {
    Arg::new("yes").long("yes").action(ArgAction::SetTrue).help("Do not ask for confirmation")
}

/// Asks for confirmation on a terminal, unless `--yes` is given.
///
/// # Errors
/// When the answer is not yes, or nobody can be asked.
pub(super) fn confirm(matches: &ArgMatches, consequence: &str) -> Result<(), BoxError> {
    if matches.get_flag("yes") {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(format!("{consequence} Confirm that with --yes").into());
    }
    write!(io::stderr(), "{consequence} Continue? [yes/no] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "yes" => Ok(()),
        _ => Err("nothing was changed".into()),
    }
}
