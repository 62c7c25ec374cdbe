//! `authy-server user …`

use authy_core::{
    Authy, Email, RoleName, Username,
    api::{account::AccountChange, user::NewAccount},
    engine::Caller,
};
use clap::{ArgMatches, Command};

use super::{
    arguments::{existing, find_user, given, json, plain, print, print_result, required, with_user},
    password,
};
use crate::{link_template::LinkTemplate, start::BoxError};

mod show;
mod wrap;

pub(super) fn command() -> Command {
    let role = || existing("role", "The role's name", RoleName::existing);
    let on_user = |name: &'static str, about: &'static str| with_user(Command::new(name).about(about));
    Command::new("user")
        .about("List, show, create, change and delete users")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(show::commands())
        .subcommand(
            Command::new("create")
                .about("Create a user, whose address counts as confirmed. Without a password, the user is invited by mail to choose one")
                .arg(required::<Username>("username", "The user's name"))
                .arg(required::<Email>("email", "The user's address"))
                .arg(role().required(false).default_value("user"))
                .arg(password::from_stdin(
                    "Read the password from the first line of standard input, instead of inviting the user",
                ))
                .arg(json()),
        )
        .subcommand(wrap::command())
        .subcommand(on_user("grant", "Grant a role to a user").arg(role()))
        .subcommand(on_user("revoke", "Take a role away from a user").arg(role()))
        .subcommand(on_user("logout", "End all sessions of a user"))
        .subcommand(
            on_user("set-password", "Set the password of a user, and end all sessions of the user")
                .arg(password::from_stdin("Read the password from the first line of standard input, instead of the terminal")),
        )
        .subcommand(on_user(
            "unlock",
            "Forget the wrong passwords at an account, so that its user does not have to wait for the next attempt",
        ))
        .subcommand(on_user("delete", "Delete a user; the name stays taken"))
        .subcommand(on_user("restore", "Restore a deleted user"))
        .subcommand(on_user(
            "erase",
            "Erase the personal data of a user, deleted or not, permanently; the name stays taken",
        ))
        .subcommand(on_user(
            "reset-link",
            "Print a one-time link that resets the password of a user; it works for an hour. Without pages and AUTHY_RESET_URL, print the code alone",
        ))
}

pub(super) async fn run(
    authy: &Authy,
    caller: &Caller,
    matches: &ArgMatches,
    reset_url: Option<&LinkTemplate>,
) -> Result<(), BoxError> {
    let Some((name, matches)) = matches.subcommand() else { return Ok(()) };
    match name {
        "create" => return create(authy, caller, matches).await,
        "list" | "find" => return show::list(authy, matches).await,
        "wrap-passwords" => return wrap::run(authy, caller).await,
        _ => {}
    }
    let view = find_user(authy, matches).await?;
    let user = view.public_id;
    match name {
        "show" => show::show(matches, &view),
        "grant" => {
            let role = given::<RoleName>(matches, "role")?;
            authy.roles().grant(caller, &role, user).await?;
            print(&format!("{user} has the role {} now", plain(role.as_str())))
        }
        "revoke" => {
            let role = given::<RoleName>(matches, "role")?;
            authy.roles().revoke(caller, &role, user).await?;
            print(&format!("{user} no longer has the role {}", plain(role.as_str())))
        }
        "logout" => {
            authy.sessions().end_all(caller, user).await?;
            print(&format!("{user} is logged out everywhere"))
        }
        "set-password" => {
            let change = AccountChange::password(None, password::read_new(matches)?.as_secret().clone())?;
            authy.users().change(caller, user, change).await.map_err(password::advised)?;
            print(&format!("{user} has a new password, and is logged out everywhere"))
        }
        "unlock" => {
            authy.users().unlock(caller, user).await?;
            print(&format!("{user} can try to log in at once"))
        }
        "delete" => {
            authy.users().delete(caller, user).await?;
            print(&format!("{user} is deleted"))
        }
        "restore" => {
            authy.users().restore(caller, user).await?;
            print(&format!("{user} is back"))
        }
        "erase" => {
            authy.users().erase(caller, user).await?;
            print(&format!("{user} is erased"))
        }
        _ => {
            let code = authy.users().create_reset(caller, user).await?;
            // Without the URL of a page, the code itself.
            print(&reset_url.map_or_else(|| code.expose().to_owned(), |link| link.fill(&code)))
        }
    }
}

async fn create(authy: &Authy, caller: &Caller, matches: &ArgMatches) -> Result<(), BoxError> {
    let (username, email): (Username, Email) = (given(matches, "username")?, given(matches, "email")?);
    let role = given::<RoleName>(matches, "role")?;
    let password = matches.get_flag("password-stdin").then(password::read_line).transpose()?;
    let is_invited = password.is_none();
    let (name, recipient) = (username.clone(), email.clone());
    // The operator vouches for the address.
    let account = NewAccount { username, email, password, role: Some(role.clone()), validated: Some(true) };
    let created = authy.users().create(caller, account).await.map_err(password::advised)?;
    let value = serde_json::json!({
        "public_id": created, "username": name, "email": recipient, "role": role, "is_invited": is_invited
    });
    print_result(matches, &value, || {
        let done = format!("{created} is {name}, with the role {}", plain(role.as_str()));
        match is_invited {
            true => format!(
                "{done}\nan invitation to choose a password is mailed to {recipient} by a server with AUTHY_SMTP_URL; without one, \
                 `authy-server user reset-link` prints the link"
            ),
            false => done,
        }
    })
}
