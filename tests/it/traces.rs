//! Traces of the program, as a collector receives them: which requests are spans, what a span says, and what becomes of
//! requests when there is no collector.

use std::time::{Duration, Instant};

use authy_tests::{
    collector::{Collector, ReceivedSpan},
    fresh_name, new_user, rabbit,
    receiver::{Reaction, Receiver},
    wire::{Answer, post, send},
};
use lapin::{message::Delivery, types::AMQPValue};
use serde_json::json;

mod program;

use program::Program;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// No export before the end of the process.
const AT_THE_END: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "3600000");

fn traceparent(flags: &str) -> String {
    format!("traceparent: 00-{TRACE}-{CALLER}-{flags}")
}

async fn ask(program: &Program, id: &str, request: &str, header: &str) -> Answer {
    send(program.address, &format!("{request} HTTP/1.1\nx-request-id: {id}\n{header}"), "").await
}

/// The spans with a request ID.
fn of<'a>(spans: &'a [ReceivedSpan], request: &str) -> Vec<&'a ReceivedSpan> {
    spans.iter().filter(|span| span.is_of(request)).collect()
}

#[tokio::test]
async fn a_request_is_a_span_of_its_callers_trace_and_says_nothing_of_the_user() {
    let collector = Collector::start().await;
    let program = Program::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url()), AT_THE_END]).await;
    let (name, sampled, unsampled) = (fresh_name("ada"), traceparent("01"), traceparent("00"));
    let body = serde_json::to_string(&new_user(&name)).unwrap();
    let head = "POST /authy/user?a=query HTTP/1.1\nx-request-id: r-sampled\ncontent-type: application/json";
    let answer = send(program.address, &format!("{head}\ntracestate: shop=a1\n{sampled}"), &body).await;
    assert_eq!(answer.status, 201);
    let login = serde_json::to_string(&authy_tests::credentials(&name)).unwrap();
    let tokens = post(program.address, "/authy/login", &login).await.json();
    let token = format!("authorization: Bearer {}", tokens["token"].as_str().unwrap());
    ask(&program, "r-unsampled", "GET /authy/user", &format!("{token}\n{unsampled}")).await;
    ask(&program, "r-alone", "GET /authy/user", &token).await;
    ask(&program, "r-invalid", "GET /authy/user", &format!("{token}\ntraceparent: 00-{TRACE}-0000000000000000-01"))
        .await;
    let check = "GET /authy/checkaccess/10";
    assert_eq!(ask(&program, "r-check", check, &token).await.status, 200);
    ask(&program, "r-check-unsampled", check, &format!("{token}\n{unsampled}")).await;
    ask(&program, "r-check-sampled", check, &format!("{token}\n{sampled}")).await;
    ask(&program, "r-code", "GET /authy/validate/a-one-time-code", &sampled).await;
    ask(&program, "r-unknown", "MADEUP /authy/a-mistyped-code", &sampled).await;
    ask(&program, "r-ready", "GET /readyz", "").await;
    program.stop().await;

    let spans = collector.spans();
    let one = |id: &str| match of(&spans, id)[..] {
        [span] => span,
        ref other => panic!("{id}: {other:?}"),
    };
    let span = one("r-sampled");
    assert_eq!((&*span.trace, &*span.parent, &*span.state), (TRACE, CALLER, "shop=a1"));
    assert_eq!((&*span.name, &*span.kind), ("POST /authy/user", "SPAN_KIND_SERVER"));
    assert_eq!((span.status, span.events, &*span.scope), (0, 0, "authy-server"));
    let attributes = json!({
        "http.request.method": "POST",
        "http.route": "/authy/user",
        "http.response.status_code": 201,
        "url.scheme": "http",
        "client.address": "127.0.0.1",
        "authy.request_id": "r-sampled",
    });
    assert_eq!(json!(span.attributes), attributes);
    assert_eq!(span.resource["service.name"], "authy-server");
    assert_eq!(span.resource["service.version"], env!("CARGO_PKG_VERSION"));

    for id in ["r-alone", "r-invalid"] {
        let span = one(id);
        assert!(span.parent.is_empty() && span.trace != TRACE, "{span:?}");
        assert_eq!(span.name, "GET /authy/user");
    }
    let check = one("r-check-sampled");
    assert_eq!((&*check.name, &*check.trace), ("GET /authy/checkaccess/{level}", TRACE));
    for id in ["r-unsampled", "r-check", "r-check-unsampled", "r-ready"] {
        assert_eq!(of(&spans, id).len(), 0, "{id} is a span");
    }
    assert_eq!(one("r-code").name, "GET /authy/validate/{code}");
    let unknown = one("r-unknown");
    assert_eq!((&*unknown.name, &unknown.attributes["http.request.method"]), ("HTTP", &json!("_OTHER")));
    assert!(!unknown.attributes.contains_key("http.route"));
    let everything = format!("{spans:?}");
    let token = tokens["token"].as_str().unwrap();
    for secret in ["a=query", "a-one-time-code", "a-mistyped-code", "MADEUP", &name, token, authy_tests::PASSWORD] {
        assert!(!everything.contains(secret), "{secret} is in a span");
    }
}

