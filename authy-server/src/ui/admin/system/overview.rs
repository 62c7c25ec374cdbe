//! The overview: what goes on, and whether the parts of the service work.

use std::time::Duration;

use authy_core::{
    Result,
    api::{event::EventKind, page::PageSize, user::UserQuery},
    engine::{BoundedCount, InstanceState, InstanceView, KeyState, SinkLag, Statistics},
};
use chrono::TimeDelta;

use super::{
    chart::Chart,
    view::{Count, InstanceLine, OverviewView, ServerLines, SinkLagLine, StateLine},
};
use crate::ui::{
    answer::{Answer, Shown},
    moment::Moment,
    visit::Visit,
};

/// The period of the numbers.
const DAY: TimeDelta = TimeDelta::hours(24);

/// Time for which an instance is shown that was not seen any more, and has not ended as it should.
const MISSED: TimeDelta = TimeDelta::hours(1);

/// Lag of a sink from which on it is shown as late: a delivery that failed once is repeated sooner.
const LATE: Duration = Duration::from_secs(60);

pub(super) async fn show(visit: &Visit<'_>) -> Shown {
    let authy = visit.authy;
    let since = visit.now - DAY;
    let first = UserQuery { per_page: Some(PageSize::new(1).unwrap_or(PageSize::DEFAULT)), ..UserQuery::default() };
    let (users, sessions, sign_ups, throttled, keys, instances) = tokio::try_join!(
        authy.users().list(&first),
        authy.sessions().count_live(),
        authy.events().count(&EventKind::UserRegistered, since),
        authy.events().count(&EventKind::AccountThrottled, since),
        authy.keys().list(),
        authy.list_instances(),
    )?;
    let statistics = authy.statistics();
    let texts = &visit.language.texts;
    let state = |state: KeyState| StateLine {
        state: state.as_str(),
        number: keys.iter().filter(|key| key.state == state).count(),
    };
    Ok(Answer::page(&OverviewView {
        users: Count { is_estimate: users.total_is_estimate, ..Count::new(users.total, false) },
        sessions: sessions.into(),
        sign_ups: sign_ups.into(),
        throttled: throttled.into(),
        chart: Chart::new(&instances.login_hours, texts),
        instances: instances.instances.iter().filter_map(|instance| instance_line(visit, instance)).collect(),
        keys: [KeyState::Active, KeyState::Pending, KeyState::Retiring].map(state).into(),
        sinks: statistics.relay.iter().flat_map(|relay| &relay.sinks).map(sink).collect(),
        sinks_measured: statistics.relay.as_ref().map(|relay| seconds(relay.age)),
        server: server(visit, &statistics)?,
    }))
}

/// Returns an instance as the page shows it; nothing when it has ended long ago, or as it should.
fn instance_line(visit: &Visit<'_>, instance: &InstanceView) -> Option<InstanceLine> {
    let state = match instance.state {
        InstanceState::Running => "running",
        InstanceState::Stopped => return None,
        _ if visit.now - instance.seen > MISSED => return None,
        _ => "gone",
    };
    let moment = |time| Moment::new(time, visit.now, &visit.language.texts);
    Some(InstanceLine {
        host: instance.host.clone(),
        version: instance.version.clone(),
        state,
        started: moment(instance.started),
        seen: moment(instance.seen),
        staleness: instance.revocation_age.map(seconds),
        is_own: instance.is_own,
    })
}

fn sink(sink: &SinkLag) -> SinkLagLine {
    SinkLagLine {
        name: sink.sink.clone(),
        lag_seconds: sink.lag.as_secs(),
        stuck: sink.stuck,
        given_up: sink.given_up,
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
        Self::new(count.number, count.is_at_least)
    }
}
