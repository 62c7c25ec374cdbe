//! The devices of which an owner needs no other mail today.

use std::{collections::hash_map::RandomState, hash::BuildHasher as _};

use authy_core::{EventId, api::event::EventView};
use quick_cache::sync::Cache;

/// Maximum number of devices that are remembered. An entry takes about 100 bytes.
const MAX_DEVICES: usize = 20_000;

const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;

/// Remembers logins from new devices whose mail is settled: sent, refused by its recipient, or not needed. Later ones of the same user, user agent and address
/// need none on that day (UTC). A client that keeps no device token, of which there are many, so costs one delivery a day and not
/// one a login.
///
/// Whatever is not remembered is decided by the events in the database.
pub(super) struct NoticedDevices {
    hasher: RandomState,
    settled: Cache<u64, SettledLogin>,
}

/// The first login of a device whose mail is settled.
#[derive(Clone, Copy)]
struct SettledLogin {
    /// Days since 1970.
    day: i64,
    position: (i64, EventId),
}

impl NoticedDevices {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), settled: Cache::new(MAX_DEVICES) }
    }

    /// Remembers a login whose mail is settled.
    pub(super) fn settle(&self, login: &EventView) {
        let (key, login) = (self.key(login), SettledLogin::of(login));
        // The earliest of the day covers the most.
        let has_earlier = |known: SettledLogin| known.day == login.day && known.position <= login.position;
        if !self.settled.get(&key).is_some_and(has_earlier) {
            self.settled.insert(key, login);
        }
    }

    /// Returns whether the mail of an earlier login of the device was settled on the day of this one.
    pub(super) fn is_settled(&self, login: &EventView) -> bool {
        let this = SettledLogin::of(login);
        self.settled.get(&self.key(login)).is_some_and(|known| known.day == this.day && known.position < this.position)
    }

    fn key(&self, login: &EventView) -> u64 {
        self.hasher.hash_one((login.subject, &login.ip, &login.user_agent))
    }
}

impl SettledLogin {
    fn of(login: &EventView) -> Self {
        let micros = login.happened_micros;
        Self { day: micros.div_euclid(DAY_MICROS), position: (micros, login.event_id) }
    }
}
