//! What an administrator can do with an account: one page and one function of the engine each.

use authy_core::{Error, ErrorKind, Identity, Level, Result, api::user::UserView, engine::Caller};

use super::{question::Question, subject, view::ActionLink};
use crate::ui::{
    answer::{Answer, Shown},
    path::USERS,
    texts::Texts,
    visit::Visit,
};

/// Something that is done with an account.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AccountAction {
    Reset,
    Unlock,
    EndSessions,
    Delete,
    Restore,
    Erase,
}

use AccountAction::{Delete, EndSessions, Erase, Reset, Restore, Unlock};

impl AccountAction {
    pub(super) const ALL: [Self; 6] = [Reset, Unlock, EndSessions, Delete, Restore, Erase];

    /// Returns the path of its page in the table.
    pub(super) fn route(self) -> &'static str {
        match self {
            Reset => "/authy/ui/admin/users/{public_id}/reset",
            Unlock => "/authy/ui/admin/users/{public_id}/unlock",
            EndSessions => "/authy/ui/admin/users/{public_id}/end-sessions",
            Delete => "/authy/ui/admin/users/{public_id}/delete",
            Restore => "/authy/ui/admin/users/{public_id}/restore",
            Erase => "/authy/ui/admin/users/{public_id}/erase",
        }
    }

    /// Returns what its texts are called: `ask.<key>_title`, `notice.<key>_done`.
    fn key(self) -> &'static str {
        match self {
            Reset => "reset",
            Unlock => "unlock",
            EndSessions => "end_sessions",
            Delete => "delete",
            Restore => "restore",
            Erase => "erase",
        }
    }

    /// Returns the action of a page.
    fn of(visit: &Visit<'_>) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|action| action.route() == visit.route);
        found.ok_or_else(|| Error::new(ErrorKind::Internal, "a page of the console has no action"))
    }

    /// Returns whether the account is in a state in which this makes sense.
    fn applies_to(self, user: &UserView) -> bool {
        match self {
            Reset | Unlock | EndSessions | Delete => !user.deleted,
            Restore => user.deleted && !user.is_erased(),
            Erase => !user.is_erased(),
        }
    }

    /// Returns whether the level in the token permits it. The engine proves it when it is done.
    fn is_permitted(self, caller: &Identity, user: &UserView) -> bool {
        // Only the most powerful erase.
        let needs = (self == Erase).then_some(Level::clamped(0));
        caller.can_act_on(user.level) && caller.can_act_on(needs)
    }

    fn is_dangerous(self) -> bool {
        matches!(self, Delete | Erase)
    }

    async fn perform(self, visit: &Visit<'_>, caller: &Caller, user: &UserView) -> Result<()> {
        let (users, id) = (visit.authy.users(), user.public_id);
        match self {
            Reset => users.send_reset(caller, id).await,
            Unlock => users.unlock(caller, id).await,
            EndSessions => visit.authy.sessions().end_all(caller, id).await,
            Delete => users.delete(caller, id).await,
            Restore => users.restore(caller, id).await,
            Erase => users.erase(caller, id).await,
        }
    }

    fn question(self, visit: &Visit<'_>, user: &UserView) -> Question {
        let question = Question::about(visit, self.key(), user, &[("email", user.email.as_str())]);
        Question { is_dangerous: self.is_dangerous(), ..question }
    }
}

/// Returns what a caller can do with an account.
pub(super) fn links(caller: &Identity, user: &UserView, texts: &Texts) -> Vec<ActionLink> {
    let offered = |action: &AccountAction| action.applies_to(user) && action.is_permitted(caller, user);
    let link = |action: AccountAction| ActionLink {
        path: path(action, user),
        text: texts.get(&format!("ask.{}_link", action.key())),
        is_dangerous: action.is_dangerous(),
    };
    AccountAction::ALL.into_iter().filter(offered).map(link).collect()
}

/// Returns the path of a page below `/authy/ui`.
fn path(action: AccountAction, user: &UserView) -> String {
    let segment = action.route().rsplit('/').next().unwrap_or_default();
    format!("/admin/users/{}/{segment}", user.public_id)
}

pub(super) async fn ask(visit: &Visit<'_>) -> Shown {
    let (action, user) = (AccountAction::of(visit)?, subject::find(visit).await?);
    if !action.is_permitted(visit.identity()?, &user) {
        return Err(subject::beyond().into());
    }
    match action.applies_to(&user) {
        true => Ok(action.question(visit, &user).ask()),
        // It has been done meanwhile.
        false => Ok(Answer::redirect(format!("{USERS}/{}", user.public_id))),
    }
}

pub(super) async fn perform(visit: &Visit<'_>) -> Shown {
    let (action, user) = (AccountAction::of(visit)?, subject::find(visit).await?);
    match action.perform(visit, &visit.caller()?, &user).await {
        Ok(()) => Ok(Answer::redirect(format!("{USERS}/{}?notice={}_done", user.public_id, action.key()))),
        Err(error) => action.question(visit, &user).refuse(visit, error),
    }
}
