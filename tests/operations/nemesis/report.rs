//! The summary of a run.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use super::{
    checker::Findings,
    history::{History, Micros},
};

/// Number of violations of a rule that are shown; the history has all.
const SHOWN: usize = 5;

/// Writes the summary.
pub(super) fn summary(history: &History, findings: &Findings) -> String {
    let mut text = String::new();
    let mut counts: BTreeMap<_, BTreeMap<_, u32>> = BTreeMap::new();
    for operation in &history.operations {
        *counts.entry(operation.action.name()).or_default().entry(operation.outcome.name()).or_default() += 1;
    }
    for (action, outcomes) in counts {
        let outcomes: Vec<_> = outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        writeln!(text, "{action:9} {}", outcomes.join(", ")).unwrap();
    }
    writeln!(text, "faults    {}", history.faults.len()).unwrap();
    writeln!(text, "stalls    {} of the machine, whose answers are not held against anyone", history.stalls.len())
        .unwrap();
    let checks: u32 = history.sightings.iter().map(|seen| seen.times).sum();
    writeln!(text, "checks    {checks} of tokens that were about to be revoked").unwrap();
    let late = findings.late.len();
    writeln!(
        text,
        "late      {late} of {} times a revocation was not in force yet when it was acknowledged: p50 {}, p99 {}, max {}",
        findings.revocations,
        share(&findings.late, 50),
        share(&findings.late, 99),
        share(&findings.late, 100)
    )
    .unwrap();
    let messages = history.messages.len();
    writeln!(text, "events    {} in the audit trail, {messages} messages", history.trail.len()).unwrap();
    writeln!(text, "outage    {} at most for one client", seconds(longest_outage(history))).unwrap();
    writeln!(text, "lost      {} acknowledged writes, by asynchronous failovers", findings.lost.len()).unwrap();
    text
}

/// Writes what was found, some of each rule.
pub(super) fn violations(findings: &Findings) -> String {
    let mut text = format!("{} promises were broken\n", findings.violations.len());
    let mut by_rule: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for violation in &findings.violations {
        by_rule.entry(violation.rule).or_default().push(&violation.what);
    }
    for (rule, all) in by_rule {
        writeln!(text, "{}: {rule}", all.len()).unwrap();
        for what in all.iter().take(SHOWN) {
            writeln!(text, "    {what}").unwrap();
        }
    }
    text
}

/// The longest time from a request of a client that failed to its next one that did not.
fn longest_outage(history: &History) -> Micros {
    let (mut since, mut longest) = (BTreeMap::new(), 0);
    for operation in &history.operations {
        let Some(client) = operation.client else { continue };
        let is_unknown = operation.outcome.is_unknown();
        let began = since.remove(&client).or(is_unknown.then_some(operation.began));
        longest = longest.max(began.map_or(0, |began| operation.ended.saturating_sub(began)));
        if let (true, Some(began)) = (is_unknown, began) {
            since.insert(client, began);
        }
    }
    longest
}

/// The value that this share of all does not exceed.
fn share(all: &[Micros], percent: usize) -> String {
    let mut sorted = all.to_vec();
    sorted.sort_unstable();
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).map_or_else(|| "none".to_owned(), |value| seconds(*value))
}

fn seconds(value: Micros) -> String {
    format!("{:.3} s", Duration::from_micros(value).as_secs_f64())
}

#[test]
fn an_outage_lasts_until_something_is_done_again() {
    use super::history::{Action, Operation, Outcome};
    let done = || Outcome::Done(None);
    let unanswered = || Outcome::Unanswered { why: String::new() };
    let operation = |client, began, outcome| {
        let (id, action, ended) = (began, Action::Check { user: String::new() }, began + 1);
        Operation { id, client, instance: 0, action, token: None, began, ended, outcome }
    };
    let asked = [(0, done()), (2, unanswered()), (5, unanswered()), (9, done()), (20, unanswered()), (30, done())];
    let operations = asked.map(|(began, outcome)| operation(Some(0), began, outcome)).into();
    let mut history = History { operations, ..History::default() };
    assert_eq!(longest_outage(&history), 11);
    // A watched token has no client that waits.
    history.operations.extend([operation(None, 0, unanswered()), operation(None, 90, unanswered())]);
    assert_eq!(longest_outage(&history), 11);
}

#[test]
fn a_share_of_all_does_not_exceed_its_value() {
    let all: Vec<_> = (1..=100).map(|number| number * 1_000_000).collect();
    assert_eq!([50, 99, 100].map(|percent| share(&all, percent)), ["50.000 s", "99.000 s", "100.000 s"]);
    assert_eq!(share(&all[..1], 50), "1.000 s");
    assert_eq!(share(&[], 50), "none");
}
