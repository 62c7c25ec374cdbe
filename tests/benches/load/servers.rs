//! The servers under load, each a process of its own: authy as it is started by hand, and the least that hyper can do.

use std::{
    convert::Infallible,
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::Full;
use hyper::{body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};

use crate::{
    Result,
    generator::{Load, answer, post},
};

const PASSWORD: &str = "tangerine-lighthouse-42";

/// What a child does, instead of measuring.
pub(crate) fn run(role: &OsStr) -> Result {
    if role == "bare" {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        return runtime.block_on(bare());
    }
    std::process::exit(i32::from(authy_server::cli::main() != std::process::ExitCode::SUCCESS));
}

/// Number of users: more than connections, because logins of one share the verification of a password.
const USERS: usize = 256;

fn names() -> impl Iterator<Item = String> {
    (0..USERS).map(|number| format!("ada-{number}"))
}

fn log_in(name: &str) -> Vec<u8> {
    post("/authy/login", &format!(r#"{{"username":"{name}","password":"{PASSWORD}"}}"#))
}

/// authy, with everything as it comes but the limits on addresses: all the load has one.
pub(crate) struct AuthyServer {
    pub(crate) address: SocketAddr,
    child: Child,
    _folder: tempfile::TempDir,
}

/// Memory of a process, in MB.
pub(crate) struct Memory {
    /// All that is in RAM.
    pub(crate) resident: f64,
    /// The part of it that is no content of files.
    pub(crate) anonymous: f64,
}

impl AuthyServer {
    /// A server with users.
    pub(crate) async fn start() -> Result<Self> {
        let authy = Self::start_empty().await?;
        authy.sign_up().await?;
        Ok(authy)
    }

    /// A server that has just started.
    pub(crate) async fn start_empty() -> Result<Self> {
        let folder = authy_tests::database::folder_on_disk();
        let mut command = Command::new(std::env::current_exe()?);
        command.env("LOAD_ROLE", "authy").env("AUTHY_DATA_DIR", folder.path()).env("AUTHY_LISTEN", "127.0.0.1:0");
        for limit in ["LOGIN", "REGISTER", "DEFAULT"] {
            command.env(format!("AUTHY_LIMIT_{limit}"), "off");
        }
        command.env("AUTHY_FOLLOWER_NETWORKS", "127.0.0.0/8");
        // One network has a quarter of the queue at most, and here all clients are of one.
        command.env("AUTHY_HASH_QUEUE", "512");
        let (child, address) = start(command.env("AUTHY_LOG", "warn"))?;
        Ok(Self { address, child, _folder: folder })
    }

    /// Signs up the users.
    pub(crate) async fn sign_up(&self) -> Result {
        for name in names() {
            let body = format!(
                r#"{{"username":"{name}","email":"{name}@example.org","password":"{PASSWORD}","confirm_password":"{PASSWORD}"}}"#
            );
            self.answer(&post("/authy/user", &body)).await?;
        }
        Ok(())
    }

    /// A login that succeeds.
    pub(crate) fn login(&self) -> Vec<u8> {
        log_in("ada-0")
    }

    /// Logins of many, who each succeed.
    pub(crate) fn logins(&self) -> Load {
        Load::InTurn(names().map(|name| log_in(&name)).collect())
    }

    /// An access token.
    pub(crate) async fn token(&self) -> Result<String> {
        let answer = String::from_utf8(self.answer(&self.login()).await?)?;
        let (_, token) = answer.split_once(r#""token":""#).ok_or("no token")?;
        Ok(token.split('"').next().unwrap_or_default().to_owned())
    }

    /// The bytes of the answer to a request, which must be a success.
    pub(crate) async fn answer(&self, request: &[u8]) -> Result<Vec<u8>> {
        let (mut stream, mut bytes) = (TcpStream::connect(self.address).await?, Vec::new());
        stream.write_all(request).await?;
        match answer(&mut stream, &mut bytes).await? {
            true => Ok(bytes),
            false => Err(String::from_utf8_lossy(&bytes).into_owned().into()),
        }
    }

    /// The memory of the server, without its database.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let megabytes = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib: f64 = line.and_then(|line| line.split_whitespace().next()).unwrap_or("NaN").parse()?;
            Ok(kib / 1024.0)
        };
        Ok(Memory { resident: megabytes("VmRSS:")?, anonymous: megabytes("RssAnon:")? })
    }

    /// The resident memory of the server, without its database.
    pub(crate) fn megabytes(&self) -> Result<f64> {
        Ok(self.memory()?.resident)
    }
}

impl Drop for AuthyServer {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// hyper, answering the same bytes whatever is asked.
pub(crate) struct BareServer {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl BareServer {
    pub(crate) async fn start(answer: &[u8]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env("LOAD_ROLE", "bare").env("LOAD_ANSWER", std::str::from_utf8(answer)?);
        let (child, address) = start(&mut command)?;
        Ok(Self { address, child })
    }
}

impl Drop for BareServer {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// Starts a child and waits for the line with its address.
fn start(command: &mut Command) -> Result<(Child, SocketAddr)> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().ok_or("no output")?;
    let mut lines = BufReader::new(output).lines();
    for line in lines.by_ref() {
        if let Some(address) = line?.strip_prefix("listening on http://") {
            let address = address.parse()?;
            return Ok((child, address));
        }
    }
    Err(format!("the server ended: {}", child.wait()?).into())
}

fn stop(child: &mut Child) {
    // Asked first: authy then stops its PostgreSQL in order.
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    let _ = child.wait();
}

async fn bare() -> Result {
    let (headers, body) = parse(&std::env::var("LOAD_ANSWER")?)?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (headers, body) = (headers.clone(), body.clone());
        tokio::spawn(async move {
            let service = service_fn(|_| {
                let mut response = Response::new(Full::new(body.clone()));
                *response.headers_mut() = headers.clone();
                async move { Ok::<_, Infallible>(response) }
            });
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

/// The headers that hyper does not add by itself, and the body.
fn parse(answer: &str) -> Result<(HeaderMap, Bytes)> {
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no body")?;
    let mut headers = HeaderMap::new();
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(':').ok_or("no header")?;
        if !["date", "content-length"].contains(&name) {
            headers.append(HeaderName::try_from(name)?, HeaderValue::from_str(value.trim())?);
        }
    }
    Ok((headers, Bytes::from(body.to_owned())))
}
