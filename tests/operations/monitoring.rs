//! A real Prometheus scrapes a real server: it reads the metrics, every expression of the dashboard has a value, and an alert fires.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use authy_core::{
    Secret,
    api::session::{Credentials, RefreshToken},
    engine::Delivery,
};
use authy_tests::{
    TestApp, database, monitoring,
    recording_sink::RecordingSink,
    tools, until_within,
    wire::{self, get},
};
use serde_json::Value;

/// The metric that this server does not have: without TLS there is no certificate that expires.
const ONLY_WITH_TLS: &str = "authy_tls_not_after_seconds";

/// A Prometheus that scrapes one server every second, with the alerts that are deployed.
struct Prometheus {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    async fn start(server: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rules = tools::root().canonicalize().unwrap().join(monitoring::RULES);
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: [{rules:?}]\n\
             scrape_configs: [{{ job_name: authy, static_configs: [{{ targets: [\"{server}\"] }}] }}]\n"
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        // Free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display())).arg(format!("--web.listen-address={address}"));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let prometheus = Self { process, address, _folder: folder };
        until_within(Duration::from_secs(60), "Prometheus is ready", async || {
            tokio::net::TcpStream::connect(address).await.is_ok() && get(address, "/-/ready").await.status == 200
        })
        .await;
        prometheus
    }

    async fn ask(&self, path: &str) -> Value {
        let answer = get(self.address, path).await;
        let json = answer.json();
        assert_eq!(json["status"], "success", "{path}: {json}");
        json["data"].clone()
    }

    /// Evaluates an expression. Returns the values.
    async fn query(&self, expression: &str) -> Vec<Value> {
        let escaped: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let data = self.ask(&format!("/api/v1/query?query={escaped}")).await;
        data["result"].as_array().unwrap().clone()
    }

    /// The names of the alerts that fire.
    async fn firing(&self) -> Vec<String> {
        let alerts = self.ask("/api/v1/alerts").await["alerts"].as_array().unwrap().clone();
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs `promtool check` with a text on its standard input. Returns what it finds fault with.
fn promtool(arguments: &[&str], input: &str) -> String {
    let mut command = Command::new("promtool");
    command.arg("check").args(arguments).current_dir(tools::root());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { String::new() } else { printed }
}

/// Does something of everything.
async fn use_the_server(app: &TestApp) {
    let user = app.user().await;
    let wrong = Credentials::new(&user.username, Secret::new("not-the-password"));
    app.anonymous().login(wrong).await.unwrap_err();
    app.anonymous().refresh(RefreshToken { refresh_token: user.refresh_token.clone() }).await.unwrap();
    user.client.check_access(10.try_into().unwrap()).await.unwrap();
    user.client.get_self().await.unwrap();
    get(app.address, "/an/unknown/path").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "operations: make test-operations"]
async fn prometheus_reads_every_metric_and_an_alert_fires_when_the_revocations_are_stale() {
    let folder = tempfile::tempdir().unwrap();
    let sink = RecordingSink::open(&folder.path().join("record"), Delivery::Ordered { in_flight: 1 });
    let app = TestApp::with_sinks(|_| vec![Arc::new(sink)]).await;
    use_the_server(&app).await;
    assert_eq!(promtool(&["rules", monitoring::RULES], ""), "");
    assert_eq!(promtool(&["metrics"], &get(app.address, "/metrics").await.body), "");
    let open = wire::send(app.address, "GET /metrics HTTP/1.1\naccept: application/openmetrics-text", "").await.body;

    let prometheus = Prometheus::start(app.address).await;
    let wait = Duration::from_secs(60);
    until_within(wait, "it has scraped", async || prometheus.query("up{job=\"authy\"} == 1").await.len() == 1).await;
    let names = open.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    for (name, kind) in names {
        let sample = match kind {
            "counter" => format!("{name}_total"),
            "histogram" => format!("{name}_count"),
            _ => name.to_owned(),
        };
        let is_measured =
            open.lines().any(|line| line.strip_prefix(&sample).is_some_and(|rest| rest.starts_with(['{', ' '])));
        assert!(is_measured || name == ONLY_WITH_TLS, "{sample} is not measured");
        assert!(!is_measured || !prometheus.query(&sample).await.is_empty(), "Prometheus has no {sample}");
    }
    // Rates need two scrapes, with something between them.
    use_the_server(&app).await;
    let shown = monitoring::dashboard_expressions().into_iter();
    for expression in shown.filter(|expression| !expression.contains(ONLY_WITH_TLS)) {
        until_within(wait, &expression, async || !prometheus.query(&expression).await.is_empty()).await;
    }
    for expression in monitoring::alert_expressions() {
        prometheus.query(&expression).await;
    }
    let groups = prometheus.ask("/api/v1/rules").await["groups"].as_array().unwrap().clone();
    let rules: Vec<_> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert_eq!(rules.len(), monitoring::alerts().len());
    assert!(rules.iter().all(|rule| rule["health"] != "err"), "{rules:?}");
    assert_eq!(prometheus.firing().await, Vec::<String>::new());

    database::close(&app.database).await;
    let fires = async || prometheus.firing().await.contains(&"AuthyRevocationsStale".to_owned());
    until_within(Duration::from_secs(120), "the alert fires", fires).await;
}
