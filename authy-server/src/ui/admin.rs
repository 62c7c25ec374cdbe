//! The console of administrators, under `/authy/ui/admin`.
//!
//! Handlers call the functions of the engine that the handlers of the API call, which prove the power of the caller in the
//! transaction of the write. What the level in the token does not permit is not offered. Whatever changes something is a
//! POST from a page that says what will happen and to whom, and needs a recent login.

use authy_core::{Access, access::ADMIN, api::RateClass::Default};
use minijinja::Value;

use super::{path::USERS, row::PageRow};

mod account_action;
mod delivery;
mod event;
mod grant;
mod power;
mod question;
mod role;
mod session;
mod subject;
mod system;
mod user;
mod user_list;
mod view;

use account_action::AccountAction;

/// Returns every page of the console.
pub(super) fn rows() -> Vec<PageRow> {
    let row = |path| PageRow::new(path, Access::Level(ADMIN));
    let mut rows = vec![
        row(USERS).get(user_list::list),
        row("/authy/ui/admin/create-user").get(user::new).post(Default, user::create).recent(),
        row("/authy/ui/admin/users/{public_id}").get(user::show),
        row("/authy/ui/admin/users/{public_id}/grant").get(grant::ask_grant).post(Default, grant::grant).recent(),
        row("/authy/ui/admin/users/{public_id}/revoke").get(grant::ask_revoke).post(Default, grant::revoke).recent(),
        row("/authy/ui/admin/users/{public_id}/sessions/{session_id}")
            .get(session::ask)
            .post(Default, session::end)
            .recent(),
        row("/authy/ui/admin/roles").get(role::list),
        row("/authy/ui/admin/create-role").get(role::new).post(Default, role::create).recent(),
        row("/authy/ui/admin/roles/{role_name}").get(role::show),
        row("/authy/ui/admin/roles/{role_name}/delete").get(role::ask).post(Default, role::delete).recent(),
    ];
    for action in AccountAction::ALL {
        let row = row(action.route()).get(account_action::ask).post(Default, account_action::perform);
        rows.push(row.recent());
    }
    rows.extend(system::rows());
    rows
}

/// Returns samples of what the templates of the console show.
pub(super) fn samples() -> Vec<(&'static str, Value)> {
    view::samples().into_iter().chain(system::samples()).collect()
}
