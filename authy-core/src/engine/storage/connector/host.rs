//! Connects to the first host of a list that answers.

use std::{
    future::Future,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::time::timeout;
use tokio_postgres::{
    Config,
    config::{Host, LoadBalanceHosts},
};

/// The hosts of a database, and with which of them the next connection begins: the one that answered last.
pub(super) struct Hosts {
    hosts: Vec<Config>,
    /// Maximum time for one host, when there are others. `connect_timeout` bounds only the TCP connection, and a host that is frozen
    /// accepts connections without ever answering.
    time: Duration,
    next: AtomicUsize,
    /// Whether each connection begins with another host (`load_balance_hosts=random`).
    is_balanced: bool,
}

impl Hosts {
    pub(super) fn of(config: &Config, time: Duration) -> Self {
        let count = config.get_hosts().len().max(config.get_hostaddrs().len());
        let hosts = match count {
            0 | 1 => vec![config.clone()],
            _ => (0..count).map(|index| only(config, index)).collect(),
        };
        let is_balanced = config.get_load_balance_hosts() == LoadBalanceHosts::Random;
        Self { hosts, time, next: AtomicUsize::new(0), is_balanced }
    }

    /// Connects to the host that answered last, or to the next one that answers. When none answers in its time, it tries all of them
    /// again: the caller bounds the whole.
    pub(super) async fn first<C, F>(&self, connect: impl Fn(Config) -> F) -> Result<C, tokio_postgres::Error>
    where
        F: Future<Output = Result<C, tokio_postgres::Error>>,
    {
        if let [config] = &self.hosts[..] {
            return connect(config.clone()).await;
        }
        loop {
            let first = match self.is_balanced {
                true => self.next.fetch_add(1, Ordering::Relaxed) % self.hosts.len(),
                false => self.next.load(Ordering::Relaxed),
            };
            let mut failure = None;
            for (index, config) in self.hosts.iter().enumerate().cycle().skip(first).take(self.hosts.len()) {
                match timeout(self.time, connect(config.clone())).await {
                    Ok(Ok(connected)) => {
                        if !self.is_balanced {
                            self.next.store(index, Ordering::Relaxed);
                        }
                        return Ok(connected);
                    }
                    Ok(Err(error)) => failure = Some(error),
                    Err(_) => {
                        // The caller may give up before the next hosts were tried: then the next connection begins with them.
                        let following = (index + 1) % self.hosts.len();
                        let _ = self.next.compare_exchange(index, following, Ordering::Relaxed, Ordering::Relaxed);
                        tracing::warn!(
                            host = ?config.get_hosts(),
                            limit = ?self.time,
                            "a database host did not answer in time: trying the next one"
                        );
                    }
                }
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
        }
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
}
