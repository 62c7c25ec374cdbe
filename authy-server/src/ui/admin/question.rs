//! A page that says what will happen and to whom, before it is done.

use authy_core::{Error, ErrorKind, api::user::UserView};

use super::view::{PersonLine, QuestionView};
use crate::ui::{
    answer::{Answer, Shown},
    visit::Visit,
};

/// What is asked before something is done. The form leads to the path of the page, with its query.
pub(in crate::ui) struct Question {
    pub(in crate::ui) title: String,
    /// Whom it is about.
    pub(in crate::ui) person: Option<PersonLine>,
    /// What will happen.
    pub(in crate::ui) paragraphs: Vec<String>,
    /// The text of the button that does it.
    pub(in crate::ui) submit: String,
    pub(in crate::ui) is_dangerous: bool,
    /// The page, below `/authy/ui`, that leads away from it.
    pub(in crate::ui) cancel: String,
}

impl Question {
    /// Creates a question about a user, with the texts `ask.<key>_title`, `ask.<key>_what` and `ask.<key>_submit`.
    pub(in crate::ui) fn about(visit: &Visit<'_>, key: &str, user: &UserView, values: &[(&str, &str)]) -> Self {
        let values: Vec<_> = [("username", user.username.as_str())].into_iter().chain(values.iter().copied()).collect();
        let text = |part: &str| visit.language.texts.format(&format!("ask.{key}_{part}"), &values);
        Self {
            title: text("title"),
            person: Some(PersonLine::from(user)),
            paragraphs: vec![text("what")],
            submit: text("submit"),
            is_dangerous: true,
            cancel: format!("/admin/users/{}", user.public_id),
        }
    }

    /// Shows the question.
    pub(in crate::ui) fn ask(self) -> Answer {
        self.page(None)
    }

    /// Shows the question, and why the engine has refused what it asks.
    pub(in crate::ui) fn refuse(self, visit: &Visit<'_>, error: Error) -> Shown {
        match error.kind() {
            // Of these another page tells.
            ErrorKind::Internal | ErrorKind::NotFound | ErrorKind::InvalidToken | ErrorKind::TokenRequired => {
                Err(error.into())
            }
            _ => Ok(self.page(Some(visit.language.texts.error(&error))).refused(error)),
        }
    }

    fn page(self, alert: Option<String>) -> Answer {
        let Self { title, person, paragraphs, submit, is_dangerous, cancel } = self;
        Answer::page(&QuestionView { alert, title, person, paragraphs, submit, is_dangerous, cancel })
    }
}
