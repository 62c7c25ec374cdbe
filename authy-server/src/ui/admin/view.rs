//! What the templates of the console show.

use authy_core::{
    RoleName,
    api::{PathParams as _, role::RoleView, user::UserView},
};
use serde::Serialize;

use super::delivery::StuckLine;
use crate::ui::{
    form::FormState,
    moment::Moment,
    view::{Link, SessionLine, moment, refused, session, text, views},
};

views! {
    "admin-question.html" QuestionView {
        alert: Option<String> = None, Some(text());
        title: String = text(), text();
        person: Option<PersonLine> = None, Some(PersonLine::sample());
        paragraphs: Vec<String> = Vec::new(), vec![text(), text()];
        submit: String = text(), text();
        is_dangerous: bool = false, true;
        /// A path below `/authy/ui`.
        cancel: String = "/admin/users".to_owned(), "/admin/users".to_owned();
    }

    "admin-users.html" UsersView {
        form: FormState = FormState::default(), FormState { errors: [("role".to_owned(), text())].into(), ..refused() };
        filter: UserFilter = UserFilter::default(), UserFilter::sample();
        /// The names of all roles.
        roles: Vec<String> = Vec::new(), vec![text(), "other".to_owned()];
        users: Vec<UserLine> = Vec::new(), vec![UserLine::sample(false), UserLine::sample(true)];
        total: u64 = 1, 2;
        total_is_estimate: bool = false, true;
        pages: Pager = Pager::default(), Pager::sample();
    }

    "admin-create-user.html" CreateUserView {
        form: FormState = FormState::default(), refused();
        /// The names of the roles that can be given.
        roles: Vec<String> = Vec::new(), vec![text(), "other".to_owned()];
        role: String = text(), text();
    }

    "admin-user.html" UserPageView {
        user: UserLine = UserLine::sample(false), UserLine::sample(true);
        /// When the user was deleted.
        deleted: Option<Moment> = None, Some(moment());
        /// What became of the webhook of the sign-up: `pending`, `created` or `failed`.
        delivery: Option<&'static str> = None, Some("pending");
        /// Whether it is the account of the administrator who looks at it.
        is_own: bool = false, true;
        roles: Vec<HeldRole> = Vec::new(), vec![HeldRole::sample(false), HeldRole::sample(true)];
        /// The names of the roles that can be granted.
        grantable: Vec<String> = Vec::new(), vec![text()];
        sessions: Vec<SessionLine> = Vec::new(), vec![session(false), session(true)];
        can_act: bool = false, true;
        /// The deliveries about the user that failed.
        stuck: Vec<StuckLine> = Vec::new(), vec![StuckLine::sample(false), StuckLine::sample(true)];
        actions: Vec<ActionLink> = Vec::new(), vec![ActionLink::sample(false), ActionLink::sample(true)];
        events: Vec<EventLine> = Vec::new(), vec![EventLine::sample(false), EventLine::sample(true)];
        /// Whether these are older events than the newest ones.
        is_older: bool = false, true;
        older: Option<String> = None, Some("/admin/users?after=x".to_owned());
    }

    "admin-roles.html" RolesView {
        roles: Vec<RoleEntry> = Vec::new(), vec![RoleEntry::sample()];
    }

    "admin-create-role.html" CreateRoleView {
        form: FormState = FormState::default(), refused();
        /// The smallest level that the administrator can give.
        level: i32 = 0, 5;
    }

    "admin-role.html" RolePageView {
        role: RoleEntry = RoleEntry::sample(), RoleEntry::sample();
        users: Vec<Link> = Vec::new(), vec![Link { path: "/admin/users".to_owned(), text: text() }];
        total: u64 = 0, 2;
        total_is_estimate: bool = false, true;
        pages: Pager = Pager::default(), Pager::sample();
        can_delete: bool = false, true;
    }
}

/// Whom a question is about.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct PersonLine {
    username: String,
    email: String,
    id: String,
    roles: Vec<String>,
}

/// The filters of a list of users, as they were sent.
#[derive(Clone, Debug, Default, Serialize)]
pub(in crate::ui) struct UserFilter {
    pub(super) q: String,
    pub(super) role: String,
    /// `true`, `false` or nothing.
    pub(super) deleted: String,
    /// `true`, `false` or nothing.
    pub(super) validated: String,
}

