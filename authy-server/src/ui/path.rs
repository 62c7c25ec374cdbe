//! The paths of pages that lead to each other.

pub(super) const LOGIN: &str = "/authy/ui/login";
pub(super) const SIGN_UP: &str = "/authy/ui/signup";
pub(super) const ACCOUNT: &str = "/authy/ui/account";
pub(super) const SESSIONS: &str = "/authy/ui/account/sessions";
pub(super) const DELETE: &str = "/authy/ui/account/delete";
pub(super) const AGAIN: &str = "/authy/ui/again";
pub(super) const FORGOT: &str = "/authy/ui/forgot";
/// The first page of the console of administrators.
pub(crate) const CONSOLE: &str = "/authy/ui/admin";
pub(super) const USERS: &str = "/authy/ui/admin/users";
pub(super) const ROLES: &str = "/authy/ui/admin/roles";
/// The API reference.
pub(crate) const DOCS: &str = "/authy/docs";
pub(super) const EVENT_DOCS: &str = "/authy/docs/events";

/// Returns the part of the console that a page of the table belongs to; empty for pages of people.
pub(super) fn section(route: &'static str) -> &'static str {
    let Some(rest) = route.strip_prefix(CONSOLE) else { return "" };
    match rest.trim_start_matches('/').split('/').next() {
        None | Some("") => "overview",
        Some("create-user") => "users",
        Some("create-role") => "roles",
        Some(section) => section,
    }
}
