//! A histogram of durations that many threads observe at the same time.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The upper bounds of the buckets. From a token check, which takes tens of microseconds, to the longest that a request
/// waits; each about twice the one before, so that a quantile is known within a factor of two.
const BOUNDS: [Duration; 16] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Counts durations in fixed buckets. An observation is two atomic additions: no lock, no allocation.
#[derive(Debug, Default)]
pub struct Histogram {
    // The last bucket is that of durations beyond every bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

/// The counts of a [`Histogram`] at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramSnapshot {
    /// The upper bound of each bucket in seconds, the last one infinite, and the number of durations in it alone.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all durations.
    pub sum: Duration,
}

impl Histogram {
    /// Counts a duration.
    pub fn observe(&self, duration: Duration) {
        let bucket = BOUNDS.partition_point(|bound| *bound < duration);
        // Always there: there is one more bucket than bounds.
        if let Some(count) = self.buckets.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Returns the counts. A duration that is observed meanwhile may be in its bucket and not in the sum, or the reverse.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let bounds = BOUNDS.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(|count| count.load(Ordering::Relaxed));
        let sum = Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed));
        HistogramSnapshot { buckets: bounds.zip(counts).collect(), sum }
    }
}

impl HistogramSnapshot {
    /// Returns the number of durations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bounds_increase() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
    }

    proptest! {
        #[test]
        fn every_duration_is_in_the_first_bucket_whose_bound_it_does_not_exceed(nanoseconds in prop_oneof![
            0..20_000_000_000_u64,
            prop::sample::select(&BOUNDS[..]).prop_map(|bound| bound.as_nanos() as u64),
        ]) {
            let (histogram, duration) = (Histogram::default(), Duration::from_nanos(nanoseconds));
            histogram.observe(duration);
            let snapshot = histogram.snapshot();
            prop_assert_eq!((snapshot.count(), snapshot.sum), (1, duration));
            let expected = snapshot.buckets.iter().position(|(bound, _)| duration.as_secs_f64() <= *bound);
            prop_assert_eq!(snapshot.buckets.iter().position(|(_, count)| *count == 1), expected);
        }
    }
}