/// A user in a list.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct UserLine {
    pub(super) id: String,
    pub(super) username: String,
    pub(super) email: String,
    pub(super) is_confirmed: bool,
    pub(super) is_deleted: bool,
    pub(super) is_erased: bool,
    pub(super) roles: Vec<String>,
    pub(super) created: Moment,
    pub(super) last_login: Option<Moment>,
}

/// The links to other pages of a list.
#[derive(Clone, Debug, Default, Serialize)]
pub(in crate::ui) struct Pager {
    pub(in crate::ui) previous: Option<String>,
    pub(in crate::ui) next: Option<String>,
}

/// A role that a user has.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct HeldRole {
    pub(super) role: RoleEntry,
    /// The page that takes it away, if that is permitted.
    pub(super) revoke: Option<String>,
}

/// A role in a list.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct RoleEntry {
    /// The path of its page, below `/authy/ui`.
    path: String,
    name: String,
    description: String,
    level: i32,
}

/// Something that can be done with a user.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct ActionLink {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) is_dangerous: bool,
}

/// An event of the audit trail.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct EventLine {
    pub(in crate::ui) happened: Moment,
    /// The name of the kind, such as `session.opened`.
    pub(in crate::ui) kind: String,
    /// What happened, for people.
    pub(in crate::ui) text: String,
    /// What it is about beside a user: a role, a sink, a key.
    pub(in crate::ui) details: Vec<String>,
    /// Who did it, unless it is clear from the page.
    pub(in crate::ui) actor: Option<Link>,
    /// Whether the operator did it.
    pub(in crate::ui) is_by_operator: bool,
    /// Whom it is about, unless it is clear from the page.
    pub(in crate::ui) subject: Option<Link>,
    pub(in crate::ui) ip: Option<String>,
    pub(in crate::ui) request_id: Option<String>,
}

impl From<&UserView> for PersonLine {
    fn from(user: &UserView) -> Self {
        Self {
            username: user.username.as_str().to_owned(),
            email: user.email.as_str().to_owned(),
            id: user.public_id.to_string(),
            roles: user.roles.iter().map(|role| role.as_str().to_owned()).collect(),
        }
    }
}

impl RoleEntry {
    pub(super) fn new(role: &RoleView) -> Self {
        let (name, description) = (role.name.as_str().to_owned(), role.description.as_str().to_owned());
        Self { path: role_path(&role.name), name, description, level: role.level.get() }
    }

    fn sample() -> Self {
        Self { path: "/admin/roles/sample".to_owned(), name: text(), description: text(), level: 10 }
    }
}

/// Returns the path of the page of a role, below `/authy/ui`.
pub(super) fn role_path(name: &RoleName) -> String {
    (name.clone(),).fill("/admin/roles/{role_name}")
}

impl PersonLine {
    fn sample() -> Self {
        Self { username: text(), email: text(), id: text(), roles: vec![text()] }
    }
}

impl UserFilter {
    fn sample() -> Self {
        Self { q: text(), role: text(), deleted: "true".to_owned(), validated: "false".to_owned() }
    }
}

impl UserLine {
    fn sample(is_full: bool) -> Self {
        Self {
            id: text(),
            username: text(),
            email: text(),
            is_confirmed: !is_full,
            is_deleted: is_full,
            is_erased: is_full,
            roles: if is_full { vec![text(), text()] } else { Vec::new() },
            created: moment(),
            last_login: is_full.then(moment),
        }
    }
}

impl Pager {
    fn sample() -> Self {
        let path = || Some("/admin/users?after=x".to_owned());
        Self { previous: path(), next: path() }
    }
}

impl HeldRole {
    fn sample(can_revoke: bool) -> Self {
        Self { role: RoleEntry::sample(), revoke: can_revoke.then(|| "/admin/users/x/revoke".to_owned()) }
    }
}

impl ActionLink {
    fn sample(is_dangerous: bool) -> Self {
        Self { path: "/admin/users/x/delete".to_owned(), text: text(), is_dangerous }
    }
}

impl EventLine {
    pub(in crate::ui) fn sample(is_full: bool) -> Self {
        let link = || is_full.then(|| Link { path: "/admin/users".to_owned(), text: text() });
        Self {
            happened: moment(),
            kind: text(),
            text: text(),
            details: if is_full { vec![text()] } else { Vec::new() },
            actor: link(),
            is_by_operator: !is_full,
            subject: link(),
            ip: is_full.then(text),
            request_id: is_full.then(text),
        }
    }
}
