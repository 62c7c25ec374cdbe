//! The overview: what goes on, and whether the parts of the service work.

use std::time::Duration;

use authy_core::{
    Result,
    api::{event::EventKind, page::PageSize, user::UserQuery},
    engine::{BoundedCount, InstanceState, InstanceView, KeyState, RelayStatistics, SinkStatus, Statistics},
};
use chrono::{DateTime, TimeDelta, Utc};

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
    let (sinks, sinks_measured) = sinks(visit, statistics.relay.as_ref()).await?;
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
        sinks,
        sinks_measured,
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

/// Returns how far the sinks are behind, and the seconds since that was measured. A server measures its own. Before it
/// has, and where it has none, the database is asked, which knows those of all servers.
async fn sinks(visit: &Visit<'_>, own: Option<&RelayStatistics>) -> Result<(Vec<SinkLagLine>, Option<String>)> {
    if let Some(own) = own.filter(|own| !own.sinks.is_empty()) {
        let lines = own.sinks.iter().map(|sink| sink_line(&sink.sink, sink.lag, sink.stuck, sink.given_up));
        return Ok((lines.collect(), Some(seconds(own.age))));
    }
    let lag = |oldest: Option<DateTime<Utc>>| oldest.and_then(|oldest| (visit.now - oldest).to_std().ok());
    let known = visit.authy.deliveries().list_sinks().await?;
    let line =
        |sink: &SinkStatus| sink_line(&sink.sink, lag(sink.oldest).unwrap_or_default(), sink.stuck, sink.given_up);
    Ok((known.iter().map(line).collect(), None))
}

fn sink_line(name: &str, lag: Duration, stuck: u64, given_up: u64) -> SinkLagLine {
    let is_good = stuck == 0 && lag < LATE;
    SinkLagLine { name: name.to_owned(), lag_seconds: lag.as_secs(), stuck, given_up, is_good }
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
