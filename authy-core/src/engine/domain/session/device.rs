//! Device tokens, which identify a device that logged in before.
//!
//! `device.expires.MAC(user, password, device, expires)`. A device token grants no access: its bearer still needs the
//! password, and gets no more guesses than others, only a separate count. It becomes invalid with a new password: an
//! attacker who knew the old password and created a thousand tokens cannot use them. A role change or the end of a
//! session leaves it valid.

use std::time::Duration;

use super::Sessions;
use crate::{
    Result, Secret,
    engine::{crypto::random::random_text, domain::credential::Credential, journal::caller::Caller},
    time::unix_now,
};

/// Time for which a device stays known without a login. Each login renews it.
const DEVICE_TOKEN_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);

/// Maximum length of a device token. The tokens of authy are shorter.
const MAX_DEVICE_TOKEN_LENGTH: usize = 200;

impl Sessions {
    /// Creates a token for a known device, or for a new one.
    pub(super) fn device_token(&self, known: &Credential, device: Option<String>) -> Result<Secret> {
        let device = device.map_or_else(random_text::<12>, Ok)?;
        let expires = unix_now().saturating_add(DEVICE_TOKEN_LIFETIME.as_secs());
        let mac = self.device_mac.sign(&signed(known, &device, expires));
        Ok(Secret::new(format!("{device}.{expires}.{mac}")))
    }

    /// Returns the device of the caller's device token, when it is valid for this account.
    pub(super) fn known_device(&self, caller: &Caller, known: &Credential) -> Option<String> {
        let token = presented(caller)?;
        let is_good = self.device_mac.verifies(&signed(known, token.device, token.expires), token.mac);
        (is_good && token.expires > unix_now()).then(|| token.device.to_owned())
    }
}

/// Returns the caller's device token, not verified.
pub(super) fn presented(caller: &Caller) -> Option<DeviceToken<'_>> {
    DeviceToken::read(caller.client_info().device_token.as_ref()?.expose())
}

/// A parsed device token, not verified.
#[derive(Debug, PartialEq)]
pub(in crate::engine) struct DeviceToken<'a> {
    pub(in crate::engine) device: &'a str,
    pub(in crate::engine) expires: u64,
    pub(in crate::engine) mac: &'a str,
}

impl<'a> DeviceToken<'a> {
    /// Parses `device.expires.MAC`; `None` when it is longer than any token of authy, or not in the canonical form.
    pub(in crate::engine) fn read(token: &'a str) -> Option<Self> {
        let (rest, mac) = token.rsplit_once('.').filter(|_| token.len() <= MAX_DEVICE_TOKEN_LENGTH)?;
        let (device, expires) = rest.split_once('.')?;
        // Only the canonical form, because authy writes no other.
        let canonical = expires.parse::<u64>().ok().filter(|number| number.to_string() == expires)?;
        Some(Self { device, expires: canonical, mac })
    }
}

/// Returns the signed text. The parts before the device have a fixed length or contain no dot, so that the text is
/// unambiguous.
fn signed(known: &Credential, device: &str, expires: u64) -> String {
    let password = known.password_since.timestamp_micros().max(0);
    format!("{}.{password}.{device}.{expires}", known.user)
}
