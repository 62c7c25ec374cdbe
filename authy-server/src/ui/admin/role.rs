//! Roles, and who has them.

use authy_core::{
    Error, ErrorKind, Result, RoleName,
    api::{
        Fields, FromFields as _,
        role::{NewRole, RoleUser, RoleUserQuery, RoleView},
    },
};

use super::{
    question::Question,
    subject::beyond,
    view::{CreateRoleView, Pager, RoleEntry, RolePageView, RolesView, role_path},
};
use crate::{
    handlers::links::links,
    ui::{
        answer::{Answer, Shown},
        form::FormState,
        path::ROLES,
        signed_out::unless_internal,
        view::Link,
        visit::Visit,
    },
};

pub(super) async fn list(visit: &Visit<'_>) -> Shown {
    let roles = visit.authy.roles().list().await?;
    Ok(Answer::page(&RolesView { roles: roles.iter().map(RoleEntry::new).collect() }))
}

pub(super) async fn show(visit: &Visit<'_>) -> Shown {
    let name = name(visit)?;
    let after = visit.query.pairs().filter(|(name, _)| name == "after").cloned();
    let query = RoleUserQuery::from_fields(Fields::from_query(after))?;
    let (role, found) = visit.authy.roles().list_users(&name, &query).await?.ok_or_else(unknown)?;
    let other = |after| RoleUserQuery { page: None, after: Some(after) };
    let (next, previous) = links(&role_path(&role.name), (found.next, found.previous), other);
    let user = |user: &RoleUser| Link {
        path: format!("/admin/users/{}", user.public_id),
        text: user.name.as_str().to_owned(),
    };
    Ok(Answer::page(&RolePageView {
        users: found.items.iter().map(user).collect(),
        total: found.total,
        total_is_estimate: found.total_is_estimate,
        can_delete: found.total == 0 && visit.identity()?.can_act_on(Some(role.level)),
        role: RoleEntry::new(&role),
        pages: Pager { previous, next },
    }))
}

pub(super) async fn new(visit: &Visit<'_>) -> Shown {
    create_page(visit, FormState::default())
}

pub(super) async fn create(visit: &Visit<'_>) -> Shown {
    const FIELDS: [&str; 3] = ["name", "description", "level"];
    let created = match NewRole::from_fields(visit.fields(&FIELDS)) {
        Ok(role) => visit.authy.roles().create(&visit.caller()?, role).await,
        Err(error) => Err(error),
    };
    match created {
        Ok(role) => Ok(Answer::redirect(format!("/authy/ui{}?notice=role_created", role_path(&role.name)))),
        Err(error) if error.kind() == ErrorKind::InvalidToken => Err(error.into()),
        Err(error) => {
            let form = FormState::typed(&visit.form, &FIELDS).refuse(&visit.language.texts, &error, &FIELDS);
            let page = create_page(visit, form)?;
            unless_internal(error, |error| page.refused(error))
        }
    }
}

fn create_page(visit: &Visit<'_>, form: FormState) -> Shown {
    Ok(Answer::page(&CreateRoleView { form, level: visit.identity()?.level.get() }))
}

pub(super) async fn ask(visit: &Visit<'_>) -> Shown {
    let role = find(visit).await?;
    match visit.identity()?.can_act_on(Some(role.level)) {
        true => Ok(question(visit, &role).ask()),
        false => Err(beyond().into()),
    }
}

pub(super) async fn delete(visit: &Visit<'_>) -> Shown {
    let role = find(visit).await?;
    match visit.authy.roles().delete(&visit.caller()?, &role.name).await {
        Ok(()) => Ok(Answer::redirect(format!("{ROLES}?notice=role_deleted"))),
        Err(error) => question(visit, &role).refuse(visit, error),
    }
}

fn question(visit: &Visit<'_>, role: &RoleView) -> Question {
    let text = |key: &str| visit.language.texts.format(key, &[("role", role.name.as_str())]);
    Question {
        title: text("ask.delete_role_title"),
        person: None,
        paragraphs: vec![text("ask.delete_role_what")],
        submit: text("ask.delete_role_submit"),
        is_dangerous: true,
        cancel: role_path(&role.name),
    }
}

/// Returns the role in the path.
async fn find(visit: &Visit<'_>) -> Result<RoleView> {
    visit.authy.roles().find(&name(visit)?).await?.ok_or_else(unknown)
}

fn name(visit: &Visit<'_>) -> Result<RoleName> {
    RoleName::existing(visit.parameter("role_name")).map_err(|_| unknown())
}

fn unknown() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such role")
}
