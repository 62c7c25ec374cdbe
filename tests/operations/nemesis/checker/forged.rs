//! A forged history that is sound, and what the rules say when it is changed: each must refuse what it is there for.

use super::{
    super::history::{
        Action, Checker, Event, Fault, History, Issued, Micros, Operation, Outcome, SessionRow, Sighting, UserRow,
        Verdict, request_id,
    },
    Findings, check,
};

pub(super) const SECOND: Micros = 1_000_000;

pub(super) fn operation(id: u64, action: Action, token: Option<u64>, outcome: Outcome) -> Operation {
    // Each takes half of the second in which it begins.
    let began = id * SECOND;
    Operation { id, client: Some(0), instance: 0, action, token, began, ended: began + SECOND / 2, outcome }
}

pub(super) fn issued(session: &str, generation: u64) -> Outcome {
    let refresh_token = format!("{session}-{generation}");
    Outcome::Done(Some(Issued { session: session.to_owned(), generation, refresh_token }))
}

pub(super) fn refused() -> Outcome {
    Outcome::Refused { status: 401, code: String::new() }
}

pub(super) fn unanswered() -> Outcome {
    Outcome::Unanswered { why: String::new() }
}

pub(super) fn user() -> String {
    "ada".to_owned()
}

pub(super) fn refresh(generation: u64) -> Action {
    Action::Refresh { user: user(), session: "s".to_owned(), generation }
}

pub(super) fn logout(session: &str) -> Action {
    Action::Logout { user: user(), session: session.to_owned() }
}

pub(super) fn sighting(token: u64, by: Checker, verdict: Verdict, at: Micros) -> Sighting {
    Sighting { token, by, verdict, times: 1, first: at, last: at, knew_until: None, staleness: None }
}

pub(super) fn event(operation: &Operation) -> Event {
    let event_id = format!("event-{}", operation.id);
    Event { event_id, kind: String::new(), subject: None, request_id: Some(request_id(operation.id)) }
}

/// Ada signs up, logs in, refreshes twice, gets a role, refreshes again and logs out. Her last token is watched.
pub(super) fn sound() -> History {
    let administrator = "administrator".to_owned();
    let operations = vec![
        operation(0, Action::Login { user: administrator }, None, issued("a", 0)),
        operation(1, Action::SignUp { user: user() }, None, Outcome::Done(None)),
        operation(2, Action::Login { user: user() }, None, issued("s", 0)),
        operation(3, refresh(0), None, issued("s", 1)),
        operation(4, refresh(1), None, issued("s", 2)),
        operation(5, Action::Grant { user: user() }, Some(0), Outcome::Done(None)),
        operation(6, refresh(2), None, issued("s", 3)),
        operation(7, Action::Check { user: user() }, Some(6), Outcome::Done(None)),
        operation(8, logout("s"), Some(6), Outcome::Done(None)),
    ];
    let trail: Vec<_> = operations.iter().filter(|done| done.action.writes()).map(event).collect();
    let sightings = [Checker::Instance(0), Checker::Verifier(0)]
        .into_iter()
        .flat_map(|by| [sighting(6, by, Verdict::Accepted, 8 * SECOND), sighting(6, by, Verdict::Refused, 9 * SECOND)]);
    let user = |has_role| UserRow { is_deleted: false, has_role };
    let session = |has_ended, generation| SessionRow { has_ended, generation };
    History {
        sightings: sightings.collect(),
        faults: Vec::new(),
        stalls: Vec::new(),
        noticed_loss: false,
        messages: trail.clone(),
        trail,
        users: [("administrator", user(false)), ("ada", user(true))].map(|(name, row)| (name.to_owned(), row)).into(),
        sessions: [("a", session(false, 0)), ("s", session(true, 3))].map(|(id, row)| (id.to_owned(), row)).into(),
        operations,
    }
}

pub(super) fn fault(began: Micros, ended: Micros) -> Fault {
    Fault { name: String::new(), began, ended, may_lose: None }
}

/// The findings of the sound history after a change.
pub(super) fn findings(change: impl FnOnce(&mut History)) -> Findings {
    let mut history = sound();
    change(&mut history);
    check(&history)
}

/// Expects that exactly this rule refuses the sound history after a change.
pub(super) fn refuses(rule: &str, change: impl FnOnce(&mut History)) {
    let violations = findings(change).violations;
    assert!(!violations.is_empty() && violations.iter().all(|violation| violation.rule == rule), "{violations:#?}");
}

pub(super) fn accepts(change: impl FnOnce(&mut History)) {
    let violations = findings(change).violations;
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn a_sound_history_is_accepted() {
    accepts(|_| ());
    assert_eq!(findings(|_| ()).revocations, 2);
}
