//! `authy-server role …`

use authy_core::{Authy, Description, Level, RoleName, api::role::NewRole, engine::Caller};
use clap::{ArgMatches, Command};

use super::arguments::{existing, given, json, plain, print, print_list, required};
use crate::start::BoxError;

pub(super) fn command() -> Command {
    Command::new("role")
        .about("Create, list and delete roles")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("create")
                .about("Create a role")
                .arg(required::<RoleName>("name", "The role's name"))
                .arg(required::<Description>("description", "What it is for"))
                .arg(required::<Level>(
                    "level",
                    "How powerful it is: a smaller level is more power. No two roles have the same level",
                )),
        )
        .subcommand(Command::new("list").about("List the roles, most powerful first").arg(json()))
        .subcommand(Command::new("delete").about("Delete a role that no user has").arg(existing(
            "name",
            "The role's name",
            RoleName::existing,
        )))
}

pub(super) async fn run(authy: &Authy, caller: &Caller, matches: &ArgMatches) -> Result<(), BoxError> {
    match matches.subcommand() {
        Some(("create", matches)) => {
            let (name, description) = (given(matches, "name")?, given(matches, "description")?);
            let role = NewRole { name, description, level: given(matches, "level")? };
            let made = authy.roles().create(caller, role).await?;
            print(&format!("the role {} has level {}", made.name, made.level))
        }
        Some(("list", matches)) => print_list(matches, &authy.roles().list().await?, |role| {
            format!("{:>5}  {:<20}  {}", role.level.get(), plain(role.name.as_str()), plain(role.description.as_str()))
        }),
        Some(("delete", matches)) => {
            let name = given::<RoleName>(matches, "name")?;
            authy.roles().delete(caller, &name).await?;
            print(&format!("the role {} is deleted", plain(name.as_str())))
        }
        _ => Ok(()),
    }
}
