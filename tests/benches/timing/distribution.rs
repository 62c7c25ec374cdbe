//! Samples, and how far two sets of them are apart.

use std::time::Duration;

/// Sorted samples.
pub(crate) struct Distribution(Vec<Duration>);

impl Distribution {
    pub(crate) fn new(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        Self(samples)
    }

    pub(crate) fn quantile(&self, q: f64) -> Duration {
        self.0[((self.0.len() - 1) as f64 * q).round() as usize]
    }

    /// The greatest difference of the shares that took at most some time.
    pub(crate) fn distance(&self, other: &Self) -> f64 {
        let share = |samples: &[Duration], time| {
            samples.partition_point(|sample| *sample <= time) as f64 / samples.len() as f64
        };
        let times = self.0.iter().chain(&other.0);
        times.map(|&time| (share(&self.0, time) - share(&other.0, time)).abs()).fold(0.0, f64::max)
    }

    /// What two sets of as many samples from one distribution reach once in a thousand times.
    pub(crate) fn critical(&self) -> f64 {
        1.95 * (2.0 / self.0.len() as f64).sqrt()
    }

    pub(crate) fn differs_from(&self, other: &Self) -> bool {
        self.distance(other) > self.critical()
    }
}
