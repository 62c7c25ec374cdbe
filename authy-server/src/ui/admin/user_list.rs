//! The list of users: a search, filters, and pages by position.

use authy_core::api::{
    Fields, FromFields as _,
    user::{UserQuery, UserView},
};
use http::StatusCode;

use super::view::{Pager, UserFilter, UserLine, UsersView};
use crate::{
    handlers::links::links,
    ui::{
        answer::{Answer, Shown},
        form::FormState,
        moment::Moment,
        visit::Visit,
    },
};

/// The path below `/authy/ui`.
const PATH: &str = "/admin/users";

pub(super) async fn list(visit: &Visit<'_>) -> Shown {
    const FIELDS: [&str; 5] = ["q", "role", "deleted", "validated", "after"];
    // A form sends also the fields that were left empty.
    let sent = visit.query.pairs().filter(|(name, value)| FIELDS.contains(&name.as_str()) && !value.is_empty());
    let query = UserQuery::from_fields(Fields::from_query(sent.cloned()))?;
    let roles = visit.authy.roles().list().await?;
    let mut form = FormState::default();
    let found = match visit.authy.users().list(&query).await {
        Ok(found) => Some(found),
        // A link that was shared may name a role that is gone.
        Err(error) if error.fields().iter().any(|wrong| wrong.field == "role") => {
            form = form.refuse(&visit.language.texts, &error, &["role"]);
            None
        }
        Err(error) => return Err(error.into()),
    };
    let is_good = found.is_some();
    let (items, total, total_is_estimate, cursors) = match found {
        Some(page) => (page.items, page.total, page.total_is_estimate, (page.next, page.previous)),
        None => (Vec::new(), 0, false, (None, None)),
    };
    let other = |after| UserQuery { after: Some(after), ..query.clone() };
    let (next, previous) = links(PATH, cursors, other);
    let sent = |name| visit.query.get(name).unwrap_or_default().to_owned();
    let answer = Answer::page(&UsersView {
        form,
        filter: UserFilter { q: sent("q"), role: sent("role"), deleted: sent("deleted"), validated: sent("validated") },
        roles: roles.iter().map(|role| role.name.as_str().to_owned()).collect(),
        users: items.iter().map(|user| line(visit, user)).collect(),
        total,
        total_is_estimate,
        pages: Pager { previous, next },
    });
    Ok(if is_good { answer } else { answer.with_status(StatusCode::BAD_REQUEST) })
}

/// Returns a user as a list shows it.
pub(super) fn line(visit: &Visit<'_>, user: &UserView) -> UserLine {
    let moment = |time| Moment::new(time, visit.now, &visit.language.texts);
    UserLine {
        id: user.public_id.to_string(),
        username: user.username.as_str().to_owned(),
        email: user.email.as_str().to_owned(),
        is_confirmed: user.validated,
        is_deleted: user.deleted,
        is_erased: user.is_erased(),
        roles: user.roles.iter().map(|role| role.as_str().to_owned()).collect(),
        created: moment(user.created),
        last_login: user.last_login.map(moment),
    }
}
