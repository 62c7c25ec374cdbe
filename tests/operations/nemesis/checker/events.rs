//! The broker has every event of the audit trail, no other, and those of a user in the order in which they happened.

use std::collections::{BTreeMap, HashSet};

use super::{
    super::history::{Event, Operation},
    Findings,
    index::Index,
};

pub(super) fn check(index: &Index<'_>, findings: &mut Findings) {
    let history = index.history;
    let ids = |events: &'_ [Event]| events.iter().map(|event| event.event_id.clone()).collect::<HashSet<_>>();
    let (recorded, sent) = (ids(&history.trail), ids(&history.messages));
    for event in history.trail.iter().filter(|event| !sent.contains(&event.event_id)) {
        findings.violation("an event is lost", format!("{event:?}"));
    }
    let is_lost_since = |event: &Event| match event.operation().and_then(|id| index.operation(id)) {
        Some(operation) if operation.is_done() => index.may_be_lost(operation.began, operation.ended),
        Some(operation) => index.may_be_lost(operation.began, u64::MAX),
        // The server's own, whose time is not known here.
        None => index.may_be_lost(0, u64::MAX),
    };
    for event in history.messages.iter().filter(|event| !recorded.contains(&event.event_id)) {
        if !is_lost_since(event) {
            findings.violation("an event of what never happened", format!("{event:?}"));
        }
    }
    check_order(index, findings);
}

/// An operation that had ended when another of the same user began is heard of first.
fn check_order(index: &Index<'_>, findings: &mut Findings) {
    let mut seen = HashSet::new();
    let mut newest: BTreeMap<&str, &Operation> = BTreeMap::new();
    // What is repeated counts when it was sent first.
    for message in index.history.messages.iter().filter(|message| seen.insert(&message.event_id)) {
        let Some(operation) = message.operation().and_then(|id| index.operation(id)) else { continue };
        // A failover may have lost one of the two, and the other one may have been repeated.
        if index.may_be_lost(operation.began, operation.ended) {
            continue;
        }
        let newest = newest.entry(operation.action.user()).or_insert(operation);
        if operation.is_done() && operation.ended < newest.began {
            findings.violation("events out of order", format!("{newest:?} was heard of before {operation:?}"));
        }
        if operation.began > newest.began {
            *newest = operation;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        super::history::{Action, History},
        forged::{SECOND, accepts, event, fault, operation, refuses, unanswered, user},
    };

    #[test]
    fn an_event_that_the_broker_does_not_have_is_refused() {
        refuses("an event is lost", |history| drop(history.messages.remove(4)));
    }

    #[test]
    fn an_event_of_what_never_happened_is_refused() {
        let invented = |history: &mut History| {
            let unknown = operation(9, Action::Login { user: user() }, None, unanswered());
            history.messages.push(event(&unknown));
            history.operations.push(unknown);
            history.faults.push(fault(9 * SECOND, 10 * SECOND));
        };
        refuses("an event of what never happened", invented);
        accepts(|history| {
            invented(history);
            history.faults[0].may_lose = Some((9 * SECOND, 10 * SECOND));
        });
    }

    #[test]
    fn events_of_a_user_out_of_order_are_refused_and_repetitions_are_not() {
        refuses("events out of order", |history| history.messages.swap(3, 4));
        accepts(|history| {
            let repeated = history.messages[3].clone();
            history.messages.push(repeated);
        });
        // The administrator's login is of another user.
        accepts(|history| history.messages.swap(0, 1));
    }
}
