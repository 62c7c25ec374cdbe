//! RabbitMQ: every event goes to a topic exchange, and counts as told once the broker has confirmed that it keeps it.

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

mod link;
mod url;

use link::Link;
pub use url::{AmqpUrl, InvalidAmqpUrl};

/// The exchange that events are published to, with their kind as the key.
pub(crate) const EXCHANGE: &str = "authy.events";

/// A queue that takes every event.
pub(crate) const QUEUE: &str = "authy.audit";

/// How many messages may wait for their confirmation: RabbitMQ confirms once it has written to disk, many at a time.
const IN_FLIGHT: usize = 256;

/// How long connecting and declaring may take.
const CONNECTING: Duration = Duration::from_secs(10);

/// How long a confirmation may take: a busy disk needs seconds, and what takes longer is repeated on a new connection.
const CONFIRMING: Duration = Duration::from_secs(30);

/// Tells RabbitMQ of every event.
///
/// It connects when there is something to tell, and anew after any failure; whenever it connects it declares what it needs.
pub struct Amqp {
    url: AmqpUrl,
    roots: Roots,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    link: Option<Arc<Link>>,
    failure: Option<Failure>,
}

/// Why the last attempt to connect has failed.
struct Failure {
    when: Instant,
    reason: String,
}

impl Amqp {
    /// A sink for this broker.
    pub fn new(url: AmqpUrl) -> Self {
        Self { url, roots: Roots::platform(), state: Mutex::default() }
    }

    /// Verifies the broker with these certificate authorities, instead of the platform's.
    #[must_use]
    pub fn roots(self, roots: Roots) -> Self {
        Self { roots, ..self }
    }

    async fn link(&self) -> Result<Arc<Link>, DeliveryError> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        if let Some(link) = state.link.as_ref().filter(|link| link.is_open()) {
            return Ok(link.clone());
        }
        // Whoever waited while another tried has its answer: else hundreds would try one after the other.
        if let Some(failure) = state.failure.as_ref().filter(|failure| failure.when >= asked) {
            return Err(DeliveryError::retryable("there is no connection").with_source(failure.reason.clone()));
        }
        state.link = None;
        let opened = match timeout(CONNECTING, Link::open(&self.url, &self.roots)).await {
            Ok(opened) => opened,
            Err(_) => Err(DeliveryError::retryable("RabbitMQ does not answer")),
        };
        match opened {
            Ok(link) => Ok(state.link.insert(Arc::new(link)).clone()),
            Err(error) => {
                state.failure = Some(Failure { when: Instant::now(), reason: error.describe() });
                Err(error)
            }
        }
    }

    /// Has the next event go over a new connection.
    async fn leave(&self, link: &Arc<Link>) {
        let mut state = self.state.lock().await;
        if state.link.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
            state.link = None;
        }
    }
}

#[async_trait]
impl Sink for Amqp {
    fn name(&self) -> &'static str {
        "amqp"
    }

    fn delivery(&self) -> Delivery {
        Delivery::Ordered { in_flight: IN_FLIGHT }
    }

    async fn deliver(&self, event: &EventView) -> Result<(), DeliveryError> {
        let link = self.link().await?;
        let published = match timeout(CONFIRMING, link.publish(event)).await {
            Ok(published) => published,
            Err(_) => Err(DeliveryError::retryable("RabbitMQ confirms nothing: it is overloaded, or has no room")),
        };
        if published.is_err() {
            self.leave(&link).await;
        }
        published
    }
}

impl fmt::Debug for Amqp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Amqp").field("broker", &self.url.address()).finish_non_exhaustive()
    }
}
