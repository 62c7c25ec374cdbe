//! `authy-server issuer …`

use authy_core::{Authy, engine::Caller};
use clap::{Arg, ArgMatches, Command};

use super::arguments::{given, json, print, print_result};
use crate::start::BoxError;

pub(super) fn command() -> Command {
    Command::new("issuer")
        .about("Show or replace the issuer of the tokens, which the database keeps")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("show").about("Print the issuer").arg(json()))
        .subcommand(
            Command::new("set")
                .about(
                    "Replace the issuer. Restart every server then: one that has not refuses the tokens of the others",
                )
                .arg(
                    Arg::new("issuer")
                        .value_name("URL")
                        .required(true)
                        .help("The new issuer, such as https://auth.example.org"),
                ),
        )
}

pub(super) async fn run(authy: &Authy, caller: &Caller, matches: &ArgMatches) -> Result<(), BoxError> {
    match matches.subcommand() {
        Some(("show", matches)) => {
            let issuer = authy.metadata().issuer;
            print_result(matches, &serde_json::json!({ "issuer": issuer }), || issuer.to_owned())
        }
        Some(("set", matches)) => {
            let issuer = given::<String>(matches, "issuer")?;
            authy.set_issuer(caller, &issuer).await?;
            print(&format!(
                "the issuer is {issuer} from the next start of each server on: restart all of them, and replace AUTHY_ISSUER \
                 where it is set"
            ))
        }
        _ => Ok(()),
    }
}
