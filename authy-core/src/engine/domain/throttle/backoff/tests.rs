//! An exploration of the state machine: all reachable states, and the fastest sequence of guesses.

use std::collections::HashSet;

use super::*;

const START: DateTime<Utc> = DateTime::UNIX_EPOCH;
const HOUR: Duration = Duration::from_secs(3600);

/// All spans after which a state changes, one second less, one second more, and a longer one than all of them.
fn spans(schedule: &BackoffPolicy) -> Vec<Duration> {
    let waits = (0..=101).map(|failures| (schedule.delay)(failures));
    let memories = (0..=101).map(|failures| schedule.memory * failures);
    let second = Duration::from_secs(1);
    let around = waits.chain(memories).flat_map(|span| [span.saturating_sub(second), span, span + second]);
    around.chain([DAY * 10_000]).collect()
}

/// Visits all reachable states, after all spans: with any outcomes and any time between them. A refused attempt changes
/// nothing, so only failures lead to states.
fn explore(schedule: &BackoffPolicy, visit: impl Fn(Option<FailureCount>, DateTime<Utc>)) -> usize {
    let (mut known, mut open, spans) = (HashSet::new(), vec![None], spans(schedule));
    while let Some(failures) = open.pop() {
        if !known.insert(failures) {
            continue;
        }
        let state = failures.map(|failures| FailureCount { failures, counted: START });
        for span in &spans {
            visit(state, START + *span);
            for outcome in [Outcome::Failed, Outcome::Succeeded] {
                open.push(schedule.next(state, outcome, START + *span).map(|state| state.failures));
            }
        }
    }
    known.len()
}

#[test]
fn in_every_state_that_can_be_reached_waits_grow_and_end_and_a_success_ends_them() {
    for schedule in [ACCOUNT_POLICY, ADDRESS_POLICY] {
        let delay =
            |state: Option<FailureCount>| state.map_or(Duration::ZERO, |state| (schedule.delay)(state.failures));
        let states = explore(&schedule, |state, now| {
            let failed = schedule.next(state, Outcome::Failed, now);
            if !schedule.admits(state, now) {
                assert_eq!(failed, state, "a refused attempt does not extend the wait");
                assert_eq!(schedule.next(state, Outcome::Succeeded, now), state, "and a correct guess is not verified");
                // The wait ends.
                let end = state.unwrap().counted + delay(state);
                assert!(end > now && delay(state) <= WEEK && schedule.admits(state, end));
                return;
            }
            assert_eq!(schedule.next(state, Outcome::Succeeded, now), None);
            let (before, after) = (state.map_or(0, |state| schedule.remembered(state, now)), failed.unwrap());
            assert_eq!((after.failures, after.counted), (before + 1, now), "each failure counts one");
            assert!((schedule.delay)(after.failures) >= (schedule.delay)(before), "waits grow");
            assert!(after.failures <= 100, "{after:?}");
            // A state that is later than all remembered failures.
            assert_eq!(schedule.remembered(after, schedule.forgotten(after)), 0);
        });
        // No failure, and every number of failures up to the longest wait.
        assert!([51, 101].contains(&states), "{states}");
    }
}

#[test]
fn the_waits_are_those_that_are_documented() {
    let waits: Vec<_> = (0..18).map(|failures| account(failures).as_secs()).collect();
    let documented = [0, 0, 0, 0, 0, 30, 60, 120, 240, 480, 960, 1920, 3840, 7680, 15_360, 30_720, 61_440, 86_400];
    assert_eq!(waits, documented);
    assert_eq!((account(49), account(50), account(u32::MAX)), (DAY, WEEK, WEEK));
    assert_eq!((address(99), address(100), address(u32::MAX)), (Duration::ZERO, Duration::from_secs(36), HOUR));
    assert!((0..200).filter(|&failures| ACCOUNT_POLICY.begins_to_slow(failures)).eq([5]));
}

/// Returns the maximum number of guesses within a span of time, each at any time: at the end of a wait, or after any
/// number of units of the memory.
fn most_guesses(schedule: &BackoffPolicy, span: Duration) -> u32 {
    // The earliest time, by the number of remembered failures, at which this number of guesses has been made.
    let mut earliest = vec![Some(Duration::ZERO)];
    for guesses in 0.. {
        let mut next: Vec<Option<Duration>> = vec![None; earliest.len() + 1];
        for (failures, at) in (0..).zip(&earliest) {
            let Some(at) = at else { continue };
            for pause in 0..=failures {
                // The first guess is made at the very beginning.
                let wait =
                    if guesses == 0 { Duration::ZERO } else { (schedule.delay)(failures).max(schedule.memory * pause) };
                let state = FailureCount { failures, counted: START };
                let after = schedule.next(Some(state), Outcome::Failed, START + wait).unwrap().failures;
                let slot = &mut next[after as usize];
                let moment = *at + wait;
                if moment <= span && slot.is_none_or(|known| moment < known) {
                    *slot = Some(moment);
                }
            }
        }
        if next.iter().all(Option::is_none) {
            return guesses;
        }
        earliest = next;
    }
    unreachable!()
}

#[test]
fn an_account_admits_no_more_guesses_than_documented() {
    let most = |span| most_guesses(&ACCOUNT_POLICY, span);
    assert_eq!((most(HOUR), most(DAY), most(DAY * 30)), (11, 16, 45));
    let year = most(DAY * 365);
    assert!((90..100).contains(&year), "{year}");
}

#[test]
fn an_address_gets_a_hundred_failures_and_a_hundred_an_hour() {
    let most = |span| most_guesses(&ADDRESS_POLICY, span);
    assert_eq!(most(Duration::ZERO), 100);
    assert_eq!(most(HOUR), 200);
    assert_eq!(most(HOUR * 5), 600);
}
