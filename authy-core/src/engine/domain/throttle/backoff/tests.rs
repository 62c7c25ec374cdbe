//! An exploration of the state machine: all reachable states, and the fastest sequence of guesses.

use std::collections::{BTreeMap, HashSet};

use super::*;
use crate::engine::domain::throttle::{concurrency::MAX_UNDER_WAY, record::MAX_ATTEMPT_TIME};

const START: DateTime<Utc> = DateTime::UNIX_EPOCH;
const HOUR: Duration = Duration::from_secs(3600);

/// So many failures are followed by the first wait.
const FREE: u32 = 5;

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
    assert_eq!((address(99), address(100), address(u32::MAX)), (Duration::ZERO, Duration::from_secs(36), DAY));
    assert!((0..200).filter(|&failures| ACCOUNT_POLICY.begins_to_slow(failures)).eq([5]));
}

/// Returns the maximum number of guesses within a span of time, each at any time: at the end of a wait, or after any
/// number of units of the memory.
///
/// When nothing is on record, `excess` guesses more can be under way than are admitted one after another. All of them
/// end before the first wait does (`the_first_wait_is_longer_than_an_attempt`), so they are made at once.
fn most_guesses(schedule: &BackoffPolicy, span: Duration, excess: u32) -> u32 {
    // By the number of guesses: the earliest time at which they have been made, by the number of remembered failures.
    let mut earliest = BTreeMap::from([(0, BTreeMap::from([(0, Duration::ZERO)]))]);
    for guesses in 0.. {
        let Some(states) = earliest.remove(&guesses) else { return guesses - 1 };
        for (failures, at) in states {
            for pause in 0..=failures {
                // The first guess is made at the very beginning.
                let wait =
                    if guesses == 0 { Duration::ZERO } else { (schedule.delay)(failures).max(schedule.memory * pause) };
                let state = FailureCount { failures, counted: START };
                let after = schedule.next(Some(state), Outcome::Failed, START + wait).unwrap().failures;
                let moment = at + wait;
                let at_once = if after == 1 && excess > 0 { FREE - 1 + excess } else { 0 };
                for more in (0..=at_once).filter(|_| moment <= span) {
                    let slot = earliest.entry(guesses + 1 + more).or_default().entry(after + more).or_insert(moment);
                    *slot = moment.min(*slot);
                }
            }
        }
    }
    unreachable!()
}

/// Returns the number of guesses at one account in addition to those that are admitted one after another: those that
/// are under way when the first failure is counted.
fn excess(servers: usize) -> u32 {
    (servers * MAX_UNDER_WAY).saturating_sub(1) as u32
}

#[test]
fn an_account_admits_no_more_guesses_than_documented() {
    let most = |servers| {
        [Duration::ZERO, HOUR, DAY, DAY * 30].map(|span| most_guesses(&ACCOUNT_POLICY, span, excess(servers)))
    };
    let documented = [
        // One after another.
        (0, [5, 11, 16, 45]),
        (1, [8, 12, 16, 45]),
        (2, [12, 12, 16, 45]),
        (3, [16, 16, 17, 46]),
        (10, [44, 44, 45, 53]),
    ];
    for (servers, guesses) in documented {
        assert_eq!(most(servers), guesses, "{servers} servers");
        assert!(guesses[0] <= FREE + 4 * servers as u32);
    }
}

#[test]
fn an_account_admits_fewer_than_a_hundred_guesses_in_a_year_on_up_to_seven_servers() {
    for servers in [0, 1, 7] {
        let year = most_guesses(&ACCOUNT_POLICY, DAY * 365, excess(servers));
        assert!((90..100).contains(&year), "{year} on {servers} servers");
    }
}

#[test]
fn the_first_wait_is_longer_than_an_attempt() {
    assert!(account(FREE) > MAX_ATTEMPT_TIME);
    // Four wrong ones alone slow nobody.
    assert_eq!(account(MAX_UNDER_WAY as u32), Duration::ZERO);
}

#[test]
fn an_address_gets_a_hundred_failures_and_a_hundred_an_hour() {
    let most = |span| most_guesses(&ADDRESS_POLICY, span, 0);
    assert_eq!(most(Duration::ZERO), 100);
    assert_eq!(most(HOUR), 200);
    assert_eq!(most(HOUR * 5), 600);
}

#[test]
fn guesses_from_an_address_that_are_under_way_at_once_are_waited_for() {
    for failures in [101, 164, 228, 500] {
        let state = FailureCount { failures, counted: START };
        let admitted = START + ADDRESS_POLICY.wait(Some(state), START);
        assert!(ADDRESS_POLICY.admits(Some(state), admitted), "{failures}");
        assert_eq!(ADDRESS_POLICY.remembered(state, admitted), 99, "{failures}: one more is admitted");
    }
}
