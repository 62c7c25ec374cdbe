//! The checker: reads a whole history, and finds what must not be in one.
//!
//! Its own tests are forged histories: each rule must refuse some, and none may refuse the sound history that they
//! begin with.

use std::collections::BTreeSet;

use super::history::{History, Micros};

mod answers;
mod cause;
mod chains;
mod events;
#[cfg(test)]
mod forged;
mod index;
mod revocations;
mod writes;

use index::Index;
pub(super) use index::SETTLING;

/// What a history shows.
#[derive(Default)]
pub(super) struct Findings {
    /// What must not be.
    pub(super) violations: Vec<Violation>,
    /// The acknowledged writes that an asynchronous failover lost.
    pub(super) lost: BTreeSet<u64>,
    /// How long each revoked token was accepted after the acknowledgement, by each instance and verifier that accepted
    /// it.
    pub(super) late: Vec<Micros>,
    /// The revocations that were looked at, once per instance and verifier.
    pub(super) revocations: usize,
}

/// Something that must not be.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) rule: &'static str,
    pub(super) what: String,
}

/// Applies every rule.
pub(super) fn check(history: &History) -> Findings {
    let mut findings = Findings::default();
    let mut index = Index::of(history);
    writes::check(&index, &mut findings);
    // What was lost explains what comes after it, for the users that it was about.
    index.excuse(&findings.lost);
    writes::check_state(&index, &mut findings);
    answers::check(&index, &mut findings);
    chains::check(&index, &mut findings);
    revocations::check(&index, &mut findings);
    events::check(&index, &mut findings);
    findings
}

impl Findings {
    fn violation(&mut self, rule: &'static str, what: String) {
        self.violations.push(Violation { rule, what });
    }
}
