//! The trace of which a request is a part: that of the current task, or what the program says.

use authy_client::{Client, ClientInfo};
use authy_tests::receiver::{Reaction, Received, Receiver};
use http::HeaderMap;
use opentelemetry::{
    Context,
    trace::{FutureExt as _, SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};

const OTHER: &str = "00-11111111111111111111111111111111-2222222222222222-01";

/// What the server receives of a call.
async fn sent(server: &Receiver, client: &Client) -> Received {
    let _ = client.get_status().await;
    server.received().last().unwrap().clone()
}

#[tokio::test]
async fn a_client_sends_the_span_of_its_task_or_the_trace_that_it_is_given() {
    let server = Receiver::start(|_| Reaction::Status(500)).await;
    let client = Client::builder(&format!("http://{}", server.address)).retries(0).build().unwrap();
    let alone = sent(&server, &client).await;
    assert_eq!((alone.header("traceparent"), alone.header("tracestate")), ("", ""));

    let (trace, span) = (TraceId::from(0xfeed), SpanId::from(0xbee));
    let state = TraceState::from_key_value([("shop", "a1")]).unwrap();
    let span = SpanContext::new(trace, span, TraceFlags::SAMPLED, false, state);
    let task = Context::new().with_remote_span_context(span);
    let in_task = sent(&server, &client).with_context(task.clone()).await;
    let expected = "00-0000000000000000000000000000feed-0000000000000bee-01";
    assert_eq!((in_task.header("traceparent"), in_task.header("tracestate")), (expected, "shop=a1"));

    let mut headers = HeaderMap::new();
    for (name, value) in [("traceparent", OTHER), ("tracestate", "other=b2"), ("cookie", "hunter2")] {
        headers.insert(name, value.parse().unwrap());
    }
    let given = client.with_trace_context(&headers).on_behalf_of(ClientInfo::default());
    let given = sent(&server, &given).with_context(task.clone()).await;
    assert_eq!(
        (given.header("traceparent"), given.header("tracestate"), given.header("cookie")),
        (OTHER, "other=b2", "")
    );
    // A request without a trace leaves the decision to the task.
    let none = sent(&server, &client.with_trace_context(&HeaderMap::new())).with_context(task).await;
    assert_eq!(none.header("traceparent"), expected);
}
