//! What this machine can hash: the limit of logins; and with an estimate of the password's strength: that of sign-ups.

use std::{
    thread,
    time::{Duration, Instant},
};

use allocator_api2::alloc::System;
use argon2::{Algorithm, Argon2, Block, Params, Version};

/// What one hash with authy's default parameters costs here, memory reused.
pub(crate) struct Hashing {
    /// CPU seconds of one hash while nothing else runs: the least of some.
    pub(crate) alone: f64,
    /// CPU seconds of one hash while every core hashes: cores share caches and memory, and so slow each other down.
    pub(crate) together: f64,
    /// CPU seconds of one estimate by zxcvbn, as a sign-up needs it, while every core estimates.
    pub(crate) estimate: f64,
}

/// Measures both.
pub(crate) fn measure(cores: usize) -> Hashing {
    let alone = (0..30).map(|_| hashes(1)).min().unwrap_or_default();
    let (together, estimate) = (together(cores, || hashes(10)), together(cores, || estimates(10)));
    Hashing { alone: alone.as_secs_f64(), together, estimate }
}

/// CPU seconds of one of the ten that `ten` measures, while every core does the same.
fn together(cores: usize, ten: fn() -> Duration) -> f64 {
    let threads: Vec<_> = (0..cores).map(|_| thread::spawn(move || ten_for(Duration::from_secs(3), ten))).collect();
    let (count, time) = threads
        .into_iter()
        .filter_map(|thread| thread.join().ok())
        .fold((0, Duration::ZERO), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    time.as_secs_f64() / f64::from(count)
}

fn ten_for(duration: Duration, ten: fn() -> Duration) -> (u32, Duration) {
    let begun = Instant::now();
    let (mut count, mut time) = (0, Duration::ZERO);
    while begun.elapsed() < duration {
        time += ten();
        count += 10;
    }
    (count, time)
}

fn estimates(times: u32) -> Duration {
    let before = thread_time();
    for number in 0..times {
        let (name, address) = (format!("load-{number}"), format!("load-{number}@example.org"));
        let estimate = zxcvbn::zxcvbn("tangerine-lighthouse-42", &[&name, &address, &name, "authy"]);
        assert!(estimate.guesses() > 1);
    }
    thread_time() - before
}

fn hashes(times: u32) -> Duration {
    let params = Params::new(19_456, 2, 1, Some(32)).unwrap_or_default();
    // In a mapping of its own, as in the server: glibc makes one for more than 32 MiB.
    let mut memory = allocator_api2::vec::Vec::new_in(System);
    memory.reserve_exact(2 * params.block_count());
    memory.resize(params.block_count(), Block::new());
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
