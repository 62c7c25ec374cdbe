//! Rate limits per client address.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use authy_core::{
    Error, ErrorKind, Result,
    api::{RateClass, failure::whole_seconds},
};
use governor::{
    Quota,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
};
use http::HeaderValue;

mod setting;
mod tier;

use setting::Allowance;
pub use setting::{InvalidRateLimit, RateLimit, RateLimits};
use tier::{TIERS, Tier, TierCounts};

/// Counts the requests of every address, in memory of bounded size. The server has one, and
/// [`AuthyService::limiter`](crate::AuthyService::limiter) returns it; a program that embeds authy without the API
/// checks its own requests with another, and calls [`forget`](Self::forget) from time to time.
///
/// ```
/// use std::{net::IpAddr, sync::Arc, time::Duration};
///
/// use authy_core::{Error, api::RateClass};
/// use authy_server::{RateLimiter, RateLimits};
///
/// /// Creates the limiter at the start of a program.
/// fn limiter() -> Arc<RateLimiter> {
///     let limiter = Arc::new(RateLimiter::new(&RateLimits::default()));
///     let weak = Arc::downgrade(&limiter);
///     tokio::spawn(async move {
///         while let Some(limiter) = weak.upgrade() {
///             limiter.forget();
///             drop(limiter);
///             tokio::time::sleep(Duration::from_secs(60)).await;
///         }
///     });
///     limiter
/// }
///
/// fn before_a_login(limiter: &RateLimiter, client: IpAddr) -> Result<(), Error> {
///     limiter.check(RateClass::Login, client) // 429 with the time to wait, beyond 100 logins an hour
/// }
/// ```
pub struct RateLimiter {
    login: ClassLimiter,
    register: ClassLimiter,
    validate: ClassLimiter,
    forgot: ClassLimiter,
    default: ClassLimiter,
}

/// The rate limits of an address after a request, as the fields of draft-ietf-httpapi-ratelimit-headers.
pub(crate) struct RateLimitStatus {
    /// `RateLimit-Policy`: every limit of the class.
    pub(crate) policy: HeaderValue,
    /// `RateLimit`: what is left of the limit that is closest to being reached.
    pub(crate) state: HeaderValue,
    /// How long to wait, when the request exceeds a limit.
    pub(crate) wait: Option<Duration>,
}

impl RateLimitStatus {
    /// Returns an error when the request exceeds a limit.
    pub(crate) fn permit(&self) -> Result<()> {
        let exceeded = || Error::new(ErrorKind::RateLimited, "too many requests from this address");
        self.wait.map_or(Ok(()), |wait| Err(exceeded().with_retry_after(wait)))
    }
}

impl RateLimiter {
    /// Creates a limiter with these limits.
    pub fn new(limits: &RateLimits) -> Self {
        Self {
            login: ClassLimiter::new("login", &limits.login),
            register: ClassLimiter::new("register", &limits.register),
            validate: ClassLimiter::new("validate", &limits.validate),
            forgot: ClassLimiter::new("forgot", &limits.forgot),
            default: ClassLimiter::new("default", &limits.default),
        }
    }

    /// Counts a request from an address.
    ///
    /// # Errors
    /// [`ErrorKind::RateLimited`], with the time to wait, when it exceeds a limit.
    pub fn check(&self, class: RateClass, address: IpAddr) -> Result<()> {
        self.count(class, address).map_or(Ok(()), |status| status.permit())
    }

    /// Counts a request; `None` when it is not limited.
    pub(crate) fn count(&self, class: RateClass, address: IpAddr) -> Option<RateLimitStatus> {
        let class = match class {
            RateClass::Login => &self.login,
            RateClass::Register => &self.register,
            RateClass::Validate => &self.validate,
            RateClass::Forgot => &self.forgot,
            RateClass::Default => &self.default,
            RateClass::Exempt => return None,
        };
        class.count(address.to_canonical())
    }

    /// Forgets the addresses whose allowance is complete again. Call it from time to time to release memory, unless the
    /// limiter is that of an [`AuthyService`](crate::AuthyService), which does.
    pub fn forget(&self) {
        let classes = [&self.login, &self.register, &self.validate, &self.forgot, &self.default];
        for window in classes.into_iter().flat_map(|class| &class.windows) {
            window.counts.retain_recent();
        }
    }
}

/// The limits of one class. A request has to pass every limiter of its address family.
struct ClassLimiter {
    // One client's before those of the networks around it, and the shortest window first: a request that one of them
    // refuses does not count at the later ones.
    windows: Vec<WindowLimiter>,
    policy: HeaderValue,
}

/// One window of one tier.
struct WindowLimiter {
    name: String,
    allowance: Allowance,
    tier: Tier,
    counts: governor::RateLimiter<IpAddr, TierCounts, DefaultClock, StateInformationMiddleware>,
}

impl ClassLimiter {
    fn new(name: &str, limit: &RateLimit) -> Self {
        let mut allowances = limit.allowances().to_vec();
        allowances.sort_by_key(|allowance| allowance.unit);
        let windows = TIERS.into_iter().flat_map(|tier| allowances.iter().map(move |allowance| (tier, *allowance)));
        let windows = windows.filter_map(|(tier, allowance)| WindowLimiter::new(name, tier, allowance)).collect();
        let policy = allowances.iter().map(|allowance| allowance.policy(name)).collect::<Vec<_>>().join(", ");
        Self { windows, policy: HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("")) }
    }

    fn count(&self, address: IpAddr) -> Option<RateLimitStatus> {
        let status = |state: String, wait| {
            let state = HeaderValue::try_from(state).ok()?;
            Some(RateLimitStatus { policy: self.policy.clone(), state, wait })
        };
        let mut tightest: Option<(u32, &WindowLimiter)> = None;
        for window in &self.windows {
            let Some(network) = window.tier.network(address) else { continue };
            let left = match window.counts.check_key(&network) {
                Ok(state) => state.remaining_burst_capacity(),
                Err(until) => {
                    let wait = until.wait_time_from(DefaultClock::default().now());
                    return status(window.state(0, wait), Some(wait));
                }
            };
            // What the network of a client has left would reveal the requests of others.
            if window.tier.factor == 1 && tightest.is_none_or(|(least, _)| left < least) {
                tightest = Some((left, window));
            }
        }
        let (left, window) = tightest?;
        status(window.state(left, window.refill(left)), None)
    }
}

