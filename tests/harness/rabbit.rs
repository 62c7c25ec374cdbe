//! One RabbitMQ for all tests of a process, and a virtual host of its own for each.
//!
//! A node with ports, folder and name of its own, and with an epmd of its own, so that it meets no other.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use lapin::{
    Channel, Connection, ConnectionProperties,
    message::Delivery,
    options::{BasicAckOptions, BasicGetOptions},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::{
    sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::timeout,
};

use crate::until_within;

/// The password of the broker's users: it must not be found anywhere.
pub const PASSWORD: &str = "carrots-and-lettuce";

/// As many tests as can have a virtual host.
const HOSTS: u32 = 16;

/// How long a node may take to start: twenty times as long as it does, for a machine that has other things to do.
const STARTING: Duration = Duration::from_secs(150);

/// How long one attempt to connect may take.
const ATTEMPT: Duration = Duration::from_secs(3);

/// Ends the node and its epmd when this process ends, even by kill -9: the pipe that it reads from closes then.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP
cat > /dev/null
for pid in $(cat "$1/pids"); do
    case "$(ps -o comm= -p "$pid")" in *beam*|*epmd*) kill -9 "$pid" ;; esac
done
sleep 1
rm -rf "$1"
"#;

static NODE: OnceCell<RwLock<Node>> = OnceCell::const_new();

/// A broker that runs.
pub struct Node {
    folder: PathBuf,
    port: u16,
    ports_of_erlang: [u16; 2],
    beam: Option<Child>,
    _epmd: Child,
    _watchdog: Child,
}

/// The broker, beside other tests.
pub async fn shared() -> RwLockReadGuard<'static, Node> {
    node().await.read().await
}

/// The broker, for a test that stops it.
pub async fn alone() -> RwLockWriteGuard<'static, Node> {
    node().await.write().await
}

async fn node() -> &'static RwLock<Node> {
    let start = || async {
        let mut node = Node::new();
        node.start().await;
        RwLock::new(node)
    };
    NODE.get_or_init(start).await
}

/// A virtual host that is new.
pub fn fresh_host() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(number < HOSTS, "there are not enough virtual hosts");
    format!("host-{number}")
}

impl Node {
    fn new() -> Self {
        let folder = crate::database::folder().keep();
        let [port, first, second] = free_ports();
        for (name, text) in [
            ("rabbitmq.conf", configuration(&folder, port)),
            ("definitions.json", definitions().to_string()),
            ("plugins", "[].".to_owned()),
            ("pids", String::new()),
        ] {
            fs::write(folder.join(name), text).unwrap();
        }
        let mut watchdog = Command::new("/bin/sh");
        watchdog.args(["-c", WATCHDOG, "rabbit-watchdog"]).arg(&folder).stdin(Stdio::piped()).process_group(0);
        let watchdog = watchdog.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let ports_of_erlang = [first, second];
        let epmd = noted(&folder, "epmd", &[]).envs(erlang(&folder, ports_of_erlang)).spawn().unwrap();
        Self { folder, port, ports_of_erlang, beam: None, _epmd: epmd, _watchdog: watchdog }
    }

    /// The address of its listener.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The URL of a virtual host, for the user who may do everything there.
    pub fn url(&self, host: &str) -> String {
        self.url_of("authy", host)
    }

    /// The same for another user: `writer` may only publish to the exchange.
    pub fn url_of(&self, user: &str, host: &str) -> String {
        format!("amqp://{user}:{PASSWORD}@127.0.0.1:{}/{host}", self.port)
    }

