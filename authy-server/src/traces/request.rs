//! The span of a request, with the attributes of OpenTelemetry's semantic conventions for HTTP. It has the route and
//! never the path, no query, no header, no body, and nothing about the user.

use authy_core::client_info::ClientAddress;
use http::{HeaderMap, request::Parts};
use opentelemetry::{
    Context, KeyValue, TraceId,
    global::{BoxedSpan, BoxedTracer},
    trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _},
};

use super::{REQUEST_ID, context, tracer};
use crate::{
    http_config::HttpConfig,
    metrics::{UNKNOWN_ROUTE, method_name},
    reply::Response,
};

/// Begins the spans of requests, when they are to have any.
pub(crate) struct RequestTracer(Option<BoxedTracer>);

/// The span of a request that is sampled.
pub(crate) struct RequestSpan(Option<BoxedSpan>);

impl RequestTracer {
    pub(crate) fn new(config: &HttpConfig) -> Self {
        Self(config.traces.then(tracer))
    }

    /// Returns whether a request is a part of a trace, so that it may have a span although it is one that other programs send all the
    /// time.
    pub(crate) fn is_part_of_trace(&self, headers: &HeaderMap) -> bool {
        self.0.is_some() && context::of_request(headers).is_some()
    }

    /// Begins the span of a request.
    ///
    /// A caller's trace is continued when the caller samples it, and otherwise the request has no span, because the
    /// caller has decided. A request that is part of no trace may begin one, as the sampler says; one that other
    /// programs send all the time does not.
    pub(crate) fn begin(&self, head: &Parts, route: &'static str, is_frequent: bool) -> RequestSpan {
        RequestSpan(self.0.as_ref().and_then(|tracer| begin(tracer, head, route, is_frequent)))
    }
}

fn begin(tracer: &BoxedTracer, head: &Parts, route: &'static str, is_frequent: bool) -> Option<BoxedSpan> {
    let parent = match context::of_request(&head.headers) {
        Some(caller) => Some(caller).filter(|caller| caller.span().span_context().is_sampled())?,
        None if is_frequent => return None,
        None => Context::new(),
    };
    let method = match method_name(&head.method) {
        "other" => "_OTHER",
        known => known,
    };
    let known_route = Some(route).filter(|route| *route != UNKNOWN_ROUTE);
    let name = match (method, known_route) {
        ("_OTHER", Some(route)) => format!("HTTP {route}"),
        ("_OTHER", None) => "HTTP".to_owned(),
        (method, Some(route)) => format!("{method} {route}"),
        (method, None) => method.to_owned(),
    };
    let mut span = tracer.build_with_context(SpanBuilder::from_name(name).with_kind(SpanKind::Server), &parent);
    if !span.is_recording() {
        return None;
    }
    // From the beginning: a request that the client gives up has them as well.
    span.set_attribute(KeyValue::new("http.request.method", method));
    span.set_attributes(known_route.map(|route| KeyValue::new("http.route", route)));
    Some(span)
}

impl RequestSpan {
    /// Returns the ID of the trace that the span belongs to.
    pub(crate) fn trace_id(&self) -> Option<TraceId> {
        self.0.as_ref().map(|span| span.span_context().trace_id())
    }

    /// Ends the span, with the answer.
    pub(crate) fn end(self, client: ClientAddress, request_id: &str, response: &Response) {
        let Some(mut span) = self.0 else { return };
        let status = response.status();
        span.set_attributes([
            KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
            KeyValue::new("url.scheme", if client.https { "https" } else { "http" }),
            KeyValue::new("client.address", client.ip.to_string()),
            KeyValue::new(REQUEST_ID, request_id.to_owned()),
        ]);
        // A 4xx is the client's failure.
        if status.is_server_error() {
            span.set_attribute(KeyValue::new("error.type", status.as_str().to_owned()));
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState, TracerProvider as _};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    /// The trace of a request to a route that is requested all the time, or to another one.
    fn trace_of(tracer: &RequestTracer, is_frequent: bool) -> Option<TraceId> {
        let (head, ()) = http::Request::new(()).into_parts();
        tracer.begin(&head, "/authy/user", is_frequent).trace_id()
    }

    #[test]
    fn a_request_inside_a_span_of_the_program_is_a_part_of_it() {
        let provider = SdkTracerProvider::builder().build();
        let tracer = RequestTracer(Some(BoxedTracer::new(Box::new(provider.tracer("test")))));
        assert!(trace_of(&tracer, false).is_some() && trace_of(&tracer, true).is_none());
        let trace = TraceId::from(7);
        let inside = |flags| {
            let span = SpanContext::new(trace, SpanId::from(8), flags, false, TraceState::default());
            Context::new().with_remote_span_context(span).attach()
        };
        let sampled = inside(TraceFlags::SAMPLED);
        assert_eq!([false, true].map(|is_frequent| trace_of(&tracer, is_frequent)), [Some(trace); 2]);
        drop(sampled);
        let _unsampled = inside(TraceFlags::default());
        assert_eq!(trace_of(&tracer, false), None);
        assert_eq!(trace_of(&RequestTracer(None), false), None);
    }
}
