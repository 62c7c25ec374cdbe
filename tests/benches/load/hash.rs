//! What this machine can hash: the limit of logins.

use std::{
    thread,
    time::{Duration, Instant},
};

use argon2::{Algorithm, Argon2, Block, Params, Version};

/// What one hash with authy's default parameters costs here, memory reused.
pub(crate) struct Hashing {
    /// CPU seconds of one hash while nothing else runs: the least of some.
    pub(crate) alone: f64,
    /// CPU seconds of one hash while every core hashes: cores share caches and memory, and so slow each other down.
    pub(crate) together: f64,
}

/// Measures both.
pub(crate) fn measure(cores: usize) -> Hashing {
    let alone = (0..30).map(|_| hashes(1)).min().unwrap_or_default();
    let threads: Vec<_> = (0..cores).map(|_| thread::spawn(|| hashes_for(Duration::from_secs(3)))).collect();
    let together = threads
        .into_iter()
        .filter_map(|thread| thread.join().ok())
        .fold((0, Duration::ZERO), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    Hashing { alone: alone.as_secs_f64(), together: together.1.as_secs_f64() / f64::from(together.0) }
}

fn hashes_for(duration: Duration) -> (u32, Duration) {
    let begun = Instant::now();
    let (mut count, mut time) = (0, Duration::ZERO);
    while begun.elapsed() < duration {
        time += hashes(10);
        count += 10;
    }
    (count, time)
}

fn hashes(times: u32) -> Duration {
    let params = Params::new(19_456, 2, 1, Some(32)).unwrap_or_default();
    let mut memory = vec![Block::new(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    // Once unmeasured: the first touches the memory.
    let mut hash = || {
        let (before, mut out) = (thread_time(), [0; 32]);
        let hashed = argon2.hash_password_into_with_memory(b"tangerine", b"sixteen bytes ok", &mut out, &mut memory);
        assert!(hashed.is_ok(), "{hashed:?}");
        thread_time() - before
    };
    hash();
    (0..times).map(|_| hash()).sum()
}

fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
