//! Every reader of untrusted bytes, with bytes of all kinds: none of them panics, breaks a rule of the reader, or costs
//! more time than its length allows. `make fuzz` goes on where these stop.

use authy_tests::fuzz::{FuzzTarget, Growth, LONGEST, TARGETS};
use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestRunner};

/// Bytes, words of what the target reads, and both in each other.
fn pieces(target: FuzzTarget) -> impl Strategy<Value = Vec<u8>> {
    let word = select(target.words).prop_map(|word| word.as_bytes().to_vec());
    let text = "\\PC{0,12}".prop_map(String::into_bytes);
    let piece = prop_oneof![6 => word, 2 => vec(any::<u8>(), 0..12), 2 => text, 1 => "[0-9]{1,20}".prop_map(String::into_bytes)];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// What the target accepts, with something changed in it.
fn damaged(target: FuzzTarget) -> impl Strategy<Value = Vec<u8>> {
    let seed = select((target.seeds)());
    let change = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), pieces(target));
    (seed, vec(change, 0..3)).prop_map(|(mut input, changes)| {
        for (from, until, new) in changes {
            let from = from.index(input.len() + 1);
            let until = from + until.index((input.len() - from).min(8) + 1);
            drop(input.splice(from..until, new.into_iter().take(64)));
        }
        input
    })
}

/// A piece again and again, up to the longest input.
fn long(target: FuzzTarget) -> impl Strategy<Value = Vec<u8>> {
    (pieces(target), 1..=LONGEST).prop_map(|(piece, length)| {
        let mut input = piece.repeat(length / piece.len().max(1) + 1);
        input.truncate(length);
        input
    })
}

fn try_all(cases: u32, input: impl Fn(FuzzTarget) -> BoxedStrategy<Vec<u8>>) {
    for target in TARGETS {
        let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
        let tried = TestRunner::new(config).run(&input(*target), |input| {
            target.check(&input);
            Ok(())
        });
        tried.unwrap_or_else(|failed| panic!("{}: {failed}", target.name));
    }
}

#[test]
fn every_seed_is_read() {
    for target in TARGETS {
        (target.seeds)().iter().for_each(|seed| target.check(seed));
    }
}

#[test]
fn no_bytes_are_too_much_for_a_reader() {
    try_all(200, |_| vec(any::<u8>(), 0..2048).boxed());
}

#[test]
fn nothing_that_looks_right_is_too_much_for_a_reader() {
    try_all(300, |target| prop_oneof![pieces(target), damaged(target)].boxed());
}

#[test]
fn no_long_input_costs_more_than_its_length_allows() {
    try_all(24, |target| long(target).boxed());
}

#[test]
fn four_times_the_bytes_cost_about_four_times_the_time() {
    let mut wrong = Vec::new();
    for target in TARGETS {
        let [quarters, wholes] = Growth::LENGTHS.map(|length| target.long_inputs(length));
        for (quarter, whole) in quarters.iter().zip(&wholes) {
            wrong.extend(target.excess(whole));
            let growth = Growth::measure(target, quarter, whole);
            if !growth.is_linear() {
                let beginning = String::from_utf8_lossy(&whole[..whole.len().min(48)]).into_owned();
                wrong.push(format!("{}: {beginning:?}…: {growth:?}", target.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