#[tokio::test]
async fn the_receiver_of_an_event_gets_the_span_of_its_delivery() {
    let (collector, webhook) = (Collector::start().await, Receiver::start(|_| Reaction::Status(201)).await);
    let broker = rabbit::shared().await;
    let queue = broker.url(&rabbit::fresh_host());
    let program = Program::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url()),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("AUTHY_WEBHOOK_URL", &format!("http://{}/a-secret-path", webhook.address)),
        ("AUTHY_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("AUTHY_AMQP_URL", &queue),
    ])
    .await;
    let body = serde_json::to_string(&new_user(&fresh_name("ada"))).unwrap();
    let head =
        format!("POST /authy/user HTTP/1.1\nx-request-id: r-1\ncontent-type: application/json\n{}", traceparent("01"));
    assert_eq!(send(program.address, &head, &body).await.status, 201);

    // The first administrator is an event as well, which no request has caused.
    let published = collector.span_of("SPAN_KIND_PRODUCER", "r-1").await;
    let sent = collector.span_of("SPAN_KIND_CLIENT", "r-1").await;
    let log = program.stop().await;
    let received = webhook.received();
    let received = received.iter().find(|request| request.header("traceparent").contains(&*sent.span)).unwrap();
    assert_eq!((&*sent.name, sent.status), ("POST", 0));
    assert_eq!(
        json!(sent.attributes),
        json!({
            "http.request.method": "POST",
            "http.response.status_code": 201,
            "server.address": "127.0.0.1",
            "server.port": webhook.address.port(),
            "authy.event_id": received.header("webhook-id"),
            "authy.request_id": "r-1",
        })
    );
    assert_eq!(received.header("traceparent"), format!("00-{}-{}-01", sent.trace, sent.span));

    assert_eq!(published.name, "publish authy.events:user.registered");
    assert_eq!(published.attributes["messaging.system"], "rabbitmq");
    let messages = rabbit::take_all(&queue, "authy.audit").await;
    let id = published.attributes["messaging.message.id"].as_str().unwrap();
    let is_it =
        |message: &&Delivery| message.properties.message_id().as_ref().is_some_and(|found| found.as_str() == id);
    let message = messages.iter().find(is_it).unwrap();
    let headers = message.properties.headers().as_ref().unwrap();
    let AMQPValue::LongString(context) = &headers.inner()["traceparent"] else { panic!("{headers:?}") };
    assert_eq!(context.to_string(), format!("00-{}-{}-01", published.trace, published.span));
    // Deliveries begin traces of their own; the request is in that of the caller.
    assert!(
        sent.parent.is_empty() && published.parent.is_empty() && sent.trace != published.trace && sent.trace != TRACE
    );
    let access = log.lines().find(|line| line.contains("\"route\":\"/authy/user\"")).unwrap();
    assert!(access.contains(&format!("\"trace_id\":\"{TRACE}\"")), "{access}");
}

#[tokio::test]
async fn a_collector_that_is_away_or_hangs_delays_no_request_and_no_stop() {
    let hanging = Receiver::start(|_| Reaction::Hang).await;
    for collector in [format!("http://{}", hanging.address), "http://127.0.0.1:1".to_owned()] {
        let program = Program::start(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector),
            ("OTEL_BSP_SCHEDULE_DELAY", "10"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "8"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "200"),
        ])
        .await;
        let mut slowest = Duration::ZERO;
        for _ in 0..300 {
            let began = Instant::now();
            assert_eq!(ask(&program, "r-1", "GET /authy/status", &traceparent("01")).await.status, 200);
            slowest = slowest.max(began.elapsed());
        }
        let began = Instant::now();
        let log = program.stop().await;
        let stopped = began.elapsed();
        // Both would be the time of an export or more.
        assert!(slowest < Duration::from_secs(2), "a request took {slowest:?}");
        assert!(stopped < Duration::from_secs(10), "the stop took {stopped:?}");
        let about: Vec<_> =
            log.lines().filter(|line| line.contains("opentelemetry") || line.contains("collector")).collect();
        assert!(log.contains("the collector of traces cannot be reached"), "{log}");
        assert!(about.len() <= 20, "{} lines: {log}", about.len());
    }
}

#[tokio::test]
async fn variables_that_cannot_be_used_are_refused_with_what_to_do() {
    let endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let local = (endpoint, "http://localhost:4318");
    let [protocol, exporter] = ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_TRACES_EXPORTER"];
    let headers = "OTEL_EXPORTER_OTLP_HEADERS";
    let other = "http://collector.example:4318";
    for (variables, said) in [
        (vec![local, (protocol, "grpc")], vec![protocol, "http/protobuf", "4318"]),
        (vec![(endpoint, "collector:4318")], vec![endpoint, "http://localhost:4318"]),
        (vec![local, (exporter, "zipkin")], vec![exporter, "otlp"]),
        (
            vec![(endpoint, other), (headers, "api-key=hunter2")],
            vec![headers, "https://", "OTEL_EXPORTER_OTLP_INSECURE=true"],
        ),
        (vec![("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://x")], vec!["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]),
    ] {
        let error = Program::refused(&variables).await;
        for part in said {
            assert!(error.contains(part), "{part} is missing from {error}");
        }
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn the_standard_switches_leave_traces_out_and_the_sampler_decides_about_requests_without_a_trace() {
    let collector = Collector::start().await;
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.url());
    for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
        let program = Program::start(&[endpoint, AT_THE_END, off]).await;
        ask(&program, "r-off", "GET /authy/status", &traceparent("01")).await;
        program.stop().await;
        assert!(collector.spans().is_empty(), "{off:?}");
    }
    let sampler = ("OTEL_TRACES_SAMPLER", "parentbased_always_off");
    let program = Program::start(&[endpoint, AT_THE_END, sampler, ("OTEL_SERVICE_NAME", "sso")]).await;
    ask(&program, "r-alone", "GET /authy/status", "").await;
    ask(&program, "r-sampled", "GET /authy/status", &traceparent("01")).await;
    program.stop().await;
    let spans = collector.spans();
    assert_eq!((of(&spans, "r-alone").len(), of(&spans, "r-sampled").len()), (0, 1), "{spans:?}");
    assert_eq!(spans[0].resource["service.name"], "sso");
}
