//! The destinations of committed events.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{api::event::EventView, error::chain};

/// A destination of events. It gets each event at least once, in order per user. Use the `event_id` to deduplicate.
///
/// A sink that is down or slow delays only itself.
///
/// ```
/// use authy_core::{
///     api::event::EventView,
///     engine::{Delivery, DeliveryError, Sink},
/// };
///
/// struct Printer;
///
/// #[async_trait::async_trait]
/// impl Sink for Printer {
///     fn name(&self) -> &'static str {
///         "printer"
///     }
///
///     fn delivery(&self) -> Delivery {
///         Delivery::PerSubject { in_flight: 4 }
///     }
///
///     async fn deliver(&self, event: &EventView) -> Result<(), DeliveryError> {
///         println!("{} {:?}", event.happened, event.subject);
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Returns the name of the sink. Its position is stored under this name, so the name must not change.
    fn name(&self) -> &'static str;

    /// Returns whether the sink gets this event. Default: every event.
    fn wants(&self, event: &EventView) -> bool {
        let _ = event;
        true
    }

    /// Returns whether the delivery status of the first event about a user is shown with the user, as
    /// [`details`](crate::api::user::UserView::details). At most one sink should return true.
    fn shows_status(&self) -> bool {
        false
    }

    /// Returns how events are delivered.
    fn delivery(&self) -> Delivery;

    /// Returns the time, from the first failed attempt on, after which the delivery of an event is given up; `None` to
    /// repeat it for ever. Only with [`Delivery::PerSubject`]. A delivery that was given up is
    /// [stuck](crate::engine::StuckDelivery), and an operator can retry it. Default: `None`.
    fn give_up_after(&self) -> Option<Duration> {
        None
    }

    /// Delivers an event. Returns `Ok` once the sink has taken responsibility for it.
    ///
    /// # Errors
    /// When the sink has not accepted the event: [`DeliveryError::retryable`] has it delivered again,
    /// [`DeliveryError::permanent`] does not.
    async fn deliver(&self, event: &EventView) -> Result<(), DeliveryError>;
}

/// A sink that the program keeps as well.
#[async_trait]
impl<S: Sink + ?Sized> Sink for Arc<S> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn wants(&self, event: &EventView) -> bool {
        (**self).wants(event)
    }

    fn shows_status(&self) -> bool {
        (**self).shows_status()
    }

    fn delivery(&self) -> Delivery {
        (**self).delivery()
    }

    fn give_up_after(&self) -> Option<Duration> {
        (**self).give_up_after()
    }

    async fn deliver(&self, event: &EventView) -> Result<(), DeliveryError> {
        (**self).deliver(event).await
    }
}

/// The way in which events are delivered to a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// All events as one stream, for a broker, which accepts either all events or none. An event that it does not
    /// accept delays all later ones.
    Ordered {
        /// Maximum number of events in progress.
        in_flight: usize,
    },
    /// Each event independently, repeated until it is accepted or given up. For a destination that is slow, or refuses
    /// some events and accepts others. An event that is not accepted delays only events about the same user.
    PerSubject {
        /// Maximum number of events in progress.
        in_flight: usize,
    },
}

/// The reason why a sink has not accepted an event.
#[derive(Debug)]
pub struct DeliveryError {
    reason: &'static str,
    is_permanent: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl DeliveryError {
    /// Creates an error after which the event is retried. The reason is shown to the operator and must not contain a
    /// secret.
    pub fn retryable(reason: &'static str) -> Self {
        Self { reason, is_permanent: false, source: None }
    }

    /// Creates an error for an event that the sink will never accept, such as a mail to a mailbox that does not exist.
    /// With [`Delivery::PerSubject`] it is not retried; with [`Delivery::Ordered`] it is, because all later events wait
    /// for it.
    pub fn permanent(reason: &'static str) -> Self {
        Self { reason, is_permanent: true, source: None }
    }

    /// Adds the cause, which is shown to the operator.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns whether the sink will never accept the event.
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
