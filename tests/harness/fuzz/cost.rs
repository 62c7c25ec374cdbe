//! What reading costs. CPU time of the thread, and the least of several runs: other programs on the machine do not
//! count.

use std::{hint::black_box, time::Duration};

use rustix::time::{ClockId, clock_gettime};

use super::{FuzzTarget, LONGEST};

/// What any input may cost, however short: the cheapest stored hash that is verified, tables that are made once, and an
/// unoptimised build.
const ANY: Duration = Duration::from_millis(60);

/// What a byte may cost at most. An unoptimised build takes about a microsecond for a byte of JSON, and up to five for
/// the dearest (names of settings that there are not, each compared with all that there are).
const BYTE: Duration = Duration::from_micros(10);

/// The CPU time that some work takes on this thread.
pub fn cpu_time(work: impl FnOnce()) -> Duration {
    let begun = now();
    work();
    now().saturating_sub(begun)
}

fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

fn least(target: &FuzzTarget, input: &[u8], runs: usize) -> Duration {
    (0..runs).map(|_| cpu_time(|| (target.run)(black_box(input)))).min().unwrap()
}

/// Reads an input; returns the time, when it exceeds the bound for an input of that length.
pub(super) fn excess(target: &FuzzTarget, input: &[u8]) -> Option<String> {
    let bound = ANY + BYTE * u32::try_from(input.len()).unwrap();
    // Once is enough for nearly all of them; what seems expensive is looked at again.
    if least(target, input, 1) <= bound {
        return None;
    }
    let took = least(target, input, 5);
    let said = format!("{}: {} bytes took {took:?}, and may take {bound:?}", target.name, input.len());
    (took > bound).then_some(said)
}

/// How the time of a reader grows with the length of what it reads.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    /// The time of a quarter of the longest input.
    pub quarter: Duration,
    /// The time of the longest.
    pub whole: Duration,
}

impl Growth {
    /// Below this a difference is the machine's, and no reader worth mending.
    const NOISE: Duration = Duration::from_millis(3);

    /// Measures a target with two inputs of one shape, the second four times as long.
    pub fn measure(target: &FuzzTarget, quarter: &[u8], whole: &[u8]) -> Self {
        // The first reading makes tables and faults pages in. What is quick all the same is quick.
        let mut growth = Self { quarter: Duration::ZERO, whole: least(target, whole, 2) };
        if growth.is_linear() {
            return growth;
        }
        growth = Self { quarter: least(target, quarter, 3), whole: growth.whole.min(least(target, whole, 2)) };
        for _ in 0..3 {
            if growth.is_linear() {
                break;
            }
            growth.quarter = growth.quarter.max(least(target, quarter, 3));
            growth.whole = growth.whole.min(least(target, whole, 3));
        }
        growth
    }

    /// Whether four times the length took about four times as long: a quadratic reader takes sixteen times as long, one
    /// that sorts little more than four times.
    pub fn is_linear(self) -> bool {
        self.whole <= self.quarter * 7 + Self::NOISE
    }

    /// The lengths that are measured.
    pub const LENGTHS: [usize; 2] = [LONGEST / 4, LONGEST];
}
