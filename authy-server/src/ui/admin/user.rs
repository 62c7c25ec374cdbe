//! One user: everything that is known, and what can be done; and how a user is created.

use authy_core::{
    ErrorKind, RoleName,
    api::{
        FromFields as _,
        event::EventQuery,
        page::PageSize,
        role::RoleView,
        session::SessionView,
        user::{Details, NewAccount},
    },
};

use super::{
    account_action, delivery as deliveries, event,
    subject::{find, unknown},
    user_list::line,
    view::{CreateUserView, HeldRole, RoleEntry, UserPageView},
};
use crate::ui::{
    answer::{Answer, Shown},
    form::FormState,
    moment::Moment,
    path::USERS,
    signed_out::unless_internal,
    view::SessionLine,
    visit::Visit,
};

/// Maximum number of failed deliveries on the page: a user has few, and what is wrong with the first is wrong with all.
const MAX_STUCK: u32 = 20;

/// The role that is offered first for a new user.
const USUAL_ROLE: &str = "user";

pub(super) async fn show(visit: &Visit<'_>) -> Shown {
    let user = find(visit).await?;
    let (caller, id) = (visit.identity()?, user.public_id);
    let held = visit.authy.users().find_roles(id).await?.ok_or_else(unknown)?.roles;
    let all = visit.authy.roles().list().await?;
    let sessions = visit.authy.sessions().list_of(id).await?;
    let after = visit.query.get("after").and_then(|after| after.parse().ok());
    let query = EventQuery { user: Some(id), after, limit: Some(PageSize::DEFAULT), ..EventQuery::default() };
    let found = visit.authy.events().list(&query).await?;
    let events = event::lines(visit, &found.events, Some(id)).await?;
    let stuck = visit.authy.deliveries().list_stuck_of(id, MAX_STUCK).await?;
    let moment = |time| Moment::new(time, visit.now, &visit.language.texts);
    let can_act = caller.can_act_on(user.level) && !user.deleted;
    let is_permitted = |role: &RoleView| can_act && caller.can_act_on(Some(role.level));
    let is_held = |role: &RoleView| held.iter().any(|held| held.name == role.name);
    let mut view = UserPageView {
        user: line(visit, &user),
        deleted: user.delete_date.map(moment),
        delivery: user.details.map(delivery),
        is_own: id == caller.public_id,
        roles: Vec::new(),
        grantable: Vec::new(),
        sessions: sessions.iter().map(|session| session_line(visit, session)).collect(),
        can_act,
        stuck: deliveries::lines(visit, &stuck, true).await?,
        actions: account_action::links(caller, &user, &visit.language.texts),
        events,
        is_older: after.is_some(),
        older: found.next.map(|next| format!("/admin/users/{id}?after={next}")),
    };
    for role in &held {
        let path = || format!("/admin/users/{id}/revoke?{}", role_query(&role.name));
        view.roles.push(HeldRole { role: RoleEntry::new(role), revoke: is_permitted(role).then(path) });
    }
    // The least powerful first, so that nobody gets much by mistake.
    let grantable = all.iter().rev().filter(|role| is_permitted(role) && !is_held(role));
    view.grantable = grantable.map(|role| role.name.as_str().to_owned()).collect();
    Ok(Answer::page(&view))
}

fn delivery(details: Details) -> &'static str {
    match details {
        Details::Pending => "pending",
        Details::Created => "created",
        Details::Failed => "failed",
    }
}

fn role_query(name: &RoleName) -> String {
    serde_urlencoded::to_string([("role", name.as_str())]).unwrap_or_default()
}

fn session_line(visit: &Visit<'_>, session: &SessionView) -> SessionLine {
    let is_current = visit.user.as_ref().is_some_and(|caller| caller.session_id == session.session_id);
    SessionLine::new(session, is_current, visit.now, &visit.language.texts)
}

pub(super) async fn new(visit: &Visit<'_>) -> Shown {
    create_page(visit, FormState::default()).await
}

/// Creates a user, who is invited by mail to choose a password.
pub(super) async fn create(visit: &Visit<'_>) -> Shown {
    const FIELDS: [&str; 4] = ["username", "email", "role", "validated"];
    let created = match NewAccount::from_fields(visit.fields(&FIELDS)) {
        Ok(account) => visit.authy.users().create(&visit.caller()?, account).await,
        Err(error) => Err(error),
    };
    match created {
        Ok(id) => Ok(Answer::redirect(format!("{USERS}/{id}?notice=user_created"))),
        Err(error) if error.kind() == ErrorKind::InvalidToken => Err(error.into()),
        Err(error) => {
            let form = FormState::typed(&visit.form, &FIELDS).refuse(&visit.language.texts, &error, &FIELDS);
            let page = create_page(visit, form).await?;
            unless_internal(error, |error| page.refused(error))
        }
    }
}

async fn create_page(visit: &Visit<'_>, form: FormState) -> Shown {
    let (caller, all) = (visit.identity()?, visit.authy.roles().list().await?);
    let permitted = all.iter().filter(|role| caller.can_act_on(Some(role.level)));
    let roles: Vec<_> = permitted.map(|role| role.name.as_str().to_owned()).collect();
    // Of a role that is not in the list, only the error that is about it tells.
    let is_shown = |role: &&String| form.errors.contains_key("role") || roles.contains(role);
    let role = form.values.get("role").filter(is_shown).map_or(USUAL_ROLE, String::as_str).to_owned();
    Ok(Answer::page(&CreateUserView { form, roles, role }))
}
