//! A history, by user and by operation.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Duration,
};

use super::super::{
    history::{Action, Event, History, Micros, Operation},
    recorder::micros,
};

/// How long after a fault its effects may last: the longest pause before another attempt to connect, and the attempt.
pub(in super::super) const SETTLING: Duration = Duration::from_secs(8);

pub(super) struct Index<'a> {
    pub(super) history: &'a History,
    operations: HashMap<u64, &'a Operation>,
    by_user: BTreeMap<&'a str, Vec<&'a Operation>>,
    recorded: HashSet<u64>,
    lost: BTreeSet<u64>,
    excused: BTreeSet<&'a str>,
}

impl<'a> Index<'a> {
    pub(super) fn of(history: &'a History) -> Self {
        let mut by_user: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for operation in &history.operations {
            by_user.entry(operation.action.user()).or_default().push(operation);
        }
        Self {
            history,
            operations: history.operations.iter().map(|operation| (operation.id, operation)).collect(),
            by_user,
            recorded: history.trail.iter().filter_map(Event::operation).collect(),
            lost: BTreeSet::new(),
            excused: BTreeSet::new(),
        }
    }

    /// Notes that these operations are lost, so that their users may be refused what they had.
    pub(super) fn excuse(&mut self, lost: &BTreeSet<u64>) {
        self.excused = lost.iter().filter_map(|id| self.operation(*id)).map(|lost| lost.action.user()).collect();
        self.lost.clone_from(lost);
    }

    /// Whether an asynchronous failover lost this operation.
    pub(super) fn is_lost(&self, operation: u64) -> bool {
        self.lost.contains(&operation)
    }

    /// Whether an asynchronous failover lost something of this user.
    pub(super) fn is_excused(&self, user: &str) -> bool {
        self.excused.contains(user)
    }

    pub(super) fn operation(&self, id: u64) -> Option<&'a Operation> {
        self.operations.get(&id).copied()
    }

    /// The user whose token was sent along.
    pub(super) fn caller(&self, operation: &Operation) -> Option<&'a str> {
        Some(self.operation(operation.token?)?.action.user())
    }

    /// The operations about a user.
    pub(super) fn about(&self, user: &str) -> impl Iterator<Item = &'a Operation> {
        self.by_user.get(user).into_iter().flatten().copied()
    }

    pub(super) fn users(&self) -> impl Iterator<Item = &'a str> {
        self.by_user.keys().copied()
    }

    /// Whether the audit trail has an event of this operation.
    pub(super) fn is_recorded(&self, operation: u64) -> bool {
        self.recorded.contains(&operation)
    }

    /// Whether there was no fault, nor the rest of one, between these two moments, on a machine that was not too busy.
    pub(super) fn is_calm(&self, began: Micros, ended: Micros) -> bool {
        let History { faults, stalls, .. } = self.history;
        faults.iter().all(|fault| fault.ended + micros(SETTLING) < began || fault.began > ended)
            && stalls.iter().all(|(from, until)| *until < began || *from > ended)
    }

    /// Whether an asynchronous failover may have lost what was done between these two moments.
    pub(super) fn may_be_lost(&self, began: Micros, ended: Micros) -> bool {
        let windows = self.history.faults.iter().filter_map(|fault| fault.may_lose);
        windows.into_iter().any(|(from, until)| began <= until && ended >= from)
    }
}

/// The session that an operation is about, or that it opened.
pub(super) fn session(operation: &Operation) -> Option<&str> {
    match &operation.action {
        Action::Refresh { session, .. } | Action::Logout { session, .. } => Some(session),
        _ => operation.issued().map(|issued| issued.session.as_str()),
    }
}
