//! In place of traces, without the feature `otlp`: nothing, which the compiler leaves out.

use authy_core::client_info::ClientAddress;
use http::request::Parts;

use crate::{http_config::HttpConfig, reply::Response};

/// There is none.
pub(crate) type TraceId = std::convert::Infallible;

pub(crate) struct RequestTracer;

pub(crate) struct RequestSpan;

impl RequestTracer {
    pub(crate) fn new(_: &HttpConfig) -> Self {
        Self
    }

    pub(crate) fn is_part_of_trace(&self, _: &http::HeaderMap) -> bool {
        false
    }

    pub(crate) fn begin(&self, _: &Parts, _: &'static str, _: bool) -> RequestSpan {
        RequestSpan
    }
}

impl RequestSpan {
    pub(crate) fn trace_id(&self) -> Option<TraceId> {
        None
    }

    pub(crate) fn end(self, _: ClientAddress, _: &str, _: &Response) {}
}

#[cfg(any(feature = "amqp", feature = "webhook"))]
mod delivery {
    use authy_core::{api::event::EventView, engine::DeliveryError};

    pub(crate) struct DeliveryTracer;

    pub(crate) struct DeliverySpan;

    impl DeliveryTracer {
        pub(crate) fn new() -> Self {
            Self
        }

        #[cfg(feature = "webhook")]
        pub(crate) fn request(&self, _: &EventView, _: &http::Uri) -> DeliverySpan {
            DeliverySpan
        }

        #[cfg(feature = "amqp")]
        pub(crate) fn message(&self, _: &EventView, _: &str, _: u16) -> DeliverySpan {
            DeliverySpan
        }
    }

    impl DeliverySpan {
        pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
            Vec::new()
        }

        #[cfg(feature = "webhook")]
        pub(crate) fn record_status(&mut self, _: http::StatusCode) {}

        pub(crate) fn end(self, _: &Result<(), DeliveryError>) {}
    }
}

#[cfg(any(feature = "amqp", feature = "webhook"))]
pub(crate) use delivery::{DeliverySpan, DeliveryTracer};

/// Exports nothing.
#[cfg(feature = "cli")]
pub(crate) struct Exporter;

#[cfg(feature = "cli")]
impl Exporter {
    pub(crate) fn start(_: &authy_core::tls::Roots) -> Result<Self, std::convert::Infallible> {
        Ok(Self)
    }

    pub(crate) fn configure(&self, http: HttpConfig) -> HttpConfig {
        http
    }

    pub(crate) async fn stop(self) {}
}
