//! Passwords that an operator types. None is ever an argument, where other users of the machine could read it.

use std::io::{self, BufRead as _, IsTerminal as _};

use authy_core::{Error, NewPassword, Secret};
use clap::{Arg, ArgAction, ArgMatches};
use zeroize::Zeroizing;

use crate::start::BoxError;

/// Returns the flag that has a password read from standard input.
pub(super) fn from_stdin(help: &'static str) -> Arg {
    Arg::new("password-stdin").long("password-stdin").action(ArgAction::SetTrue).help(help)
}

/// Reads a new password: from standard input where the flag says so, and otherwise twice from the terminal.
pub(super) fn read_new(matches: &ArgMatches) -> Result<NewPassword, BoxError> {
    if matches.get_flag("password-stdin") {
        return read_line();
    }
    if !io::stdin().is_terminal() {
        return Err("a password is asked for on a terminal only: use --password-stdin".into());
    }
    let typed = Zeroizing::new(rpassword::prompt_password("New password: ")?);
    let again = Zeroizing::new(rpassword::prompt_password("The same again: ")?);
    match *typed == *again {
        true => checked(&typed),
        false => Err("the two passwords differ".into()),
    }
}

/// Reads a new password from the first line of standard input.
pub(super) fn read_line() -> Result<NewPassword, BoxError> {
    let mut line = Zeroizing::new(String::new());
    io::stdin().lock().read_line(&mut line)?;
    checked(line.trim_end_matches(['\r', '\n']))
}

fn checked(text: &str) -> Result<NewPassword, BoxError> {
    Ok(NewPassword::new(Secret::new(text)).map_err(|why| format!("the password {why}"))?)
}

/// Returns the error of a command that sets a password, with advice when the password is weak.
pub(super) fn advised(error: Error) -> BoxError {
    match error.strength() {
        Some(strength) => {
            let advice = strength.feedback.warning.iter().chain(&strength.feedback.suggestions);
            let advice: Vec<_> = advice.map(String::as_str).collect();
            format!("the password is too easy to guess. {}", advice.join(" ")).into()
        }
        None => error.into(),
    }
}
