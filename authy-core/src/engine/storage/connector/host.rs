//! Connects to the first host of a list that answers. A name with several addresses counts as a host for each.

use std::{
    future::Future,
    mem,
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{net::lookup_host, time::timeout};
use tokio_postgres::{
    Config,
    config::{Host, LoadBalanceHosts},
};

/// PostgreSQL's port, where the configuration names none.
const DEFAULT_PORT: u16 = 5432;

/// The hosts of a database, and with which of them the next connection begins.
pub(super) struct Hosts {
    hosts: Vec<Config>,
    /// Maximum time for one address, when there are others. `connect_timeout` bounds only the TCP connection, and a host that is
    /// frozen accepts connections without ever answering.
    time: Duration,
    next: Mutex<Next>,
    /// The number of connections so far, when each begins with another address (`load_balance_hosts=random`).
    turn: Option<AtomicUsize>,
}

/// With which address the next connection begins: the one that answered last, or the one behind the one that did not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Next {
    host: usize,
    /// `None` before the first answer, and for a socket.
    address: Option<IpAddr>,
    /// Whether it begins with the address behind this one. The names are resolved again for each connection, so that one is only
    /// known then.
    is_behind: bool,
}

impl Hosts {
    pub(super) fn of(config: &Config, time: Duration) -> Self {
        let count = config.get_hosts().len().max(config.get_hostaddrs().len());
        let hosts = match count {
            0 | 1 => vec![config.clone()],
            _ => (0..count).map(|index| only(config, index)).collect(),
        };
        let is_balanced = config.get_load_balance_hosts() == LoadBalanceHosts::Random;
        Self { hosts, time, next: Mutex::default(), turn: is_balanced.then(AtomicUsize::default) }
    }

    /// Connects to the address that answered last, or to the next one that answers. When none answers in its time, it tries all of
    /// them again: the caller bounds the whole.
    pub(super) async fn first<C, F>(&self, connect: impl Fn(Config) -> F) -> Result<C, tokio_postgres::Error>
    where
        F: Future<Output = Result<C, tokio_postgres::Error>>,
    {
        self.first_of(addresses, connect).await
    }

    /// Makes the next connection begin with the address behind the one that answered last.
    pub(super) fn leave(&self) {
        self.lock().is_behind = true;
    }

    async fn first_of<C, R, F>(
        &self,
        resolve: impl Fn(Config) -> R,
        connect: impl Fn(Config) -> F,
    ) -> Result<C, tokio_postgres::Error>
    where
        R: Future<Output = Vec<Config>>,
        F: Future<Output = Result<C, tokio_postgres::Error>>,
    {
        let (count, is_single) = (self.hosts.len(), self.hosts.len() == 1);
        loop {
            let seen = *self.lock();
            let turn = self.turn.as_ref().map(|turn| turn.fetch_add(1, Ordering::Relaxed));
            let first = turn.unwrap_or(seen.host) % count;
            let mut attempt = Attempt { hosts: self, connect: &connect, seen, is_only: false, failure: None };
            // The addresses of the first host that are before the one to begin with: they are tried last.
            let mut last = Vec::new();
            for (step, (index, host)) in self.hosts.iter().enumerate().cycle().skip(first).take(count).enumerate() {
                let Some(mut targets) = self.bounded(is_single, resolve(host.clone())).await else {
                    tracing::warn!(host = ?host.get_hosts(), limit = ?self.time, "the name of a database host was not resolved in time");
                    attempt.begin_next_with(Next { host: index, address: None, is_behind: true });
                    continue;
                };
                if step == 0 {
                    attempt.is_only = is_single && targets.len() == 1;
                    let begin = match turn {
                        Some(turn) => turn / count % targets.len().max(1),
                        None => seen.position(&targets),
                    };
                    let begun = targets.split_off(begin);
                    last = mem::replace(&mut targets, begun);
                }
                if let Some(connected) = attempt.try_each(index, targets).await {
                    return Ok(connected);
                }
            }
            if let Some(connected) = attempt.try_each(first, last).await {
                return Ok(connected);
            }
            if let Some(failure) = attempt.failure {
                return Err(failure);
            }
        }
    }

