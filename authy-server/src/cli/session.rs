//! `authy-server session …`

use authy_core::{Authy, engine::Caller};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{
    arguments::print,
    recover::{confirm, print_ended, yes},
};
use crate::start::BoxError;

pub(super) fn command() -> Command {
    let all = Arg::new("all").long("all").action(ArgAction::SetTrue).required(true).help("All sessions of all users");
    Command::new("session").about("End sessions").subcommand_required(true).arg_required_else_help(true).subcommand(
        Command::new("end")
            .about("End sessions, and revoke their access tokens: everybody has to log in again")
            .arg(all)
            .arg(yes()),
    )
}

pub(super) async fn run(authy: &Authy, caller: &Caller, matches: &ArgMatches) -> Result<(), BoxError> {
    match matches.subcommand() {
        Some(("end", matches)) => {
            confirm(matches, "All users have to log in again, and every link that was mailed is void.")?;
            print_ended(&authy.sessions().end_everyone(caller).await?)?;
            print("every access token is refused everywhere within a second")
        }
        _ => Ok(()),
    }
}
