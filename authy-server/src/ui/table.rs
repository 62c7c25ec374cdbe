//! Every page, one row each.

use authy_core::{
    Access::{Authenticated, Public},
    api::RateClass,
};

use super::{
    account, admin, docs, event_docs,
    path::{ACCOUNT, AGAIN, DELETE, DOCS, EVENT_DOCS, FORGOT, LOGIN, SESSIONS, SIGN_UP},
    row::PageRow,
    signed_out, static_file,
};

/// Returns every page: those of people, and those of the console. Those whose access is administrative are not on the listener for everybody beside an admin listener.
pub(super) fn all() -> Vec<PageRow> {
    use RateClass::{Default, Forgot, Login, Register, Validate};
    let people = [
        PageRow::new("/", Public).get(signed_out::start),
        PageRow::new("/authy/ui", Public).get(signed_out::start),
        PageRow::new("/authy/ui/assets/{hash}/{name}", Public).get(static_file::show).asset(),
        PageRow::new("/authy/ui/language", Public).post(Default, signed_out::choose_language),
        PageRow::new(DOCS, Public).get(docs::reference),
        PageRow::new(EVENT_DOCS, Public).get(event_docs::reference),
        // Without a session.
        PageRow::new(LOGIN, Public).get(signed_out::login).post(Login, signed_out::log_in),
        PageRow::new("/authy/ui/logout", Public).post(Default, signed_out::log_out),
        PageRow::new(SIGN_UP, Public).get(signed_out::sign_up).post(Register, signed_out::register),
        PageRow::new("/authy/ui/confirm/{code}", Public)
            .get(signed_out::confirmation)
            .post(Validate, signed_out::confirm),
        PageRow::new(FORGOT, Public).get(signed_out::forgot).post(Forgot, signed_out::send_reset),
        PageRow::new("/authy/ui/reset/{code}", Public).get(signed_out::new_password).post(Validate, signed_out::reset),
        // The account.
        PageRow::new(AGAIN, Authenticated).get(account::again).post(Login, account::log_in_again),
        PageRow::new(ACCOUNT, Authenticated).get(account::overview),
        PageRow::new("/authy/ui/account/confirm", Authenticated).post(Validate, account::resend),
        PageRow::new("/authy/ui/account/email", Authenticated).get(account::email).post(Default, account::change_email),
        PageRow::new("/authy/ui/account/password", Authenticated)
            .get(account::password)
            .post(Default, account::change_password),
        PageRow::new(SESSIONS, Authenticated).get(account::sessions).post(Default, account::end_sessions),
        PageRow::new("/authy/ui/account/export", Authenticated).get(account::export),
        PageRow::new(DELETE, Authenticated).get(account::deletion).post(Default, account::delete),
    ];
    people.into_iter().chain(admin::rows()).collect()
}
