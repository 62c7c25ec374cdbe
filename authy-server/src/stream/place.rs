//! The places of event streams, each of which is a connection that nothing but its client ends.
//!
//! Three kinds of followers have shares of their own: those from configured networks or with a certificate, those with a
//! good token, and all others. A crowd of one kind takes no place of another kind.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use authy_core::{Error, ErrorKind, Result, UserId, network};
use ipnet::IpNet;

/// How many event streams may be open, and for how long one may take no bytes.
#[derive(Clone, Debug)]
pub struct StreamLimits {
    /// The places of followers from [`HttpConfig::follower_networks`](crate::HttpConfig::follower_networks), and of those with a
    /// certificate of an authority for clients.
    pub configured: StreamShare,
    /// The places of followers with a valid token. There may be one for each sign-up, so they do not share with the
    /// configured.
    pub token: StreamShare,
    /// The places of all other followers.
    pub anonymous: StreamShare,
    /// Maximum time for which a client may take no bytes of an event stream; then it is closed.
    pub stall: Duration,
}

/// The places of one kind of followers. A limit that is as large as `places` has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamShare {
    /// Number of places.
    pub places: usize,
    /// Maximum number of places per user, for followers with a token.
    pub per_user: usize,
    /// Maximum number of places per IPv4 address or IPv6 /64.
    pub per_client: usize,
    /// Maximum number of places per IPv4 /24 or IPv6 /48.
    pub per_network: usize,
}

