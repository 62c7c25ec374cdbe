//! `authy-server session …`

use authy_core::{
    Authy, SessionId,
    api::session::SessionView,
    engine::{AllSessionsEnded, Caller},
    time::HttpDate,
};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{
    arguments::{about_user, find_user, json, print_list, print_result, with_user},
    recover::{confirm, ended, yes},
};
use crate::start::BoxError;

pub(super) fn command() -> Command {
    let session = Arg::new("session").value_name("SESSION").value_parser(str::parse::<SessionId>);
    let all = Arg::new("all").long("all").action(ArgAction::SetTrue).help("End all sessions of all users");
    Command::new("session")
        .about("List and end sessions")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            with_user(Command::new("list").about("List the sessions of a user, most recently used first")).arg(json()),
        )
        .subcommand(
            Command::new("end")
                .about("End a session, or all sessions of a user or of all users: their tokens are refused everywhere within a second")
                .arg(session.help("The session's id, as `session list` shows it"))
                .arg(about_user("End all sessions of this user: a username or a public ID"))
                .arg(all)
                .arg(yes())
                .arg(json())
                .group(clap::ArgGroup::new("which").args(["session", "user", "all"]).required(true)),
        )
}

pub(super) async fn run(authy: &Authy, caller: &Caller, matches: &ArgMatches) -> Result<(), BoxError> {
    match matches.subcommand() {
        Some(("list", matches)) => {
            let user = find_user(authy, matches).await?;
            print_list(matches, &authy.sessions().list_of(user.public_id).await?, line)
        }
        Some(("end", matches)) if matches.get_flag("all") => end_everyone(authy, caller, matches).await,
        Some(("end", matches)) => match matches.get_one::<SessionId>("session") {
            Some(session) => end_one(authy, caller, matches, *session).await,
            None => end_of_user(authy, caller, matches).await,
        },
        _ => Ok(()),
    }
}

async fn end_one(authy: &Authy, caller: &Caller, matches: &ArgMatches, session: SessionId) -> Result<(), BoxError> {
    let user = authy.sessions().find_user(session).await?;
    let user = user.ok_or_else(|| format!("there is no session {session}, or it has ended"))?;
    authy.sessions().end(caller, user, session).await?;
    print_result(matches, &serde_json::json!({ "session_id": session, "public_id": user }), || {
        format!("the session {session} of {user} is ended")
    })
}

async fn end_of_user(authy: &Authy, caller: &Caller, matches: &ArgMatches) -> Result<(), BoxError> {
    let user = find_user(authy, matches).await?.public_id;
    authy.sessions().end_all(caller, user).await?;
    print_result(matches, &serde_json::json!({ "public_id": user }), || format!("all sessions of {user} are ended"))
}

async fn end_everyone(authy: &Authy, caller: &Caller, matches: &ArgMatches) -> Result<(), BoxError> {
    confirm(matches, "All users have to log in again, and every link that was mailed is void.")?;
    let all = authy.sessions().end_everyone(caller).await?;
    let AllSessionsEnded { sessions, users, codes } = all;
    print_result(matches, &serde_json::json!({ "sessions": sessions, "users": users, "codes": codes }), || {
        format!("{}\nevery access token is refused everywhere within a second", ended(&all))
    })
}

fn line(session: &SessionView) -> String {
    let from = session.ip.as_ref().map(|ip| format!("  from {ip}")).unwrap_or_default();
    let with = session.user_agent.as_ref().map(|agent| format!("  with {agent}")).unwrap_or_default();
    let (used, expires) = (HttpDate(session.last_used), HttpDate(session.expires));
    format!("{}  last used {used}, ends {expires}{from}{with}", session.session_id)
}
