//! The paths of pages that lead to each other.

pub(super) const LOGIN: &str = "/authy/ui/login";
pub(super) const SIGN_UP: &str = "/authy/ui/signup";
pub(super) const ACCOUNT: &str = "/authy/ui/account";
pub(super) const SESSIONS: &str = "/authy/ui/account/sessions";
pub(super) const DELETE: &str = "/authy/ui/account/delete";
pub(super) const AGAIN: &str = "/authy/ui/again";
pub(super) const FORGOT: &str = "/authy/ui/forgot";
pub(super) const DOCS: &str = "/authy/docs";
