//! Where events go once they are committed: what a neighbour of the house implements to be told.

use std::{error::Error as StdError, fmt};

use async_trait::async_trait;

use crate::{api::event::EventView, error::chain};

/// A neighbour that is told of events: at least once, in order per user, each with an `event_id` to tell repetitions by.
///
/// A sink that is down or slow delays only itself.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Its name: how far it was told is remembered under it, so it must not change.
    fn name(&self) -> &'static str;

    /// Whether it is told of this event. Of all, unless it says otherwise.
    fn wants(&self, event: &EventView) -> bool {
        let _ = event;
        true
    }

    /// How it is told.
    fn pace(&self) -> Pace;

    /// Tells it of an event; `Ok` once it has taken it over.
    ///
    /// # Errors
    /// When it has not. It is told again later.
    async fn deliver(&self, event: &EventView) -> Result<(), Undelivered>;
}

/// How a sink is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Everything, as one stream, with so many events on their way at a time: for a broker, which takes any event or none.
    /// An event that it does not take holds up all that come after.
    Stream {
        /// How many events may be on their way.
        in_flight: usize,
    },
    /// Event by event, so many at a time, each repeated by itself until it is taken or somebody gives up: for who is slow or
    /// may refuse one event and take another. An event that is stuck holds up only those of its user.
    Queue {
        /// How many events may be on their way.
        in_flight: usize,
    },
}

/// Why a sink has not taken an event.
#[derive(Debug)]
pub struct Undelivered {
    reason: &'static str,
    is_final: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Undelivered {
    /// It may take it another time. The reason is for whoever runs the house, so there is no secret in it.
    pub fn for_now(reason: &'static str) -> Self {
        Self { reason, is_final: false, source: None }
    }

    /// It will never take it, so there is no sense in repeating it: a mailbox that does not exist. A sink that is told one event
    /// by one is not told of this one again; one that is told everything as one stream is, because all that follows waits.
    pub fn for_good(reason: &'static str) -> Self {
        Self { reason, is_final: true, source: None }
    }

    /// The same, with its cause, which is shown to whoever runs the house.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether it will never be taken.
    pub fn is_final(&self) -> bool {
        self.is_final
    }

    /// The reason and all its causes, for whoever runs the house: at most 500 characters.
    pub fn describe(&self) -> String {
        chain(self).chars().take(500).collect()
    }
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason)
    }
}

impl StdError for Undelivered {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
