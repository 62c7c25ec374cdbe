//! Where events go once they are committed.

use std::{error::Error as StdError, fmt};

use async_trait::async_trait;

use crate::{api::event::EventView, error::chain};

/// A destination of events: it gets each at least once, in order per user. The `event_id` identifies repetitions.
///
/// A sink that is down or slow delays only itself.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// The name of the sink. The position of the sink is stored under it, so it must not change.
    fn name(&self) -> &'static str;

    /// Whether the sink gets this event. All of them, unless it is overridden.
    fn wants(&self, event: &EventView) -> bool {
        let _ = event;
        true
    }

    /// Whether the state of the first delivery about a user is shown with the user, as
    /// [`details`](crate::api::user::UserView::details). At most one sink should say so.
    fn shows_status(&self) -> bool {
        false
    }

    /// How events are delivered.
    fn delivery(&self) -> Delivery;

    /// Delivers an event; `Ok` once the sink has taken responsibility for it.
    ///
    /// # Errors
    /// When it has not. The event is delivered again later.
    async fn deliver(&self, event: &EventView) -> Result<(), DeliveryError>;
}

/// How events are delivered to a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// All events as one stream, for a broker, which takes any event or none. An event that it does not take delays all later
    /// ones.
    Ordered {
        /// Maximum number of events under way.
        in_flight: usize,
    },
    /// Each event by itself, and repeated until it is taken or given up, for a destination that is slow or may refuse one event
    /// and take another. An event that is not taken delays only those about the same user.
    PerSubject {
        /// Maximum number of events under way.
        in_flight: usize,
    },
}

/// Why a sink has not taken an event.
#[derive(Debug)]
pub struct DeliveryError {
    reason: &'static str,
    is_permanent: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl DeliveryError {
    /// The sink may take the event later. The reason is shown to the operator and must not contain a secret.
    pub fn retryable(reason: &'static str) -> Self {
        Self { reason, is_permanent: false, source: None }
    }

    /// The sink will never take the event, such as a mail to a mailbox that does not exist. With [`Delivery::PerSubject`] it is
    /// not tried again; with [`Delivery::Ordered`] it is, because all later events wait for it.
    pub fn permanent(reason: &'static str) -> Self {
        Self { reason, is_permanent: true, source: None }
    }

    /// Adds the cause, which is shown to the operator.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns whether the event will never be taken.
    pub fn is_permanent(&self) -> bool {
        self.is_permanent
    }

    /// Returns the reason and all its causes, at most 500 characters, for the operator.
    pub fn describe(&self) -> String {
        chain(self).chars().take(500).collect()
    }
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason)
    }
}

impl StdError for DeliveryError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
