//! `authy-server key …`

use authy_core::{Authy, engine::Caller, time::HttpDate};
use clap::{Arg, ArgMatches, Command};

use super::arguments::{given, print};
use crate::start::BoxError;

pub(super) fn command() -> Command {
    Command::new("key")
        .about("List, rotate, revoke and reencrypt the signing keys")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("list").about("List the keys, the newest first"))
        .subcommand(Command::new("rotate").about("Create a new key; it signs when every cache must have seen it"))
        .subcommand(
            Command::new("revoke")
                .about("Revoke a stolen key: every token that it signed is refused everywhere within a second")
                .arg(Arg::new("kid").value_name("KID").required(true).help("The key id, as `key list` shows it")),
        )
        .subcommand(
            Command::new("reseal")
                .about("Encrypt every key with the first of the master keys, so that the others can be removed"),
        )
}

pub(super) async fn run(authy: &Authy, caller: &Caller, matches: &ArgMatches) -> Result<(), BoxError> {
    match matches.subcommand() {
        Some(("list", _)) => {
            for key in authy.keys().list().await? {
                let (state, changed) = (key.state.as_str(), HttpDate(key.changed));
                print(&format!("{}  {:<5}  {state:<8}  since {changed}", key.kid, key.algorithm))?;
            }
            Ok(())
        }
        Some(("rotate", _)) => {
            let kid = authy.keys().rotate(caller).await?;
            print(&format!("{kid} is published, and signs when every cache has seen it"))
        }
        Some(("revoke", matches)) => {
            let kid = given::<String>(matches, "kid")?;
            authy.keys().revoke(caller, &kid).await?;
            print(&format!("{kid} is revoked"))
        }
        Some(("reseal", _)) => {
            let done = authy.keys().reseal(caller).await?;
            print(&format!("signing keys that were encrypted with the first master key now: {}", done.keys))?;
            match done.passwords_left {
                0 => print("no password depends on an older master key: it can be removed"),
                left => print(&format!(
                    "passwords that depend on an older master key until their owners log in: {left}; keep that key"
                )),
            }
        }
        _ => Ok(()),
    }
}
