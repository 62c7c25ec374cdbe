//! Where traces arrive: a server that reads them with the schemas of OpenTelemetry, and the spans that it received.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
};

use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
};

use crate::{tools, until};

/// A collector, and all spans that reached it.
pub struct Collector {
    /// Where it listens.
    pub address: SocketAddr,
    arrived: Arc<Mutex<Vec<ReceivedSpan>>>,
    reading: JoinHandle<()>,
    // It ends when this is dropped.
    _server: Child,
}

/// A span as it arrived.
#[derive(Clone, Debug, Deserialize)]
pub struct ReceivedSpan {
    /// What the process says about itself.
    pub resource: BTreeMap<String, Value>,
    /// The library that made it.
    pub scope: String,
    /// The ID of its trace, in hexadecimal.
    pub trace: String,
    /// Its own ID.
    pub span: String,
    /// The ID of the span it is a part of; empty when it is the first of its trace.
    pub parent: String,
    /// The `tracestate`.
    pub state: String,
    /// Its name.
    pub name: String,
    /// Its kind, such as `SPAN_KIND_SERVER`.
    pub kind: String,
    /// Its attributes.
    pub attributes: BTreeMap<String, Value>,
    /// The number of its events.
    pub events: usize,
    /// Its status: 0 without one, 2 for an error.
    pub status: u8,
    /// What the status says.
    pub message: String,
}

impl Collector {
    /// Starts one.
    pub async fn start() -> Self {
        let mut server = Command::new(tools::python())
            .arg(tools::root().join("tests/harness/collector.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        #[derive(Deserialize)]
        struct Ready {
            port: u16,
        }
        let ready: Ready = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        let arrived = Arc::new(Mutex::default());
        let reading = tokio::spawn(read(lines, Arc::clone(&arrived)));
        Self { address: ([127, 0, 0, 1], ready.port).into(), arrived, reading, _server: server }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans that arrived so far.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.arrived.lock().unwrap().clone()
    }

    /// The span of this kind with this request ID, which is waited for.
    ///
    /// # Panics
    /// When none arrives within ten seconds.
    pub async fn span_of(&self, kind: &str, request: &str) -> ReceivedSpan {
        let is_it = |span: &ReceivedSpan| span.kind == kind && span.is_of(request);
        let find = || self.spans().into_iter().find(is_it);
        until(&format!("a span {kind} of {request} arrives"), async || find().is_some()).await;
        find().unwrap()
    }
}

impl ReceivedSpan {
    /// Whether it has this request ID.
    pub fn is_of(&self, request: &str) -> bool {
        self.attributes.get("authy.request_id").is_some_and(|id| id == request)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

async fn read(mut lines: Lines<BufReader<ChildStdout>>, arrived: Arc<Mutex<Vec<ReceivedSpan>>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        arrived.lock().unwrap().push(serde_json::from_str(&line).unwrap());
    }
}