impl Default for StreamLimits {
    /// 4096 places, each a connection: many systems allow one process as many, and it is far more than a family of
    /// services needs.
    fn default() -> Self {
        Self {
            // Half of all. One address may be that of a cluster behind NAT. A service that opens streams and forgets
            // them leaves three quarters to the others.
            configured: StreamShare { places: 2048, per_user: 2048, per_client: 512, per_network: 2048 },
            // A service runs in some dozens of instances with one account. Filling the share takes 24 accounts in 6
            // networks.
            token: StreamShare { places: 1536, per_user: 64, per_client: 256, per_network: 256 },
            // The processes of one machine, and two such machines in one network. Configure the networks of larger
            // deployments.
            anonymous: StreamShare { places: 512, per_user: 512, per_client: 32, per_network: 64 },
            // A stream carries an event every second, and our verifiers reconnect after five seconds without one.
            stall: Duration::from_secs(10),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum FollowerKind {
    Configured,
    Token,
    Anonymous,
}

/// What a place counts for: each has a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum CountedBy {
    Everyone,
    User(UserId),
    Client(IpAddr),
    Network(IpAddr),
}

/// All places, and how many are taken.
pub(super) struct StreamPlaces {
    limits: StreamLimits,
    configured: Vec<IpNet>,
    counts: Arc<PlaceCounts>,
}

struct PlaceCounts {
    by_key: Mutex<HashMap<(FollowerKind, CountedBy), usize>>,
    /// Number of taken anonymous places above which they are crowded.
    crowd: usize,
    is_crowded: AtomicBool,
}

/// A place, which is free again when this is dropped.
pub(crate) struct StreamPlace {
    counts: Arc<PlaceCounts>,
    kind: FollowerKind,
    keys: [Option<CountedBy>; 4],
}

impl StreamPlaces {
    pub(super) fn new(limits: StreamLimits, configured: Vec<IpNet>) -> Self {
        let crowd = limits.anonymous.places / 2;
        let counts = Arc::new(PlaceCounts { by_key: Mutex::default(), crowd, is_crowded: AtomicBool::new(false) });
        Self { limits, configured, counts }
    }

    /// Takes a place of the first of the follower's kinds that has one left. A follower with a token may also take an
    /// anonymous place, so that sending a token is never a disadvantage.
    ///
    /// # Errors
    /// [`ErrorKind::Overloaded`] when there is none.
    pub(super) fn take(&self, address: IpAddr, user: Option<UserId>) -> Result<StreamPlace> {
        let address = address.to_canonical();
        let is_configured = self.configured.iter().any(|network| network.contains(&address));
        self.take_first(is_configured, address, user)
    }

    /// Takes a place for a follower with a certificate, who has the places of configured networks.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(super) fn take_certified(&self, address: IpAddr, user: Option<UserId>) -> Result<StreamPlace> {
        self.take_first(true, address.to_canonical(), user)
    }

    fn take_first(&self, is_configured: bool, address: IpAddr, user: Option<UserId>) -> Result<StreamPlace> {
        let kinds = [
            is_configured.then_some(FollowerKind::Configured),
            user.and(Some(FollowerKind::Token)),
            Some(FollowerKind::Anonymous),
        ];
        let place = kinds.into_iter().flatten().find_map(|kind| self.take_of(kind, address, user));
        place.ok_or_else(|| Error::new(ErrorKind::Overloaded, "too many event streams are open"))
    }

    /// Returns the number of taken places of each kind.
    pub(super) fn taken(&self) -> [(&'static str, usize); 3] {
        let counts = self.counts.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        let kinds = [
            ("configured", FollowerKind::Configured),
            ("token", FollowerKind::Token),
            ("anonymous", FollowerKind::Anonymous),
        ];
        kinds.map(|(name, kind)| (name, counts.get(&(kind, CountedBy::Everyone)).copied().unwrap_or(0)))
    }

    fn take_of(&self, kind: FollowerKind, address: IpAddr, user: Option<UserId>) -> Option<StreamPlace> {
        let share = match kind {
            FollowerKind::Configured => &self.limits.configured,
            FollowerKind::Token => &self.limits.token,
            FollowerKind::Anonymous => &self.limits.anonymous,
        };
        let limited = [
            Some((CountedBy::Everyone, share.places)),
            user.map(|user| (CountedBy::User(user), share.per_user)),
            Some((CountedBy::Client(network::of_client(address)), share.per_client)),
            Some((CountedBy::Network(network::routed(address)), share.per_network)),
        ];
        let mut counts = self.counts.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        let is_free = |(key, limit)| counts.get(&(kind, key)).copied().unwrap_or(0) < limit;
        if !limited.into_iter().flatten().all(is_free) {
            return None;
        }
        let keys = limited.map(|limited| limited.map(|(key, _)| key));
        for key in keys.into_iter().flatten() {
            *counts.entry((kind, key)).or_default() += 1;
        }
        self.counts.note_crowd(&counts);
        drop(counts);
        Some(StreamPlace { counts: self.counts.clone(), kind, keys })
    }
}

impl PlaceCounts {
    fn note_crowd(&self, counts: &HashMap<(FollowerKind, CountedBy), usize>) {
        let anonymous = counts.get(&(FollowerKind::Anonymous, CountedBy::Everyone)).copied().unwrap_or(0);
        self.is_crowded.store(anonymous > self.crowd, Ordering::Relaxed);
    }
}

impl StreamPlace {
    /// Returns whether it is an anonymous place, and more than half of those are taken.
    pub(super) fn is_crowded(&self) -> bool {
        self.kind == FollowerKind::Anonymous && self.counts.is_crowded.load(Ordering::Relaxed)
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut counts = self.counts.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        for key in self.keys.into_iter().flatten() {
            if let Entry::Occupied(mut entry) = counts.entry((self.kind, key)) {
                match entry.get() {
                    0..=1 => drop(entry.remove()),
                    count => drop(entry.insert(count - 1)),
                }
            }
        }
        self.counts.note_crowd(&counts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> StreamPlaces {
        StreamPlaces::new(StreamLimits::default(), vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()])
    }

    /// Takes places from these addresses until there is none left, and returns them with their number.
    fn fill(
        places: &StreamPlaces,
        user: Option<UserId>,
        addresses: impl IntoIterator<Item = String>,
    ) -> (Vec<StreamPlace>, usize) {
        let mut taken = Vec::new();
        for address in addresses {
            while let Ok(place) = places.take(address.parse().unwrap(), user) {
                taken.push(place);
            }
        }
        let count = taken.len();
        (taken, count)
    }

    fn has_room(places: &StreamPlaces, address: &str, user: Option<UserId>) -> bool {
        places.take(address.parse().unwrap(), user).is_ok()
    }

    /// The addresses of one network, by number.
    type Network = fn(u32) -> String;

    #[test]
    fn an_address_and_a_network_take_a_small_part_of_the_anonymous_places() {
        let networks: [(Network, usize); 4] = [
            (|_| "192.0.2.1".to_owned(), 32),
            (|number| format!("192.0.2.{number}"), 64),
            (|number| format!("2001:db8:1:1::{number:x}"), 32),
            (|number| format!("2001:db8:1:{number:x}::1"), 64),
        ];
        for (address, limit) in networks {
            let places = places();
            let (taken, count) = fill(&places, None, (0..40).map(address));
            assert_eq!(count, limit, "{}", address(1));
            assert!(has_room(&places, "192.0.3.1", None) && has_room(&places, "2001:db8:2::1", None));
            assert!(!has_room(&places, &address(1), None));
            drop(taken);
            assert!(has_room(&places, &address(1), None), "places are free again");
            assert!(places.counts.by_key.lock().unwrap().is_empty());
        }
    }

    #[test]
    fn no_crowd_of_one_kind_takes_a_place_of_another() {
        let places = places();
        let crowd = |number: u32| format!("198.51.{number}.1");
        let (_anonymous, count) = fill(&places, None, (0..200).map(crowd));
        assert_eq!(count, 512);
        assert!(!has_room(&places, "192.0.2.1", None));
        let user = UserId::random();
        assert!(has_room(&places, "192.0.2.1", Some(user)) && has_room(&places, "10.1.2.3", None));
        assert!(has_room(&places, "::ffff:10.1.2.3", None) && has_room(&places, "fd00::1", None));

        let (of_user, count) = fill(&places, Some(user), (0..200).map(crowd));
        assert_eq!(count, 64, "of one user, from all addresses");
        assert!(has_room(&places, "198.51.0.1", Some(UserId::random())), "the next user");
        drop(of_user);
        let mut of_users = Vec::new();
        for number in 0..200 {
            of_users.extend(fill(&places, Some(UserId::random()), [crowd(number % 7)]).0);
        }
        assert_eq!(of_users.len(), 1536);
        assert!(!has_room(&places, "192.0.2.1", Some(user)));

        assert!(has_room(&places, "10.1.2.3", None), "networks that are configured");
        let (_configured, count) = fill(&places, None, ["10.1.2.3".to_owned()]);
        assert_eq!(count, 512);
        assert!(has_room(&places, "10.1.2.4", None));
    }

    #[test]
    fn a_follower_with_a_token_gets_an_anonymous_place_when_there_is_no_other() {
        let places = places();
        let (_taken, count) = fill(&places, Some(UserId::random()), ["192.0.2.1".to_owned()]);
        assert_eq!(count, 64 + 32);
    }

    #[test]
    fn anonymous_places_are_crowded_when_more_than_half_are_taken() {
        let places = places();
        let crowd = |number: u32| places.take(format!("198.51.{number}.1").parse().unwrap(), None).unwrap();
        let mut taken: Vec<_> = (0..256).map(crowd).collect();
        let configured = places.take("10.0.0.1".parse().unwrap(), None).unwrap();
        assert!(!taken[0].is_crowded());
        taken.push(places.take("192.0.2.1".parse().unwrap(), None).unwrap());
        assert!(taken[0].is_crowded() && !configured.is_crowded());
        taken.pop();
        assert!(!taken[0].is_crowded());
    }
}
