//! Every answer is true: nobody is refused without a cause, and who cannot tell says so, and when to ask again.

use super::{
    super::history::{Action, Checker, Operation, Outcome, Verdict},
    Findings,
    cause::{is_replay, may_be_deleted, may_be_void, may_have_ended},
    index::Index,
};

pub(super) fn check(index: &Index<'_>, findings: &mut Findings) {
    for operation in &index.history.operations {
        match &operation.outcome {
            Outcome::Failed { has_retry_after: false, .. } => {
                findings.violation("a 5xx without Retry-After", format!("{operation:?}"));
            }
            Outcome::Failed { .. } | Outcome::Unanswered { .. } if index.is_calm(operation.began, operation.ended) => {
                findings.violation("an outage without a fault", format!("{operation:?}"));
            }
            Outcome::Refused { status, .. }
                if !is_excused(index, operation) && !has_cause(index, operation, *status) =>
            {
                findings.violation("a refusal without a cause", format!("{operation:?}"));
            }
            _ => {}
        }
    }
    for seen in &index.history.sightings {
        let (from, until) = (seen.first.min(seen.last), seen.first.max(seen.last));
        if matches!(seen.verdict, Verdict::CannotTell | Verdict::Unanswered) && index.is_calm(from, until) {
            findings.violation("an outage without a fault", format!("{seen:?}"));
        }
    }
    for seen in index.history.sightings.iter().filter(|seen| seen.verdict == Verdict::Refused) {
        let issue = index.operation(seen.token);
        let is_excused = issue.is_none_or(|issue| index.is_excused(issue.action.user()));
        if !is_excused && !may_be_void(index, seen.token, seen.first) {
            let who = match seen.by {
                Checker::Instance(number) => format!("instance {number}"),
                Checker::Verifier(number) => format!("verifier {number}"),
            };
            findings.violation("a refusal without a cause", format!("{who} refuses the token of {issue:?}: {seen:?}"));
        }
    }
}

fn is_excused(index: &Index<'_>, operation: &Operation) -> bool {
    index.is_excused(operation.action.user()) || index.caller(operation).is_some_and(|caller| index.is_excused(caller))
}

/// Whether something in the history explains that an operation was refused with this status.
fn has_cause(index: &Index<'_>, operation: &Operation, status: u16) -> bool {
    let by = operation.ended;
    if let (401, Some(token)) = (status, operation.token) {
        return may_be_void(index, token, by);
    }
    match &operation.action {
        Action::Login { user } => status == 401 && may_be_deleted(index, user, by),
        Action::Refresh { user, session, .. } => {
            status == 401 && (may_have_ended(index, user, session, by) || is_replay(index, operation))
        }
        // The names are new, the caller has the power, and the role is there.
        Action::Grant { user } | Action::Revoke { user } | Action::Delete { user } => {
            status != 403 && may_be_deleted(index, user, by)
        }
        Action::SignUp { .. } | Action::Logout { .. } | Action::Check { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        super::history::{Checker, History, Outcome, Verdict},
        forged::{SECOND, accepts, fault, refuses, sighting, unanswered},
    };

    #[test]
    fn a_refusal_where_the_truth_was_unknown_is_refused() {
        let rule = "a refusal without a cause";
        for status in [401, 403] {
            let outcome = Outcome::Refused { status, code: String::new() };
            refuses(rule, |history| history.operations[7].outcome = outcome.clone());
        }
        for by in [Checker::Instance(2), Checker::Verifier(2)] {
            refuses(rule, |history| history.sightings.push(sighting(6, by, Verdict::Refused, 7 * SECOND)));
            // Whoever answers after the logout has begun may know of it.
            accepts(|history| history.sightings.push(sighting(6, by, Verdict::Refused, 8 * SECOND + 1)));
        }
    }

    #[test]
    fn a_server_error_without_a_time_to_wait_is_refused() {
        let failed = |has_retry_after| Outcome::Failed { status: 503, code: String::new(), has_retry_after };
        refuses("a 5xx without Retry-After", |history| {
            history.operations[7].outcome = failed(false);
            history.faults.push(fault(0, SECOND));
        });
    }

    #[test]
    fn an_outage_without_a_fault_is_refused() {
        for verdict in [Verdict::CannotTell, Verdict::Unanswered] {
            let ask = |history: &mut History| {
                history.sightings.push(sighting(6, Checker::Verifier(2), verdict, 7 * SECOND));
            };
            refuses("an outage without a fault", ask);
            accepts(|history| {
                ask(history);
                history.faults.push(fault(0, SECOND));
            });
        }
        let unavailable = Outcome::Failed { status: 503, code: String::new(), has_retry_after: true };
        for outcome in [unavailable, unanswered()] {
            let fail = |history: &mut History| history.operations[7].outcome = outcome.clone();
            refuses("an outage without a fault", fail);
            accepts(|history| {
                fail(history);
                history.faults.push(fault(0, SECOND));
            });
        }
    }
}
