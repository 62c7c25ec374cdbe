//! The sinks of events: how far they are behind, and the deliveries that are stuck.

use std::collections::HashMap;

use authy_core::{
    Error, ErrorKind, EventId, Result, UserId, Username,
    engine::{SinkStatus, StuckDelivery},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    super::question::Question,
    has_full_power,
    view::{SinkLine, SinksView, StuckLine},
};
use crate::ui::{
    answer::{Answer, Shown},
    moment::Moment,
    view::Link,
    visit::Visit,
};

pub(super) const PATH: &str = "/authy/ui/admin/sinks";

/// The path below `/authy/ui`.
const LINK: &str = "/admin/sinks";

/// Maximum number of stuck deliveries on the page, the oldest first. What is wrong with the first is usually wrong with all.
const MAX_STUCK: u32 = 100;

pub(super) async fn list(visit: &Visit<'_>) -> Shown {
    let deliveries = visit.authy.deliveries();
    let (sinks, stuck) = (deliveries.list_sinks().await?, deliveries.list_stuck(MAX_STUCK).await?);
    let mut users: Vec<_> = stuck.iter().filter_map(|delivery| delivery.subject).collect();
    users.sort_unstable();
    users.dedup();
    let names = visit.authy.users().find_usernames(&users).await?;
    let can_act = has_full_power(visit.identity()?);
    let total = sinks.iter().map(|sink| sink.stuck).sum::<u64>();
    Ok(Answer::page(&SinksView {
        sinks: sinks.iter().map(|sink| sink_line(visit, sink)).collect(),
        more: total.saturating_sub(u64::try_from(stuck.len()).unwrap_or(u64::MAX)),
        stuck: stuck.iter().map(|delivery| stuck_line(visit, delivery, &names, can_act)).collect(),
    }))
}

fn sink_line(visit: &Visit<'_>, sink: &SinkStatus) -> SinkLine {
    SinkLine {
        name: sink.sink.clone(),
        waiting: sink.waiting,
        oldest: sink.oldest.map(|time| Moment::new(time, visit.now, &visit.language.texts)),
        stuck: sink.stuck,
        error: sink.error.clone(),
    }
}

fn stuck_line(
    visit: &Visit<'_>,
    delivery: &StuckDelivery,
    names: &HashMap<UserId, Username>,
    can_act: bool,
) -> StuckLine {
    let texts = &visit.language.texts;
    let moment = |time| Moment::new(time, visit.now, texts);
    let sink = utf8_percent_encode(&delivery.sink, NON_ALPHANUMERIC);
    let path = |action: &str| can_act.then(|| format!("{LINK}/{sink}/{}/{action}", delivery.event_id));
    StuckLine {
        sink: delivery.sink.clone(),
        event_id: delivery.event_id.to_string(),
        kind: delivery.kind.clone(),
        happened: moment(delivery.happened),
        subject: delivery.subject.map(|user| Link {
            path: format!("/admin/users/{user}"),
            text: names.get(&user).map_or_else(|| user.to_string(), |name| name.as_str().to_owned()),
        }),
        is_given_up: delivery.is_given_up,
        attempts: delivery.attempts,
        next_attempt: moment(delivery.next_attempt),
        error: delivery.error.clone(),
        retry: path("retry"),
        skip: path("skip").filter(|_| !delivery.is_given_up),
    }
}

pub(super) async fn ask_retry(visit: &Visit<'_>) -> Shown {
    Ok(question(visit, &find(visit).await?, "retry").ask())
}

/// Delivers an event again now.
pub(super) async fn retry(visit: &Visit<'_>) -> Shown {
    let delivery = find(visit).await?;
    match visit.authy.deliveries().retry(&visit.caller()?, &delivery.sink, delivery.event_id).await {
        Ok(()) => Ok(Answer::redirect(format!("{PATH}?notice=delivery_retried"))),
        Err(error) => question(visit, &delivery, "retry").refuse(visit, error),
    }
}

pub(super) async fn ask_skip(visit: &Visit<'_>) -> Shown {
    Ok(question(visit, &find(visit).await?, "skip").ask())
}

/// Gives up the delivery of an event.
pub(super) async fn skip(visit: &Visit<'_>) -> Shown {
    let delivery = find(visit).await?;
    match visit.authy.deliveries().skip(&visit.caller()?, &delivery.sink, delivery.event_id).await {
        Ok(()) => Ok(Answer::redirect(format!("{PATH}?notice=delivery_skipped"))),
        Err(error) => question(visit, &delivery, "skip").refuse(visit, error),
    }
}

/// Creates the question before something is done with a delivery, with the texts `sinks.<key>_title` and so on.
fn question(visit: &Visit<'_>, delivery: &StuckDelivery, key: &str) -> Question {
    let texts = &visit.language.texts;
    let happened = Moment::new(delivery.happened, visit.now, texts).exact;
    let event_id = delivery.event_id.to_string();
    let kind = delivery.kind.as_deref().unwrap_or(&event_id);
    let values = [("sink", delivery.sink.as_str()), ("kind", kind), ("happened", happened.as_str())];
    let text = |part: &str| texts.format(&format!("sinks.{key}_{part}"), &values);
    let error = delivery.error.as_ref().map(|error| texts.format("sinks.because", &[("error", error.as_str())]));
    Question {
        title: text("title"),
        person: None,
        paragraphs: [text("what"), text("then")].into_iter().chain(error).collect(),
        submit: text("submit"),
        is_dangerous: key == "skip",
        cancel: LINK.to_owned(),
    }
}

/// Returns the delivery in the path.
async fn find(visit: &Visit<'_>) -> Result<StuckDelivery> {
    let unknown = || Error::new(ErrorKind::NotFound, "no such event is stuck");
    let event: EventId = visit.parameter("event_id").parse().map_err(|_| unknown())?;
    visit.authy.deliveries().find_stuck(visit.parameter("sink"), event).await?.ok_or_else(unknown)
}
