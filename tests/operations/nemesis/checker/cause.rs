//! What may be the cause of a refusal: an operation that began before it and may have had its effect.

use std::time::Duration;

use super::{
    super::{
        history::{Action, Micros, Operation},
        recorder::micros,
    },
    index::{Index, session},
};

/// How long an access token is accepted for certain: its lifetime, less what a clock of the run is moved at most.
const VALID_FOR: Duration = Duration::from_secs(15 * 60 - 60);

/// Whether an operation may have had its effect.
fn may_have_worked(operation: &Operation) -> bool {
    operation.is_done() || operation.outcome.is_unknown()
}

/// Whether a user may have been deleted by then.
pub(super) fn may_be_deleted(index: &Index<'_>, user: &str, by: Micros) -> bool {
    index.about(user).any(|operation| {
        matches!(operation.action, Action::Delete { .. }) && operation.began < by && may_have_worked(operation)
    })
}

/// Whether a session may have ended by then.
pub(super) fn may_have_ended(index: &Index<'_>, user: &str, of: &str, by: Micros) -> bool {
    let ends = |operation: &Operation| match &operation.action {
        Action::Logout { .. } => session(operation) == Some(of) && may_have_worked(operation),
        Action::Refresh { .. } => session(operation) == Some(of) && is_replay(index, operation),
        _ => false,
    };
    may_be_deleted(index, user, by) || index.about(user).any(|operation| operation.began < by && ends(operation))
}

/// Whether a refresh token was presented whose successor was presented too: it is older than the direct predecessor of
/// the current one, perhaps.
pub(super) fn is_replay(index: &Index<'_>, refresh: &Operation) -> bool {
    let Action::Refresh { user, session, generation } = &refresh.action else { return false };
    index.about(user).any(|other| match &other.action {
        Action::Refresh { session: same, generation: later, .. } => {
            // One whose end is not known may take effect after the other.
            let was_before = other.began < refresh.ended || refresh.outcome.is_unknown();
            same == session && later > generation && was_before && may_have_worked(other)
        }
        _ => false,
    })
}

/// Whether an access token may be void by then.
pub(super) fn may_be_void(index: &Index<'_>, issued_by: u64, by: Micros) -> bool {
    let Some(issue) = index.operation(issued_by) else { return true };
    let (user, began) = (issue.action.user(), issue.began);
    let is_old = by > issue.ended + micros(VALID_FOR);
    let revokes = |operation: &Operation| match operation.action {
        // Done before the token was issued, they are contained in it.
        Action::Grant { .. } | Action::Revoke { .. } => {
            operation.outcome.is_unknown() || operation.is_done() && operation.ended > began
        }
        _ => false,
    };
    is_old
        || session(issue).is_none_or(|session| may_have_ended(index, user, session, by))
        || index.about(user).any(|operation| operation.began < by && revokes(operation))
}
