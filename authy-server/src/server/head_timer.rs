//! The time for the head of a request, and the longer time for which a connection may be idle before it.
//!
//! hyper has one timeout for both: its timer starts when it begins to wait for a head, and ends with the head. This
//! timer begins with the idle time, and goes over to the time for a head when bytes arrive. On a new connection it
//! begins with the time for a head, because a client connects when it has something to send.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::rt::Timer;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::places::Places;

/// Says whether bytes have arrived on a connection since it began to wait for a head.
#[derive(Clone, Default)]
pub(super) struct ArrivalFlag(Arc<AtomicBool>);

impl ArrivalFlag {
    /// Records that bytes have arrived.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The timer of one connection. The timeout that hyper is given is the idle time.
pub(super) struct HeadTimer {
    head_timeout: Duration,
    arrival: ArrivalFlag,
    places: Arc<Places>,
    had_head: AtomicBool,
}

impl HeadTimer {
    pub(super) fn new(head_timeout: Duration, arrival: ArrivalFlag, places: Arc<Places>) -> Self {
        Self { head_timeout, arrival, places, had_head: AtomicBool::new(false) }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, idle_time: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(self.now() + idle_time)
    }

    fn sleep_until(&self, idle_deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        // Bytes of a next head that came together with the previous request do not count: its client has the idle time.
        self.arrival.clear();
        let has_begun = !self.had_head.swap(true, Ordering::Relaxed);
        let (deadline, head_deadline) = (idle_deadline.into(), Instant::now() + self.head_timeout);
        Box::pin(HeadSleep {
            sleep: sleep_until(head_deadline.min(deadline)),
            deadline,
            has_begun,
            head_timeout: self.head_timeout,
            arrival: self.arrival.clone(),
            places: self.places.clone(),
        })
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into()
    }
}

pin_project! {
    /// Ends when the connection is to be closed.
    struct HeadSleep {
        #[pin]
        sleep: Sleep,
        // When the idle time is over.
        deadline: Instant,
        has_begun: bool,
        head_timeout: Duration,
        arrival: ArrivalFlag,
        places: Arc<Places>,
    }
}

impl hyper::rt::Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        // hyper polls this after each read.
        if !*this.has_begun && this.arrival.is_set() {
            *this.has_begun = true;
            this.sleep.as_mut().reset(Instant::now() + *this.head_timeout);
        }
        loop {
            ready!(this.sleep.as_mut().poll(cx));
            let now = Instant::now();
            // While others wait for its place, an idle connection has no more time than a head.
            if *this.has_begun || now >= *this.deadline || this.places.is_full() {
                return Poll::Ready(());
            }
            this.sleep.as_mut().reset((now + *this.head_timeout).min(*this.deadline));
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
        arrival: ArrivalFlag,
        places: Arc<Places>,
    }

    impl Connection {
        fn new(head_timeout: Duration) -> Self {
            let (arrival, places) = (ArrivalFlag::default(), Arc::new(Places::new(1)));
            Self { timer: HeadTimer::new(head_timeout, arrival.clone(), places.clone()), arrival, places }
        }

        /// A connection that had its first request.
        fn idle(head_timeout: Duration) -> Self {
            let connection = Self::new(head_timeout);
            drop(connection.timer.sleep(LONG));
            connection.arrival.set();
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
        connection.arrival.set();
        closed(sleep).await;
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