    /// Limits the time of one address, when there are others.
    async fn bounded<T>(&self, is_only: bool, work: impl Future<Output = T>) -> Option<T> {
        match is_only {
            true => Some(work.await),
            false => timeout(self.time, work).await.ok(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Next> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt to connect to one address after the other.
struct Attempt<'a, C> {
    hosts: &'a Hosts,
    connect: &'a C,
    /// Where the next connection begins, as far as this attempt knows.
    seen: Next,
    /// Whether there is only one address.
    is_only: bool,
    /// The latest failure of a host that answered.
    failure: Option<tokio_postgres::Error>,
}

impl<C> Attempt<'_, C> {
    /// Connects to the first of these addresses of a host that answers.
    async fn try_each<T, F>(&mut self, host: usize, targets: Vec<Config>) -> Option<T>
    where
        C: Fn(Config) -> F,
        F: Future<Output = Result<T, tokio_postgres::Error>>,
    {
        for target in targets {
            let (names, address) = (target.get_hosts().to_vec(), target.get_hostaddrs().first().copied());
            let place = Next { host, address, is_behind: false };
            match self.hosts.bounded(self.is_only, (self.connect)(target)).await {
                Some(Ok(connected)) => {
                    self.begin_next_with(place);
                    return Some(connected);
                }
                Some(Err(error)) => self.failure = Some(error),
                None => tracing::warn!(
                    host = ?names,
                    ?address,
                    limit = ?self.hosts.time,
                    "a database host did not answer in time: trying the next one"
                ),
            }
            // The caller may give up before the others were tried: then the next connection begins with them.
            self.begin_next_with(Next { is_behind: true, ..place });
        }
        None
    }

    /// Makes the next connection begin there, unless another attempt has changed that meanwhile.
    fn begin_next_with(&mut self, next: Next) {
        let mut present = self.hosts.lock();
        if *present == self.seen {
            (*present, self.seen) = (next, next);
        }
    }
}

impl Next {
    /// Returns which of the addresses of its host to begin with; their number for none of them, but the next host.
    fn position(&self, targets: &[Config]) -> usize {
        let is_here = |target: &Config| target.get_hostaddrs().first().copied() == self.address;
        let found = match self.address {
            // All of the host.
            None if self.is_behind => return targets.len(),
            None => None,
            Some(_) => targets.iter().position(is_here),
        };
        // An address that the name has no more is before the first.
        found.map_or(0, |found| found + usize::from(self.is_behind))
    }
}

/// Returns the configuration of each address of a host. The name stays, for the certificate. What cannot be resolved is returned
/// as it is: to connect to it fails with the reason.
async fn addresses(config: Config) -> Vec<Config> {
    let ([Host::Tcp(name)], []) = (config.get_hosts(), config.get_hostaddrs()) else { return vec![config] };
    let port = config.get_ports().first().copied().unwrap_or(DEFAULT_PORT);
    let mut found: Vec<IpAddr> = Vec::new();
    for address in lookup_host((name.as_str(), port)).await.into_iter().flatten() {
        if !found.contains(&address.ip()) {
            found.push(address.ip());
        }
    }
    match found.is_empty() {
        true => vec![config],
        false => found.into_iter().map(|address| config.clone().hostaddr(address).clone()).collect(),
    }
}

/// Returns the configuration with only one of its hosts.
fn only(all: &Config, index: usize) -> Config {
    let mut config = Config::new();
    match all.get_hosts().get(index) {
        Some(Host::Tcp(name)) => _ = config.host(name),
        Some(Host::Unix(path)) => _ = config.host_path(path),
        None => {}
    }
    if let Some(address) = all.get_hostaddrs().get(index) {
        config.hostaddr(*address);
    }
    // One port is that of all hosts.
    let of_all = all.get_ports().first().filter(|_| all.get_ports().len() == 1);
    if let Some(port) = of_all.or(all.get_ports().get(index)) {
        config.port(*port);
    }
    if let Some(user) = all.get_user() {
        config.user(user);
    }
    if let Some(password) = all.get_password() {
        config.password(password);
    }
    if let Some(name) = all.get_dbname() {
        config.dbname(name);
    }
    if let Some(options) = all.get_options() {
        config.options(options);
    }
    if let Some(name) = all.get_application_name() {
        config.application_name(name);
    }
    if let Some(time) = all.get_connect_timeout() {
        config.connect_timeout(*time);
    }
    if let Some(time) = all.get_tcp_user_timeout() {
        config.tcp_user_timeout(*time);
    }
    if let Some(time) = all.get_keepalives_interval() {
        config.keepalives_interval(time);
    }
    if let Some(count) = all.get_keepalives_retries() {
        config.keepalives_retries(count);
    }
    config
        .keepalives(all.get_keepalives())
        .keepalives_idle(all.get_keepalives_idle())
        .ssl_mode(all.get_ssl_mode())
        .ssl_negotiation(all.get_ssl_negotiation())
        .channel_binding(all.get_channel_binding())
        .target_session_attrs(all.get_target_session_attrs())
        .load_balance_hosts(all.get_load_balance_hosts());
    config
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;

    use super::*;

    const COMMON: &str = "user=u password=p dbname=d options='-c x=1' application_name=a sslmode=require sslnegotiation=direct \
                          connect_timeout=3 tcp_user_timeout=4 keepalives=1 keepalives_idle=5 keepalives_interval=6 \
                          keepalives_retries=7 target_session_attrs=read-write channel_binding=require load_balance_hosts=random";

    fn parsed(hosts: &str) -> Config {
        format!("{hosts} {COMMON}").parse().unwrap()
    }

    #[test]
    fn each_host_keeps_every_other_setting() {
        for (all, each) in [
            ("host=a,b port=1,2", ["host=a port=1", "host=b port=2"]),
            ("host=a,/run port=7", ["host=a port=7", "host=/run port=7"]),
            ("host=a,b hostaddr=10.0.0.1,::1", ["host=a hostaddr=10.0.0.1", "host=b hostaddr=::1"]),
            ("hostaddr=10.0.0.1,10.0.0.2", ["hostaddr=10.0.0.1", "hostaddr=10.0.0.2"]),
        ] {
            let hosts = Hosts::of(&parsed(all), Duration::from_secs(1));
            assert_eq!(hosts.hosts, each.map(parsed), "{all}");
        }
        let single = parsed("host=a port=1");
        assert_eq!(Hosts::of(&single, Duration::from_secs(1)).hosts, [single]);
    }

    /// The addresses of `all`; any other name has none.
    async fn resolve(config: Config) -> Vec<Config> {
        let all = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
            .map(|address| config.clone().hostaddr(address.parse().unwrap()).clone());
        match config.get_hosts() {
            [Host::Tcp(name)] if name == "all" => all.to_vec(),
            _ => vec![config],
        }
    }

    /// Of each address.
    const TIME: Duration = Duration::from_millis(20);

    /// Connects to a host that answers when its address is `alive`. Returns what was tried, and whether one answered: the caller
    /// gives up when it has waited for a number of them.
    async fn connect(hosts: &Hosts, alive: &str, patience: usize) -> (Vec<String>, bool) {
        let (tried, given_up) = (Mutex::new(Vec::new()), Notify::new());
        let connecting = hosts.first_of(resolve, |config: Config| {
            let (tried, given_up) = (&tried, &given_up);
            async move {
                let [Host::Tcp(name)] = config.get_hosts() else { panic!("no name: {config:?}") };
                let address = config.get_hostaddrs().first().map_or_else(|| name.clone(), ToString::to_string);
                tried.lock().unwrap().push(address.clone());
                if alive != "any" && address != alive {
                    if tried.lock().unwrap().len() == patience {
                        given_up.notify_one();
                    }
                    std::future::pending::<()>().await;
                }
                Ok(())
            }
        });
        let connected =
            tokio::select! { biased; () = given_up.notified() => false, connected = connecting => connected.is_ok() };
        (tried.into_inner().unwrap(), connected)
    }

    #[tokio::test]
    async fn an_address_that_is_frozen_is_left_for_the_next_one_of_the_same_name() {
        let hosts = Hosts::of(&parsed("host=all").load_balance_hosts(LoadBalanceHosts::Disable).clone(), TIME);
        let to = |all: &[&str]| all.iter().map(|last| format!("10.0.0.{last}")).collect::<Vec<_>>();
        assert_eq!(connect(&hosts, "10.0.0.2", 9).await, (to(&["1", "2"]), true));
        assert_eq!(connect(&hosts, "10.0.0.2", 9).await, (to(&["2"]), true));
        assert_eq!(connect(&hosts, "10.0.0.1", 9).await, (to(&["2", "3", "1"]), true));
        // The caller gives up before the last one was tried.
        assert_eq!(connect(&hosts, "none", 3).await, (to(&["1", "2", "3"]), false));
        assert_eq!(connect(&hosts, "10.0.0.3", 9).await, (to(&["3"]), true));
        hosts.leave();
        assert_eq!(connect(&hosts, "10.0.0.1", 9).await, (to(&["1"]), true));
    }

    #[tokio::test]
    async fn all_addresses_of_a_name_are_tried_before_the_next_name() {
        let hosts = Hosts::of(&parsed("host=all,b").load_balance_hosts(LoadBalanceHosts::Disable).clone(), TIME);
        let to = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(connect(&hosts, "b", 9).await, (to(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "b"]), true));
        assert_eq!(connect(&hosts, "10.0.0.2", 9).await, (to(&["b", "10.0.0.1", "10.0.0.2"]), true));
        hosts.leave();
        assert_eq!(connect(&hosts, "10.0.0.1", 9).await, (to(&["10.0.0.3", "b", "10.0.0.1"]), true));
    }

    #[tokio::test]
    async fn balanced_connections_begin_with_every_address() {
        let hosts = Hosts::of(&parsed("host=all,b"), TIME);
        let mut first = Vec::new();
        for _ in 0..6 {
            first.extend(connect(&hosts, "any", 9).await.0.first().cloned());
        }
        assert_eq!(first, ["10.0.0.1", "b", "10.0.0.2", "b", "10.0.0.3", "b"]);
    }

    #[tokio::test]
    async fn a_name_keeps_its_place_beside_its_addresses() {
        for (config, resolved) in [
            ("host=127.0.0.1", "host=127.0.0.1 hostaddr=127.0.0.1"),
            ("host=a hostaddr=10.0.0.1", "host=a hostaddr=10.0.0.1"),
            ("host=/run", "host=/run"),
            ("host=nothing.invalid", "host=nothing.invalid"),
        ] {
            assert_eq!(addresses(parsed(config)).await, [parsed(resolved)]);
        }
    }
}
