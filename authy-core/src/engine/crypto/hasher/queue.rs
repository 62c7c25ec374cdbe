//! The order in which jobs are hashed, and how many of them anybody may have waiting.
//!
//! Two lines: one for callers who are known, by a device token or an access token, and one for everybody else. Each has places of
//! its own and they are served in turn, so a storm of unknown callers does not keep a known device out. In each line one network
//! has at most a quarter of the places.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
};

use crate::network;

/// One part in so many of a line's places is for one network. Four networks have to work together to fill a line.
const SHARES: usize = 4;

/// Who wants something hashed.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine) struct Asker {
    network: Option<IpAddr>,
    is_known: bool,
}

impl Asker {
    /// A caller at an address. Without an address nothing is shared: it is the program itself that asks.
    pub(in crate::engine) fn new(address: Option<IpAddr>, is_known: bool) -> Self {
        // What one customer has all of, or close to it.
        Self { network: address.map(network::routed), is_known }
    }

    pub(super) fn line(self) -> Line {
        if self.is_known { Line::Known } else { Line::Unknown }
    }
}

/// Which line a job waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Known,
    Unknown,
}

/// Both lines.
pub(super) struct Lines<T> {
    known: Waiting<T>,
    unknown: Waiting<T>,
    served_last: Line,
}

impl<T> Lines<T> {
    /// Lines for so many jobs of unknown callers, and a quarter as many of known ones.
    pub(super) fn new(capacity: usize) -> Self {
        let (known, unknown) = (Waiting::new(capacity.div_ceil(4)), Waiting::new(capacity));
        Self { known, unknown, served_last: Line::Unknown }
    }

    pub(super) fn len(&self) -> usize {
        self.known.jobs.len() + self.unknown.jobs.len()
    }

    pub(super) fn has_room(&self, asker: Asker) -> bool {
        match asker.line() {
            Line::Known => self.known.has_room(asker.network),
            Line::Unknown => self.unknown.has_room(asker.network),
        }
    }

    /// Adds a job; ids grow.
    pub(super) fn push(&mut self, asker: Asker, id: u64, job: T) {
        self.line(asker.line()).push(asker.network, id, job);
    }

    /// The job whose turn it is: of each line in turn, as long as both have some.
    pub(super) fn pop(&mut self) -> Option<T> {
        let (first, second) = match self.served_last {
            Line::Known => (Line::Unknown, Line::Known),
            Line::Unknown => (Line::Known, Line::Unknown),
        };
        for line in [first, second] {
            if let Some(job) = self.line(line).pop() {
                self.served_last = line;
                return Some(job);
            }
        }
        None
    }

    /// Takes a job out; `None` when its turn has come already.
    pub(super) fn remove(&mut self, line: Line, id: u64) -> Option<T> {
        self.line(line).remove(id)
    }

    fn line(&mut self, line: Line) -> &mut Waiting<T> {
        match line {
            Line::Known => &mut self.known,
            Line::Unknown => &mut self.unknown,
        }
    }
}

struct Waiting<T> {
    capacity: usize,
    jobs: VecDeque<(u64, Option<IpAddr>, T)>,
    /// How many jobs each network has waiting; never more entries than jobs.
    of_network: HashMap<IpAddr, usize>,
}

impl<T> Waiting<T> {
    fn new(capacity: usize) -> Self {
        Self { capacity, jobs: VecDeque::new(), of_network: HashMap::new() }
    }

    fn has_room(&self, network: Option<IpAddr>) -> bool {
        let taken = network.and_then(|network| self.of_network.get(&network)).copied().unwrap_or(0);
        self.jobs.len() < self.capacity && taken < self.capacity.div_ceil(SHARES)
    }

    fn push(&mut self, network: Option<IpAddr>, id: u64, job: T) {
        if let Some(network) = network {
            *self.of_network.entry(network).or_default() += 1;
        }
        self.jobs.push_back((id, network, job));
    }

    fn pop(&mut self) -> Option<T> {
        let (_, network, job) = self.jobs.pop_front()?;
        self.release(network);
        Some(job)
    }

    fn remove(&mut self, id: u64) -> Option<T> {
        let index = self.jobs.binary_search_by_key(&id, |(id, ..)| *id).ok()?;
        let (_, network, job) = self.jobs.remove(index)?;
        self.release(network);
        Some(job)
    }

    fn release(&mut self, network: Option<IpAddr>) {
        let Some(network) = network else { return };
        if let Some(count) = self.of_network.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.of_network.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_served_in_turn_and_each_in_order() {
        let mut lines = Lines::new(16);
        for id in 0..6 {
            lines.push(Asker::new(None, id % 3 == 2), id, id);
        }
        let served: Vec<_> = std::iter::from_fn(|| lines.pop()).collect();
        assert_eq!(served, [2, 0, 5, 1, 3, 4]);
    }

    #[test]
    fn a_place_that_is_given_up_can_be_taken_again() {
        let asker = Asker::new("192.0.2.1".parse().ok(), false);
        let mut lines = Lines::new(4);
        lines.push(asker, 1, ());
        assert!(!lines.has_room(asker) && !lines.has_room(Asker::new("192.0.2.200".parse().ok(), false)));
        assert!(lines.has_room(Asker::new("192.0.3.1".parse().ok(), false)));
        assert_eq!(lines.remove(asker.line(), 1), Some(()));
        assert_eq!(lines.remove(asker.line(), 1), None);
        assert!(lines.has_room(asker) && lines.unknown.of_network.is_empty());
    }
}
