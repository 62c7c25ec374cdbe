//! The server that is abused: a process of its own on a PostgreSQL of its own, and what it uses.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use authy_core::{Authy, Secret, UserId, engine::MasterKeys};
use authy_postgres::Cluster;
use authy_tests::{PASSWORD, cheap, database, fresh_name, new_account, operator};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_postgres::config::Host;

/// What the server calls itself.
const ISSUER: &str = "http://authy.test";

/// An account, and a token of its.
pub(crate) struct BenchAccount {
    pub(crate) id: UserId,
    pub(crate) username: String,
    pub(crate) token: Secret,
}

pub(crate) struct BenchServer {
    pub(crate) address: SocketAddr,
    /// The same engine on the same database, in this process: to prepare what is measured.
    authy: Authy,
    child: Child,
    cluster: Cluster,
    _folder: tempfile::TempDir,
}

/// A connection to the server.
pub(crate) struct Connection(SendRequest<Full<Bytes>>);

/// An answer, and how long it took.
pub(crate) struct TimedAnswer {
    pub(crate) status: u16,
    pub(crate) length: usize,
    pub(crate) took: Duration,
}

/// What a process has used.
#[derive(Clone, Copy)]
pub(crate) struct ResourceUsage {
    /// CPU time.
    pub(crate) cpu: Duration,
    /// Resident memory, in MB.
    pub(crate) resident: f64,
    /// The most memory that was resident since [`BenchServer::forget_peak`], in MB.
    pub(crate) peak: f64,
}

impl BenchServer {
    pub(crate) async fn start() -> Self {
        let folder = database::folder_on_disk();
        let cluster = Cluster::builder(folder.path().join("postgres")).dangerous_volatile().start().await.unwrap();
        let keys = MasterKeys::generate().unwrap();
        let mut config = cheap();
        config.issuer = Some(ISSUER.to_owned());
        let builder = Authy::builder(cluster.config()).without_background().master_keys(keys.clone()).config(config);
        let authy = builder.start().await.unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env("ABUSE_ROLE", "authy").env("AUTHY_DATABASE_URL", url(&cluster)).env("AUTHY_ISSUER", ISSUER);
        command.env("AUTHY_MASTER_KEY", &**keys.to_base64()).env("AUTHY_DATA_DIR", folder.path().join("data"));
        command
            .env("AUTHY_LISTEN", "127.0.0.1:0")
            .env("AUTHY_TRUSTED_PROXIES", "127.0.0.0/8")
            .env("AUTHY_LOG", "error");
        let (child, address) = listening(&mut command);
        Self { address, authy, child, cluster, _folder: folder }
    }

    /// Stops the server and its database.
    pub(crate) async fn stop(mut self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
        drop(self.authy);
        self.cluster.stop().await.unwrap();
    }

    /// An account with that role, logged in over HTTP.
    pub(crate) async fn account(&self, role: &str) -> BenchAccount {
        let username = fresh_name(role);
        let id = self.authy.users().create(&operator(), new_account(&username, role)).await.unwrap();
        let client = authy_client::Client::builder(&format!("http://{}", self.address)).build().unwrap();
        let credentials = authy_core::api::session::Credentials::new(&*username, Secret::new(PASSWORD));
        let token = client.login(credentials).await.unwrap().token;
        BenchAccount { id, username, token }
    }

    /// A token of the account in a session of its own.
    pub(crate) async fn session(&self, account: &BenchAccount) -> Secret {
        self.authy.sessions().issue_token(&operator(), account.id).await.unwrap()
    }

    /// A connection to the database.
    pub(crate) async fn sql(&self) -> tokio_postgres::Client {
        database::connect(&self.cluster.config()).await
    }

    pub(crate) async fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Connection(sender)
    }

    pub(crate) fn used(&self) -> ResourceUsage {
        let process = format!("/proc/{}", self.child.id());
        let threads = fs::read_dir(format!("{process}/task")).unwrap().flatten();
        // Nanoseconds on a CPU are the first number.
        let on_cpu = threads.filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let megabytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
        };
        ResourceUsage {
            cpu: Duration::from_nanos(on_cpu.sum()),
            resident: megabytes("VmRSS:"),
            peak: megabytes("VmHWM:"),
        }
    }

    /// Lets the peak of the memory begin anew.
    pub(crate) fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }
}

impl Connection {
    /// Sends a request from an address, and reads all of the answer.
    pub(crate) async fn ask(&mut self, request: http::request::Builder, from: &str, body: &str) -> TimedAnswer {
        let request = request.header("host", "localhost").header("x-forwarded-for", from);
        let asked = Instant::now();
        let response = self.send(request.body(Full::from(body.to_owned())).unwrap()).await;
        let status = response.status().as_u16();
        let (mut body, mut length) = (response.into_body(), 0);
        while let Some(frame) = body.frame().await {
            length += frame.unwrap().data_ref().map_or(0, Bytes::len);
        }
        TimedAnswer { status, length, took: asked.elapsed() }
    }

    /// Sends a request and leaves the body of the answer where it is.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        self.0.ready().await.unwrap();
        self.0.send_request(request).await.unwrap()
    }
}

/// An address that has asked for nothing yet.
pub(crate) fn fresh_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(100, 64, 0, 1)) + NEXT.fetch_add(1, Ordering::Relaxed)).to_string()
}

/// A GET with a token.
pub(crate) fn get(path: &str, account: &BenchAccount) -> http::request::Builder {
    let mut headers = HeaderMap::new();
    headers.insert("x-access-token", account.token.expose().parse().unwrap());
    let mut request = Request::get(path);
    request.headers_mut().unwrap().extend(headers);
    request
}

fn listening(command: &mut Command) -> (Child, SocketAddr) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("listening on http://")?.parse().ok());
    let address = address.unwrap_or_else(|| panic!("the server ended: {:?}", child.wait()));
    (child, address)
}

fn url(cluster: &Cluster) -> String {
    let config = cluster.config();
    let [Host::Unix(folder)] = config.get_hosts() else { panic!("no socket") };
    let folder = folder.to_str().unwrap().replace('/', "%2F");
    format!("postgresql://{}@{folder}/{}", config.get_user().unwrap(), config.get_dbname().unwrap())
}
