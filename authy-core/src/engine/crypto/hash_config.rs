//! How passwords are hashed: threads, queue, and the cost of one hash.

use std::{fmt, num::ParseIntError, str::FromStr};

use argon2::Params;

/// How passwords are hashed, and how many at a time.
#[derive(Clone, Copy, Debug)]
pub struct HashConfig {
    /// The number of hashing threads.
    pub threads: usize,
    /// Maximum number of waiting passwords of unknown callers, for all threads together. A quarter as many of known devices and
    /// users may wait besides. One network has at most a quarter of either.
    pub queue: usize,
    /// The cost of one hash.
    pub argon2: Argon2Params,
}

impl Default for HashConfig {
    fn default() -> Self {
        // A hash keeps a core and its caches busy: more threads than cores make every hash slower.
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        // At some 15 ms a hash the last in the queue waits a second: longer, and its client has gone.
        Self { threads, queue: 64 * threads, argon2: Argon2Params::default() }
    }
}

/// The parameters of argon2id for new hashes, written `m=19456,t=2,p=1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    m_cost: u32,
    t_cost: u32,
    p_cost: u32,
}

/// Parameters that argon2 does not know, or that are more than [`Argon2Params`] allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidArgon2Params {
    /// Not of the form.
    #[error("argon2 parameters are written m=19456,t=2,p=1")]
    Form,
    /// Not a number of 32 bits.
    #[error("the value of an argon2 parameter is not a number")]
    Number(#[from] ParseIntError),
    /// Not what argon2 can do, or more than is allowed.
    #[error(
        "argon2 needs t and p of at least 1, m of at least 8 times p, and here m at most 262144, p at most 64, m times t at most 4194304"
    )]
    Range,
}

/// 256 MiB: a stored hash must not take the memory of the machine.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
/// Lanes are computed one after the other, so more of them gain nothing.
const MAX_LANES: u32 = 64;
/// In KiB filled: about two seconds, a hundred times the default.
const MAX_WORK: u64 = 4 * 1024 * 1024;

impl Argon2Params {
    /// `m_cost` KiB of memory, filled `t_cost` times in `p_cost` lanes.
    ///
    /// # Errors
    /// When argon2 does not know them, or they are more than 256 MiB, 64 lanes, or 4 GiB filled in all.
    pub fn new(m_cost: u32, t_cost: u32, p_cost: u32) -> Result<Self, InvalidArgon2Params> {
        let affordable = m_cost <= MAX_MEMORY_KIB
            && p_cost <= MAX_LANES
            && u64::from(m_cost) * u64::from(t_cost) <= MAX_WORK
            && Params::new(m_cost, t_cost, p_cost, None).is_ok();
        if affordable { Ok(Self { m_cost, t_cost, p_cost }) } else { Err(InvalidArgon2Params::Range) }
    }

    /// The memory of one hash, in KiB.
    pub fn m_cost(self) -> u32 {
        self.m_cost
    }

    /// How many times the memory is filled.
    pub fn t_cost(self) -> u32 {
        self.t_cost
    }

    /// The number of lanes.
    pub fn p_cost(self) -> u32 {
        self.p_cost
    }
}

/// OWASP's first choice for argon2id: 19 MiB, twice, one lane.
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
    fn what_is_out_of_range_or_out_of_form_is_refused() {
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
        fn no_text_is_too_much(text: String) {
            let _ = text.parse::<Argon2Params>();
        }
    }
}
