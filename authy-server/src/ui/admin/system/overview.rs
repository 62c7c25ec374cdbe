//! The overview: what goes on, and whether the parts of the service work.

use std::time::Duration;

use authy_core::{
    Result,
    api::{event::EventKind, page::PageSize, user::UserQuery},
    engine::{BoundedCount, KeyState, SinkLag, Statistics},
};
use chrono::TimeDelta;

use super::{
    chart::Chart,
    view::{Count, OverviewView, ServerLines, SinkLagLine, StateLine},
};
use crate::ui::{
    answer::{Answer, Shown},
    moment::Moment,
    visit::Visit,
};

/// The period of the numbers.
const DAY: TimeDelta = TimeDelta::hours(24);

/// Lag of a sink from which on it is shown as late: a delivery that failed once is repeated sooner.
const LATE: Duration = Duration::from_secs(60);

pub(super) async fn show(visit: &Visit<'_>) -> Shown {
    let authy = visit.authy;
    let since = visit.now - DAY;
    let first = UserQuery { per_page: Some(PageSize::new(1).unwrap_or(PageSize::DEFAULT)), ..UserQuery::default() };
    let (users, sessions, sign_ups, throttled, keys) = tokio::try_join!(
        authy.users().list(&first),
        authy.sessions().count_live(),
        authy.events().count(&EventKind::UserRegistered, since),
        authy.events().count(&EventKind::AccountThrottled, since),
        authy.keys().list(),
    )?;
    let statistics = authy.statistics();
    let texts = &visit.language.texts;
    let state = |state: KeyState| StateLine {
        state: state.as_str(),
        number: keys.iter().filter(|key| key.state == state).count(),
    };
    Ok(Answer::page(&OverviewView {
        users: Count { text: grouped(users.total), is_at_least: false, is_estimate: users.total_is_estimate },
        sessions: sessions.into(),
        sign_ups: sign_ups.into(),
        throttled: throttled.into(),
        chart: Chart::new(&statistics.sessions.login_hours, texts),
        keys: [KeyState::Active, KeyState::Pending, KeyState::Retiring].map(state).into(),
        sinks: statistics.relay.iter().flat_map(|relay| &relay.sinks).map(sink).collect(),
        sinks_measured: statistics.relay.as_ref().map(|relay| seconds(relay.age)),
        server: server(visit, &statistics)?,
    }))
}

fn sink(sink: &SinkLag) -> SinkLagLine {
    SinkLagLine {
        name: sink.sink.clone(),
        lag_seconds: sink.lag.as_secs(),
        stuck: sink.stuck,
        is_good: sink.stuck == 0 && sink.lag < LATE,
    }
}

fn server(visit: &Visit<'_>, statistics: &Statistics) -> Result<ServerLines> {
    Ok(ServerLines {
        version: env!("CARGO_PKG_VERSION"),
        since: Moment::new(statistics.sessions.since, visit.now, &visit.language.texts),
        revocations: statistics.revocations,
        staleness: statistics.revocation_age.map(seconds),
        is_current: visit.authy.revocations().is_current(),
        connections: format!("{} / {}", statistics.connections.in_use, statistics.connections.max),
        hashing: format!("{} / {}", statistics.hashing.running, statistics.hashing.threads),
        waiting: statistics.hashing.waiting,
        clock_skew: statistics.database.clock_skew.map(|skew| format!("{:.1}", skew.as_seconds_f64())),
        losses: statistics.database.lost_history,
    })
}

/// Returns a duration in seconds, with one decimal.
fn seconds(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64())
}

impl From<BoundedCount> for Count {
    fn from(count: BoundedCount) -> Self {
        Self { text: grouped(count.number), is_at_least: count.is_at_least, is_estimate: false }
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
