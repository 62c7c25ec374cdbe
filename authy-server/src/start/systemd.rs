//! What systemd is told when it has started the program (`Type=notify`, `WatchdogSec=`). Otherwise nobody is told.

use std::time::Duration;

use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::time::{MissedTickBehavior, interval};

/// Says that the server listens.
pub(super) fn ready() {
    tell(NotifyState::Ready);
}

/// Says that the server is about to end, so that systemd does not expect a sign of life for longer than it permits a stop.
pub(super) fn stopping() {
    tell(NotifyState::Stopping);
}

/// Gives signs of life, twice in the time after which systemd restarts the program. Runs on the threads of the requests:
/// when those hang, it hangs too. Does not depend on the database, which a restart would not repair.
pub(super) async fn give_signs_of_life() {
    let Some(time) = watchdog_enabled() else { return };
    let mut tick = interval((time / 2).max(Duration::from_millis(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        tell(NotifyState::Watchdog);
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = notify(&[state]) {
        tracing::warn!(%error, "systemd cannot be notified");
    }
}
