//! The private parsers of untrusted bytes, for fuzz targets and property tests. Not part of the API: this module exists
//! only with the feature `fuzz-entry-points`.

use uuid::Uuid;

use crate::{
    Result, Secret, SessionId,
    api::page::ListCursor,
    engine::{
        crypto::{mac::MacKeys, master::MasterKeys},
        domain::{
            code::Codes,
            session::{DeviceToken, REFRESH_PURPOSE, Ticket},
            user::list,
        },
    },
};

/// Returns the `after` of the last page of all users or, with the ID of a role, of its members: for a benchmark, which would
/// otherwise have to request all pages before.
pub fn last_page(members_of: Option<i32>) -> ListCursor {
    list::last_page(members_of)
}

pub use crate::engine::crypto::password::fuzz::{HashCost, hash_cost, verify_hash};

/// Reads and writes refresh tokens and one-time codes as an engine with these master keys does.
pub struct SecretReader {
    refresh: MacKeys,
    codes: Codes,
}

impl SecretReader {
    /// Creates a reader with these keys.
    ///
    /// # Errors
    /// When the keys cannot be derived.
    pub fn new(keys: &MasterKeys) -> Result<Self> {
        Ok(Self { refresh: MacKeys::new(keys, REFRESH_PURPOSE)?, codes: Codes::new(keys)? })
    }

    /// Returns the refresh token of a session and a generation.
    pub fn refresh_token(&self, session: SessionId, generation: u64) -> Secret {
        Ticket { session, generation }.write(&self.refresh)
    }

    /// Returns the session and the generation of a refresh token; `None` when it has no valid MAC.
    pub fn read_refresh_token(&self, text: &str) -> Option<(SessionId, u64)> {
        Ticket::read(&self.refresh, text).map(|ticket| (ticket.session, ticket.generation))
    }

    /// Returns the one-time code of a row.
    pub fn code(&self, id: Uuid) -> Secret {
        self.codes.write(id)
    }

    /// Returns the row of a one-time code; `None` when it has no valid MAC.
    pub fn read_code(&self, text: &str) -> Option<Uuid> {
        self.codes.read(text)
    }
}

/// Returns the parts of a device token without verifying it.
pub fn device_token(text: &str) -> Option<(&str, u64, &str)> {
    DeviceToken::read(text).map(|token| (token.device, token.expires, token.mac))
}
