//! The order of the hash jobs, and the limits on waiting jobs.
//!
//! There are two queues: one for callers who are known by a device token or an access token, and one for all others.
//! Each has its own capacity, and the threads take from both in turn, so that many unknown callers do not block a known
//! device. In each queue, one network can use at most a quarter of the capacity.
//!
//! A third queue is for work that no caller waits for: a thread takes from it only when both others are empty.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
};

use crate::network;

/// The fraction of a queue that one network can use: one part in this number. To fill a queue, four networks have to
/// cooperate.
const NETWORK_SHARE: usize = 4;

/// A caller who needs a password hash.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine) struct HashRequester {
    network: Option<IpAddr>,
    is_known: bool,
    is_background: bool,
}

impl HashRequester {
    /// Creates a requester at an address. Without an address, no network limit applies: the request comes from this
    /// program.
    pub(in crate::engine) fn new(address: Option<IpAddr>, is_known: bool) -> Self {
        // The smallest separately routed network: wider ones belong to many customers.
        Self { network: address.map(network::routed), is_known, is_background: false }
    }

    /// Creates the requester of work that no caller waits for.
    pub(in crate::engine) fn background() -> Self {
        Self { is_background: true, ..Self::default() }
    }

    pub(super) fn queue_kind(self) -> QueueKind {
        match (self.is_background, self.is_known) {
            (true, _) => QueueKind::Background,
            (false, true) => QueueKind::Known,
            (false, false) => QueueKind::Unknown,
        }
    }
}

/// The queue in which a job waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueueKind {
    Known,
    Unknown,
    Background,
}

/// Maximum number of waiting jobs that no caller waits for. More of them are refused, and are offered again later.
const BACKGROUND_CAPACITY: usize = 4;

/// All queues.
pub(super) struct JobQueues<T> {
    known: JobQueue<T>,
    unknown: JobQueue<T>,
    background: JobQueue<T>,
    served_last: QueueKind,
}

impl<T> JobQueues<T> {
    /// Creates queues with a capacity for unknown callers, and a quarter of it for known ones.
    pub(super) fn new(capacity: usize) -> Self {
        let (known, unknown) = (JobQueue::new(capacity.div_ceil(4)), JobQueue::new(capacity));
        let background = JobQueue::new(BACKGROUND_CAPACITY);
        Self { known, unknown, background, served_last: QueueKind::Unknown }
    }

    pub(super) fn len(&self) -> usize {
        self.known.jobs.len() + self.unknown.jobs.len() + self.background.jobs.len()
    }

    pub(super) fn has_room(&self, requester: HashRequester) -> bool {
        match requester.queue_kind() {
            QueueKind::Known => self.known.has_room(requester.network),
            QueueKind::Unknown => self.unknown.has_room(requester.network),
            QueueKind::Background => self.background.has_room(requester.network),
        }
    }

    /// Adds a job. IDs must increase.
    pub(super) fn push(&mut self, requester: HashRequester, id: u64, job: T) {
        self.queue_kind(requester.queue_kind()).push(requester.network, id, job);
    }

    /// Returns the next job: from the queues of callers in turn while both have jobs, and from the other one when neither
    /// has.
    pub(super) fn pop(&mut self) -> Option<T> {
        let (first, second) = match self.served_last {
            QueueKind::Known => (QueueKind::Unknown, QueueKind::Known),
            QueueKind::Unknown | QueueKind::Background => (QueueKind::Known, QueueKind::Unknown),
        };
        for queue_kind in [first, second] {
            if let Some(job) = self.queue_kind(queue_kind).pop() {
                self.served_last = queue_kind;
                return Some(job);
            }
        }
        self.background.pop()
    }

    /// Removes a job; `None` when it has already started.
    pub(super) fn remove(&mut self, queue_kind: QueueKind, id: u64) -> Option<T> {
        self.queue_kind(queue_kind).remove(id)
    }

    fn queue_kind(&mut self, queue_kind: QueueKind) -> &mut JobQueue<T> {
        match queue_kind {
            QueueKind::Known => &mut self.known,
            QueueKind::Unknown => &mut self.unknown,
            QueueKind::Background => &mut self.background,
        }
    }
}

struct JobQueue<T> {
    capacity: usize,
    jobs: VecDeque<(u64, Option<IpAddr>, T)>,
    /// The number of waiting jobs per network. It never has more entries than there are jobs.
    of_network: HashMap<IpAddr, usize>,
}

impl<T> JobQueue<T> {
    fn new(capacity: usize) -> Self {
        Self { capacity, jobs: VecDeque::new(), of_network: HashMap::new() }
    }

    fn has_room(&self, network: Option<IpAddr>) -> bool {
        let taken = network.and_then(|network| self.of_network.get(&network)).copied().unwrap_or(0);
        self.jobs.len() < self.capacity && taken < self.capacity.div_ceil(NETWORK_SHARE)
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
    fn the_queues_are_served_in_turn_and_each_in_order() {
        let mut queues = JobQueues::new(16);
        for id in 0..6 {
            queues.push(HashRequester::new(None, id % 3 == 2), id, id);
        }
        let served: Vec<_> = std::iter::from_fn(|| queues.pop()).collect();
        assert_eq!(served, [2, 0, 5, 1, 3, 4]);
    }

    #[test]
    fn work_that_no_caller_waits_for_is_done_when_nobody_waits() {
        let mut queues = JobQueues::new(16);
        for id in 0..3 {
            queues.push(HashRequester::background(), id, id);
        }
        queues.push(HashRequester::new(None, false), 3, 3);
        queues.push(HashRequester::new(None, true), 4, 4);
        assert_eq!([queues.pop(), queues.pop(), queues.pop()], [Some(4), Some(3), Some(0)]);
        queues.push(HashRequester::new(None, true), 5, 5);
        assert_eq!(std::iter::from_fn(|| queues.pop()).collect::<Vec<_>>(), [5, 1, 2]);
    }

    #[test]
    fn a_removed_job_frees_its_place() {
        let requester = HashRequester::new("192.0.2.1".parse().ok(), false);
        let mut queues = JobQueues::new(4);
        queues.push(requester, 1, ());
        assert!(!queues.has_room(requester) && !queues.has_room(HashRequester::new("192.0.2.200".parse().ok(), false)));
        assert!(queues.has_room(HashRequester::new("192.0.3.1".parse().ok(), false)));
        assert_eq!(queues.remove(requester.queue_kind(), 1), Some(()));
        assert_eq!(queues.remove(requester.queue_kind(), 1), None);
        assert!(queues.has_room(requester) && queues.unknown.of_network.is_empty());
    }
}
