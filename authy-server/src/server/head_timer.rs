//! The time for the head of a request, and the longer time for which a connection may be idle before it.
//!
//! hyper has one timeout for both: its timer starts when it begins to wait for a head, and ends with the head. This
//! timer begins with the idle time, and goes over to the time for a head when bytes arrive. On a new connection it
//! begins with the time for a head, because a client connects when it has something to send.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::rt::Timer;
use tokio::time::{Instant, Sleep, sleep};

use super::{parked::PARK_AFTER, places::Places, traffic::Traffic};

/// The timer of one connection. The timeout that hyper is given is the idle time.
pub(super) struct HeadTimer {
    idle_time: Duration,
    had_head: AtomicBool,
    waiting: Arc<Waiting>,
}

/// What the timer and the waits for heads share.
struct Waiting {
    head_timeout: Duration,
    traffic: Traffic,
    places: Arc<Places>,
    /// The alarm of the connection, which is kept from one head to the next: to set it takes a lock that all connections share. So it
    /// may ring too early, and is set again then.
    alarm: Mutex<Pin<Box<Sleep>>>,
}

impl HeadTimer {
    pub(super) fn new(head_timeout: Duration, idle_time: Duration, traffic: Traffic, places: Arc<Places>) -> Self {
        let alarm = Mutex::new(Box::pin(sleep(head_timeout)));
        let waiting = Arc::new(Waiting { head_timeout, traffic, places, alarm });
        Self { idle_time, had_head: AtomicBool::new(false), waiting }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, idle_time: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(self.now() + idle_time)
    }

    fn sleep_until(&self, idle_deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        // Bytes of a next head that came together with the previous request do not count: its client has the idle time.
        self.waiting.traffic.set_arrived(false);
        let has_begun = !self.had_head.swap(true, Ordering::Relaxed);
        let deadline = Instant::from(idle_deadline);
        // hyper has read the clock for the deadline.
        let now = deadline.checked_sub(self.idle_time).unwrap_or(deadline);
        let crowded = deadline.min(now + self.waiting.head_timeout);
        let next = if has_begun { crowded } else { crowded.min(now + PARK_AFTER) };
        Box::pin(HeadSleep { deadline, crowded, next, has_begun, waiting: self.waiting.clone() })
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into()
    }
}

/// Ends when the connection is to be closed.
struct HeadSleep {
    // When the idle time is over.
    deadline: Instant,
    // The same while others wait for the place of the connection: it has no more time than a head.
    crowded: Instant,
    // When to look again.
    next: Instant,
    has_begun: bool,
    waiting: Arc<Waiting>,
}

impl hyper::rt::Sleep for HeadSleep {}

impl Drop for HeadSleep {
    // A head has come, or the connection is closed.
    fn drop(&mut self) {
        self.waiting.traffic.set_idle(false);
    }
}

impl Future for HeadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let HeadSleep { deadline, crowded, next, has_begun, waiting } = &mut *self;
        let Waiting { head_timeout, traffic, places, alarm } = &**waiting;
        // hyper polls this after each read.
        if !*has_begun && traffic.has_arrived() {
            *has_begun = true;
            *next = Instant::now() + *head_timeout;
        }
        let mut alarm = alarm.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if alarm.deadline() > *next {
                alarm.as_mut().reset(*next);
            }
            ready!(alarm.as_mut().poll(cx));
            let now = Instant::now();
            if now < *next {
                alarm.as_mut().reset(*next);
                continue;
            }
            if *has_begun || now >= *deadline || (now >= *crowded && places.is_full()) {
                return Poll::Ready(());
            }
            // What is still to be written is hyper's affair.
            traffic.set_idle(!traffic.is_blocked());
            *next = if now < *crowded { *crowded } else { (now + *head_timeout).min(*deadline) };
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(3600);

    struct Connection {
        timer: HeadTimer,
        traffic: Traffic,
        places: Arc<Places>,
    }

    impl Connection {
        fn new(head_timeout: Duration) -> Self {
            let (traffic, places) = (Traffic::default(), Arc::new(Places::new(1)));
            Self { timer: HeadTimer::new(head_timeout, LONG, traffic.clone(), places.clone()), traffic, places }
        }

        /// A connection that had its first request.
        fn idle(head_timeout: Duration) -> Self {
            let connection = Self::new(head_timeout);
            drop(connection.timer.sleep(LONG));
            connection.traffic.set_arrived(true);
            connection
        }
    }

    /// Waits until a connection is closed, much less than the long time.
    async fn closed(sleep: impl Future<Output = ()>) {
        timeout(Duration::from_secs(20), sleep).await.expect("it is not closed");
    }

    #[tokio::test]
    async fn an_idle_connection_has_its_own_time() {
        closed(Connection::idle(LONG).timer.sleep(SHORT)).await;
        let idle = Connection::idle(SHORT);
        let mut kept = idle.timer.sleep(LONG);
        // Several times the time of a head.
        assert!(timeout(4 * SHORT, kept.as_mut()).await.is_err());
    }

    #[tokio::test]
    async fn a_new_connection_has_the_time_of_a_head() {
        closed(Connection::new(SHORT).timer.sleep(LONG)).await;
    }

    #[tokio::test]
    async fn a_head_that_has_begun_must_end_in_time() {
        let connection = Connection::idle(SHORT);
        let mut sleep = connection.timer.sleep(LONG);
        assert!(timeout(2 * SHORT, sleep.as_mut()).await.is_err());
        connection.traffic.set_arrived(true);
        closed(sleep).await;
    }

    #[tokio::test]
    async fn a_connection_is_idle_until_a_head_comes_and_not_while_an_answer_is_written() {
        let connection = Connection::idle(SHORT);
        connection.traffic.set_blocked(true);
        let mut sleep = connection.timer.sleep(LONG);
        assert!(timeout(2 * SHORT, sleep.as_mut()).await.is_err());
        assert!(!connection.traffic.is_idle(), "an answer is being written");
        connection.traffic.set_blocked(false);
        assert!(timeout(2 * SHORT, sleep.as_mut()).await.is_err());
        assert!(connection.traffic.is_idle());
        drop(sleep);
        assert!(!connection.traffic.is_idle(), "a head has come");
    }

    #[tokio::test]
    async fn an_idle_connection_makes_way_for_those_that_wait() {
        let connection = Connection::idle(SHORT);
        let _place = connection.places.take().await;
        let mut sleep = connection.timer.sleep(LONG);
        assert!(timeout(2 * SHORT, sleep.as_mut()).await.is_err());
        assert!(timeout(SHORT, connection.places.take()).await.is_err() && connection.places.is_full());
        closed(sleep).await;
    }
}
