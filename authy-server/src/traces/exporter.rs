//! The exporter of the program: sends spans to the collector that OpenTelemetry's variables name.

use std::{env, time::Duration};

use authy_core::{
    encryption::{self, ConnectionKind, Encryption, PlainTextRefused},
    http_url::HttpUrl,
    tls::{Roots, TlsError},
};
use opentelemetry::{Key, KeyValue, global};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::task::spawn_blocking;

use super::collector::CollectorClient;
use crate::http_config::HttpConfig;

/// Maximum time for the last spans when the server stops. With the delay, the requests under way and the deliveries it
/// is less than the 30 seconds after which Kubernetes kills a process.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Maximum time for an export when no variable says so: the default of the specification.
const TIMEOUT: Duration = Duration::from_secs(10);

const PROTOCOL: &str = "http/protobuf";

/// Sends spans in the background, from a queue that drops what it has no room for.
pub(crate) struct Exporter(Option<SdkTracerProvider>);

/// Variables of OpenTelemetry that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidExporter {
    #[error("OTEL_TRACES_EXPORTER is {0}: this server has `otlp`, and `none` for no traces")]
    Exporter(String),
    #[error(
        "{variable} is {protocol}: this server sends traces by {PROTOCOL}; leave the variable out, and name the port of \
         the collector for it, usually 4318"
    )]
    Protocol { variable: &'static str, protocol: String },
    #[error("{0} is not the URL of a collector, such as http://localhost:4318")]
    Endpoint(&'static str),
    #[error("the exporter of traces {0}")]
    PlainText(#[from] PlainTextRefused),
    #[error("the exporter of traces cannot use TLS: {0}")]
    Tls(#[from] TlsError),
    #[error("the exporter of traces cannot be set up: {0}")]
    Build(#[from] ExporterBuildError),
}

const CONNECTION: ConnectionKind = ConnectionKind {
    carries: "the secret in OTEL_EXPORTER_OTLP_HEADERS",
    encrypt_with: "https:// in OTEL_EXPORTER_OTLP_ENDPOINT",
    permit_plain_text_with: "OTEL_EXPORTER_OTLP_INSECURE=true",
};

impl Exporter {
    /// Starts exporting the spans of this process when a variable names a collector. Call it before anything takes a
    /// tracer.
    ///
    /// # Errors
    /// When the variables of OpenTelemetry cannot be used.
    pub(crate) fn start(roots: &Roots) -> Result<Self, InvalidExporter> {
        let endpoint = either("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT");
        let Some((variable, endpoint)) = endpoint.filter(|_| !is_true("OTEL_SDK_DISABLED")) else {
            return Ok(Self(None));
        };
        match value("OTEL_TRACES_EXPORTER").as_deref() {
            None | Some("otlp") => {}
            Some("none") => return Ok(Self(None)),
            Some(other) => return Err(InvalidExporter::Exporter(other.to_owned())),
        }
        let protocol = either("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL");
        if let Some((variable, protocol)) = protocol.filter(|(_, protocol)| protocol != PROTOCOL) {
            return Err(InvalidExporter::Protocol { variable, protocol });
        }
        let url: HttpUrl = endpoint.parse().map_err(|_| InvalidExporter::Endpoint(variable))?;
        check_encryption(&url)?;
        let timeout = either("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT");
        let timeout = timeout.and_then(|(_, millis)| millis.parse().ok()).map_or(TIMEOUT, Duration::from_millis);

        let client = CollectorClient::new(roots, url.is_https(), timeout)?;
        let exporter = SpanExporter::builder().with_http().with_http_client(client).with_timeout(timeout).build()?;
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build();
        global::set_tracer_provider(provider.clone());
        Ok(Self(Some(provider)))
    }

    /// Makes requests spans, when there is a collector.
    pub(crate) fn configure(&self, http: HttpConfig) -> HttpConfig {
        HttpConfig { traces: self.0.is_some(), ..http }
    }

    /// Sends the last spans, within a bounded time.
    pub(crate) async fn stop(self) {
        let Some(provider) = self.0 else { return };
        // The library logs what is lost.
        let _ = spawn_blocking(move || provider.shutdown_with_timeout(STOP_TIMEOUT)).await;
    }
}

/// Refuses to send a secret in the headers of the exporter to another machine in plain text. The spans contain none.
fn check_encryption(url: &HttpUrl) -> Result<(), PlainTextRefused> {
    let has_headers = either("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS").is_some();
    let is_declined = is_true("OTEL_EXPORTER_OTLP_TRACES_INSECURE") || is_true("OTEL_EXPORTER_OTLP_INSECURE");
    let encryption = match url.is_https() {
        true => Encryption::Required,
        false if is_declined || !has_headers => Encryption::Declined,
        false => Encryption::Unspecified,
    };
    encryption::check(CONNECTION, encryption, [url.host()])
}

/// Returns what the spans say about this process: what the variables say, and the name and version of the program.
fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = Resource::builder().with_attribute(version);
    let name = Resource::builder().build().get(&Key::from_static_str("service.name"));
    match name.is_none_or(|name| name.as_str().starts_with("unknown_service")) {
        true => builder.with_service_name(env!("CARGO_PKG_NAME")).build(),
        false => builder.build(),
    }
}

/// Returns the first variable that is set, and its value. An empty one counts as not set, as the specification says.
fn either(first: &'static str, second: &'static str) -> Option<(&'static str, String)> {
    [first, second].into_iter().find_map(|name| Some((name, value(name)?)))
}

fn value(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn is_true(name: &str) -> bool {
    value(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}
