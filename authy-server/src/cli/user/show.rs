//! `authy-server user list`, `find` and `show`.

use authy_core::{
    Authy, RoleName,
    api::{
        page::{ListCursor, PageNumber, PageSize},
        user::{UserQuery, UserView},
    },
    time::HttpDate,
};
use clap::{Arg, ArgMatches, Command, value_parser};

use crate::{
    cli::arguments::{existing, json, plain, print, print_json, with_user},
    handlers::user::user_page,
    start::BoxError,
};

pub(super) fn commands() -> [Command; 3] {
    let either = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("BOOL").value_parser(value_parser!(bool)).help(help)
    };
    let number = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("NUMBER").value_parser(value_parser!(u32).range(1..)).help(help)
    };
    let after = || {
        Arg::new("after")
            .long("after")
            .value_name("POSITION")
            .value_parser(value_parser!(ListCursor))
            .help("The page at a position, which the page before it names, with the same filters")
    };
    let filters = || {
        [
            existing("role", "Only users who have this role", RoleName::existing).required(false),
            either("deleted", "Only deleted users (true), or only the others (false)"),
            either("validated", "Only users whose address is confirmed (true), or only the others (false)"),
            number("page", "Which page, at most 100").conflicts_with("after"),
            after(),
            number("per-page", "Users per page, at most 100").default_value("20"),
            json(),
        ]
    };
    let beginning = Arg::new("beginning").value_name("TEXT").required(true);
    [
        Command::new("list").about("List the users, in the order of their creation").args(filters()),
        Command::new("find")
            .about("List the users whose name or address begins with a text")
            .arg(beginning.help("The beginning of a username or an address"))
            .args(filters()),
        with_user(Command::new("show").about("Show a user")).arg(json()),
    ]
}

/// Prints a page of users.
pub(super) async fn list(authy: &Authy, matches: &ArgMatches) -> Result<(), BoxError> {
    let number = |name| matches.get_one::<u32>(name).copied();
    let query = UserQuery {
        page: number("page").map(PageNumber::new).transpose()?,
        per_page: number("per-page").map(PageSize::new).transpose()?,
        q: matches.try_get_one::<String>("beginning").ok().flatten().cloned(),
        role: matches.get_one("role").cloned(),
        deleted: matches.get_one("deleted").copied(),
        validated: matches.get_one("validated").copied(),
        after: matches.get_one("after").cloned(),
    };
    let page = authy.users().list(&query).await?;
    if matches.get_flag("json") {
        return print_json(&user_page(&query, page));
    }
    for user in &page.items {
        print(&line(user))?;
    }
    if page.next.is_none() && page.previous.is_none() {
        return Ok(());
    }
    let about = if page.total_is_estimate { "about " } else { "" };
    print(&format!("{} of {about}{} users", page.items.len(), page.total))?;
    for (name, position) in [("previous", page.previous), ("next", page.next)] {
        if let Some(position) = position {
            print(&format!("{name} page: --after {position}"))?;
        }
    }
    Ok(())
}

fn line(user: &UserView) -> String {
    let UserView { public_id, username, email, roles, .. } = user;
    let roles: Vec<_> = roles.iter().map(|role| plain(role.as_str())).collect();
    let deleted = if user.deleted { "  deleted" } else { "" };
    let (username, email) = (plain(username.as_str()), plain(email.as_str()));
    format!("{public_id}  {username}  {email}  {}{deleted}", roles.join(","))
}

/// Prints a user.
pub(super) fn show(matches: &ArgMatches, user: &UserView) -> Result<(), BoxError> {
    if matches.get_flag("json") {
        return print_json(user);
    }
    let roles: Vec<_> = user.roles.iter().map(|role| plain(role.as_str())).collect();
    let roles = match user.level {
        Some(level) => format!("{} (level {level})", roles.join(", ")),
        None => "none: the user cannot log in".to_owned(),
    };
    let confirmed = if user.validated { "confirmed" } else { "not confirmed" };
    let date = |date: Option<_>| date.map_or_else(|| "never".to_owned(), |date| HttpDate(date).to_string());
    for (name, value) in [
        ("public id", user.public_id.to_string()),
        ("username", plain(user.username.as_str())),
        ("address", format!("{} ({confirmed})", plain(user.email.as_str()))),
        ("roles", roles),
        ("created", date(Some(user.created))),
        ("last login", date(user.last_login)),
        ("deleted", date(user.delete_date)),
    ] {
        print(&format!("{name:<12}{value}"))?;
    }
    Ok(())
}
