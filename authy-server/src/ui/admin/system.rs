//! The part of the console that is about the service: overview, events, signing keys, sinks.
//!
//! What the command line shows, these pages show. Keys and deliveries are changed by those alone who may do everything, as the
//! engine demands: no endpoint of the API does it, so a stolen token that is no cookie of a recent login cannot.

use authy_core::{Access, access::ADMIN, api::RateClass::Default};
use minijinja::Value;

use super::{
    super::{path::CONSOLE, row::PageRow},
    power::{FULL_POWER, has_full_power},
};

mod chart;
mod decision;
mod event_file;
mod events;
mod filter;
mod keys;
mod overview;
mod sinks;
mod view;

/// Returns the pages.
pub(super) fn rows() -> Vec<PageRow> {
    let reads = |path| PageRow::new(path, Access::Level(ADMIN));
    let changes = |path| PageRow::new(path, Access::Level(FULL_POWER)).recent();
    vec![
        reads(CONSOLE).get(overview::show),
        reads(events::PATH).get(events::list),
        reads("/authy/ui/admin/events/export").get(event_file::download),
        reads(keys::PATH).get(keys::list),
        changes("/authy/ui/admin/keys/rotate").get(keys::ask_rotate).post(Default, keys::rotate),
        changes("/authy/ui/admin/keys/{kid}/revoke").get(keys::ask_revoke).post(Default, keys::revoke),
        reads(sinks::PATH).get(sinks::list),
        changes("/authy/ui/admin/sinks/{sink}/{event_id}/retry")
            .get(decision::ask_retry)
            .post(Default, decision::retry),
        changes("/authy/ui/admin/sinks/{sink}/{event_id}/skip").get(decision::ask_skip).post(Default, decision::skip),
        changes("/authy/ui/admin/sinks/{sink}/{event_id}/dismiss")
            .get(decision::ask_dismiss)
            .post(Default, decision::dismiss),
        changes("/authy/ui/admin/sinks/{sink}/dismiss")
            .get(decision::ask_dismiss_all)
            .post(Default, decision::dismiss_all),
    ]
}

/// Returns samples of what the templates show.
pub(super) fn samples() -> Vec<(&'static str, Value)> {
    view::samples()
}
