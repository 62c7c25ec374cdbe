//! The networks that share an allowance: one client, and the networks around it with larger allowances.
//!
//! Each tier of each family counts in a map of its own with a fixed capacity. When a map is full, it forgets the
//! least used entries; unrelated addresses never share an allowance, and IPv6 never displaces IPv4.

use std::{
    net::IpAddr,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use authy_core::network;
use governor::{
    nanos::Nanos,
    state::{StateStore, keyed::ShrinkableKeyedStateStore},
};
use quick_cache::sync::Cache;

/// Networks of one size of one address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tier {
    is_v4: bool,
    prefix: u8,
    /// How many times the allowance of one client such a network has.
    pub(super) factor: u32,
    /// Maximum number of networks that are remembered. An entry takes about 120 bytes, so all tiers of one limit take
    /// at most 17 MB, and the six limits of the five classes 100 MB when all are attacked at once.
    capacity: usize,
}

/// The tiers, narrowest first in each family. Nothing wider than a /24 or a /48 is counted: beyond, networks belong to
/// many customers of a provider.
pub(super) const TIERS: [Tier; 5] = [
    // One IPv4 client, or all clients behind one NAT.
    Tier { is_v4: true, prefix: 32, factor: 1, capacity: 40_000 },
    // The smallest network that is routed by itself, 256 addresses: eight clients at their limit.
    Tier { is_v4: true, prefix: 24, factor: 8, capacity: 20_000 },
    // One IPv6 client.
    Tier { is_v4: false, prefix: 64, factor: 1, capacity: 40_000 },
    // What providers give a household: 256 networks of one customer.
    Tier { is_v4: false, prefix: 56, factor: 2, capacity: 20_000 },
    // What any customer gets on request: 65,536 networks, or many customers of a small provider.
    Tier { is_v4: false, prefix: 48, factor: 8, capacity: 20_000 },
];

impl Tier {
    /// Returns the network of an address in this tier; `None` for the other family.
    pub(super) fn network(&self, address: IpAddr) -> Option<IpAddr> {
        (address.is_ipv4() == self.is_v4).then(|| network::prefix(address, self.prefix, self.prefix))
    }
}

/// The counts of one tier: for each network the time at which its allowance is complete again, in nanoseconds since the
/// start.
pub(super) struct TierCounts(Cache<IpAddr, Arc<AtomicU64>>);

impl TierCounts {
    pub(super) fn new(tier: &Tier) -> Self {
        Self(Cache::new(tier.capacity))
    }
}

impl StateStore for TierCounts {
    type Key = IpAddr;

    fn measure_and_replace<T, F, E>(&self, network: &IpAddr, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let count = self.0.get_or_insert_with(network, || Ok::<_, E>(Arc::default()))?;
        let mut known = count.load(Ordering::Acquire);
        loop {
            let (answer, next) = decide(NonZeroU64::new(known).map(|known| Nanos::new(known.get())))?;
            match count.compare_exchange_weak(known, next.as_u64(), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(answer),
                Err(other) => known = other,
            }
        }
    }
}

impl ShrinkableKeyedStateStore<IpAddr> for TierCounts {
    fn retain_recent(&self, drop_below: Nanos) {
        self.0.retain(|_, count| count.load(Ordering::Relaxed) > drop_below.as_u64());
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
