//! Writes every event to the log, for systems that collect logs.

use async_trait::async_trait;
use authy_core::{
    api::event::EventView,
    engine::{Delivery, DeliveryError, Sink},
    time::HttpDate,
};

/// Writes every event to the log of this program.
#[derive(Debug)]
pub(crate) struct LogSink;

#[async_trait]
impl Sink for LogSink {
    fn name(&self) -> &'static str {
        "log"
    }

    fn delivery(&self) -> Delivery {
        Delivery::Ordered { in_flight: 1 }
    }

    async fn deliver(&self, event: &EventView) -> Result<(), DeliveryError> {
        let detail = serde_json::to_string(&event.detail)
            .map_err(|error| DeliveryError::retryable("the detail of an event cannot be written").with_source(error))?;
        tracing::info!(
            event_id = %event.event_id,
            kind = event.kind.as_str(),
            happened = %HttpDate(event.happened),
            actor_kind = event.actor_kind,
            actor = event.actor.map(tracing::field::display),
            subject = event.subject.map(tracing::field::display),
            session_id = event.session_id.map(tracing::field::display),
            ip = event.ip,
            request_id = event.request_id,
            detail,
            "event"
        );
        Ok(())
    }
}
