//! RabbitMQ: every event is published to a topic exchange, and is delivered once the broker has confirmed it.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use authy_core::{
    api::event::EventView,
    engine::{Delivery, DeliveryError, Sink},
    tls::Roots,
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::traces::{DeliverySpan, DeliveryTracer};

mod connection;
mod inspect;
mod url;

use connection::{BrokerConnection, MESSAGES_IN_FLIGHT};
pub use inspect::BrokerReport;
pub use url::{AmqpUrl, InvalidAmqpUrl};

/// Maximum time for connecting and declaring.
const AMQP_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum time for a confirmation: a busy disk needs seconds. What takes longer is published again on a new
/// connection.
const AMQP_CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);

/// Publishes every event to RabbitMQ.
///
/// It connects when there is an event to publish, and anew after any failure; each time it declares the exchange and
/// the queue.
///
/// ```
/// use authy_core::engine::Builder;
/// use authy_server::sink::{Amqp, InvalidAmqpUrl};
///
/// fn with_rabbitmq(builder: Builder, url: &str) -> Result<Builder, InvalidAmqpUrl> {
///     Ok(builder.sink(Amqp::new(url.parse()?)))
/// }
/// ```
pub struct Amqp {
    url: AmqpUrl,
    roots: Roots,
    broker: Mutex<BrokerState>,
    tracer: DeliveryTracer,
}

/// The connection, and the failure of the last attempt to connect.
#[derive(Default)]
struct BrokerState {
    connection: Option<Arc<BrokerConnection>>,
    failure: Option<ConnectFailure>,
}

struct ConnectFailure {
    when: Instant,
    reason: String,
}

impl Amqp {
    /// Creates a sink that publishes to this broker, verified with the platform's certificate authorities.
    pub fn new(url: AmqpUrl) -> Self {
        Self { url, roots: Roots::platform(), broker: Mutex::default(), tracer: DeliveryTracer::new() }
    }

    /// Verifies the broker with these certificate authorities, instead of the platform's.
    #[must_use]
    pub fn with_roots(self, roots: Roots) -> Self {
        Self { roots, ..self }
    }

    /// Connects to the broker and returns its state. Declares and publishes nothing.
    ///
    /// # Errors
    /// When there is no connection, or the broker refuses a channel whose messages are confirmed.
    pub async fn inspect(&self) -> Result<BrokerReport, DeliveryError> {
        let inspected = timeout(AMQP_CONNECT_TIMEOUT, inspect::inspect(&self.url, &self.roots)).await;
        inspected.unwrap_or_else(|_| Err(DeliveryError::retryable("RabbitMQ does not answer")))
    }

    async fn connection(&self) -> Result<Arc<BrokerConnection>, DeliveryError> {
        let requested = Instant::now();
        let mut broker = self.broker.lock().await;
        if let Some(connection) = broker.connection.as_ref().filter(|connection| connection.is_open()) {
            return Ok(connection.clone());
        }
        // A caller that waited for the lock meanwhile shares the failure: otherwise hundreds would try one after the
        // other.
        if let Some(failure) = broker.failure.as_ref().filter(|failure| failure.when >= requested) {
            return Err(DeliveryError::retryable("there is no connection").with_source(failure.reason.clone()));
        }
        broker.connection = None;
        let opened = match timeout(AMQP_CONNECT_TIMEOUT, BrokerConnection::open(&self.url, &self.roots)).await {
            Ok(opened) => opened,
            Err(_) => Err(DeliveryError::retryable("RabbitMQ does not answer")),
        };
        match opened {
            Ok(connection) => Ok(broker.connection.insert(Arc::new(connection)).clone()),
            Err(error) => {
                broker.failure = Some(ConnectFailure { when: Instant::now(), reason: error.describe() });
                Err(error)
            }
        }
    }

    async fn publish(&self, event: &EventView, span: &DeliverySpan) -> Result<(), DeliveryError> {
        let connection = self.connection().await?;
        let published = match timeout(AMQP_CONFIRM_TIMEOUT, connection.publish(event, span.headers())).await {
            Ok(published) => published,
            Err(_) => Err(DeliveryError::retryable("RabbitMQ confirms nothing: it is overloaded, or has no room")),
        };
        if published.is_err() {
            self.discard(&connection).await;
        }
        published
    }

    /// Closes a connection, so that the next event opens a new one.
    async fn discard(&self, connection: &Arc<BrokerConnection>) {
        let mut broker = self.broker.lock().await;
        if broker.connection.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            broker.connection = None;
        }
    }
}

#[async_trait]
impl Sink for Amqp {
    fn name(&self) -> &'static str {
        "amqp"
    }

    fn delivery(&self) -> Delivery {
        Delivery::Ordered { in_flight: MESSAGES_IN_FLIGHT }
    }

    async fn deliver(&self, event: &EventView) -> Result<(), DeliveryError> {
        let (host, port) = self.url.host_and_port();
        let span = self.tracer.message(event, host, port);
        let delivered = self.publish(event, &span).await;
        span.end(&delivered);
        delivered
    }
}

impl fmt::Debug for Amqp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Amqp").field("broker", &self.url.address()).finish_non_exhaustive()
    }
}
