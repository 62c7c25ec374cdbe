//! How much of what is needed.

use crate::figures::{
    CONNECTION_BYTES, CONNECTIONS, CONNECTIONS_OF_SINK, Figures, IDLE_DATABASE_US, LOGIN, LOGOUT, READ, REFRESH,
    REFUSED_LOGIN, REQUEST_US, SIGN_UP,
};

const SECONDS_OF_DAY: f64 = 86_400.0;

/// The share of a core or a disk that is planned for: the rest is for what was not expected, and for vacuum and backups.
pub const SHARE: f64 = 0.5;

/// What the users do.
#[derive(Clone, Debug)]
pub struct Demand {
    pub users: f64,
    pub logins_a_day: f64,
    pub sign_ups_a_day: f64,
    /// Hours after a login in which an app is used, and refreshes its token.
    pub hours_of_use: f64,
    /// `AUTHY_ACCESS_TTL` in minutes.
    pub refresh_minutes: f64,
    /// `AUTHY_REFRESH_IDLE` in days: an unused session is stored that long.
    pub session_days: f64,
    /// `AUTHY_EVENT_RETENTION`.
    pub event_months: f64,
    /// Token checks that services ask a server for. Those of a verifier cost no server anything.
    pub checks_a_second: f64,
    /// Processes of services that verify tokens themselves.
    pub verifiers: f64,
    /// The busiest second, as a multiple of the average one.
    pub peak: f64,
    /// CPU time of a hash in milliseconds.
    pub hash_ms: f64,
    /// Cores of a server.
    pub cores: f64,
    /// Sinks: mails, the webhook, RabbitMQ.
    pub sinks: f64,
}

/// What that needs, in the busiest second where nothing else is said.
#[derive(Clone, Debug)]
pub struct Plan {
    pub logins: f64,
    pub refreshes: f64,
    pub sign_ups: f64,
    /// Cores of all servers.
    pub server_cores: f64,
    /// Servers, with one to spare.
    pub servers: f64,
    /// Cores of the primary.
    pub database_cores: f64,
    pub commits: f64,
    pub wal_bytes: f64,
    pub wal_bytes_a_day: f64,
    /// Bytes of users and sessions.
    pub stored_bytes: f64,
    /// Bytes of the audit trail.
    pub event_bytes: f64,
    pub connections: f64,
    /// Bytes of the connections in PostgreSQL.
    pub connection_bytes: f64,
    /// Streams of revocations that verifiers hold at each server.
    pub streams: f64,
}

/// Plans for a demand.
pub fn plan(demand: &Demand) -> Plan {
    let refreshes_a_login = (demand.hours_of_use * 60.0 / demand.refresh_minutes).floor();
    // Each login has a logout, one in twenty is refused first, and each shows the own user once.
    let a_day = [
        (SIGN_UP, demand.sign_ups_a_day),
        (LOGIN, demand.logins_a_day),
        (REFUSED_LOGIN, demand.logins_a_day / 20.0),
        (REFRESH, demand.logins_a_day * refreshes_a_login),
        (LOGOUT, demand.logins_a_day),
        (READ, demand.logins_a_day),
    ];
    let sum = |value: fn(&Figures) -> f64| a_day.iter().map(|(figures, number)| value(figures) * number).sum::<f64>();
    let peak = |a_day: f64| a_day / SECONDS_OF_DAY * demand.peak;

    let hashes = peak(demand.logins_a_day * 1.05 + demand.sign_ups_a_day);
    let requests = peak(sum(|_| 1.0)) + demand.checks_a_second * demand.peak;
    let busy = hashes * demand.hash_ms / 1e3 + (peak(sum(|figures| figures.server_us)) + requests * REQUEST_US) / 1e6;
    let server_cores = busy / SHARE;
    let servers = (server_cores / demand.cores).ceil().max(1.0) + 1.0;
    let database_cores = (peak(sum(|figures| figures.database_us)) + servers * IDLE_DATABASE_US) / 1e6 / SHARE;
    let connections = servers * (CONNECTIONS + CONNECTIONS_OF_SINK * demand.sinks);

    let sessions = demand.logins_a_day * demand.session_days;
    let events_a_day = sum(|figures| figures.event_bytes);
    Plan {
        logins: peak(demand.logins_a_day),
        refreshes: peak(demand.logins_a_day * refreshes_a_login),
        sign_ups: peak(demand.sign_ups_a_day),
        server_cores,
        servers,
        database_cores,
        commits: peak(sum(|figures| figures.commits)),
        wal_bytes: peak(sum(|figures| figures.wal_bytes)),
        wal_bytes_a_day: sum(|figures| figures.wal_bytes),
        stored_bytes: demand.users * SIGN_UP.stored_bytes + sessions * LOGIN.stored_bytes,
        event_bytes: demand.users * SIGN_UP.event_bytes + events_a_day * demand.event_months * 30.4,
        connections,
        connection_bytes: connections * CONNECTION_BYTES,
        streams: demand.verifiers / servers,
    }
}