    /// Starts it, and waits until it is there.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn start(&mut self) {
        assert!(self.beam.is_none(), "it is there");
        let (program, folder) = (program(), &self.folder);
        let mut command = noted(folder, &program, &[]);
        command.envs(erlang(folder, self.ports_of_erlang)).envs([
            ("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins")),
            ("RABBITMQ_MNESIA_BASE", folder.join("store")),
            ("RABBITMQ_LOG_BASE", folder.join("log")),
            ("RABBITMQ_CONF_ENV_FILE", "/dev/null".into()),
        ]);
        let name = format!("authy-{}@localhost", std::process::id());
        let dist = self.ports_of_erlang[1].to_string();
        command.envs([("RABBITMQ_NODENAME", name.as_str()), ("RABBITMQ_DIST_PORT", &dist)]);
        // In the place of the script, and not below it.
        command.env("detached", "1");
        // One scheduler a core is too many for a machine that runs other tests meanwhile.
        let arguments = "-start_epmd false +S 2:2 -kernel inet_dist_use_interface {127,0,0,1}";
        command.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", arguments);
        let out = fs::File::create(folder.join("out")).unwrap();
        self.beam = Some(command.stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap());
        let url = self.url("host-0");
        until_within(STARTING, "RabbitMQ has started", || {
            let ended = self.beam.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "{}", fs::read_to_string(self.folder.join("out")).unwrap_or_default());
            let url = &url;
            // A node that is about to be ready may accept a connection and never answer.
            let connected = timeout(ATTEMPT, Connection::connect(url, ConnectionProperties::default()));
            async move { connected.await.is_ok_and(|connected| connected.is_ok()) }
        })
        .await;
    }

    /// Stops it in order, and waits until it has.
    pub async fn stop(&mut self) {
        self.end(Signal::TERM).await;
    }

    /// Ends it at once, as a power cut would.
    pub async fn kill(&mut self) {
        self.end(Signal::KILL).await;
    }

    async fn end(&mut self, signal: Signal) {
        let mut beam = self.beam.take().unwrap();
        kill_process(Pid::from_raw(i32::try_from(beam.id()).unwrap()).unwrap(), signal).unwrap();
        tokio::task::spawn_blocking(move || beam.wait().unwrap()).await.unwrap();
    }
}

/// A channel on a connection of one's own.
pub async fn channel(url: &str) -> Channel {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    connection.create_channel().await.unwrap()
}

/// Everything that is in a queue, in its order; nothing when there is no such queue.
pub async fn take_all(url: &str, queue: &str) -> Vec<Delivery> {
    let channel = channel(url).await;
    let mut taken = Vec::new();
    while let Ok(Some(message)) = channel.basic_get(queue.into(), BasicGetOptions::default()).await {
        taken.push(message.delivery);
    }
    if let Some(last) = taken.last() {
        let all = BasicAckOptions { multiple: true };
        channel.basic_ack(last.delivery_tag, all).await.unwrap();
        // Answered after what came before.
        channel.close(200, "".into()).await.unwrap();
    }
    taken
}

/// A command that notes its number before it becomes the program.
fn noted(folder: &Path, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new("/bin/sh");
    let script = r#"echo $$ >> "$0/pids"; exec "$@""#;
    command.args(["-c", script]).arg(folder).arg(program).args(arguments);
    // A group of its own: Control-C at the terminal is for us alone.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command
}

fn erlang(folder: &Path, ports: [u16; 2]) -> [(&'static str, std::ffi::OsString); 3] {
    [
        ("HOME", folder.as_os_str().to_owned()),
        ("ERL_EPMD_PORT", ports[0].to_string().into()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
    ]
}

fn configuration(folder: &Path, port: u16) -> String {
    let definitions = folder.join("definitions.json");
    // It must not stop taking messages when the disk, or the memory that stands for it, is nearly full.
    format!(
        "listeners.tcp.1 = 127.0.0.1:{port}\nload_definitions = {}\nlog.file.level = warning\nlog.console = false\n\
         disk_free_limit.absolute = 1MB\n",
        definitions.display()
    )
}

fn definitions() -> serde_json::Value {
    let hosts: Vec<String> = (0..HOSTS).map(|number| format!("host-{number}")).collect();
    let permissions = hosts.iter().flat_map(|host| {
        [
            json!({ "user": "authy", "vhost": host, "configure": ".*", "write": ".*", "read": ".*" }),
            json!({ "user": "writer", "vhost": host, "configure": "^$", "write": "^authy\\.events$", "read": "^$" }),
        ]
    });
    json!({
        "users": [
            { "name": "authy", "password": PASSWORD, "tags": "" },
            { "name": "writer", "password": PASSWORD, "tags": "" },
        ],
        "vhosts": hosts.iter().map(|host| json!({ "name": host })).collect::<Vec<_>>(),
        "permissions": permissions.collect::<Vec<_>>(),
    })
}

/// The script itself, where there is one that changes the user before.
fn program() -> PathBuf {
    let debian = PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmq-server");
    if debian.exists() { debian } else { "rabbitmq-server".into() }
}

fn free_ports() -> [u16; 3] {
    // All at once, so that they are different.
    let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
