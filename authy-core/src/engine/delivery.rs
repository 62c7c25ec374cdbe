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
