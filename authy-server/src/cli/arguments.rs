//! Arguments of commands, and the lines that commands print.

use std::{
    error::Error,
    io::{self, Write as _},
};

use authy_core::{Authy, Invalid, UserId, Username, api::user::UserView};
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, builder::NonEmptyStringValueParser};
use serde::Serialize;

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

/// Returns the flag that asks for JSON.
pub(super) fn json() -> Arg {
    Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON, for programs")
}

/// Adds the arguments that name a user: one of them is required.
pub(super) fn with_user(command: Command) -> Command {
    let user = Arg::new("user").value_name("USER").value_parser(NonEmptyStringValueParser::new());
    command
        .arg(user.help("The username or the public ID, deleted users included"))
        .arg(existing("username", "The username", Username::existing).required(false))
        .arg(required::<UserId>("public-id", "The public ID").required(false))
        .group(ArgGroup::new("which user").args(["user", "username", "public-id"]).required(true))
}

/// Returns the option that selects what is about a user.
pub(super) fn about_user(help: &'static str) -> Arg {
    Arg::new("user").long("user").value_name("USER").value_parser(NonEmptyStringValueParser::new()).help(help)
}

/// Returns the ID of the user that [`about_user`] names, if it is given. The trail has events of users that the database has
/// lost, after a restore, so an ID needs no user.
pub(super) async fn id_of_user(authy: &Authy, matches: &ArgMatches) -> Result<Option<UserId>, BoxError> {
    let Some(text) = matches.get_one::<String>("user") else { return Ok(None) };
    match find_user(authy, matches).await {
        Ok(user) => Ok(Some(user.public_id)),
        Err(error) => text.parse().map(Some).map_err(|_| error),
    }
}

/// Returns the value of a required argument.
pub(super) fn given<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Result<T, BoxError> {
    Ok(matches.get_one::<T>(name).cloned().ok_or_else(|| format!("--{name} is required"))?)
}

/// Returns the user that the arguments of [`with_user`] name, deleted or not.
pub(super) async fn find_user(authy: &Authy, matches: &ArgMatches) -> Result<UserView, BoxError> {
    // A command may have only some of them.
    if let Ok(Some(id)) = matches.try_get_one::<UserId>("public-id") {
        return find_by_id(authy, *id).await?.ok_or_else(|| no_user(&id));
    }
    if let Ok(Some(name)) = matches.try_get_one::<Username>("username") {
        return authy.users().find_named(name).await?.ok_or_else(|| no_user(&name));
    }
    let text = given::<String>(matches, "user")?;
    // An ID comes first: a user may have chosen the ID of another one as a name.
    if let Ok(id) = text.parse::<UserId>()
        && let Some(user) = find_by_id(authy, id).await?
    {
        return Ok(user);
    }
    match Username::existing(&text) {
        Ok(name) => authy.users().find_named(&name).await?.ok_or_else(|| no_user(&text)),
        Err(_) => Err(no_user(&text)),
    }
}

async fn find_by_id(authy: &Authy, id: UserId) -> Result<Option<UserView>, BoxError> {
    Ok(authy.users().find(id).await?)
}

fn no_user(named: &impl std::fmt::Display) -> BoxError {
    format!("there is no user {}", plain(&named.to_string())).into()
}

/// Returns a stored text for a terminal, on which control characters would act. Names and addresses from before the rules
/// may have them.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            true => plain.extend(c.escape_unicode()),
            false => plain.push(c),
        }
    }
    plain
}

/// Prints a line. `println!` would panic when the reader of a pipe has ended.
pub(super) fn print(text: &str) -> Result<(), BoxError> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

/// Prints a document of JSON.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), BoxError> {
    print(&serde_json::to_string_pretty(value)?)
}

/// Prints what a command has done or found: as a document when JSON is asked for, and otherwise as a text.
pub(super) fn print_result(
    matches: &ArgMatches,
    value: &impl Serialize,
    text: impl FnOnce() -> String,
) -> Result<(), BoxError> {
    match matches.get_flag("json") {
        true => print_json(value),
        false => print(&text()),
    }
}

/// Prints a list: as one document when JSON is asked for, and otherwise a line for each entry.
pub(super) fn print_list<T: Serialize>(
    matches: &ArgMatches,
    list: &[T],
    line: impl Fn(&T) -> String,
) -> Result<(), BoxError> {
    match matches.get_flag("json") {
        true => print_json(&list),
        false => list.iter().try_for_each(|entry| print(&line(entry))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_text_does_not_act_on_a_terminal() {
        assert_eq!(plain("Ольга <a@b.c> 😀"), "Ольга <a@b.c> 😀");
        assert_eq!(plain("a\u{1b}[31m\tb\u{202e}c\n"), "a\\u{1b}[31m\\u{9}b\\u{202e}c\\u{a}");
    }
}
