//! What each template shows. Samples of it are rendered at the start, so that an error in a template is found there.

use std::collections::BTreeMap;

use authy_core::api::{role::RoleView, session::SessionView};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    form::{FormState, ShownStrength},
    moment::Moment,
    texts::Texts,
};
use crate::user_agent::program_and_system;

/// What a template shows.
pub(in crate::ui) trait View: Serialize + Sized {
    const TEMPLATE: &'static str;

    /// Returns one with as little and one with as much as possible.
    fn samples() -> Vec<Self>;
}

/// Declares views, each with its template and the values of its samples, and a function `samples` that returns all samples.
macro_rules! views {
    ($( $(#[$meta:meta])* $template:literal $name:ident {
        $( $(#[$about:meta])* $field:ident: $type:ty = $least:expr, $most:expr; )*
    } )+) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Debug, ::serde::Serialize)]
            pub(in crate::ui) struct $name { $( $(#[$about])* pub(in crate::ui) $field: $type, )* }

            impl $crate::ui::view::View for $name {
                const TEMPLATE: &'static str = $template;

                fn samples() -> Vec<Self> {
                    vec![Self { $($field: $least,)* }, Self { $($field: $most,)* }]
                }
            }
        )+

        /// Returns samples of what these templates show.
        pub(in crate::ui) fn samples() -> Vec<(&'static str, ::minijinja::Value)> {
            use $crate::ui::view::View as _;
            let mut samples = Vec::new();
            $(samples.extend($name::samples().iter().map(|sample| {
                ($template, ::minijinja::Value::from(::minijinja::value::Serde(sample)))
            }));)+
            samples
        }
    };
}

pub(in crate::ui) use views;

views! {
    /// A message, and where to go on.
    "message.html" MessageView {
        title: String = text(), text();
        paragraphs: Vec<String> = Vec::new(), vec![text(), text()];
        link: Option<Link> = None, Some(Link { path: "/login".to_owned(), text: text() });
    }

    "login.html" LoginView {
        form: FormState = FormState::default(), refused();
        return_path: Option<String> = None, Some(text());
    }

    "signup.html" SignUpView {
        form: FormState = FormState::default(), refused();
    }

    "confirm.html" ConfirmView {
        /// The address, abbreviated.
        hint: String = text(), text();
        /// Whether it is the new address of an account, and not that of a sign-up.
        is_new: bool = false, true;
    }

    "forgot.html" ForgotView {
        form: FormState = FormState::default(), refused();
        /// Whether a mail is on its way, if the address is known.
        is_sent: bool = false, true;
    }

    "reset.html" ResetView {
        form: FormState = FormState::default(), refused();
        username: String = text(), text();
        /// Whether the account has no password yet: its user was invited.
        is_first: bool = false, true;
    }

    "again.html" AgainView {
        form: FormState = FormState::default(), refused();
        username: String = text(), text();
        return_path: Option<String> = None, Some(text());
    }

    "account.html" AccountView {
        alert: Option<String> = None, Some(text());
        username: String = text(), text();
        email: String = text(), text();
        is_confirmed: bool = false, true;
        created: Moment = moment(), moment();
        last_login: Option<Moment> = None, Some(moment());
        roles: Vec<RoleLine> = Vec::new(), vec![role(), role()];
        sessions: usize = 1, 2;
    }

    "email.html" EmailView {
        form: FormState = FormState::default(), refused();
        username: String = text(), text();
        email: String = text(), text();
    }

    "password.html" PasswordView {
        form: FormState = FormState::default(), refused();
        username: String = text(), text();
    }

    "sessions.html" SessionsView {
        sessions: Vec<SessionLine> = Vec::new(), vec![session(false), session(true)];
        has_others: bool = false, true;
    }

    "docs.html" DocsView {
        openapi: String = text(), text();
        events: String = text(), text();
    }

    "delete.html" DeleteView {
        alert: Option<String> = None, Some(text());
        username: String = text(), text();
    }
}

/// A link to a page below `/authy/ui`.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct Link {
    pub(super) path: String,
    pub(super) text: String,
}

impl Link {
    /// Returns a link with the text of a key.
    pub(super) fn new(path: &str, texts: &Texts, key: &str) -> Self {
        Self { path: path.to_owned(), text: texts.get(key) }
    }
}

/// A role of a user.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct RoleLine {
    name: String,
    description: String,
    level: i32,
}

impl From<&RoleView> for RoleLine {
    fn from(role: &RoleView) -> Self {
        let (name, description) = (role.name.as_str().to_owned(), role.description.as_str().to_owned());
        Self { name, description, level: role.level.get() }
    }
}

/// A session of a user.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct SessionLine {
    pub(super) id: String,
    pub(super) program: Option<&'static str>,
    pub(super) system: Option<&'static str>,
    pub(super) ip: Option<String>,
    pub(super) created: Moment,
    pub(super) last_used: Moment,
    pub(super) is_current: bool,
}

impl SessionLine {
    pub(in crate::ui) fn new(session: &SessionView, is_current: bool, now: DateTime<Utc>, texts: &Texts) -> Self {
        let (program, system) = session.user_agent.as_deref().map(program_and_system).unwrap_or_default();
        Self {
            id: session.session_id.to_string(),
            program,
            system,
            ip: session.ip.clone(),
            created: Moment::new(session.created, now, texts),
            last_used: Moment::new(session.last_used, now, texts),
            is_current,
        }
    }
}

/// A text of a sample.
pub(in crate::ui) fn text() -> String {
    "sample".to_owned()
}

/// A time of a sample.
pub(in crate::ui) fn moment() -> Moment {
    Moment { iso: "2019-06-11T10:03:09Z".to_owned(), exact: text(), relative: text() }
}

/// A role of a sample.
pub(in crate::ui) fn role() -> RoleLine {
    RoleLine { name: text(), description: text(), level: 10 }
}

/// A session of a sample.
pub(in crate::ui) fn session(is_known: bool) -> SessionLine {
    let name = is_known.then_some("sample");
    SessionLine {
        id: text(),
        program: name,
        system: name,
        ip: is_known.then(text),
        created: moment(),
        last_used: moment(),
        is_current: is_known,
    }
}

/// A form of a sample, with everything wrong.
pub(in crate::ui) fn refused() -> FormState {
    let fields =
        ["username", "email", "password", "confirm_password", "current_password", "name", "description", "level"];
    let all = || BTreeMap::from(fields.map(|field| (field.to_owned(), text())));
    let strength = Some(ShownStrength { score: 1, suggestions: vec![text()] });
    FormState { values: all(), errors: all(), focus: Some("password".to_owned()), alert: Some(text()), strength }
}
