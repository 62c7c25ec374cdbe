//! How many requests an address may make: what can be set, and the counting.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use authy_core::api::RateClass;
use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
};
use http::HeaderValue;

use crate::reply::whole_seconds;

mod setting;

use setting::Allowance;
pub use setting::{InvalidRateLimit, Limits, RateLimit};

/// From so many addresses on, neighbours share an allowance: a flood costs some 20 MB, not all memory.
const CROWD: usize = 200_000;

/// Counts the requests of every address.
pub(crate) struct Limiter {
    login: Class,
    register: Class,
    validate: Class,
    forgot: Class,
    default: Class,
    crowded: AtomicBool,
}

/// How an address stands after a request, as the fields of draft-ietf-httpapi-ratelimit-headers tell it.
pub(crate) struct Standing {
    /// `RateLimit-Policy`: every limit of the class.
    pub(crate) policy: HeaderValue,
    /// `RateLimit`: what is left of the one that is nearest to its end.
    pub(crate) state: HeaderValue,
    /// How long to wait, when this request is one too many.
    pub(crate) wait: Option<Duration>,
}

impl Limiter {
    /// Counts by these limits.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            login: Class::new("login", &limits.login),
            register: Class::new("register", &limits.register),
            validate: Class::new("validate", &limits.validate),
            forgot: Class::new("forgot", &limits.forgot),
            default: Class::new("default", &limits.default),
            crowded: AtomicBool::new(false),
        }
    }

    /// Counts a request; `None` when nothing limits it.
    pub(crate) fn count(&self, class: RateClass, address: IpAddr) -> Option<Standing> {
        let class = match class {
            RateClass::Login => &self.login,
            RateClass::Register => &self.register,
            RateClass::Validate => &self.validate,
            RateClass::Forgot => &self.forgot,
            RateClass::Default => &self.default,
            RateClass::Exempt => return None,
        };
        class.count(key(address, self.crowded.load(Ordering::Relaxed)))
    }

    /// Forgets the addresses whose allowance is whole again. To be called every now and then.
    pub(crate) fn forget(&self) {
        let classes = [&self.login, &self.register, &self.validate, &self.forgot, &self.default];
        let gates = classes.into_iter().flat_map(|class| &class.gates);
        let known = gates.map(|gate| {
            gate.counts.retain_recent();
            gate.counts.shrink_to_fit();
            gate.counts.len()
        });
        let crowded = known.max().unwrap_or(0) > CROWD;
        if crowded && !self.crowded.swap(crowded, Ordering::Relaxed) {
            tracing::warn!(addresses = CROWD, "very many addresses send requests: neighbours share their limits now");
        }
        self.crowded.store(crowded, Ordering::Relaxed);
    }
}

/// What one client has all of: an IPv4 address, or the /64 of an IPv6 address.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    key(address, false)
}

/// What shares one allowance: an IPv4 address, or the /64 that one IPv6 client has all of. In a crowd, a whole
/// neighbourhood.
fn key(address: IpAddr, crowded: bool) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let kept = if crowded { 16 } else { 32 };
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << (32 - kept))))
        }
        IpAddr::V6(address) => {
            let kept = if crowded { 32 } else { 64 };
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - kept))))
        }
    }
}

/// The limits of one class. A request has to pass every gate.
struct Class {
    // The shortest window first: what a burst is refused does not count against the longer windows.
    gates: Vec<Gate>,
    policy: HeaderValue,
}

struct Gate {
    name: String,
    allowance: Allowance,
    counts: DefaultKeyedRateLimiter<IpAddr, StateInformationMiddleware>,
}

impl Class {
    fn new(name: &str, limit: &RateLimit) -> Self {
        let mut allowances = limit.allowances().to_vec();
        allowances.sort_by_key(|allowance| allowance.unit);
        let gates: Vec<_> = allowances.into_iter().filter_map(|allowance| Gate::new(name, allowance)).collect();
        let policy = gates.iter().map(Gate::policy).collect::<Vec<_>>().join(", ");
        Self { gates, policy: HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("")) }
    }

    fn count(&self, key: IpAddr) -> Option<Standing> {
        let standing = |state: String, wait| {
            let state = HeaderValue::try_from(state).ok()?;
            Some(Standing { policy: self.policy.clone(), state, wait })
        };
        let mut tightest: Option<(u32, &Gate)> = None;
        for gate in &self.gates {
            let left = match gate.counts.check_key(&key) {
                Ok(state) => state.remaining_burst_capacity(),
                Err(until) => {
                    let wait = until.wait_time_from(DefaultClock::default().now());
                    return standing(gate.state(0, wait), Some(wait));
                }
            };
            if tightest.is_none_or(|(least, _)| left < least) {
                tightest = Some((left, gate));
            }
        }
        let (left, gate) = tightest?;
        standing(gate.state(left, gate.refill(left)), None)
    }
}

