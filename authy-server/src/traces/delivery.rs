//! The span of an attempt to deliver an event, and the headers that make what the receiver does a part of it.
//!
//! It begins a trace of its own. The trace of the request that caused the event is not known any more: events are
//! stored, and are delivered later, perhaps by another server. Both spans have the ID of the request.

use authy_core::{api::event::EventView, engine::DeliveryError};
use opentelemetry::{
    Context, KeyValue,
    global::{BoxedSpan, BoxedTracer},
    trace::{Span as _, SpanBuilder, SpanKind, Status, Tracer as _},
};

use super::{REQUEST_ID, context, tracer};

/// Begins the spans of deliveries.
pub(crate) struct DeliveryTracer(BoxedTracer);

/// The span of a delivery.
pub(crate) struct DeliverySpan(BoxedSpan);

impl DeliveryTracer {
    pub(crate) fn new() -> Self {
        Self(tracer())
    }

    /// Begins the span of a request to a URL, of which it has the host and not the path, which may contain a secret.
    #[cfg(feature = "webhook")]
    pub(crate) fn request(&self, event: &EventView, url: &http::Uri) -> DeliverySpan {
        let mut span = self.begin("POST".to_owned(), SpanKind::Client, event);
        if span.0.is_recording() {
            let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("https") { 443 } else { 80 });
            span.0.set_attributes([
                KeyValue::new("http.request.method", "POST"),
                KeyValue::new("server.address", url.host().unwrap_or_default().to_owned()),
                KeyValue::new("server.port", i64::from(port)),
            ]);
        }
        span
    }

    /// Begins the span of a message to a broker.
    #[cfg(feature = "amqp")]
    pub(crate) fn message(&self, event: &EventView, host: &str, port: u16) -> DeliverySpan {
        let (exchange, kind) = (crate::asyncapi::EXCHANGE, event.kind.as_str());
        let destination = format!("{exchange}:{kind}");
        let mut span = self.begin(format!("publish {destination}"), SpanKind::Producer, event);
        if span.0.is_recording() {
            span.0.set_attributes([
                KeyValue::new("messaging.system", "rabbitmq"),
                KeyValue::new("messaging.operation.type", "send"),
                KeyValue::new("messaging.operation.name", "publish"),
                KeyValue::new("messaging.destination.name", destination),
                KeyValue::new("messaging.rabbitmq.destination.routing_key", kind.to_owned()),
                KeyValue::new("messaging.message.id", event.event_id.to_string()),
                KeyValue::new("server.address", host.to_owned()),
                KeyValue::new("server.port", i64::from(port)),
            ]);
        }
        span
    }

    fn begin(&self, name: String, kind: SpanKind, event: &EventView) -> DeliverySpan {
        let builder = SpanBuilder::from_name(name).with_kind(kind);
        let mut span = self.0.build_with_context(builder, &Context::new());
        if span.is_recording() {
            span.set_attribute(KeyValue::new("authy.event_id", event.event_id.to_string()));
            span.set_attributes(event.request_id.clone().map(|id| KeyValue::new(REQUEST_ID, id)));
        }
        DeliverySpan(span)
    }
}

impl DeliverySpan {
    /// Returns the headers that make what the receiver does a part of the trace.
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        context::to_headers(self.0.span_context())
    }

    /// Records the status of an answer.
    #[cfg(feature = "webhook")]
    pub(crate) fn record_status(&mut self, status: http::StatusCode) {
        self.0.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    }

    /// Ends the span, with the result.
    pub(crate) fn end(mut self, delivered: &Result<(), DeliveryError>) {
        if let Err(error) = delivered {
            // Its reason is a fixed text; what caused it is in the log.
            self.0.set_status(Status::error(error.to_string()));
        }
        self.0.end();
    }
}
