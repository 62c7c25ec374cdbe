//! Two PostgreSQL nodes that Patroni manages, with an etcd: Debian's programs, each on a port of its own.
//!
//! PostgreSQL does not run as root, so where the tests do, Patroni runs as Debian's user `postgres`.

use std::{
    fs,
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::{database, until_within};

const PASSWORD: &str = "radish-and-beetroot";

/// Time for which a leader keeps its key in etcd without renewing it: Patroni accepts no less.
pub const LEADER_TTL: Duration = Duration::from_secs(20);

/// How long a cluster may take to start: several times as long as it does on a quiet machine.
const STARTING: Duration = Duration::from_secs(120);

/// Ends everything when this process ends, even by kill -9: the pipe that it reads from closes then.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP
cat > /dev/null
for pid in $(cat "$1/pids"); do kill -9 "$pid" 2> /dev/null; done
for file in "$1"/*/data/postmaster.pid; do
    [ -f "$file" ] && pid=$(sed -n 1p "$file") && case "$(ps -o comm= -p "$pid")" in postgres*)
        kill -CONT "$pid"; kill -9 $(ps -o pid= --ppid "$pid") "$pid" ;;
    esac
done 2> /dev/null
sleep 1
rm -rf "$1"
"#;

/// Whether a commit waits until the standby has it.
#[derive(Clone, Copy, PartialEq)]
pub enum Replication {
    /// A commit waits.
    Synchronous,
    /// A commit does not wait: what the standby has not received is lost in a failover.
    Asynchronous,
}

/// A cluster of two nodes.
pub struct PatroniCluster {
    folder: PathBuf,
    nodes: Vec<Node>,
    database: String,
    _etcd: Child,
    _watchdog: Child,
}

struct Node {
    name: String,
    port: u16,
    rest_port: u16,
    patroni: Child,
}

impl PatroniCluster {
    /// Starts the cluster, and waits until it has a leader and a standby that streams, with an empty database.
    pub async fn start(replication: Replication) -> Self {
        let folder = database::folder().keep();
        let ports = free_ports(6);
        fs::write(folder.join("pids"), "").unwrap();
        let mut watchdog = Command::new("/bin/sh");
        watchdog.args(["-c", WATCHDOG, "patroni-watchdog"]).arg(&folder).stdin(Stdio::piped()).process_group(0);
        let watchdog = watchdog.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let etcd = start_etcd(&folder, ports[0], ports[1]);
        let mut cluster =
            Self { folder, nodes: Vec::new(), database: "authy".to_owned(), _etcd: etcd, _watchdog: watchdog };
        for (index, name) in ["a", "b"].into_iter().enumerate() {
            let (port, rest_port) = (ports[2 + index], ports[4 + index]);
            let patroni = cluster.start_patroni(name, port, rest_port, ports[0], replication);
            cluster.nodes.push(Node { name: name.to_owned(), port, rest_port, patroni });
        }
        until_within(STARTING, "the cluster has a leader and a standby", || cluster.is_complete(replication)).await;
        let leader = cluster.leader().await.unwrap();
        cluster.sql(leader, "postgres").await.batch_execute("CREATE DATABASE authy").await.unwrap();
        cluster
    }

    fn start_patroni(&self, name: &str, port: u16, rest_port: u16, etcd: u16, replication: Replication) -> Child {
        let home = self.folder.join(name);
        fs::create_dir(&home).unwrap();
        let configuration = configuration(&home, name, port, rest_port, etcd, replication);
        // JSON is YAML.
        let file = home.join("patroni.yml");
        fs::write(&file, configuration.to_string()).unwrap();
        let mut command = match geteuid().is_root() {
            true => {
                let mut give = Command::new("chown");
                assert!(give.args(["-R", "postgres:"]).arg(&home).status().unwrap().success());
                let mut command = Command::new("setpriv");
                command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "patroni"]);
                command
            }
            false => Command::new("patroni"),
        };
        let log = fs::File::create(home.join("patroni.log")).unwrap();
        command.arg(file).current_dir(&home).env("HOME", &home).process_group(0);
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        note(&self.folder, child.id());
        child
    }

    /// The way to whichever node takes writes.
    pub fn config(&self) -> tokio_postgres::Config {
        let hosts = self.nodes.iter().map(|_| "127.0.0.1").collect::<Vec<_>>().join(",");
        let ports = self.nodes.iter().map(|node| node.port.to_string()).collect::<Vec<_>>().join(",");
        let url = format!(
            "host={hosts} port={ports} user=postgres password={PASSWORD} dbname={} target_session_attrs=read-write",
            self.database
        );
        url.parse().unwrap()
    }

    /// Returns the index of the node that leads.
    pub async fn leader(&self) -> Option<usize> {
        for (index, node) in self.nodes.iter().enumerate() {
            if let Some(status) = self.status(node).await
                && ["master", "primary"].contains(&status["role"].as_str().unwrap_or_default())
                && status["state"] == "running"
            {
                return Some(index);
            }
        }
        None
    }

    /// Hands the lead over in order: `patronictl switchover`. Returns when the other node leads.
    pub async fn switch_over(&self) -> usize {
        let leader = self.leader().await.unwrap();
        let body = json!({ "leader": self.nodes[leader].name }).to_string();
        // Patroni takes some rounds until it has chosen the synchronous standby.
        until_within(Duration::from_secs(30), "Patroni switches over", || async {
            let answer = self.ask(&self.nodes[leader], "POST", "/switchover", &body).await.unwrap_or_default();
            let is_early = answer.contains("can not find sync_standby");
            assert!(is_early || answer.contains("Successfully"), "no switchover: {answer}");
            !is_early
        })
        .await;
        self.until_another_leads(leader).await
    }

    /// Kills a node with everything in it. Nothing starts it again.
    pub fn kill(&mut self, index: usize) {
        let node = &self.nodes[index];
        signal(node.patroni.id(), Signal::KILL);
        self.signal_postgres(index, Signal::KILL);
    }

    /// Stops a node with everything in it, without ending it: as a paused virtual machine.
    pub fn freeze(&self, index: usize) {
        signal(self.nodes[index].patroni.id(), Signal::STOP);
        self.signal_postgres(index, Signal::STOP);
    }

    /// Lets a frozen node continue.
    pub fn thaw(&self, index: usize) {
        self.signal_postgres(index, Signal::CONT);
        signal(self.nodes[index].patroni.id(), Signal::CONT);
    }

    /// Stops the standby's receiver, so that it falls behind.
    pub fn freeze_replication(&self, leader: usize) {
        let senders = self.processes(leader).into_iter().filter(|pid| title(*pid).contains("walsender"));
        senders.for_each(|pid| signal(pid, Signal::STOP));
    }

    /// Waits until a node other than this one leads.
    pub async fn until_another_leads(&self, than: usize) -> usize {
        let leads = || async { self.leader().await.is_some_and(|leader| leader != than) };
        until_within(LEADER_TTL * 4, "another node leads", leads).await;
        1 - than
    }

    /// Waits until a node follows the leader.
    pub async fn until_follows(&self, index: usize) {
        let node = &self.nodes[index];
        let follows = || async {
            self.status(node).await.is_some_and(|status| status["role"] == "replica" && status["state"] == "running")
        };
        until_within(LEADER_TTL * 4, "the node follows", follows).await;
    }

    /// A connection to one node.
    pub async fn sql(&self, index: usize, database: &str) -> Client {
        let port = self.nodes[index].port;
        let url = format!("host=127.0.0.1 port={port} user=postgres password={PASSWORD} dbname={database}");
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    async fn is_complete(&self, replication: Replication) -> bool {
        let Some(leader) = self.leader().await else { return false };
        let (sender, standby) = (self.status(&self.nodes[leader]).await, self.status(&self.nodes[1 - leader]).await);
        let state = match replication {
            Replication::Synchronous => "sync",
            Replication::Asynchronous => "async",
        };
        sender.is_some_and(|status| status["replication"][0]["sync_state"] == state)
            && standby.is_some_and(|status| status["state"] == "running")
    }

    async fn status(&self, node: &Node) -> Option<Value> {
        serde_json::from_str(&self.ask(node, "GET", "/patroni", "").await?).ok()
    }

    async fn ask(&self, node: &Node, method: &str, path: &str, body: &str) -> Option<String> {
        let url = format!("http://127.0.0.1:{}{path}", node.rest_port);
        let mut curl = tokio::process::Command::new("curl");
        curl.args(["-sS", "--max-time", "60", "-X", method, "-d", body, &url]).kill_on_drop(true);
        if method == "GET" {
            curl.args(["--max-time", "2"]);
        }
        let answer = curl.stderr(Stdio::null()).output().await.ok()?;
        String::from_utf8(answer.stdout).ok().filter(|text| !text.is_empty())
    }

    fn signal_postgres(&self, index: usize, which: Signal) {
        self.processes(index).into_iter().for_each(|pid| signal(pid, which));
    }

    /// The processes of a node's PostgreSQL, the first of them last.
    fn processes(&self, index: usize) -> Vec<u32> {
        let file = self.folder.join(&self.nodes[index].name).join("data/postmaster.pid");
        let Ok(text) = fs::read_to_string(file) else { return Vec::new() };
        let Some(postmaster) = text.lines().next().and_then(|pid| pid.parse().ok()) else { return Vec::new() };
        let listed = Command::new("ps").args(["-o", "pid=", "--ppid", &format!("{postmaster}")]).output().unwrap();
        let children = String::from_utf8(listed.stdout).unwrap();
        children.split_whitespace().map(|pid| pid.parse().unwrap()).chain([postmaster]).collect()
    }
}

impl Drop for PatroniCluster {
    fn drop(&mut self) {
        for index in 0..self.nodes.len() {
            self.thaw(index);
            self.kill(index);
            let _ = self.nodes[index].patroni.wait();
        }
        signal(self._etcd.id(), Signal::KILL);
        let _ = self._etcd.wait();
    }
}

fn start_etcd(folder: &Path, port: u16, peer_port: u16) -> Child {
    let [client, peer] = [port, peer_port].map(|port| format!("http://127.0.0.1:{port}"));
    let log = fs::File::create(folder.join("etcd.log")).unwrap();
    let mut etcd = Command::new("etcd");
    etcd.arg("--data-dir").arg(folder.join("etcd"));
    etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    etcd.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    etcd.args(["--initial-cluster", &format!("default={peer}")]).process_group(0);
    let child = etcd.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    note(folder, child.id());
    child
}

fn configuration(home: &Path, name: &str, port: u16, rest: u16, etcd: u16, replication: Replication) -> Value {
    let [rest, listen] = [rest, port].map(|port| format!("127.0.0.1:{port}"));
    let is_synchronous = replication == Replication::Synchronous;
    let user = |name: &str| json!({ "username": name, "password": PASSWORD });
    let parameters = json!({ "shared_buffers": "32MB", "unix_socket_directories": home, "max_connections": 60 });
    json!({
        "scope": "authy",
        "name": name,
        "restapi": { "listen": rest, "connect_address": rest },
        "etcd3": { "hosts": [format!("127.0.0.1:{etcd}")] },
        "bootstrap": {
            "dcs": {
                "ttl": LEADER_TTL.as_secs(), "loop_wait": 2, "retry_timeout": 3,
                "maximum_lag_on_failover": 100_000_000,
                "synchronous_mode": is_synchronous,
                "postgresql": { "use_pg_rewind": true, "parameters": { "wal_log_hints": "on", "hot_standby": "on" } },
            },
            "initdb": [{ "encoding": "UTF8" }, { "locale": "C" }, "data-checksums"],
            "pg_hba": [
                "host replication all 127.0.0.1/32 scram-sha-256",
                "host all all 127.0.0.1/32 scram-sha-256",
            ],
        },
        "postgresql": {
            "listen": listen, "connect_address": listen, "data_dir": home.join("data"), "bin_dir": programs(),
            "pgpass": home.join("pgpass"), "parameters": parameters,
            "authentication": { "superuser": user("postgres"), "replication": user("replicator") },
        },
    })
}

/// The folder of PostgreSQL's server programs: the newest version.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").unwrap().map(|entry| entry.unwrap().path().join("bin"));
    versions.filter(|bin| bin.join("initdb").is_file()).max().unwrap()
}

fn free_ports(count: usize) -> Vec<u16> {
    let open: Vec<_> = (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap()).collect();
    open.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

/// Notes a process for the watchdog.
fn note(folder: &Path, pid: u32) {
    let noted = folder.join("pids");
    let all = fs::read_to_string(&noted).unwrap();
    fs::write(noted, format!("{all}{pid}\n")).unwrap();
}

fn title(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        // One that has ended needs none.
        let _ = kill_process(pid, signal);
    }
}
