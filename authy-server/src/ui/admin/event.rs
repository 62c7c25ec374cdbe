//! Events of the audit trail, as people read them.

use std::collections::BTreeSet;

use authy_core::{Result, UserId, api::event::EventView};

use super::view::EventLine;
use crate::ui::{moment::Moment, texts::Texts, view::Link, visit::Visit};

/// The parts of a detail that are shown, in this order.
const SHOWN_DETAILS: [&str; 6] = ["role", "sink", "kid", "source", "of", "reason"];

/// Describes events for people. Who did what to whom is left out where it is `owner`, whom the page is about.
pub(in crate::ui) async fn lines(
    visit: &Visit<'_>,
    events: &[EventView],
    owner: Option<UserId>,
) -> Result<Vec<EventLine>> {
    let people = events.iter().flat_map(|event| [event.actor, event.subject]).flatten();
    let people: BTreeSet<_> = people.filter(|id| Some(*id) != owner).collect();
    let names = visit.authy.users().find_usernames(&people.iter().copied().collect::<Vec<_>>()).await?;
    let person = |id: UserId| {
        let text = names.get(&id).map_or_else(|| id.to_string(), |name| name.as_str().to_owned());
        people.contains(&id).then(|| Link { path: format!("/admin/users/{id}"), text })
    };
    Ok(events.iter().map(|event| line(visit, event, person)).collect())
}

fn line(visit: &Visit<'_>, event: &EventView, person: impl Fn(UserId) -> Option<Link>) -> EventLine {
    let texts = &visit.language.texts;
    let kind = event.kind.as_str();
    let detail = |name: &&str| Some(detail_text(texts, name, event.detail.get(*name)?.as_str()?));
    EventLine {
        happened: Moment::new(event.happened, visit.now, texts),
        kind: kind.to_owned(),
        text: texts.find(&format!("event.{kind}")).unwrap_or(kind).to_owned(),
        details: SHOWN_DETAILS.iter().filter_map(detail).collect(),
        // One's own doing is named once.
        actor: event.actor.filter(|actor| Some(*actor) != event.subject).and_then(&person),
        is_by_operator: event.actor_kind == "operator",
        subject: event.subject.and_then(&person),
        ip: event.ip.clone(),
        request_id: event.request_id.clone(),
    }
}

/// Returns a part of a detail for people: a reason in words, where an import came from. Names stay as they are.
fn detail_text(texts: &Texts, name: &str, value: &str) -> String {
    let keys = [format!("event.detail_{name}_{value}"), format!("event.detail_{name}")];
    match keys.iter().find(|key| texts.find(key).is_some()) {
        Some(key) => texts.format(key, &[("value", value)]),
        None => value.to_owned(),
    }
}
