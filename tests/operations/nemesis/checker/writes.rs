//! What was acknowledged is there: each write with its event, and the state that the last of them left.

use super::{
    super::history::{Action, Operation},
    Findings,
    index::{Index, session},
};

const RULE: &str = "an acknowledged write is not there";
const UNNOTICED: &str = "a loss of acknowledged writes was not noticed";
const UNFOUNDED: &str = "a loss was noticed that no fault explains";

/// Looks for the event of each acknowledged write. What is missing is lost when a failover explains it, and a violation
/// otherwise.
pub(super) fn check(index: &Index<'_>, findings: &mut Findings) {
    let mut missing = Vec::new();
    for operation in &index.history.operations {
        if !operation.is_done() || !operation.action.writes() || has_event(index, operation) {
            continue;
        }
        match index.may_be_lost(operation.began, operation.ended) {
            true => drop(findings.lost.insert(operation.id)),
            false => missing.push(operation),
        }
    }
    missing.retain(|operation| !is_of_lost_session(index, operation, findings));
    // The instances that acknowledged them went on: only the database fails while it loses something.
    if !findings.lost.is_empty() && !index.history.noticed_loss {
        findings.violation(UNNOTICED, format!("no instance has counted the loss of {} writes", findings.lost.len()));
    }
    if index.history.noticed_loss && index.history.faults.iter().all(|fault| fault.may_lose.is_none()) {
        findings.violation(UNFOUNDED, "the log of an instance says that the database has gone back in time".to_owned());
    }
    for operation in missing {
        findings.violation(RULE, format!("there is no event of {operation:?}"));
    }
}

/// Whether an operation ended a session whose login was lost: there was nothing left to record.
fn is_of_lost_session(index: &Index<'_>, operation: &Operation, findings: &Findings) -> bool {
    let Action::Logout { user, session: ended } = &operation.action else { return false };
    let is_lost = |login: &Operation| session(login) == Some(ended) && findings.lost.contains(&login.id);
    !index.history.sessions.contains_key(ended) && index.about(user).any(is_lost)
}

fn has_event(index: &Index<'_>, operation: &Operation) -> bool {
    let Action::Refresh { user, session, generation } = &operation.action else {
        return index.is_recorded(operation.id);
    };
    // A refresh that is repeated within its grace returns what the first one did.
    index.about(user).any(|other| {
        matches!(&other.action, Action::Refresh { session: s, generation: g, .. } if s == session && g == generation)
            && index.is_recorded(other.id)
    })
}

/// Compares the state at the end with what was acknowledged.
pub(super) fn check_state(index: &Index<'_>, findings: &mut Findings) {
    for user in index.users().filter(|user| !index.is_excused(user)) {
        for done in index.about(user).filter(|operation| operation.is_done()) {
            if !is_there(index, done) {
                findings.violation(RULE, format!("the state shows nothing of {done:?}"));
            }
        }
        if let Some(expected) = last_role(index, user)
            && index.history.users.get(user).is_some_and(|row| row.has_role != expected)
        {
            findings.violation(RULE, format!("{user} should have the role: {expected}"));
        }
    }
}

fn is_there(index: &Index<'_>, done: &Operation) -> bool {
    let (users, sessions) = (&index.history.users, &index.history.sessions);
    let user = users.get(done.action.user());
    match &done.action {
        Action::Check { .. } => true,
        Action::SignUp { .. } | Action::Grant { .. } | Action::Revoke { .. } => user.is_some(),
        Action::Delete { .. } => user.is_some_and(|user| user.is_deleted),
        Action::Logout { session, .. } => sessions.get(session).is_some_and(|session| session.has_ended),
        Action::Login { .. } | Action::Refresh { .. } => done.issued().is_some_and(|issued| {
            sessions.get(&issued.session).is_some_and(|session| session.generation >= issued.generation)
        }),
    }
}

/// Whether a user has the role after the last change; `None` when a change is unclear, or there is none.
fn last_role(index: &Index<'_>, user: &str) -> Option<bool> {
    let changes = || {
        index.about(user).filter(|operation| matches!(operation.action, Action::Grant { .. } | Action::Revoke { .. }))
    };
    if changes().any(|change| change.outcome.is_unknown()) {
        return None;
    }
    let last = changes().filter(|change| change.is_done()).max_by_key(|change| change.ended)?;
    Some(matches!(last.action, Action::Grant { .. }))
}

#[cfg(test)]
mod tests {
    use super::super::{
        super::history::{Action, Fault, History, Outcome},
        forged::{SECOND, event, fault, findings, operation, refused, refuses, user},
    };

    #[test]
    fn an_acknowledged_write_without_its_event_is_refused() {
        refuses("an acknowledged write is not there", |history| {
            history.trail.remove(5);
            history.messages.remove(5);
        });
    }

    #[test]
    fn a_loss_that_was_noticed_and_is_none_is_refused() {
        refuses("a loss was noticed that no fault explains", |history| history.noticed_loss = true);
    }

    #[test]
    fn an_acknowledged_write_without_its_effect_is_refused() {
        let rule = "an acknowledged write is not there";
        refuses(rule, |history| history.users.get_mut("ada").unwrap().has_role = false);
        refuses(rule, |history| assert!(history.users.remove("ada").is_some()));
        refuses(rule, |history| history.sessions.get_mut("s").unwrap().has_ended = false);
        refuses(rule, |history| history.sessions.get_mut("s").unwrap().generation = 2);
        refuses(rule, |history| {
            let delete = operation(9, Action::Delete { user: user() }, Some(0), Outcome::Done(None));
            history.trail.push(event(&delete));
            history.messages.push(event(&delete));
            history.operations.push(delete);
        });
    }

    #[test]
    fn what_an_asynchronous_failover_loses_is_counted_and_explains_what_follows() {
        let lose = |history: &mut History| {
            // The grant is gone, and with it the epoch of the token.
            history.trail.remove(5);
            history.users.get_mut("ada").unwrap().has_role = false;
            history.operations[7].outcome = refused();
            history.noticed_loss = true;
        };
        let found = findings(|history| {
            lose(history);
            history.faults.push(Fault { may_lose: Some((5 * SECOND, 6 * SECOND)), ..fault(5 * SECOND, 6 * SECOND) });
        });
        assert!(found.violations.is_empty(), "{:#?}", found.violations);
        assert_eq!(found.lost.into_iter().collect::<Vec<_>>(), [5]);
        refuses("a loss of acknowledged writes was not noticed", |history| {
            lose(history);
            history.faults.push(Fault { may_lose: Some((5 * SECOND, 6 * SECOND)), ..fault(5 * SECOND, 6 * SECOND) });
            history.noticed_loss = false;
        });
        // Only what was acknowledged meanwhile may be lost.
        assert!(!findings(lose).violations.is_empty());
        let too_late = findings(|history| {
            lose(history);
            history.faults.push(Fault { may_lose: Some((7 * SECOND, 8 * SECOND)), ..fault(7 * SECOND, 8 * SECOND) });
        });
        assert!(!too_late.violations.is_empty());
    }
}
