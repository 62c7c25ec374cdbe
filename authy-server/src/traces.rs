//! Traces: a span for each request, and one for each delivery of an event, by the tracer provider of the process.
//!
//! The spans are made here and not from those of `tracing`: whether a request has one is decided before it is made, so
//! a request that is not sampled pays for a look at its headers.

use opentelemetry::{InstrumentationScope, global, global::BoxedTracer};

#[cfg(feature = "cli")]
mod collector;
mod context;
#[cfg(any(feature = "amqp", feature = "webhook"))]
mod delivery;
#[cfg(feature = "cli")]
mod exporter;
mod request;

#[cfg(any(feature = "amqp", feature = "webhook"))]
pub(crate) use delivery::{DeliverySpan, DeliveryTracer};
#[cfg(feature = "cli")]
pub(crate) use exporter::Exporter;
pub(crate) use opentelemetry::TraceId;
pub(crate) use request::RequestTracer;

/// The ID of the request that a span is about, or that caused its event.
const REQUEST_ID: &str = "authy.request_id";

/// Returns a tracer of the provider that the process has now. Without one its spans are empty.
fn tracer() -> BoxedTracer {
    let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME")).with_version(env!("CARGO_PKG_VERSION"));
    global::tracer_with_scope(scope.build())
}
