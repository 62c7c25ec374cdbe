//! Delivers committed events to the sinks.

use std::sync::Arc;

use crate::engine::{
    domain::{code::Codes, erased_name::ErasedNames},
    journal::write::Journal,
};

pub(in crate::engine) mod notification;
pub(in crate::engine) mod relay;
pub(in crate::engine) mod sink;

/// The delivery of events to sinks, and the mails to send: [`Authy::deliveries`](crate::Authy::deliveries).
///
/// ```
/// use authy_core::{Authy, Result, engine::Caller};
///
/// # async fn deliveries(authy: &Authy, operator: &Caller) -> Result<()> {
/// for sink in authy.deliveries().list_sinks().await? {
///     println!("{} lacks {} events; {} are stuck, {} given up", sink.sink, sink.waiting, sink.stuck, sink.given_up);
/// }
/// for delivery in authy.deliveries().list_stuck(20).await? {
///     authy.deliveries().retry(operator, &delivery.sink, delivery.event_id).await?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct Deliveries {
    journal: Arc<Journal>,
    codes: Codes,
    erased: ErasedNames,
}

impl Deliveries {
    pub(in crate::engine) fn new(journal: Arc<Journal>, codes: Codes, erased: ErasedNames) -> Self {
        Self { journal, codes, erased }
    }
}