impl WindowLimiter {
    fn new(class: &str, tier: Tier, allowance: Allowance) -> Option<Self> {
        let Allowance { count, unit } = allowance;
        let count = count.saturating_mul(NonZeroU32::new(tier.factor)?);
        let quota = Quota::with_period(unit.duration() / count.get())?.allow_burst(count);
        let counts = governor::RateLimiter::new(quota, TierCounts::new(&tier), DefaultClock::default());
        Some(Self { name: allowance.name(class), allowance, tier, counts })
    }

    fn state(&self, left: u32, until: Duration) -> String {
        format!("\"{}\";r={left};t={}", self.name, whole_seconds(until))
    }

    /// Returns the time until the allowance is complete again.
    fn refill(&self, left: u32) -> Duration {
        let Allowance { count, unit } = self.allowance;
        unit.duration() / count.get() * count.get().saturating_sub(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(default: &str) -> RateLimiter {
        RateLimiter::new(&RateLimits { default: default.parse().unwrap(), ..RateLimits::default() })
    }

    fn count(limiter: &RateLimiter, class: RateClass, address: &str) -> RateLimitStatus {
        limiter.count(class, address.parse().unwrap()).unwrap()
    }

    fn v6(bits: u128) -> IpAddr {
        bits.to_be_bytes().into()
    }

    fn passes(limiter: &RateLimiter, address: &str) -> bool {
        count(limiter, RateClass::Default, address).wait.is_none()
    }

    #[test]
    fn every_limit_has_to_hold_and_the_headers_show_the_tightest() {
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
    fn a_request_beyond_the_limit_is_refused_with_the_time_to_wait() {
        let (limiter, address) = (limiter("1/day"), "192.0.2.1".parse().unwrap());
        limiter.check(RateClass::Default, address).unwrap();
        limiter.check(RateClass::Exempt, address).unwrap();
        let refused = limiter.check(RateClass::Default, address).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::RateLimited);
        assert!(refused.retry_after().is_some_and(|wait| wait > Duration::from_secs(86_000)), "{refused:?}");
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
    fn a_crowd_of_addresses_costs_the_users_of_a_provider_nothing() {
        let limiter = limiter("10/hour");
        // From 200,000 addresses all over both families, more than are remembered.
        for number in 0..200_000_u32 {
            let address = match number % 2 {
                0 => IpAddr::from(number.wrapping_mul(0x9e37_79b1).to_be_bytes()),
                _ => v6(u128::from(number.wrapping_mul(0x9e37_79b1)) << 80 | 0x2a00 << 112),
            };
            limiter.count(RateClass::Default, address).unwrap();
        }
        limiter.forget();
        for user in 0..100_u32 {
            for _ in 0..5 {
                assert!(passes(&limiter, &format!("198.51.{user}.7")), "user {user} of a provider with a /16");
                assert!(passes(&limiter, &format!("2001:db8:{user:x}::7")), "user {user} of a provider with a /32");
            }
        }
        let known = limiter.default.windows.iter().map(|window| window.counts.len());
        assert!(known.sum::<usize>() <= 140_000, "what is remembered is bounded");
    }

    /// The addresses of one network, by number.
    type Network = fn(u32) -> String;

    #[test]
    fn a_network_has_a_few_times_the_allowance_of_one_client() {
        let networks: [(u32, Network); 3] = [
            (8, |number| format!("192.0.2.{number}")),
            (2, |number| format!("2001:db8:1:{number:x}::1")),
            (8, |number| format!("2001:db8:2:{number:x}00::1")),
        ];
        for (factor, address) in networks {
            let limiter = limiter("5/day");
            let requests = (0..200).flat_map(|number| [number; 3]).map(address);
            let passed = requests.filter(|address| passes(&limiter, address)).count();
            assert_eq!(passed, 5 * factor as usize, "{}", address(1));
            assert!(passes(&limiter, "192.0.3.1") && passes(&limiter, "2001:db8:3::1"), "the next network");
        }
    }

    #[test]
    fn many_addresses_of_one_family_displace_none_of_the_other() {
        let limiter = limiter("1/day");
        assert!(passes(&limiter, "192.0.2.1"));
        for number in 0..100_000_u128 {
            limiter.count(RateClass::Default, v6(0x2001_0db8 << 96 | number << 64)).unwrap();
            limiter.count(RateClass::Default, v6(0x2a00 << 112 | number << 80)).unwrap();
        }
        assert!(!passes(&limiter, "192.0.2.1"));
    }

    #[test]
    fn an_address_whose_allowance_is_whole_again_is_forgotten() {
        let limiter = limiter("1000000/second,1/day");
        assert!(passes(&limiter, "192.0.2.1"));
        let known = |limiter: &RateLimiter| {
            limiter.default.windows.iter().map(|window| window.counts.len()).collect::<Vec<_>>()
        };
        assert_eq!(known(&limiter)[..4], [1, 1, 1, 1]);
        std::thread::sleep(Duration::from_millis(5));
        limiter.forget();
        assert_eq!(known(&limiter)[..4], [0, 1, 0, 1]);
    }
}
