//! The audit trail: filtered by user, kind and time, with the filter in the address.

use authy_core::api::{event::EventKind, page::PageSize};
use http::StatusCode;

use super::{
    super::event,
    filter::TrailFilter,
    view::{EventsView, KindOption, TrailLine},
};
use crate::ui::{
    answer::{Answer, Shown},
    path::EVENT_DOCS,
    visit::Visit,
};

pub(super) const PATH: &str = "/authy/ui/admin/events";

/// The path below `/authy/ui`.
const LINK: &str = "/admin/events";

/// Number of events per page: a few screens.
const EVENTS_A_PAGE: u32 = 50;

pub(super) async fn list(visit: &Visit<'_>) -> Shown {
    let filter = TrailFilter::read(visit).await?;
    let size = PageSize::new(EVENTS_A_PAGE).unwrap_or(PageSize::DEFAULT);
    let (events, next) = match filter.is_good() {
        true => {
            let page = visit.authy.events().list(&filter.query(size)).await?;
            (page.events, page.next)
        }
        false => (Vec::new(), None),
    };
    let lines = event::lines(visit, &events, None).await?;
    let raw = |event| serde_json::to_string_pretty(event).unwrap_or_default();
    let texts = &visit.language.texts;
    let chosen = filter.form.values.get("kind").map(String::as_str);
    let kind = |kind: &EventKind| KindOption {
        name: kind.as_str().to_owned(),
        text: texts.find(&format!("event.{kind}")).unwrap_or(kind.as_str()).to_owned(),
        is_chosen: chosen == Some(kind.as_str()),
    };
    let download = |format: &str| format!("{LINK}/export?{}", filter.address(&[("format", format.to_owned())]));
    let is_later = visit.query.get("after").is_some_and(|after| !after.is_empty());
    let first = |query: String| if query.is_empty() { LINK.to_owned() } else { format!("{LINK}?{query}") };
    let answer = Answer::page(&EventsView {
        kinds: EventKind::ALL.iter().map(kind).collect(),
        events: events.iter().zip(lines).map(|(event, line)| TrailLine { line, raw: raw(event) }).collect(),
        newest: is_later.then(|| first(filter.address(&[]))),
        older: next.map(|next| format!("{LINK}?{}", filter.address(&[("after", next.to_string())]))),
        csv: filter.is_good().then(|| download("csv")),
        reference: visit.site.skin.url(EVENT_DOCS),
        json: filter.is_good().then(|| download("jsonl")),
        is_filtered: !filter.form.values.is_empty(),
        form: filter.shown(),
    });
    Ok(if filter.is_good() { answer } else { answer.with_status(StatusCode::BAD_REQUEST) })
}
