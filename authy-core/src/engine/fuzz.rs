//! The private readers of untrusted bytes, for fuzz targets and property tests. Not part of the API: this module exists only with
//! the feature `fuzz-entry-points`.

use uuid::Uuid;

use crate::{
    Result, Secret, SessionId,
    engine::{
        crypto::{mac::MacKeys, master::MasterKeys},
        domain::{
            code::Codes,
            session::{DeviceToken, REFRESH_PURPOSE, Ticket},
        },
    },
};

pub use crate::engine::crypto::password::fuzz::{HashCost, hash_cost, verify_hash};

/// Reads and writes refresh tokens and one-time codes as an engine with these master keys does.
pub struct SecretReader {
    refresh: MacKeys,
    codes: Codes,
}

impl SecretReader {
    /// A reader with these keys.
    ///
    /// # Errors
    /// When the keys cannot be derived.
    pub fn new(keys: &MasterKeys) -> Result<Self> {
        Ok(Self { refresh: MacKeys::new(keys, REFRESH_PURPOSE)?, codes: Codes::new(keys)? })
    }

    /// The refresh token of a session's generation.
    pub fn refresh_token(&self, session: SessionId, generation: u64) -> Secret {
        Ticket { session, generation }.write(&self.refresh)
    }

    /// What a refresh token says; `None` when we did not write it.
    pub fn read_refresh_token(&self, text: &str) -> Option<(SessionId, u64)> {
        Ticket::read(&self.refresh, text).map(|ticket| (ticket.session, ticket.generation))
    }

    /// The one-time code of a row.
    pub fn code(&self, id: Uuid) -> Secret {
        self.codes.write(id)
    }

    /// The row of a one-time code; `None` when we did not write it.
    pub fn read_code(&self, text: &str) -> Option<Uuid> {
        self.codes.read(text)
    }
}

/// The parts of a device token, which nobody has verified.
pub fn device_token(text: &str) -> Option<(&str, u64, &str)> {
    DeviceToken::read(text).map(|token| (token.device, token.expires, token.mac))
}
