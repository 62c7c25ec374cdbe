//! The keys that sign access tokens: their states, rotation and revocation.

use authy_core::{
    Error, ErrorKind, Result,
    engine::{KeyState, KeyView},
};

use super::{
    super::question::Question,
    has_full_power,
    view::{KeyLine, KeysView},
};
use crate::ui::{
    answer::{Answer, Shown},
    moment::Moment,
    visit::Visit,
};

pub(super) const PATH: &str = "/authy/ui/admin/keys";

/// The path below `/authy/ui`.
const LINK: &str = "/admin/keys";

pub(super) async fn list(visit: &Visit<'_>) -> Shown {
    let keys = visit.authy.keys().list().await?;
    let can_act = has_full_power(visit.identity()?);
    let is_rotating = keys.iter().any(|key| key.state == KeyState::Pending);
    let moment = |time| Moment::new(time, visit.now, &visit.language.texts);
    let line = |key: &KeyView| KeyLine {
        kid: key.kid.clone(),
        algorithm: key.algorithm.clone(),
        state: key.state.as_str(),
        created: moment(key.created),
        changed: moment(key.changed),
        // A retired key can be revoked, too: its thief may have made tokens with it.
        revoke: can_act.then(|| format!("{LINK}/{}/revoke", key.kid)),
    };
    Ok(Answer::page(&KeysView {
        keys: keys.iter().map(line).collect(),
        rotate: (can_act && !is_rotating).then(|| format!("{LINK}/rotate")),
    }))
}

pub(super) async fn ask_rotate(visit: &Visit<'_>) -> Shown {
    Ok(rotation(visit).ask())
}

pub(super) async fn rotate(visit: &Visit<'_>) -> Shown {
    match visit.authy.keys().rotate(&visit.caller()?).await {
        Ok(_) => Ok(Answer::redirect(format!("{PATH}?notice=key_rotated"))),
        Err(error) => rotation(visit).refuse(visit, error),
    }
}

fn rotation(visit: &Visit<'_>) -> Question {
    let text = |part: &str| visit.language.texts.get(&format!("keys.rotate_{part}"));
    Question {
        title: text("title"),
        person: None,
        paragraphs: vec![text("what"), text("nobody")],
        submit: text("submit"),
        is_dangerous: false,
        cancel: LINK.to_owned(),
    }
}

pub(super) async fn ask_revoke(visit: &Visit<'_>) -> Shown {
    Ok(revocation(visit, &find(visit).await?).ask())
}

pub(super) async fn revoke(visit: &Visit<'_>) -> Shown {
    let key = find(visit).await?;
    match visit.authy.keys().revoke(&visit.caller()?, &key.kid).await {
        Ok(()) => Ok(Answer::redirect(format!("{PATH}?notice=key_revoked"))),
        Err(error) => revocation(visit, &key).refuse(visit, error),
    }
}

fn revocation(visit: &Visit<'_>, key: &KeyView) -> Question {
    let texts = &visit.language.texts;
    let text = |part: &str| texts.format(&format!("keys.revoke_{part}"), &[("kid", &key.kid)]);
    let effect = match key.state {
        KeyState::Active => "active",
        KeyState::Pending => "pending",
        KeyState::Retiring => "retiring",
        KeyState::Retired => "retired",
    };
    Question {
        title: text("title"),
        person: None,
        paragraphs: vec![text("what"), text(effect), text("when")],
        submit: text("submit"),
        is_dangerous: true,
        cancel: LINK.to_owned(),
    }
}

/// Returns the key in the path.
async fn find(visit: &Visit<'_>) -> Result<KeyView> {
    let kid = visit.parameter("kid");
    let found = visit.authy.keys().list().await?.into_iter().find(|key| key.kid == kid);
    found.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such key"))
}
