//! What shares an allowance: one client, and the networks around it with larger allowances.
//!
//! Each tier of each family counts in a map of its own with a fixed capacity. A crowd of addresses makes a map forget what was
//! used least; it never makes anybody share an allowance, and IPv6 never costs IPv4 an entry.

use std::{
    net::IpAddr,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use governor::{
    nanos::Nanos,
    state::{StateStore, keyed::ShrinkableKeyedStateStore},
};
use ipnet::IpNet;
use quick_cache::sync::Cache;

/// Networks of one size of one address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tier {
    is_v4: bool,
    prefix: u8,
    /// How many times the allowance of one client such a network has.
    pub(super) factor: u32,
    /// Maximum number of networks that are remembered. An entry takes about 120 bytes, so all tiers of one limit take at most
    /// 17 MB, and the six limits of the five classes 100 MB when all are attacked at once.
    capacity: usize,
}

/// The tiers, narrowest first in each family. Nothing wider than a /24 or a /48 is counted: beyond, networks belong to many
/// customers of a provider.
pub(super) const TIERS: [Tier; 5] = [
    // One IPv4 client, or everybody behind one NAT.
    Tier { is_v4: true, prefix: 32, factor: 1, capacity: 40_000 },
    // The smallest network that is routed by itself, 256 addresses: eight clients at their limit.
    Tier { is_v4: true, prefix: 24, factor: 8, capacity: 20_000 },
    // One IPv6 client has all of a /64.
    Tier { is_v4: false, prefix: 64, factor: 1, capacity: 40_000 },
    // What providers give a household: 256 networks of one customer.
    Tier { is_v4: false, prefix: 56, factor: 2, capacity: 20_000 },
    // What anybody gets for the asking: 65,536 networks of one customer, or many customers of a small provider.
    Tier { is_v4: false, prefix: 48, factor: 8, capacity: 20_000 },
];

impl Tier {
    /// The network of this tier that an address is in; `None` for the other family.
    pub(super) fn network(&self, address: IpAddr) -> Option<IpAddr> {
        (address.is_ipv4() == self.is_v4).then(|| truncated(address, self.prefix))
    }
}

/// What one client has all of: an IPv4 address, or the /64 of an IPv6 address.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    let address = address.to_canonical();
    truncated(address, if address.is_ipv4() { 32 } else { 64 })
}

/// The smallest network that is routed by itself: the /24 of an IPv4 address, or the /48 of an IPv6 address.
pub(crate) fn routed_network(address: IpAddr) -> IpAddr {
    let address = address.to_canonical();
    truncated(address, if address.is_ipv4() { 24 } else { 48 })
}

fn truncated(address: IpAddr, prefix: u8) -> IpAddr {
    IpNet::new(address, prefix).map_or(address, |network| network.network())
}

/// The counts of one tier: for each network the time at which its allowance is whole again, in nanoseconds since the start.
pub(super) struct Counts(Cache<IpAddr, Arc<AtomicU64>>);

impl Counts {
    pub(super) fn new(tier: &Tier) -> Self {
        Self(Cache::new(tier.capacity))
    }
}

impl StateStore for Counts {
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

impl ShrinkableKeyedStateStore<IpAddr> for Counts {
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
