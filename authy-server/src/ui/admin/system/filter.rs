//! The filter of the pages of events: what is in the address, so that it can be shared.

use authy_core::{
    EventId, Result, UserId, Username,
    api::{
        event::{EventCursor, EventKind, EventQuery},
        page::PageSize,
    },
    time::Timestamp,
};
use chrono::{DateTime, Utc};

use crate::ui::{form::FormState, visit::Visit};

/// The fields of the form.
pub(super) const FIELDS: [&str; 4] = ["user", "kind", "since", "until"];

/// A filter.
pub(super) struct TrailFilter {
    /// The fields that are not empty, with the form that has to be corrected, or is right.
    pub(super) form: FormState,
    query: EventQuery,
    /// Only events before this time.
    until: Option<DateTime<Utc>>,
}

impl TrailFilter {
    /// Reads the filter of a visit. What is wrong with it is in its form.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](authy_core::ErrorKind::Unavailable) when a name cannot be looked up.
    pub(super) async fn read(visit: &Visit<'_>) -> Result<Self> {
        let texts = &visit.language.texts;
        let sent = |name: &str| visit.query.get(name).map(str::trim).filter(|text| !text.is_empty());
        let mut filter = Self { form: FormState::default(), query: EventQuery::default(), until: None };
        for (name, text) in FIELDS.iter().filter_map(|name| Some((*name, sent(name)?))) {
            filter.form.values.insert(name.to_owned(), text.to_owned());
            let is_good = match name {
                "user" => {
                    filter.query.user = find(visit, text).await?;
                    filter.query.user.is_some()
                }
                "kind" => {
                    filter.query.kind = text.parse::<EventKind>().ok();
                    filter.query.kind.is_some()
                }
                "since" => {
                    filter.query.since = time(text);
                    filter.query.since.is_some()
                }
                _ => {
                    filter.until = time(text).map(|Timestamp(time)| time);
                    filter.until.is_some()
                }
            };
            if !is_good {
                filter.form.errors.insert(name.to_owned(), texts.get(&format!("events.wrong_{name}")));
            }
        }
        filter.form.focus =
            FIELDS.iter().find(|name| filter.form.errors.contains_key(**name)).map(|name| (*name).to_owned());
        filter.query.after = match sent("after").and_then(|text| text.parse::<EventCursor>().ok()) {
            Some(after) => Some(after),
            None => filter.until.and_then(before),
        };
        Ok(filter)
    }

    /// Returns whether nothing is wrong with it.
    pub(super) fn is_good(&self) -> bool {
        self.form.errors.is_empty()
    }

    /// Returns the form as the page shows it: with a time that is right as the field of a browser has it, which shows no
    /// other and would send nothing.
    pub(super) fn shown(&self) -> FormState {
        let mut form = self.form.clone();
        let since = self.query.since.as_ref().map(|Timestamp(time)| *time);
        for (name, time) in [("since", since), ("until", self.until)] {
            if let Some(time) = time {
                form.values.insert(name.to_owned(), time.format("%Y-%m-%dT%H:%M:%S").to_string());
            }
        }
        form
    }

    /// Returns the query of a page of events.
    pub(super) fn query(&self, limit: PageSize) -> EventQuery {
        EventQuery { limit: Some(limit), ..self.query.clone() }
    }

    /// Returns the query of an address with this filter, and more fields.
    pub(super) fn address(&self, more: &[(&str, String)]) -> String {
        let fields = self.form.values.iter().map(|(name, text)| (name.as_str(), text.clone()));
        // Pairs of texts can always be written.
        serde_urlencoded::to_string(fields.chain(more.iter().cloned()).collect::<Vec<_>>()).unwrap_or_default()
    }
}

/// Returns the user with an ID or a name, deleted or not.
async fn find(visit: &Visit<'_>, text: &str) -> Result<Option<UserId>> {
    if let Ok(id) = text.parse() {
        return Ok(Some(id));
    }
    let Ok(name) = Username::existing(text) else { return Ok(None) };
    Ok(visit.authy.users().find_named(&name).await?.map(|user| user.public_id))
}

/// Reads a time as RFC 3339 has it, or as the field of a browser, which leaves out the zone: then it is UTC.
fn time(text: &str) -> Option<Timestamp> {
    let forms = [text.to_owned(), format!("{text}Z"), format!("{text}:00Z"), format!("{text}T00:00:00Z")];
    forms.iter().find_map(|form| form.parse().ok())
}

/// Returns the position behind which, in descending order, the events before a time are.
fn before(time: DateTime<Utc>) -> Option<EventCursor> {
    // No event has the smallest ID.
    let event_id: EventId = "00000000-0000-0000-0000-000000000000".parse().ok()?;
    Some(EventCursor { happened: time.timestamp_micros().max(0), event_id })
}

#[cfg(test)]
mod tests {
    use authy_core::time::from_unix_seconds;

    use super::*;

    #[test]
    fn a_time_is_read_as_a_browser_and_as_a_person_writes_it() {
        let expected = from_unix_seconds(1_560_247_380);
        for text in ["2019-06-11T10:03", "2019-06-11T10:03:00", "2019-06-11T10:03:00Z", "2019-06-11T12:03:00+02:00"] {
            assert_eq!(time(text).map(|Timestamp(time)| time), Some(expected), "{text}");
        }
        assert_eq!(time("2019-06-11").map(|Timestamp(time)| time), Some(from_unix_seconds(1_560_211_200)));
        for text in ["", "yesterday", "11.6.2019", "2019-13-01T00:00"] {
            assert!(time(text).is_none(), "{text}");
        }
    }

    #[test]
    fn the_position_before_a_time_is_one_that_an_address_can_have() {
        let cursor = before(from_unix_seconds(1_560_247_389)).unwrap();
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        assert_eq!(cursor.happened, 1_560_247_389_000_000);
    }
}
