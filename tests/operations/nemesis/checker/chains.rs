//! A session has one chain of refresh tokens, and lives until something ends it.

use std::collections::BTreeMap;

use super::{
    super::history::{Action, Micros, Operation},
    Findings,
    cause::may_have_ended,
    index::{Index, session},
};

const TWO_CHAINS: &str = "two live chains of one session";

pub(super) fn check(index: &Index<'_>, findings: &mut Findings) {
    for user in index.users().filter(|user| !index.is_excused(user)) {
        check_successors(index, user, findings);
        let done = || index.about(user).filter(|operation| operation.is_done());
        for refresh in done() {
            let Action::Refresh { session: of, generation, .. } = &refresh.action else { continue };
            let is_later = |other: &&Operation| match &other.action {
                Action::Refresh { session, generation: later, .. } => session == of && later > generation,
                Action::Logout { session, .. } => session == of,
                Action::Delete { .. } => true,
                _ => false,
            };
            if let Some(before) = done().filter(is_later).find(|other| other.ended < refresh.began) {
                findings.violation(TWO_CHAINS, format!("{refresh:?} worked after {before:?}"));
            }
        }
        check_ends(index, user, findings);
    }
}

/// The same token has the same successor, each time.
fn check_successors(index: &Index<'_>, user: &str, findings: &mut Findings) {
    let mut successors = BTreeMap::new();
    for operation in index.about(user) {
        let Some(issued) = operation.issued() else { continue };
        let first = successors.entry((&issued.session, issued.generation)).or_insert(operation);
        if first.issued() != Some(issued) {
            findings.violation(TWO_CHAINS, format!("{first:?} and {operation:?} returned different tokens"));
        }
        if let Action::Refresh { generation, .. } = operation.action
            && issued.generation != generation + 1
        {
            findings.violation(TWO_CHAINS, format!("{operation:?} did not return the next token"));
        }
    }
}

/// A session that has ended in the database was ended by somebody.
fn check_ends(index: &Index<'_>, user: &str, findings: &mut Findings) {
    for opened in index.about(user).filter(|operation| matches!(operation.action, Action::Login { .. })) {
        let Some(id) = session(opened) else { continue };
        let has_ended = index.history.sessions.get(id).is_some_and(|session| session.has_ended);
        if has_ended && !may_have_ended(index, user, id, Micros::MAX) {
            findings.violation("a session died without a cause", format!("that of {opened:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        super::history::Outcome,
        forged::{SECOND, accepts, event, fault, issued, operation, refresh, refused, refuses, unanswered},
    };

    #[test]
    fn two_live_chains_of_a_session_are_refused() {
        let rule = "two live chains of one session";
        // The grandparent of the current token works.
        refuses(rule, |history| {
            let mut again = operation(5, refresh(0), None, issued("s", 1));
            again.id = 9;
            history.operations.push(again);
        });
        // One token has two successors.
        refuses(rule, |history| {
            let mut second = operation(3, refresh(0), None, issued("s", 1));
            let Outcome::Done(Some(issued)) = &mut second.outcome else { unreachable!() };
            issued.refresh_token.push('x');
            second.id = 9;
            history.operations.push(second);
        });
        // The session goes on after its end.
        refuses(rule, |history| {
            history.operations.push(operation(9, refresh(3), None, issued("s", 4)));
            history.trail.push(event(&history.operations[9]));
            history.messages.push(event(&history.operations[9]));
            history.sessions.get_mut("s").unwrap().generation = 4;
        });
    }

    #[test]
    fn a_session_that_died_without_a_cause_is_refused() {
        refuses("a session died without a cause", |history| history.sessions.get_mut("a").unwrap().has_ended = true);
        refuses("a refusal without a cause", |history| history.operations[4].outcome = refused());
        // A logout whose end is not known is a cause.
        accepts(|history| {
            history.operations[8].outcome = unanswered();
            history.faults.push(fault(8 * SECOND, 9 * SECOND));
        });
    }

    #[test]
    fn a_replay_is_a_cause() {
        accepts(|history| {
            history.operations[8].action = refresh(0);
            history.operations[8].token = None;
            history.operations[8].outcome = refused();
        });
    }
}
