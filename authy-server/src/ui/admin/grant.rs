//! Grants a role to a user, and takes one away.

use authy_core::{
    Error, ErrorKind, Level, Result, RoleName,
    access::ADMIN,
    api::{role::RoleView, user::UserView},
};

use super::{question::Question, subject};
use crate::ui::{
    answer::{Answer, Shown},
    path::USERS,
    visit::Visit,
};

pub(super) async fn ask_grant(visit: &Visit<'_>) -> Shown {
    let (user, role) = permitted(visit).await?;
    Ok(grant_question(visit, &user, &role).ask())
}

pub(super) async fn grant(visit: &Visit<'_>) -> Shown {
    let (user, role) = find(visit).await?;
    match visit.authy.roles().grant(&visit.caller()?, &role.name, user.public_id).await {
        Ok(()) => Ok(Answer::redirect(format!("{USERS}/{}?notice=role_granted", user.public_id))),
        Err(error) => grant_question(visit, &user, &role).refuse(visit, error),
    }
}

pub(super) async fn ask_revoke(visit: &Visit<'_>) -> Shown {
    let (user, role) = permitted(visit).await?;
    Ok(revoke_question(visit, &user, &role).ask())
}

pub(super) async fn revoke(visit: &Visit<'_>) -> Shown {
    let (user, role) = find(visit).await?;
    match visit.authy.roles().revoke(&visit.caller()?, &role.name, user.public_id).await {
        Ok(()) => Ok(Answer::redirect(format!("{USERS}/{}?notice=role_revoked", user.public_id))),
        Err(error) => revoke_question(visit, &user, &role).refuse(visit, error),
    }
}

fn grant_question(visit: &Visit<'_>, user: &UserView, role: &RoleView) -> Question {
    let mut question = question(visit, "grant", user, role);
    let is_administrative = role.level.at_least(Level::clamped(ADMIN));
    if is_administrative {
        let username = user.username.as_str();
        question.paragraphs.push(visit.language.texts.format("ask.grant_admin", &[("username", username)]));
    }
    Question { is_dangerous: is_administrative, ..question }
}

fn revoke_question(visit: &Visit<'_>, user: &UserView, role: &RoleView) -> Question {
    let mut question = question(visit, "revoke", user, role);
    if user.roles.len() == 1 {
        let username = user.username.as_str();
        question.paragraphs.push(visit.language.texts.format("ask.revoke_last", &[("username", username)]));
    }
    question
}

fn question(visit: &Visit<'_>, key: &str, user: &UserView, role: &RoleView) -> Question {
    let level = role.level.to_string();
    Question::about(visit, key, user, &[("role", role.name.as_str()), ("level", &level)])
}

/// Returns the user and the role, when the level in the token permits to change that.
async fn permitted(visit: &Visit<'_>) -> Result<(UserView, RoleView)> {
    let (user, role) = find(visit).await?;
    let caller = visit.identity()?;
    match caller.can_act_on(user.level) && caller.can_act_on(Some(role.level)) {
        true => Ok((user, role)),
        false => Err(subject::beyond()),
    }
}

/// Returns the user in the path, and the role in the query.
async fn find(visit: &Visit<'_>) -> Result<(UserView, RoleView)> {
    let user = subject::find(visit).await?;
    let unknown = || Error::new(ErrorKind::NotFound, "there is no such role");
    let name = RoleName::existing(visit.query.get("role").unwrap_or_default()).map_err(|_| unknown())?;
    let role = visit.authy.roles().find(&name).await?.ok_or_else(unknown)?;
    Ok((user, role))
}
