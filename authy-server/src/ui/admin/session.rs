//! Ends one session of a user.

use authy_core::{Error, ErrorKind, Result, api::session::SessionView, api::user::UserView};

use super::{question::Question, subject};
use crate::{
    ui::{
        answer::{Answer, Shown},
        path::USERS,
        visit::Visit,
    },
    user_agent::program_and_system,
};

pub(super) async fn ask(visit: &Visit<'_>) -> Shown {
    let user = subject::find(visit).await?;
    if !visit.identity()?.can_act_on(user.level) {
        return Err(subject::beyond().into());
    }
    let session = find(visit, &user).await?;
    Ok(question(visit, &user, &session).ask())
}

pub(super) async fn end(visit: &Visit<'_>) -> Shown {
    let user = subject::find(visit).await?;
    let done = Answer::redirect(format!("{USERS}/{}?notice=end_session_done", user.public_id));
    let session = match find(visit, &user).await {
        // It has ended meanwhile: that is what was wanted.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(done),
        found => found?,
    };
    match visit.authy.sessions().end(&visit.caller()?, user.public_id, session.session_id).await {
        Err(error) if error.kind() != ErrorKind::NotFound => question(visit, &user, &session).refuse(visit, error),
        _ => Ok(done),
    }
}

fn question(visit: &Visit<'_>, user: &UserView, session: &SessionView) -> Question {
    let texts = &visit.language.texts;
    let (program, system) = session.user_agent.as_deref().map(program_and_system).unwrap_or_default();
    let device = match (program, system) {
        (Some(program), Some(system)) => texts.format("sessions.device", &[("program", program), ("system", system)]),
        (known, other) => known.or(other).map_or_else(|| texts.get("sessions.unknown"), str::to_owned),
    };
    let question = Question::about(visit, "end_session", user, &[("device", &device)]);
    Question { is_dangerous: false, ..question }
}

async fn find(visit: &Visit<'_>, user: &UserView) -> Result<SessionView> {
    let sessions = visit.authy.sessions().list_of(user.public_id).await?;
    let id = visit.parameter("session_id");
    let found = sessions.into_iter().find(|session| session.session_id.to_string() == id);
    found.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such session"))
}
