//! Arguments of commands, and the lines that commands print.

use std::{
    error::Error,
    io::{self, Write as _},
};

use authy_core::{Authy, Invalid, UserId, Username};
use clap::{Arg, ArgMatches};

use crate::start::BoxError;

/// Returns a required argument of a checked type.
pub(super) fn required<T>(name: &'static str, help: &'static str) -> Arg
where
    T: std::str::FromStr<Err: Error + Send + Sync + 'static> + Clone + Send + Sync + 'static,
{
    Arg::new(name).long(name).value_name(name.to_uppercase()).help(help).required(true).value_parser(str::parse::<T>)
}

/// Returns a required argument that names an existing user or role, perhaps one that was named under an earlier rule.
pub(super) fn existing<T>(name: &'static str, help: &'static str, parse: fn(&str) -> Result<T, Invalid>) -> Arg
where
    T: Clone + Send + Sync + 'static,
{
    Arg::new(name).long(name).value_name(name.to_uppercase()).help(help).required(true).value_parser(parse)
}

/// Returns the value of a required argument.
pub(super) fn given<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Result<T, BoxError> {
    Ok(matches.get_one::<T>(name).cloned().ok_or_else(|| format!("--{name} is required"))?)
}

/// Returns the user with the name in `--username`.
pub(super) async fn user_named(authy: &Authy, matches: &ArgMatches) -> Result<UserId, BoxError> {
    let name = given::<Username>(matches, "username")?;
    let id = authy.users().find_id(&name).await?;
    Ok(id.ok_or_else(|| format!("there is no user {name}"))?)
}

/// Prints a line. `println!` would panic when the reader of a pipe has ended.
pub(super) fn print(text: &str) -> Result<(), BoxError> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}
