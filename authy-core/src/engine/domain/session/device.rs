//! Device tokens: they identify a device that logged in before.
//!
//! `device.expires.MAC(user, password, device, expires)`. A device token permits nothing by itself: its bearer still has to know
//! the password, and gets no more guesses than others, only a count of its own. It ends with the password for which it was made:
//! an attacker who knew the last password and made a thousand of them begins again with the next. A changed role or an ended
//! session leaves it valid.

use std::time::Duration;

use super::Sessions;
use crate::{
    Result, Secret,
    engine::{crypto::random::random_text, domain::credential::Credential, journal::caller::Caller},
    time::unix_now,
};

/// How long a device stays known that does not log in. Each login prolongs it.
const LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);

/// Maximum length of a device token: longer than any that authy makes.
const MAX_LENGTH: usize = 200;

impl Sessions {
    /// Makes a token for a device: the known one, or a new one.
    pub(super) fn device_token(&self, known: &Credential, device: Option<String>) -> Result<Secret> {
        let device = device.map_or_else(random_text::<12>, Ok)?;
        let expires = unix_now().saturating_add(LIFETIME.as_secs());
        let mac = self.device_mac.sign(&signed(known, &device, expires));
        Ok(Secret::new(format!("{device}.{expires}.{mac}")))
    }

    /// Returns the device whose token the caller sent, when it is valid for this account.
    pub(super) fn known_device(&self, caller: &Caller, known: &Credential) -> Option<String> {
        let token = DeviceToken::read(caller.client_info().device_token.as_ref()?.expose())?;
        let is_good = self.device_mac.verifies(&signed(known, token.device, token.expires), token.mac);
        (is_good && token.expires > unix_now()).then(|| token.device.to_owned())
    }
}

/// A device token, parsed and not verified.
#[derive(Debug, PartialEq)]
pub(in crate::engine) struct DeviceToken<'a> {
    pub(in crate::engine) device: &'a str,
    pub(in crate::engine) expires: u64,
    pub(in crate::engine) mac: &'a str,
}

impl<'a> DeviceToken<'a> {
    /// Reads `device.expires.MAC`; `None` when it is longer than any that authy makes, or not spelled in the same way.
    pub(in crate::engine) fn read(token: &'a str) -> Option<Self> {
        let (rest, mac) = token.rsplit_once('.').filter(|_| token.len() <= MAX_LENGTH)?;
        let (device, expires) = rest.split_once('.')?;
        // One spelling only: another one was not written by authy.
        let canonical = expires.parse::<u64>().ok().filter(|number| number.to_string() == expires)?;
        Some(Self { device, expires: canonical, mac })
    }
}

/// Returns the text that is signed. The parts before the device's have one length or no dot, so that no two sets of parts read
/// the same.
fn signed(known: &Credential, device: &str, expires: u64) -> String {
    let password = known.password_since.timestamp_micros().max(0);
    format!("{}.{password}.{device}.{expires}", known.user)
}