impl Gate {
    fn new(class: &str, allowance: Allowance) -> Option<Self> {
        let Allowance { count, unit } = allowance;
        let quota = Quota::with_period(unit.duration() / count.get())?.allow_burst(count);
        let counts = RateLimiter::keyed(quota).with_middleware();
        Some(Self { name: format!("{class}-{}", unit.name()), allowance, counts })
    }

    fn policy(&self) -> String {
        let Allowance { count, unit } = self.allowance;
        format!("\"{}\";q={count};w={}", self.name, unit.duration().as_secs())
    }

    fn state(&self, left: u32, until: Duration) -> String {
        format!("\"{}\";r={left};t={}", self.name, whole_seconds(until))
    }

    /// How long it takes until the allowance is whole again.
    fn refill(&self, left: u32) -> Duration {
        let Allowance { count, unit } = self.allowance;
        unit.duration() / count.get() * count.get().saturating_sub(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(default: &str) -> Limiter {
        Limiter::new(&Limits { default: default.parse().unwrap(), ..Limits::default() })
    }

    fn count(limiter: &Limiter, class: RateClass, address: &str) -> Standing {
        limiter.count(class, address.parse().unwrap()).unwrap()
    }

    fn passes(limiter: &Limiter, address: &str) -> bool {
        count(limiter, RateClass::Default, address).wait.is_none()
    }

    #[test]
    fn every_limit_has_to_hold_and_the_headers_tell_of_the_tightest() {
        let limiter = limiter("3/hour,2/day");
        let first = count(&limiter, RateClass::Default, "192.0.2.1");
        assert_eq!(first.policy, "\"default-hour\";q=3;w=3600, \"default-day\";q=2;w=86400");
        assert_eq!(first.state, "\"default-day\";r=1;t=43200");
        assert!(passes(&limiter, "192.0.2.1"));
        let refused = count(&limiter, RateClass::Default, "192.0.2.1");
        let wait = refused.wait.unwrap();
        assert!((43_100..=43_200).contains(&whole_seconds(wait)), "{wait:?}");
        assert_eq!(refused.state.to_str().unwrap(), format!("\"default-day\";r=0;t={}", whole_seconds(wait)));
    }

    #[test]
    fn classes_count_apart_and_what_is_exempt_or_off_is_not_counted() {
        let limiter = limiter("1/day");
        assert!(passes(&limiter, "192.0.2.1"));
        assert!(!passes(&limiter, "192.0.2.1"));
        assert_eq!(count(&limiter, RateClass::Login, "192.0.2.1").wait, None);
        let exempt = limiter.count(RateClass::Exempt, "192.0.2.1".parse().unwrap());
        assert!(exempt.is_none());
        let off = self::limiter("off").count(RateClass::Default, "192.0.2.1".parse().unwrap());
        assert!(off.is_none());
    }

    #[test]
    fn an_ipv6_client_cannot_escape_into_its_own_network() {
        let limiter = limiter("1/day");
        assert!(passes(&limiter, "2001:db8::1"));
        assert!(!passes(&limiter, "2001:db8::ffff:1"));
        assert!(passes(&limiter, "2001:db8:0:1::1"));
        assert!(passes(&limiter, "::ffff:192.0.2.1"));
        assert!(!passes(&limiter, "192.0.2.1"), "the same address in its IPv4 spelling");
    }

    #[test]
    fn a_crowd_is_limited_by_neighbourhood() {
        let crowded = |address: &str| key(address.parse().unwrap(), true).to_string();
        assert_eq!(crowded("192.0.2.1"), "192.0.0.0");
        assert_eq!(crowded("2001:db8:1:2::3"), "2001:db8::");
    }

    #[test]
    fn an_address_whose_allowance_is_whole_again_is_forgotten() {
        let limiter = limiter("1000000/second,1/day");
        assert!(passes(&limiter, "192.0.2.1"));
        let known = |limiter: &Limiter| limiter.default.gates.iter().map(|gate| gate.counts.len()).collect::<Vec<_>>();
        assert_eq!(known(&limiter), [1, 1]);
        std::thread::sleep(Duration::from_millis(5));
        limiter.forget();
        assert_eq!(known(&limiter), [0, 1]);
    }
}
