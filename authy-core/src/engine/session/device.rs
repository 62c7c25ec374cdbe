//! Device tokens: what makes a device known that logged in before.
//!
//! `device.expires.MAC(user, password, device, expires)`. It opens nothing: whoever has it still has to know the password, and
//! gets no more guesses than anybody, only a count of its own. It goes with the password it was made for: who knew the last one
//! and made a thousand of them begins at nothing with the next. A changed role or an ended session leaves it good.

use std::time::{Duration, UNIX_EPOCH};

use super::*;

/// How long a device stays known that does not log in. Each login prolongs it.
const LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);

/// More than any of ours has.
const LONGEST: usize = 200;

impl Authy {
    /// A token for a device: the one that is known, or a new one.
    pub(super) fn device_token(&self, known: &Known, device: Option<String>) -> Result<Secret> {
        let device = device.map_or_else(random_text::<12>, Ok)?;
        let expires = Timestamp::now().plus(LIFETIME).as_unix();
        let mac = self.device_mac().sign(&signed(known, &device, expires));
        Ok(Secret::new(format!("{device}.{expires}.{mac}")))
    }

    /// The device that a caller sends the token of, when it is this account's.
    pub(super) fn known_device(&self, caller: &Caller, known: &Known) -> Option<String> {
        let token = DeviceToken::read(caller.origin().device_token.as_ref()?.expose())?;
        let is_good = self.device_mac().verifies(&signed(known, token.device, token.expires), token.mac);
        (is_good && token.expires > Timestamp::now().as_unix()).then(|| token.device.to_owned())
    }
}

/// A device token, read and not verified.
#[derive(Debug, PartialEq)]
pub(in crate::engine) struct DeviceToken<'a> {
    pub(in crate::engine) device: &'a str,
    pub(in crate::engine) expires: u64,
    pub(in crate::engine) mac: &'a str,
}

impl<'a> DeviceToken<'a> {
    /// Reads `device.expires.MAC`; `None` when it is longer than any of ours, or not spelled as ours are.
    pub(in crate::engine) fn read(token: &'a str) -> Option<Self> {
        let (rest, mac) = token.rsplit_once('.').filter(|_| token.len() <= LONGEST)?;
        let (device, expires) = rest.split_once('.')?;
        // One spelling only: what is not written as we write it was not written by us.
        let canonical = expires.parse::<u64>().ok().filter(|number| number.to_string() == expires)?;
        Some(Self { device, expires: canonical, mac })
    }
}

/// What is signed. The parts before the device's have one length or no dot, so that no two sets of parts read the same.
fn signed(known: &Known, device: &str, expires: u64) -> String {
    let password = known.password_since.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    format!("{}.{password}.{device}.{expires}", known.id)
}
