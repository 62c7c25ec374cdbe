//! What is decided about failed deliveries: to deliver again, to give up, and to dismiss what was given up.

use authy_core::{Error, ErrorKind, EventId, Result, engine::StuckDelivery};
use chrono::{DateTime, Utc};

use super::{
    super::{
        delivery::{LINK, kind_text},
        question::Question,
    },
    sinks::PATH,
};
use crate::ui::{
    answer::{Answer, Shown},
    moment::Moment,
    visit::Visit,
};

pub(super) async fn ask_retry(visit: &Visit<'_>) -> Shown {
    ask(visit, "retry").await
}

/// Delivers an event again now.
pub(super) async fn retry(visit: &Visit<'_>) -> Shown {
    let delivery = find(visit).await?;
    let done = visit.authy.deliveries().retry(&visit.caller()?, &delivery.sink, delivery.event_id).await;
    answer(done, "delivery_retried", || question(visit, &delivery, "retry"), visit)
}

pub(super) async fn ask_skip(visit: &Visit<'_>) -> Shown {
    ask(visit, "skip").await
}

/// Gives up the delivery of an event.
pub(super) async fn skip(visit: &Visit<'_>) -> Shown {
    let delivery = find(visit).await?;
    let done = visit.authy.deliveries().skip(&visit.caller()?, &delivery.sink, delivery.event_id).await;
    answer(done, "delivery_skipped", || question(visit, &delivery, "skip"), visit)
}

pub(super) async fn ask_dismiss(visit: &Visit<'_>) -> Shown {
    ask(visit, "dismiss").await
}

/// Dismisses a delivery that was given up.
pub(super) async fn dismiss(visit: &Visit<'_>) -> Shown {
    let delivery = find(visit).await?;
    let done = visit.authy.deliveries().dismiss(&visit.caller()?, &delivery.sink, delivery.event_id).await;
    answer(done, "delivery_dismissed", || question(visit, &delivery, "dismiss"), visit)
}

pub(super) async fn ask_dismiss_all(visit: &Visit<'_>) -> Shown {
    require_sink(visit).await?;
    Ok(question_about_all(visit, until(visit)?).ask())
}

/// Dismisses the deliveries to a sink that were given up before the page was shown that offered it.
pub(super) async fn dismiss_all(visit: &Visit<'_>) -> Shown {
    require_sink(visit).await?;
    let until = until(visit)?;
    let done = visit.authy.deliveries().dismiss_all(&visit.caller()?, visit.parameter("sink"), until).await;
    answer(done.map(drop), "deliveries_dismissed", || question_about_all(visit, until), visit)
}

/// Asks before something is done with the delivery in the path.
async fn ask(visit: &Visit<'_>, key: &str) -> Shown {
    Ok(question(visit, &find(visit).await?, key).ask())
}

/// Leads to the page of the sinks with a notice, or asks again and says why it was refused.
fn answer(done: Result<()>, notice: &str, question: impl FnOnce() -> Question, visit: &Visit<'_>) -> Shown {
    match done {
        Ok(()) => Ok(Answer::redirect(format!("{PATH}?notice={notice}"))),
        Err(error) => question().refuse(visit, error),
    }
}

/// Creates the question before something is done with a delivery, with the texts `sinks.<key>_title` and so on.
fn question(visit: &Visit<'_>, delivery: &StuckDelivery, key: &str) -> Question {
    let texts = &visit.language.texts;
    let happened = Moment::new(delivery.happened, visit.now, texts).exact;
    let text = kind_text(visit, delivery);
    let kind = delivery.kind.as_ref().map_or_else(|| text.clone(), |kind| format!("{kind} ({text})"));
    let values = [("sink", delivery.sink.as_str()), ("kind", kind.as_str()), ("happened", happened.as_str())];
    let text = |part: &str| texts.format(&format!("sinks.{key}_{part}"), &values);
    let error = delivery.error.as_ref().map(|error| texts.format("sinks.because", &[("error", error.as_str())]));
    Question {
        title: text("title"),
        person: None,
        paragraphs: [text("what"), text("then")].into_iter().chain(error).collect(),
        submit: text("submit"),
        is_dangerous: key != "retry",
        cancel: LINK.to_owned(),
    }
}

/// Creates the question before everything is dismissed that was given up until a time.
fn question_about_all(visit: &Visit<'_>, until: DateTime<Utc>) -> Question {
    let texts = &visit.language.texts;
    let until = Moment::new(until, visit.now, texts).exact;
    let values = [("sink", visit.parameter("sink")), ("until", until.as_str())];
    let text = |part: &str| texts.format(&format!("sinks.dismiss_all_{part}"), &values);
    Question {
        title: text("title"),
        person: None,
        paragraphs: vec![text("what"), text("then")],
        submit: text("submit"),
        is_dangerous: true,
        cancel: LINK.to_owned(),
    }
}

/// Returns the delivery in the path.
async fn find(visit: &Visit<'_>) -> Result<StuckDelivery> {
    let unknown = || Error::new(ErrorKind::NotFound, "no such event is stuck");
    let event: EventId = visit.parameter("event_id").parse().map_err(|_| unknown())?;
    visit.authy.deliveries().find_stuck(visit.parameter("sink"), event).await?.ok_or_else(unknown)
}

/// Refuses a path with a sink that there is not.
async fn require_sink(visit: &Visit<'_>) -> Result<()> {
    let sinks = visit.authy.deliveries().list_sinks().await?;
    match sinks.iter().any(|status| status.sink == visit.parameter("sink")) {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::NotFound, "there is no such sink")),
    }
}

/// Returns the time in the address, in seconds since 1970. What was given up after it has not been seen by who decides.
fn until(visit: &Visit<'_>) -> Result<DateTime<Utc>> {
    let seconds = visit.query.get("until").and_then(|text| text.parse().ok());
    let until = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    until.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "the time up to which deliveries are dismissed is missing"))
}
