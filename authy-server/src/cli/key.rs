//! `authy-server key …`

use authy_core::{
    Authy,
    engine::{Caller, KeyView},
    time::HttpDate,
};
use clap::{Arg, ArgMatches, Command};
use serde::Serialize;

use super::arguments::{given, json, print, print_list, print_result};
use crate::start::BoxError;

pub(super) fn command() -> Command {
    Command::new("key")
        .about("List, rotate, revoke and reencrypt the signing keys")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("list").about("List the keys, the newest first").arg(json()))
        .subcommand(
            Command::new("rotate").about("Create a new key; it signs when every cache must have seen it").arg(json()),
        )
        .subcommand(
            Command::new("revoke")
                .about("Revoke a stolen key: every token that it signed is refused everywhere within a second")
                .arg(
                    // One in 64 begins with a hyphen: it is base64url.
                    Arg::new("kid")
                        .value_name("KID")
                        .required(true)
                        .allow_hyphen_values(true)
                        .help("The key id, as `key list` shows it"),
                ),
        )
        .subcommand(
            Command::new("reseal")
                .about("Encrypt every key, and the hashes for the first authy, with the first of the master keys, so that the others \
                     can be removed")
                .arg(json()),
        )
}

/// A key, as it is printed.
#[derive(Serialize)]
struct ListedKey {
    kid: String,
    algorithm: String,
    state: &'static str,
    created: String,
    changed: String,
}

impl From<KeyView> for ListedKey {
    fn from(key: KeyView) -> Self {
        let (created, changed) = (HttpDate(key.created).to_string(), HttpDate(key.changed).to_string());
        Self { kid: key.kid, algorithm: key.algorithm, state: key.state.as_str(), created, changed }
    }
}

pub(super) async fn run(authy: &Authy, caller: &Caller, matches: &ArgMatches) -> Result<(), BoxError> {
    match matches.subcommand() {
        Some(("list", matches)) => {
            let keys: Vec<_> = authy.keys().list().await?.into_iter().map(ListedKey::from).collect();
            print_list(matches, &keys, |key| {
                format!("{}  {:<5}  {:<8}  since {}", key.kid, key.algorithm, key.state, key.changed)
            })
        }
        Some(("rotate", matches)) => {
            let kid = authy.keys().rotate(caller).await?;
            print_result(matches, &serde_json::json!({ "kid": kid }), || {
                format!("{kid} is published, and signs when every cache has seen it")
            })
        }
        Some(("revoke", matches)) => {
            let kid = given::<String>(matches, "kid")?;
            authy.keys().revoke(caller, &kid).await?;
            print(&format!("{kid} is revoked"))
        }
        Some(("reseal", matches)) => {
            let done = authy.keys().reseal(caller).await?;
            let value = serde_json::json!({
                "keys": done.keys, "fallback_hashes": done.fallback_hashes, "passwords_left": done.passwords_left,
            });
            print_result(matches, &value, || {
                let hashes = match done.fallback_hashes {
                    0 => String::new(),
                    some => format!("hashes for the first authy that were encrypted with it now: {some}\n"),
                };
                let left = match done.passwords_left {
                    0 => "no password depends on an older master key: it can be removed".to_owned(),
                    left => format!(
                        "passwords that depend on an older master key until their owners log in: {left}; keep that key"
                    ),
                };
                format!("signing keys that were encrypted with the first master key now: {}\n{hashes}{left}", done.keys)
            })
        }
        _ => Ok(()),
    }
}
