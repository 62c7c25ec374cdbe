//! Signing keys: who sees them, who changes them, and what that does.

use authy_core::{
    Authenticator as _,
    engine::{KeyState, KeyView},
};

use super::*;

const PAGE: &str = "/authy/ui/admin/keys";

async fn keys(app: &TestApp, state: KeyState) -> Vec<KeyView> {
    let keys = app.authy.keys().list().await.unwrap();
    keys.into_iter().filter(|key| key.state == state).collect()
}

#[tokio::test]
async fn keys_are_shown_to_administrators_and_changed_by_those_who_may_do_everything() {
    let app = app().await;
    let kid = keys(&app, KeyState::Active).await[0].kid.clone();
    let (_, mut admin) = enter(&app, "admin").await;
    let page = admin.get(PAGE).await;
    assert!(page.body.contains(&kid) && page.body.contains(">active</span>"), "{page:?}");
    assert!(!page.body.contains(&format!("{PAGE}/")), "what one may not do is not offered: {page:?}");
    for path in [format!("{PAGE}/rotate"), format!("{PAGE}/{kid}/revoke")] {
        for answer in [admin.get(&path).await, admin.post(&path, "").await] {
            assert_eq!(answer.status, 403, "{path}: {answer:?}");
        }
    }
    assert_eq!(app.authy.keys().list().await.unwrap().len(), 1, "nothing has happened");

    let (root, mut visitor) = enter(&app, "superadmin").await;
    let page = visitor.get(PAGE).await;
    assert!(page.body.contains(&format!("{PAGE}/rotate")) && page.body.contains(&format!("{PAGE}/{kid}/revoke")));
    let question = visitor.get(&format!("{PAGE}/rotate")).await;
    assert!(question.body.contains("Nobody is logged out"), "{question:?}");
    assert_eq!(app.authy.keys().list().await.unwrap().len(), 1, "a question changes nothing");
    let answer = visitor.post(&format!("{PAGE}/rotate"), "").await;
    assert_eq!(answer.header("location"), format!("{PAGE}?notice=key_rotated"), "{answer:?}");
    let next = keys(&app, KeyState::Pending).await;
    assert_eq!(next.len(), 1);
    let page = visitor.get(&format!("{PAGE}?notice=key_rotated")).await;
    assert!(page.body.contains("The next key is published") && page.body.contains(&next[0].kid), "{page:?}");
    assert!(!page.body.contains(&format!("{PAGE}/rotate")), "there is a next key already: {page:?}");
    let query = api::event::EventQuery { kind: Some(EventKind::KeyCreated), ..Default::default() };
    let event = &app.authy.events().list(&query).await.unwrap().events[0];
    assert_eq!((event.actor, event.actor_kind.as_str()), (Some(root.id), "user"));
}

#[tokio::test]
async fn a_revoked_key_is_refused_and_the_browser_that_did_it_goes_on() {
    let app = app().await;
    let kid = keys(&app, KeyState::Active).await[0].kid.clone();
    let (root, mut visitor) = enter(&app, "superadmin").await;
    let token = app.again(&root).await.token;
    let question = visitor.get(&format!("{PAGE}/{kid}/revoke")).await;
    assert!(question.body.contains(&kid) && question.body.contains("It is the active key"), "{question:?}");
    assert!(app.authy.authenticate(token.expose()).await.is_ok());
    let answer = visitor.post(&format!("{PAGE}/{kid}/revoke"), "").await;
    assert_eq!(answer.header("location"), format!("{PAGE}?notice=key_revoked"), "{answer:?}");
    assert!(app.authy.authenticate(token.expose()).await.is_err(), "its tokens are void");
    let page = visitor.get(answer.header("location")).await;
    assert!(page.body.contains("The key is revoked"), "{page:?}");
    assert_eq!(
        (keys(&app, KeyState::Active).await.len(), keys(&app, KeyState::Retired).await[0].kid.clone()),
        (1, kid)
    );
    let query = api::event::EventQuery { kind: Some(EventKind::KeyRevoked), ..Default::default() };
    assert_eq!(app.authy.events().list(&query).await.unwrap().events[0].actor, Some(root.id));
    assert_eq!(visitor.post(&format!("{PAGE}/nonsense/revoke"), "").await.status, 404);
}

#[tokio::test]
async fn who_has_lost_full_power_changes_no_key_although_the_token_still_says_so() {
    let app = app().await;
    let (root, mut visitor) = enter(&app, "superadmin").await;
    let other = app.superadmin().await;
    assert_eq!(visitor.get(&format!("{PAGE}/rotate")).await.status, 200);
    let names = ["admin".parse().unwrap(), "superadmin".parse().unwrap()];
    app.authy.roles().grant(&authy_tests::operator(), &names[0], root.id).await.unwrap();
    app.authy.roles().revoke(&authy_tests::operator(), &names[1], root.id).await.unwrap();
    assert_eq!(visitor.post(&format!("{PAGE}/rotate"), "").await.status, 403);
    assert!(keys(&app, KeyState::Pending).await.is_empty());
    assert_ne!(root.id, other.id);
}
