//! A revoked token is refused: at once by who knows of the revocation, within a second while all is well, and after the
//! maximum staleness by everyone.

use std::{collections::BTreeMap, time::Duration};

use super::{
    super::{
        history::{Action, Micros, Operation, Outcome, Verdict},
        instance::MAX_STALENESS,
        recorder::micros,
    },
    Findings,
    index::{Index, session},
};

/// How late a token may be refused while there is no fault: a second, and another one for a machine that runs
/// everything at once.
const CALM_BOUND: Duration = Duration::from_secs(2);

/// What is added to a bound, because a check takes time and clocks are read one after the other.
const TOLERANCE: Duration = Duration::from_millis(250);

const RULE: &str = "a revoked token was accepted";

pub(super) fn check(index: &Index<'_>, findings: &mut Findings) {
    let tolerance = micros(TOLERANCE);
    let mut late: BTreeMap<_, Micros> = BTreeMap::new();
    for seen in &index.history.sightings {
        if seen.verdict == Verdict::Accepted
            && seen.staleness.is_some_and(|age| age > micros(MAX_STALENESS) + tolerance)
        {
            findings.violation("who knows too little answered", format!("{seen:?}"));
        }
        let Some(revoked) = revoked(index, seen.token) else { continue };
        let lateness = late.entry((seen.token, seen.by)).or_default();
        if seen.verdict != Verdict::Accepted || seen.last <= revoked {
            continue;
        }
        *lateness = (*lateness).max(seen.last - revoked);
        let violation = if seen.knew_until.is_some_and(|known| known > revoked + tolerance) {
            "by a verifier that knew of all revocations until then"
        } else if seen.last > revoked + micros(MAX_STALENESS) + tolerance {
            "after the maximum staleness"
        } else if seen.last > revoked + micros(CALM_BOUND) && index.is_calm(revoked, seen.last) {
            "late, without a fault"
        } else {
            continue;
        };
        let seconds = (seen.last - revoked) as f64 / 1e6;
        findings.violation(RULE, format!("{violation}: {seconds:.3} s after its revocation at {revoked}: {seen:?}"));
    }
    findings.revocations = late.len();
    findings.late = late.into_values().filter(|late| *late > 0).collect();
}

/// When the first revocation of a token was acknowledged.
fn revoked(index: &Index<'_>, token: u64) -> Option<Micros> {
    let issue = index.operation(token)?;
    let is_acknowledged = |operation: &Operation| operation.is_done() && !index.is_lost(operation.id);
    let revokes = |operation: &Operation| match &operation.action {
        Action::Delete { .. } | Action::Grant { .. } | Action::Revoke { .. } => is_acknowledged(operation),
        Action::Logout { session: ended, .. } => session(issue) == Some(ended) && is_acknowledged(operation),
        // A replay is refused, and ends the session. Its event tells it from the refusal in a session that had ended.
        Action::Refresh { session: ended, .. } => {
            let is_refused = matches!(operation.outcome, Outcome::Refused { .. });
            session(issue) == Some(ended) && is_refused && index.is_recorded(operation.id)
        }
        _ => false,
    };
    let revocations = index.about(issue.action.user());
    let revocations = revocations.filter(|operation| operation.began > issue.ended && revokes(operation));
    revocations.map(|operation| operation.ended).min()
}

#[cfg(test)]
mod tests {
    use super::super::{
        super::history::{Checker, Fault, History, Sighting, Verdict},
        forged::{SECOND, accepts, fault, refresh, refused, refuses, sighting},
    };

    #[test]
    fn a_token_that_is_accepted_by_who_knows_of_its_revocation_is_refused() {
        refuses("a revoked token was accepted", |history| {
            let by = Checker::Verifier(0);
            let known = Some(8 * SECOND + 900_000);
            history.sightings.push(Sighting { knew_until: known, ..sighting(6, by, Verdict::Accepted, 9 * SECOND) });
        });
        accepts(|history| {
            let by = Checker::Verifier(0);
            let known = Some(8 * SECOND + 400_000);
            history.sightings.push(Sighting { knew_until: known, ..sighting(6, by, Verdict::Accepted, 9 * SECOND) });
        });
    }

    #[test]
    fn a_token_that_is_accepted_late_without_a_fault_is_refused() {
        let late = |history: &mut History| {
            history.sightings.push(sighting(6, Checker::Instance(1), Verdict::Accepted, 12 * SECOND));
        };
        refuses("a revoked token was accepted", late);
        accepts(|history| {
            late(history);
            history.faults.push(fault(8 * SECOND, 10 * SECOND));
        });
        accepts(|history| {
            late(history);
            history.stalls.push((9 * SECOND, 11 * SECOND));
        });
    }

    #[test]
    fn a_token_that_is_accepted_after_the_maximum_staleness_is_refused_whatever_the_fault() {
        refuses("a revoked token was accepted", |history| {
            history.sightings.push(sighting(6, Checker::Instance(1), Verdict::Accepted, 14 * SECOND));
            history.faults.push(fault(8 * SECOND, 14 * SECOND));
        });
    }

    #[test]
    fn a_verifier_that_accepts_although_it_knows_too_little_is_refused() {
        refuses("who knows too little answered", |history| {
            let by = Checker::Verifier(0);
            let age = Some(6 * SECOND);
            history.sightings.push(Sighting { staleness: age, ..sighting(6, by, Verdict::Accepted, 7 * SECOND) });
        });
    }

    #[test]
    fn a_replay_revokes_the_tokens_of_its_session() {
        refuses("a revoked token was accepted", |history| {
            let replay = &mut history.operations[8];
            (replay.action, replay.token, replay.outcome) = (refresh(0), None, refused());
            history.sightings.push(sighting(6, Checker::Instance(1), Verdict::Accepted, 14 * SECOND));
        });
    }

    #[test]
    fn a_token_of_a_lost_session_is_revoked_by_its_logout_too() {
        let lose = |history: &mut History| {
            // The login is gone, and everything in its session.
            for lost in [8, 6, 4, 3, 2] {
                let id = history.operations[lost].id;
                history.trail.retain(|event| event.operation() != Some(id));
            }
            history.messages.pop();
            history.sessions.remove("s");
            history.noticed_loss = true;
            history.faults.push(Fault { may_lose: Some((2 * SECOND, 7 * SECOND)), ..fault(2 * SECOND, 7 * SECOND) });
        };
        accepts(lose);
        refuses("a revoked token was accepted", |history| {
            lose(history);
            history.sightings.push(sighting(6, Checker::Instance(1), Verdict::Accepted, 14 * SECOND));
        });
    }
}
