//! The configuration of password hashing: threads, queue, and the cost of one hash.

use std::{fmt, num::ParseIntError, str::FromStr};

use argon2::Params;

/// The configuration of password hashing.
#[derive(Clone, Copy, Debug)]
pub struct HashConfig {
    /// The number of hashing threads.
    pub threads: usize,
    /// Maximum number of waiting jobs for unknown callers, for all threads together. In addition, a quarter of this
    /// number may wait for known devices and users. One network may have at most a quarter of each.
    pub queue: usize,
    /// The cost of one hash.
    pub argon2: Argon2Params,
}

impl Default for HashConfig {
    fn default() -> Self {
        // A hash uses a whole core and its caches: more threads than cores make every hash slower.
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        // At about 15 ms per hash, the last job in the queue waits for one second. Clients give up after a longer wait.
        Self { threads, queue: 64 * threads, argon2: Argon2Params::default() }
    }
}

/// The parameters of argon2id for new hashes, written as `m=19456,t=2,p=1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    m_cost: u32,
    t_cost: u32,
    p_cost: u32,
}

/// Parameters that argon2 does not support, or that exceed the limits of [`Argon2Params`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidArgon2Params {
    /// The text does not have the right form.
    #[error("argon2 parameters are written m=19456,t=2,p=1")]
    Form,
    /// A value is not a 32-bit number.
    #[error("the value of an argon2 parameter is not a number")]
    Number(#[from] ParseIntError),
    /// A value is outside of the range of argon2, or exceeds a limit.
    #[error(
        "argon2 needs t and p of at least 1, m of at least 8 times p, and here m at most 262144, p at most 64, m times t at most 4194304"
    )]
    Range,
}

/// 256 MiB: a stored hash must not exhaust the memory of the machine.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
/// Lanes are computed one after the other, so more lanes have no benefit.
const MAX_LANES: u32 = 64;
/// In KiB filled: about two seconds, a hundred times the default.
const MAX_WORK: u64 = 4 * 1024 * 1024;

impl Argon2Params {
    /// Creates parameters: `m_cost` KiB of memory, filled `t_cost` times in `p_cost` lanes.
    ///
    /// # Errors
    /// When argon2 does not support them, or they exceed 256 MiB, 64 lanes, or 4 GiB filled in total.
    pub fn new(m_cost: u32, t_cost: u32, p_cost: u32) -> Result<Self, InvalidArgon2Params> {
        let affordable = m_cost <= MAX_MEMORY_KIB
            && p_cost <= MAX_LANES
            && u64::from(m_cost) * u64::from(t_cost) <= MAX_WORK
            && Params::new(m_cost, t_cost, p_cost, None).is_ok();
        if affordable { Ok(Self { m_cost, t_cost, p_cost }) } else { Err(InvalidArgon2Params::Range) }
    }

    /// Returns the memory of one hash, in KiB.
    pub fn m_cost(self) -> u32 {
        self.m_cost
    }

    /// Returns the number of times that the memory is filled.
    pub fn t_cost(self) -> u32 {
        self.t_cost
    }

    /// Returns the number of lanes.
    pub fn p_cost(self) -> u32 {
        self.p_cost
    }
}

/// OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
/// <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>
impl Default for Argon2Params {
    fn default() -> Self {
        Self { m_cost: 19456, t_cost: 2, p_cost: 1 }
    }
}

impl fmt::Display for Argon2Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { m_cost, t_cost, p_cost } = self;
        write!(f, "m={m_cost},t={t_cost},p={p_cost}")
    }
}

impl FromStr for Argon2Params {
    type Err = InvalidArgon2Params;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(',');
        let mut value = |name: &str| -> Result<u32, InvalidArgon2Params> {
            let part = parts.next().and_then(|part| part.strip_prefix(name));
            Ok(part.ok_or(InvalidArgon2Params::Form)?.parse()?)
        };
        let (m_cost, t_cost, p_cost) = (value("m=")?, value("t=")?, value("p=")?);
        match parts.next() {
            None => Self::new(m_cost, t_cost, p_cost),
            Some(_) => Err(InvalidArgon2Params::Form),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_default_is_written_as_documented_and_is_in_range() {
        let default = Argon2Params::default();
        assert_eq!(default.to_string(), "m=19456,t=2,p=1");
        assert_eq!(Argon2Params::new(default.m_cost, default.t_cost, default.p_cost), Ok(default));
    }

    #[test]
    fn parameters_out_of_range_or_malformed_are_refused() {
        for text in ["m=7,t=2,p=1", "m=19456,t=0,p=1", "m=15,t=2,p=2", "m=262145,t=1,p=1", "m=262144,t=17,p=1"] {
            assert_eq!(text.parse::<Argon2Params>(), Err(InvalidArgon2Params::Range), "{text}");
        }
        for text in ["", "m=8", "t=2,m=8,p=1", "m=8,t=1,p=1,", "m=8,t=1,p=1,x=1", " m=8,t=1,p=1"] {
            assert_eq!(text.parse::<Argon2Params>(), Err(InvalidArgon2Params::Form), "{text}");
        }
        for text in ["m=,t=1,p=1", "m=8,t=4294967296,p=1", "m=8,t=-1,p=1"] {
            assert!(matches!(text.parse::<Argon2Params>(), Err(InvalidArgon2Params::Number(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_read_back(m_cost: u32, t_cost: u32, p_cost: u32) {
            if let Ok(params) = Argon2Params::new(m_cost % 300_000, t_cost % 20, p_cost % 70) {
                prop_assert_eq!(params.to_string().parse(), Ok(params));
            }
        }

        #[test]
        fn any_text_is_parsed_or_refused_without_a_panic(text: String) {
            let _ = text.parse::<Argon2Params>();
        }
    }
}
