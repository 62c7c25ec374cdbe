//! The places of event streams, each of which is a connection that nothing but its client ends.
//!
//! Three kinds of followers have shares of their own: those from configured networks, those with a good token, and all others.
//! A crowd of one kind takes no place of another kind.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use authy_core::{Error, ErrorKind, Result, UserId};
use ipnet::IpNet;

use crate::limit;

/// How many event streams may be open, and for how long one may take no bytes.
#[derive(Clone, Debug)]
pub struct StreamLimits {
    /// The places of followers from [`HttpConfig::follower_networks`](crate::HttpConfig::follower_networks).
    pub configured: StreamShare,
    /// The places of followers with a good token. There may be one for each sign-up, so they do not share with the configured.
    pub token: StreamShare,
    /// The places of everybody else.
    pub anonymous: StreamShare,
    /// An event stream is closed when its connection takes no bytes for so long.
    pub stall: Duration,
}

/// The places of one kind of followers. A limit that is as large as `places` never matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamShare {
    /// All of them.
    pub places: usize,
    /// Of one user, as far as a token says who it is.
    pub per_user: usize,
    /// Of one IPv4 address, or one IPv6 /64.
    pub per_client: usize,
    /// Of one IPv4 /24, or one IPv6 /48.
    pub per_network: usize,
}

impl Default for StreamLimits {
    /// 4096 places in all: a connection each, which many systems allow to one process, and far more than a family of services has.
    fn default() -> Self {
        Self {
            // Half of all. One address may be that of a whole cluster behind NAT; one that opens streams and forgets them leaves
            // three quarters to the others.
            configured: StreamShare { places: 2048, per_user: 2048, per_client: 512, per_network: 2048 },
            // A service runs in some dozens of instances with one account. Filling the share takes 24 accounts in 6 networks.
            token: StreamShare { places: 1536, per_user: 64, per_client: 256, per_network: 256 },
            // The processes of one machine, and two such machines in one network. Who has more names them.
            anonymous: StreamShare { places: 512, per_user: 512, per_client: 32, per_network: 64 },
            // A live stream carries an event every second, and followers of ours give up after five seconds of silence.
            stall: Duration::from_secs(10),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Configured,
    Token,
    Anonymous,
}

/// What places are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Holder {
    Everybody,
    User(UserId),
    Client(IpAddr),
    Network(IpAddr),
}

/// The places that there are, and who has which.
pub(super) struct Places {
    limits: StreamLimits,
    configured: Vec<IpNet>,
    taken: Arc<Taken>,
}

struct Taken {
    counts: Mutex<HashMap<(Kind, Holder), usize>>,
    // The number of anonymous places beyond which they are crowded.
    crowd: usize,
    is_crowded: AtomicBool,
}

/// One place, until it is dropped.
pub(crate) struct Place {
    taken: Arc<Taken>,
    kind: Kind,
    holders: [Option<Holder>; 4],
}

impl Places {
    pub(super) fn new(limits: StreamLimits, configured: Vec<IpNet>) -> Self {
        let crowd = limits.anonymous.places / 2;
        let taken = Arc::new(Taken { counts: Mutex::default(), crowd, is_crowded: AtomicBool::new(false) });
        Self { limits, configured, taken }
    }

    /// Takes a place of the first kind that a follower is of and that has one left. A named follower may also take an
    /// anonymous place, so that naming oneself is never worse.
    ///
    /// # Errors
    /// [`ErrorKind::Overloaded`] when there is none.
    pub(super) fn take(&self, address: IpAddr, user: Option<UserId>) -> Result<Place> {
        let address = address.to_canonical();
        let is_configured = self.configured.iter().any(|network| network.contains(&address));
        let kinds = [is_configured.then_some(Kind::Configured), user.and(Some(Kind::Token)), Some(Kind::Anonymous)];
        let place = kinds.into_iter().flatten().find_map(|kind| self.take_of(kind, address, user));
        place.ok_or_else(|| Error::new(ErrorKind::Overloaded, "too many event streams are open"))
    }

    fn take_of(&self, kind: Kind, address: IpAddr, user: Option<UserId>) -> Option<Place> {
        let share = match kind {
            Kind::Configured => &self.limits.configured,
            Kind::Token => &self.limits.token,
            Kind::Anonymous => &self.limits.anonymous,
        };
        let limited = [
            Some((Holder::Everybody, share.places)),
            user.map(|user| (Holder::User(user), share.per_user)),
            Some((Holder::Client(limit::network(address)), share.per_client)),
            Some((Holder::Network(limit::routed_network(address)), share.per_network)),
        ];
        let mut counts = self.taken.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_free = |(holder, limit)| counts.get(&(kind, holder)).copied().unwrap_or(0) < limit;
        if !limited.into_iter().flatten().all(is_free) {
            return None;
        }
        let holders = limited.map(|limited| limited.map(|(holder, _)| holder));
        for holder in holders.into_iter().flatten() {
            *counts.entry((kind, holder)).or_default() += 1;
        }
        self.taken.note_crowd(&counts);
        drop(counts);
        Some(Place { taken: self.taken.clone(), kind, holders })
    }
}

impl Taken {
    fn note_crowd(&self, counts: &HashMap<(Kind, Holder), usize>) {
        let anonymous = counts.get(&(Kind::Anonymous, Holder::Everybody)).copied().unwrap_or(0);
        self.is_crowded.store(anonymous > self.crowd, Ordering::Relaxed);
    }
}

impl Place {
    /// Whether it is one of the anonymous places, of which more than half are taken.
    pub(super) fn is_crowded(&self) -> bool {
        self.kind == Kind::Anonymous && self.taken.is_crowded.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.taken.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for holder in self.holders.into_iter().flatten() {
            if let Entry::Occupied(mut entry) = counts.entry((self.kind, holder)) {
                match entry.get() {
                    0..=1 => drop(entry.remove()),
                    count => drop(entry.insert(count - 1)),
                }
            }
        }
        self.taken.note_crowd(&counts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        Places::new(StreamLimits::default(), vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()])
    }

    /// Takes places from these addresses until there is none left, and returns them with their number.
    fn fill(places: &Places, user: Option<UserId>, addresses: impl IntoIterator<Item = String>) -> (Vec<Place>, usize) {
        let mut taken = Vec::new();
        for address in addresses {
            while let Ok(place) = places.take(address.parse().unwrap(), user) {
                taken.push(place);
            }
        }
        let count = taken.len();
        (taken, count)
    }

    fn has_room(places: &Places, address: &str, user: Option<UserId>) -> bool {
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
            assert!(places.taken.counts.lock().unwrap().is_empty());
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
        assert_eq!(count, 64, "of one user, wherever");
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
    fn who_is_named_has_an_anonymous_place_when_there_is_no_other() {
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
