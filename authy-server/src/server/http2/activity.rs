//! Whether a connection of HTTP/2 is in use.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// The use of one connection.
pub(super) struct Activity {
    state: Mutex<ActivityState>,
    end: Notify,
}

struct ActivityState {
    in_flight: usize,
    had_request: bool,
    /// When the last request ended, or the connection began.
    since: Instant,
}

/// A request that is being answered, until this is dropped.
pub(super) struct InFlight(Arc<Activity>);

impl Default for Activity {
    fn default() -> Self {
        let state = ActivityState { in_flight: 0, had_request: false, since: Instant::now() };
        Self { state: Mutex::new(state), end: Notify::new() }
    }
}

impl Activity {
    /// Records that a request has begun.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        let mut state = self.lock();
        state.in_flight += 1;
        state.had_request = true;
        InFlight(self.clone())
    }

    /// Asks the connection to accept no further request.
    pub(super) fn ask_for_end(&self) {
        self.end.notify_one();
    }

    /// Returns when somebody has asked for it.
    pub(super) async fn end_is_asked_for(&self) {
        self.end.notified().await;
    }

    /// Returns when no request has been in flight for longer than is allowed, which is asked again at least once per
    /// `interval`, with whether there has been a request.
    pub(super) async fn idle_for(&self, interval: Duration, allowed: impl Fn(bool) -> Duration) {
        let begun = Instant::now();
        loop {
            let (idle, had_request) = {
                let state = self.lock();
                ((state.in_flight == 0).then(|| state.since.max(begun).elapsed()), state.had_request)
            };
            let allowed = allowed(had_request);
            let left = match idle {
                Some(idle) if idle >= allowed => return,
                Some(idle) => allowed.saturating_sub(idle),
                None => allowed,
            };
            sleep(left.min(interval)).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, ActivityState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.in_flight -= 1;
        state.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::time::timeout;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_connection_is_idle_when_no_request_has_been_in_flight_for_the_whole_time() {
        let activity = Arc::new(Activity::default());
        let mut idle = pin!(activity.idle_for(SHORT, |_| 2 * SHORT));
        let request = activity.begin();
        assert!(timeout(6 * SHORT, idle.as_mut()).await.is_err(), "a request is in flight");
        drop(request);
        let ended = Instant::now();
        timeout(Duration::from_secs(20), idle).await.expect("it is not idle");
        assert!(ended.elapsed() >= 2 * SHORT - Duration::from_millis(1), "{:?}", ended.elapsed());
    }

    #[tokio::test]
    async fn the_first_request_has_its_own_time() {
        let activity = Arc::new(Activity::default());
        let allowed = |had_request| if had_request { LONG } else { SHORT };
        timeout(Duration::from_secs(20), activity.idle_for(SHORT, allowed)).await.expect("it is not idle");
        drop(activity.begin());
        assert!(timeout(4 * SHORT, activity.idle_for(SHORT, allowed)).await.is_err());
    }
}
