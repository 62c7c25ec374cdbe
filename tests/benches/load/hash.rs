//! What one password hash costs: the limit of logins.

use std::time::Duration;

use argon2::{Algorithm, Argon2, Block, Params, Version};

/// The CPU seconds of one hash with authy's default parameters and reused memory: the least of some.
pub(crate) fn cpu_seconds() -> f64 {
    let params = Params::new(19_456, 2, 1, Some(32)).unwrap_or_default();
    let mut memory = vec![Block::new(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut times: Vec<Duration> = (0..30)
        .map(|_| {
            let (before, mut out) = (thread_time(), [0; 32]);
            let hashed =
                argon2.hash_password_into_with_memory(b"tangerine", b"sixteen bytes ok", &mut out, &mut memory);
            assert!(hashed.is_ok(), "{hashed:?}");
            thread_time() - before
        })
        .collect();
    times.sort();
    times.first().copied().unwrap_or_default().as_secs_f64()
}

fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