/// The steps of growth (docs/scaling.md) that are due, each with the figure that says so.
pub fn steps(demand: &Demand, plan: &Plan) -> Vec<String> {
    let gigabytes = |bytes: f64| bytes / 1e9;
    let mut steps = vec![format!("{} servers behind a balancer", plan.servers)];
    let mut due = |is_due: bool, step: String| steps.extend(is_due.then_some(step));
    due(plan.connections > 200.0, format!("PgBouncer: {:.0} connections are more than 200", plan.connections));
    due(demand.users > 1e6, format!("a standby for lists and exports: {:.0} million users", demand.users / 1e6));
    due(
        gigabytes(plan.event_bytes) > 200.0,
        format!("old months of the audit trail elsewhere: {:.0} GB", gigabytes(plan.event_bytes)),
    );
    due(
        plan.wal_bytes > 50e6 || plan.database_cores > 16.0,
        format!(
            "sessions and events in databases of their own: {:.1} cores, {:.0} MB of WAL a second",
            plan.database_cores,
            plan.wal_bytes / 1e6
        ),
    );
    due(plan.database_cores > 64.0, format!("users on several primaries: {:.0} cores", plan.database_cores));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand() -> Demand {
        Demand {
            users: 1e6,
            logins_a_day: 3e5,
            sign_ups_a_day: 1e3,
            hours_of_use: 2.0,
            refresh_minutes: 15.0,
            session_days: 14.0,
            event_months: 12.0,
            checks_a_second: 0.0,
            verifiers: 12.0,
            peak: 4.0,
            hash_ms: 25.0,
            cores: 4.0,
            sinks: 2.0,
        }
    }

    #[test]
    fn twice_the_users_who_do_the_same_need_twice_as_much() {
        let (once, twice) = (plan(&demand()), {
            let demand = demand();
            plan(&Demand {
                users: demand.users * 2.0,
                logins_a_day: demand.logins_a_day * 2.0,
                sign_ups_a_day: demand.sign_ups_a_day * 2.0,
                ..demand
            })
        });
        let ratios = [
            twice.logins / once.logins,
            twice.server_cores / once.server_cores,
            twice.commits / once.commits,
            twice.stored_bytes / once.stored_bytes,
            twice.event_bytes / once.event_bytes,
        ];
        assert!(ratios.iter().all(|ratio| (ratio - 2.0).abs() < 1e-9), "{ratios:?}");
    }

    #[test]
    fn a_login_a_second_needs_the_time_of_a_hash() {
        let plan = plan(&Demand { logins_a_day: SECONDS_OF_DAY, sign_ups_a_day: 0.0, peak: 1.0, ..demand() });
        assert!((plan.logins - 1.0).abs() < 1e-9);
        let hashing = 1.05 * 25.0 / 1e3 / SHARE;
        assert!(plan.server_cores > hashing && plan.server_cores < hashing * 1.5, "{}", plan.server_cores);
    }

    #[test]
    fn a_step_is_due_by_its_figure() {
        let small = Demand { event_months: 3.0, ..demand() };
        assert_eq!(steps(&small, &plan(&small)), ["2 servers behind a balancer"]);
        let large = Demand { users: 2e9, logins_a_day: 6e8, sign_ups_a_day: 1e6, ..small };
        assert_eq!(steps(&large, &plan(&large)).len(), 6);
    }
}
