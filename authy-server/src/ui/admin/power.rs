//! The power that keys and deliveries need.

use authy_core::{Identity, Level};

/// The level of those who may do everything.
pub(super) const FULL_POWER: u32 = 0;

/// Returns whether the level in the token permits everything. The engine proves it when something is done.
pub(super) fn has_full_power(caller: &Identity) -> bool {
    caller.level.at_least(Level::clamped(FULL_POWER))
}
