//! What the templates of these pages show.

use serde::Serialize;

use super::{
    super::{delivery::StuckLine, view::EventLine},
    chart::Chart,
};
use crate::ui::{
    form::FormState,
    moment::Moment,
    view::{moment, text, views},
};

views! {
    "admin-overview.html" OverviewView {
        users: Count = Count::sample(false), Count::sample(true);
        /// Of all users, not ended.
        sessions: Count = Count::sample(false), Count::sample(true);
        /// In the last 24 hours.
        sign_ups: Count = Count::sample(false), Count::sample(true);
        /// In the last 24 hours.
        throttled: Count = Count::sample(false), Count::sample(true);
        chart: Chart = Chart::sample(false), Chart::sample(true);
        /// The number of keys in each state.
        keys: Vec<StateLine> = Vec::new(), vec![StateLine { state: "active", number: 1 }];
        sinks: Vec<SinkLagLine> = Vec::new(), vec![SinkLagLine::sample(false), SinkLagLine::sample(true)];
        /// Seconds since the sinks were measured.
        sinks_measured: Option<String> = None, Some(text());
        /// The instances that run, or should.
        instances: Vec<InstanceLine> = Vec::new(), vec![InstanceLine::sample(false), InstanceLine::sample(true)];
        server: ServerLines = ServerLines::sample(false), ServerLines::sample(true);
    }

    "admin-events.html" EventsView {
        form: FormState = FormState::default(), refused();
        is_filtered: bool = false, true;
        kinds: Vec<KindOption> = Vec::new(), vec![KindOption::sample(false), KindOption::sample(true)];
        events: Vec<TrailLine> = Vec::new(), vec![TrailLine::sample(false), TrailLine::sample(true)];
        /// The page of the newest events with the same filter, on other pages.
        newest: Option<String> = None, Some("/admin/events".to_owned());
        older: Option<String> = None, Some("/admin/events?after=x".to_owned());
        csv: Option<String> = None, Some("/admin/events/export?format=csv".to_owned());
        /// The URL of the reference of events.
        reference: String = text(), text();
        json: Option<String> = None, Some("/admin/events/export?format=jsonl".to_owned());
    }

    "admin-keys.html" KeysView {
        keys: Vec<KeyLine> = Vec::new(), vec![KeyLine::sample(false), KeyLine::sample(true)];
        /// The page that creates the next key, if that is permitted.
        rotate: Option<String> = None, Some("/admin/keys/rotate".to_owned());
    }

    "admin-sinks.html" SinksView {
        sinks: Vec<SinkLine> = Vec::new(), vec![SinkLine::sample(false), SinkLine::sample(true)];
        /// The sink whose deliveries alone are shown.
        sink: Option<String> = None, Some(text());
        repeated: StuckList = StuckList::sample(false), StuckList::sample(true);
        given_up: StuckList = StuckList::sample(false), StuckList::sample(true);
        /// The page that dismisses all that this sink was given up for, if that is permitted.
        dismiss_all: Option<String> = None, Some("/admin/sinks/mail/dismiss".to_owned());
    }
}

/// A number of something.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct Count {
    /// In groups of three digits.
    pub(super) text: String,
    /// Whether there may be more.
    pub(super) is_at_least: bool,
    /// Whether the database has estimated it.
    pub(super) is_estimate: bool,
}

/// The number of keys in a state.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct StateLine {
    pub(super) state: &'static str,
    pub(super) number: usize,
}

/// How far a sink is behind.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct SinkLagLine {
    pub(super) name: String,
    pub(super) lag_seconds: u64,
    pub(super) stuck: u64,
    pub(super) given_up: u64,
    pub(super) is_good: bool,
}

/// An instance of the server.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct InstanceLine {
    pub(super) host: String,
    pub(super) version: String,
    /// `running` or `gone`.
    pub(super) state: &'static str,
    pub(super) started: Moment,
    pub(super) seen: Moment,
    /// The age of the revocations that it knew when it was last seen, in seconds.
    pub(super) staleness: Option<String>,
    /// Whether it is the one that answers.
    pub(super) is_own: bool,
}

/// What the server that answers knows about itself.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct ServerLines {
    pub(super) version: &'static str,
    /// When it began to count.
    pub(super) since: Moment,
    /// The number of revocations in force.
    pub(super) revocations: usize,
    /// The age of the known revocations, in seconds.
    pub(super) staleness: Option<String>,
    pub(super) is_current: bool,
    /// Connections in use, and their maximum.
    pub(super) connections: String,
    /// Passwords that are being hashed, and the threads that do it.
    pub(super) hashing: String,
    /// Passwords that wait to be hashed.
    pub(super) waiting: usize,
    /// How far the clock is ahead of that of the database, in seconds.
    pub(super) clock_skew: Option<String>,
    /// Signs that the database has lost what was committed before.
    pub(super) losses: u64,
}

