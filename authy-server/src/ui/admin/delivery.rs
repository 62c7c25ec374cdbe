//! Deliveries that failed, as the pages show them.

use authy_core::{Result, engine::StuckDelivery};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::power::has_full_power;
use crate::ui::{
    moment::Moment,
    view::{Link, moment, text},
    visit::Visit,
};

/// The page of the sinks, below `/authy/ui`.
pub(super) const LINK: &str = "/admin/sinks";

/// A delivery that failed.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct StuckLine {
    sink: String,
    event_id: String,
    /// The name of the kind; nothing when the event is not kept any more.
    kind: Option<String>,
    /// The kind, or the ID of the event, for people.
    text: String,
    happened: Moment,
    /// Whom it is about, unless it is clear from the page.
    subject: Option<Link>,
    is_given_up: bool,
    is_dismissed: bool,
    attempts: u32,
    next_attempt: Moment,
    error: Option<String>,
    /// The page that has it delivered again, if that is permitted.
    retry: Option<String>,
    /// The page that gives it up, if that is permitted.
    skip: Option<String>,
    /// The page that dismisses it, if that is permitted.
    dismiss: Option<String>,
}

/// Describes deliveries for people. With `is_of_user`, the page is about the user whom they are about.
pub(super) async fn lines(visit: &Visit<'_>, deliveries: &[StuckDelivery], is_of_user: bool) -> Result<Vec<StuckLine>> {
    let mut users: Vec<_> = deliveries.iter().filter_map(|delivery| delivery.subject).collect();
    users.sort_unstable();
    users.dedup();
    let names = match is_of_user {
        true => Default::default(),
        false => visit.authy.users().find_usernames(&users).await?,
    };
    let can_act = has_full_power(visit.identity()?);
    let subject = |delivery: &StuckDelivery| {
        let user = delivery.subject.filter(|_| !is_of_user)?;
        let text = names.get(&user).map_or_else(|| user.to_string(), |name| name.as_str().to_owned());
        Some(Link { path: format!("/admin/users/{user}"), text })
    };
    Ok(deliveries.iter().map(|delivery| line(visit, delivery, subject(delivery), can_act)).collect())
}

fn line(visit: &Visit<'_>, delivery: &StuckDelivery, subject: Option<Link>, can_act: bool) -> StuckLine {
    let texts = &visit.language.texts;
    let moment = |time| Moment::new(time, visit.now, texts);
    let is_dismissed = delivery.is_dismissed;
    let path = |action: &str| can_act.then(|| format!("{}/{}/{action}", of_sink(&delivery.sink), delivery.event_id));
    StuckLine {
        sink: delivery.sink.clone(),
        event_id: delivery.event_id.to_string(),
        kind: delivery.kind.clone(),
        text: kind_text(visit, delivery),
        happened: moment(delivery.happened),
        subject,
        is_given_up: delivery.is_given_up,
        is_dismissed,
        attempts: delivery.attempts,
        next_attempt: moment(delivery.next_attempt),
        error: delivery.error.clone(),
        retry: path("retry"),
        skip: path("skip").filter(|_| !delivery.is_given_up),
        dismiss: path("dismiss").filter(|_| delivery.is_given_up && !is_dismissed),
    }
}

/// Returns the kind of the event of a delivery for people: its ID, when it is not kept any more.
pub(super) fn kind_text(visit: &Visit<'_>, delivery: &StuckDelivery) -> String {
    let Some(kind) = &delivery.kind else { return delivery.event_id.to_string() };
    visit.language.texts.find(&format!("event.{kind}")).unwrap_or(kind).to_owned()
}

/// Returns the beginning of the paths of the pages of a sink.
pub(super) fn of_sink(sink: &str) -> String {
    format!("{LINK}/{}", utf8_percent_encode(sink, NON_ALPHANUMERIC))
}

impl StuckLine {
    pub(super) fn sample(is_full: bool) -> Self {
        let path = || is_full.then(|| "/admin/sinks/mail/x/retry".to_owned());
        Self {
            sink: text(),
            event_id: text(),
            kind: is_full.then(text),
            text: text(),
            happened: moment(),
            subject: is_full.then(|| Link { path: "/admin/users/x".to_owned(), text: text() }),
            is_given_up: !is_full,
            is_dismissed: !is_full,
            attempts: 1,
            next_attempt: moment(),
            error: is_full.then(text),
            retry: path(),
            skip: path(),
            dismiss: path(),
        }
    }
}
