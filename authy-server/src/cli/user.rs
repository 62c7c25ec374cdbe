//! `authy-server user …`

use std::io::BufRead as _;

use authy_core::{
    Authy, Email, NewPassword, RoleName, Secret, UserId, Username, api::user::NewAccount, engine::Caller,
};
use clap::{Arg, ArgAction, ArgMatches, Command};
use zeroize::Zeroizing;

use super::arguments::{existing, given, print, required, user_named};
use crate::{link_template::LinkTemplate, start::BoxError};

pub(super) fn command() -> Command {
    let username = || existing("username", "The user's name", Username::existing);
    let public_id = || required::<UserId>("public-id", "The user's public id");
    let role = || existing("role", "The role's name", RoleName::existing);
    Command::new("user")
        .about("Create, change and delete users")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("create")
                .about("Create a user, whose address counts as confirmed. Without a password, the user is invited by mail to choose one")
                .arg(required::<Username>("username", "The user's name"))
                .arg(required::<Email>("email", "The user's address"))
                .arg(role().required(false).default_value("user"))
                .arg(
                    Arg::new("password-stdin")
                        .long("password-stdin")
                        .action(ArgAction::SetTrue)
                        .help("Read the password from the first line of standard input, instead of inviting the user"),
                ),
        )
        .subcommand(Command::new("grant").about("Grant a role to a user").arg(username()).arg(role()))
        .subcommand(Command::new("revoke").about("Take a role away from a user").arg(username()).arg(role()))
        .subcommand(Command::new("delete").about("Delete a user; the name stays taken").arg(username()))
        .subcommand(Command::new("restore").about("Restore a deleted user").arg(public_id()))
        .subcommand(
            Command::new("erase")
                .about("Erase the personal data of a user, deleted or not, permanently; the name stays taken")
                .arg(public_id()),
        )
        .subcommand(
            Command::new("reset-link")
                .about("Print a one-time link that resets the password of a user; it works for an hour. Without AUTHY_RESET_URL, print the code alone")
                .arg(username()),
        )
}

pub(super) async fn run(
    authy: &Authy,
    caller: &Caller,
    matches: &ArgMatches,
    reset_url: Option<&LinkTemplate>,
) -> Result<(), BoxError> {
    match matches.subcommand() {
        Some(("create", matches)) => create(authy, caller, matches).await,
        Some(("grant", matches)) => {
            let (user, role) = (user_named(authy, matches).await?, given::<RoleName>(matches, "role")?);
            authy.roles().grant(caller, &role, user).await?;
            print(&format!("{user} has the role {role} now"))
        }
        Some(("revoke", matches)) => {
            let (user, role) = (user_named(authy, matches).await?, given::<RoleName>(matches, "role")?);
            authy.roles().revoke(caller, &role, user).await?;
            print(&format!("{user} no longer has the role {role}"))
        }
        Some(("delete", matches)) => {
            let user = user_named(authy, matches).await?;
            authy.users().delete(caller, user).await?;
            print(&format!("{user} is deleted"))
        }
        Some(("restore", matches)) => {
            let user = given::<UserId>(matches, "public-id")?;
            authy.users().restore(caller, user).await?;
            print(&format!("{user} is back"))
        }
        Some(("erase", matches)) => {
            let user = given::<UserId>(matches, "public-id")?;
            authy.users().erase(caller, user).await?;
            print(&format!("{user} is erased"))
        }
        Some(("reset-link", matches)) => {
            let user = user_named(authy, matches).await?;
            let code = authy.users().create_reset(caller, user).await?;
            // Without the URL of a page, the code itself.
            print(&reset_url.map_or_else(|| code.expose().to_owned(), |link| link.fill(&code)))
        }
        _ => Ok(()),
    }
}

async fn create(authy: &Authy, caller: &Caller, matches: &ArgMatches) -> Result<(), BoxError> {
    let (username, email): (Username, Email) = (given(matches, "username")?, given(matches, "email")?);
    let role = given::<RoleName>(matches, "role")?;
    let password = matches.get_flag("password-stdin").then(read_password).transpose()?;
    let (is_invited, done) = (password.is_none(), format!("is {username}, with the role {role}"));
    let recipient = email.clone();
    // The operator vouches for the address.
    let account = NewAccount { username, email, password, role: Some(role), validated: Some(true) };
    let created = authy.users().create(caller, account).await.map_err(|error| match error.strength() {
        Some(strength) => {
            let advice = strength.feedback.warning.iter().chain(&strength.feedback.suggestions);
            let advice: Vec<_> = advice.map(String::as_str).collect();
            BoxError::from(format!("the password is too easy to guess. {}", advice.join(" ")))
        }
        None => error.into(),
    })?;
    print(&format!("{created} {done}"))?;
    match is_invited {
        true => print(&format!("an invitation to choose a password is mailed to {recipient}")),
        false => Ok(()),
    }
}

/// Reads a password from the first line of standard input.
fn read_password() -> Result<NewPassword, BoxError> {
    let mut line = Zeroizing::new(String::new());
    std::io::stdin().lock().read_line(&mut line)?;
    let password = NewPassword::new(Secret::new(line.trim_end_matches(['\r', '\n'])));
    Ok(password.map_err(|why| format!("the password {why}"))?)
}