/// A kind of event in the filter.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct KindOption {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) is_chosen: bool,
}

/// An event, as people read it and as the API writes it.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct TrailLine {
    pub(super) line: EventLine,
    pub(super) raw: String,
}

/// A signing key.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct KeyLine {
    pub(super) kid: String,
    pub(super) algorithm: String,
    pub(super) state: &'static str,
    pub(super) created: Moment,
    pub(super) changed: Moment,
    /// The page that revokes it, if that is permitted.
    pub(super) revoke: Option<String>,
}

/// The state of a sink.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct SinkLine {
    pub(super) name: String,
    /// The page of its deliveries.
    pub(super) path: String,
    /// Whether its deliveries alone are shown.
    pub(super) is_chosen: bool,
    pub(super) waiting: Count,
    pub(super) oldest: Option<Moment>,
    pub(super) stuck: u64,
    pub(super) given_up: u64,
    pub(super) error: Option<String>,
}

/// A page of deliveries that failed.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct StuckList {
    pub(super) deliveries: Vec<StuckLine>,
    /// The first page, on other pages.
    pub(super) first: Option<String>,
    pub(super) next: Option<String>,
}

/// A filter with everything wrong.
fn refused() -> FormState {
    let all = || super::filter::FIELDS.iter().map(|field| ((*field).to_owned(), text())).collect();
    FormState { values: all(), errors: all(), focus: Some("user".to_owned()), ..FormState::default() }
}

impl Count {
    pub(super) fn new(number: u64, is_at_least: bool) -> Self {
        Self { text: grouped(number), is_at_least, is_estimate: false }
    }

    fn sample(is_full: bool) -> Self {
        Self { text: text(), is_at_least: is_full, is_estimate: !is_full }
    }
}

impl SinkLagLine {
    fn sample(is_good: bool) -> Self {
        let stuck = if is_good { 0 } else { 2 };
        Self { name: text(), lag_seconds: 1, stuck, given_up: stuck, is_good }
    }
}

impl InstanceLine {
    fn sample(is_full: bool) -> Self {
        Self {
            host: text(),
            version: text(),
            state: if is_full { "running" } else { "gone" },
            started: moment(),
            seen: moment(),
            staleness: is_full.then(text),
            is_own: is_full,
        }
    }
}

impl ServerLines {
    fn sample(is_full: bool) -> Self {
        Self {
            version: "1.0.0",
            since: moment(),
            revocations: 1,
            staleness: is_full.then(text),
            is_current: is_full,
            connections: text(),
            hashing: text(),
            waiting: 1,
            clock_skew: is_full.then(text),
            losses: u64::from(is_full),
        }
    }
}

impl KindOption {
    fn sample(is_chosen: bool) -> Self {
        Self { name: text(), text: text(), is_chosen }
    }
}

impl TrailLine {
    fn sample(is_full: bool) -> Self {
        Self { line: EventLine::sample(is_full), raw: text() }
    }
}

impl KeyLine {
    fn sample(is_full: bool) -> Self {
        let state = if is_full { "active" } else { "retired" };
        let revoke = is_full.then(|| "/admin/keys/x/revoke".to_owned());
        Self { kid: text(), algorithm: text(), state, created: moment(), changed: moment(), revoke }
    }
}

impl SinkLine {
    fn sample(is_full: bool) -> Self {
        let stuck = u64::from(is_full);
        Self {
            name: text(),
            path: "/admin/sinks?sink=x".to_owned(),
            is_chosen: is_full,
            waiting: Count::sample(is_full),
            oldest: is_full.then(moment),
            stuck,
            given_up: stuck,
            error: is_full.then(text),
        }
    }
}

impl StuckList {
    fn sample(is_full: bool) -> Self {
        let path = || is_full.then(|| "/admin/sinks?after=x".to_owned());
        let deliveries = if is_full { vec![StuckLine::sample(false), StuckLine::sample(true)] } else { Vec::new() };
        Self { deliveries, first: path(), next: path() }
    }
}

/// Returns a number in groups of three digits, with the narrow space that ISO 80000 puts between them in every language.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_number_has_groups_of_three_digits() {
        let texts = [0, 12, 999, 1000, 10_000, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "12", "999", "1\u{202f}000", "10\u{202f}000", "1\u{202f}234\u{202f}567"]);
    }
}
