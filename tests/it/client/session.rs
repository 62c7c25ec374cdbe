//! A session of the client: refreshed once for all callers, and over only when the server says so.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use authy_client::{Authenticator as _, Client, Secret, Session, SessionError, api::session::RefreshToken};
use authy_tests::{TestApp, TestUser, at_once, credentials, operator, proxy::Proxy, until};

/// An app whose access tokens live for two seconds: they are refreshed after one and a half, and used for 1.8.
async fn app() -> TestApp {
    TestApp::with(|config, _| config.access_ttl = Duration::from_secs(2)).await
}

fn by(proxy: &Proxy) -> Client {
    Client::builder(&proxy.url()).retries(0).timeout(Duration::from_secs(2)).build().unwrap()
}

/// A session, and the number of its refreshes.
async fn begin(client: &Client, user: &TestUser) -> (Session, Arc<AtomicUsize>) {
    let refreshes = Arc::new(AtomicUsize::new(0));
    let count = refreshes.clone();
    let session = client.session().on_refresh(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    (session.login(credentials(&user.username)).await.unwrap(), refreshes)
}

/// Waits until the server refuses an access token.
async fn until_expired(app: &TestApp, token: &Secret) {
    until("the token has expired", || async { app.authy.authenticate(token.expose()).await.is_err() }).await;
}

#[tokio::test]
async fn a_session_is_refreshed_before_its_token_expires_and_once_for_all_callers() {
    let app = app().await;
    let user = app.user().await;
    let (session, refreshes) = begin(&app.anonymous(), &user).await;
    let first = session.token().await.unwrap();
    // While it is used, every token that it gives is good: the refresh comes before the expiry.
    until("it is refreshed", || async {
        let token = session.token().await.unwrap();
        app.authy.authenticate(token.expose()).await.unwrap();
        refreshes.load(Ordering::Relaxed) == 1
    })
    .await;
    let second = session.token().await.unwrap();
    assert_ne!(first, second);
    // After a pause the token has expired, and all who ask at once wait for one refresh.
    until_expired(&app, &second).await;
    let tokens = at_once(50, |_| {
        let session = session.clone();
        async move { session.token().await.unwrap() }
    })
    .await;
    assert!(tokens.iter().all(|token| *token == tokens[0] && *token != second));
    assert_eq!(refreshes.load(Ordering::Relaxed), 2);
    let me = session.client().await.unwrap().get_self().await.unwrap();
    assert_eq!(me.public_id, user.id);
}

#[tokio::test]
async fn while_the_server_is_away_a_valid_token_goes_on_being_used_and_the_session_goes_on_afterwards() {
    let app = app().await;
    let proxy = Proxy::to(app.address).await;
    let user = app.user().await;
    let (session, refreshes) = begin(&by(&proxy), &user).await;
    proxy.cut();
    let first = session.token().await.unwrap();
    until("it cannot be refreshed", || async {
        match session.token().await {
            Ok(token) => {
                assert_eq!(token, first);
                false
            }
            Err(error) => {
                assert!(matches!(error, SessionError::Unavailable(_)) && !error.is_ended(), "{error:?}");
                true
            }
        }
    })
    .await;
    assert_eq!(refreshes.load(Ordering::Relaxed), 0);
    proxy.mend(app.address);
    app.authy.authenticate(session.token().await.unwrap().expose()).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_is_lost_and_a_caller_that_stops_waiting_end_no_session() {
    let app = app().await;
    let proxy = Proxy::to(app.address).await;
    let user = app.user().await;
    let (session, refreshes) = begin(&by(&proxy), &user).await;
    until_expired(&app, &session.tokens().unwrap().token).await;
    proxy.lose_next_answer();
    let token = session.token().await.unwrap();
    assert!(proxy.has_lost_answer(), "the server has executed the refresh twice");
    app.authy.authenticate(token.expose()).await.unwrap();

    until_expired(&app, &token).await;
    // Asked once, and then no more.
    let asked = futures_util::poll!(std::pin::pin!(session.token()));
    assert!(asked.is_pending());
    until("the refresh ends all the same", || async { refreshes.load(Ordering::Relaxed) == 2 }).await;
    app.authy.authenticate(session.tokens().unwrap().token.expose()).await.unwrap();
}

#[tokio::test]
async fn a_token_that_a_change_of_roles_revoked_is_replaced_once_for_all_callers() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let (session, refreshes) = begin(&app.anonymous(), &user).await;
    let revoked = session.token().await.unwrap();
    app.superadmin().await.client.grant_role("guest".parse().unwrap(), user.id).await.unwrap();
    let refused = session.client().await.unwrap().get_self().await.unwrap_err();
    assert_eq!(refused.status(), Some(401));
    let tokens = at_once(20, |_| {
        let (session, revoked) = (session.clone(), revoked.clone());
        async move { session.token_other_than(&revoked).await.unwrap() }
    })
    .await;
    assert!(tokens.iter().all(|token| *token == tokens[0] && *token != revoked));
    assert_eq!((session.token().await.unwrap(), refreshes.load(Ordering::Relaxed)), (tokens[0].clone(), 1));
    session.client().await.unwrap().get_self().await.unwrap();
}

#[tokio::test]
async fn a_call_whose_token_was_revoked_is_made_once_more_with_another_one() {
    let app = TestApp::new().await;
    let (user, superadmin) = (app.user().await, app.superadmin().await.client);
    let (session, refreshes) = begin(&app.anonymous(), &user).await;
    superadmin.grant_role("guest".parse().unwrap(), user.id).await.unwrap();
    let made = AtomicUsize::new(0);
    let me = session.call(|client| {
        made.fetch_add(1, Ordering::Relaxed);
        async move { client.get_self().await }
    });
    assert_eq!(me.await.unwrap().public_id, user.id);
    assert_eq!((made.load(Ordering::Relaxed), refreshes.load(Ordering::Relaxed)), (2, 1));

    // Another refusal is that of the call.
    let refused = session.call(|client| async move { client.list_roles().await }).await.unwrap_err();
    assert!(matches!(&refused, SessionError::Call(error) if error.status() == Some(403)), "{refused:?}");
    assert!(!refused.is_ended() && refreshes.load(Ordering::Relaxed) == 1);
    superadmin.end_user_sessions(user.id).await.unwrap();
    assert!(session.call(|client| async move { client.get_self().await }).await.is_err_and(|error| error.is_ended()));
}

#[tokio::test]
async fn a_session_that_was_ended_elsewhere_is_over_for_good() {
    let app = app().await;
    let user = app.user().await;
    let (session, refreshes) = begin(&app.anonymous(), &user).await;
    user.client.end_other_sessions().await.unwrap();
    until("it is over", || async { session.token().await.is_err_and(|error| error.is_ended()) }).await;
    assert!(session.tokens().is_none() && session.client().await.is_err_and(|error| error.is_ended()));
    session.logout().await.unwrap();
    assert_eq!(refreshes.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_logout_ends_the_session_also_when_its_token_has_expired() {
    let app = app().await;
    let user = app.user().await;
    for expires_before in [false, true] {
        let (session, _) = begin(&app.anonymous(), &user).await;
        let tokens = session.tokens().unwrap();
        if expires_before {
            until_expired(&app, &tokens.token).await;
        }
        session.logout().await.unwrap();
        assert!(session.token().await.is_err_and(|error| error.is_ended()));
        assert!(app.authy.authenticate(tokens.token.expose()).await.is_err());
        let request = RefreshToken { refresh_token: tokens.refresh_token };
        app.anonymous().refresh(request).await.unwrap_err();
        session.logout().await.unwrap();
    }
}

#[tokio::test]
async fn a_logout_ends_the_session_also_when_a_change_of_roles_has_revoked_its_token() {
    let app = app().await;
    let user = app.user().await;
    let (session, _) = begin(&app.anonymous(), &user).await;
    let refresh_token = session.tokens().unwrap().refresh_token;
    app.authy.roles().grant(&operator(), &"guest".parse().unwrap(), user.id).await.unwrap();
    session.logout().await.unwrap();
    app.anonymous().refresh(RefreshToken { refresh_token }).await.unwrap_err();
    assert_eq!(
        app.again(&user).await.client.list_sessions().await.unwrap().sessions.len(),
        2,
        "this one and the first"
    );
}

#[tokio::test]
async fn a_logout_that_reaches_no_server_says_so_and_can_be_repeated() {
    let app = app().await;
    let proxy = Proxy::to(app.address).await;
    let user = app.user().await;
    let (session, _) = begin(&by(&proxy), &user).await;
    proxy.cut();
    assert!(session.logout().await.is_err_and(|error| !error.is_ended()));
    proxy.mend(app.address);
    session.logout().await.unwrap();
    assert!(session.token().await.is_err_and(|error| error.is_ended()));
}

#[tokio::test]
async fn a_program_that_saves_each_refresh_token_continues_its_session_after_a_restart() {
    let app = app().await;
    let user = app.user().await;
    let saved = Arc::new(Mutex::new(Vec::new()));
    let builder = || {
        let saved = saved.clone();
        app.anonymous().session().on_refresh(move |tokens| saved.lock().unwrap().push(tokens.clone()))
    };
    let session = builder().login(credentials(&user.username)).await.unwrap();
    let device_token = session.tokens().unwrap().device_token;
    until_expired(&app, &session.tokens().unwrap().token).await;
    session.token().await.unwrap();
    drop(session);
    let last = saved.lock().unwrap().last().unwrap().clone();
    assert!(device_token.is_some() && last.device_token == device_token, "a refresh does not lose the device");

    let resumed = builder().resume(last.refresh_token).await.unwrap();
    assert_eq!(saved.lock().unwrap().len(), 2, "the refresh token was exchanged, and the next one saved");
    assert_eq!(saved.lock().unwrap()[1].refresh_token, resumed.tokens().unwrap().refresh_token);
    assert_eq!(resumed.client().await.unwrap().get_self().await.unwrap().public_id, user.id);
    let refused = builder().resume(Secret::new("not a refresh token")).await.unwrap_err();
    assert!(refused.is_ended(), "{refused:?}");

    let (tokens, shown) = (resumed.tokens().unwrap(), format!("{resumed:?} {:?}", builder()));
    assert!(shown.contains(&user.id.to_string()), "{shown}");
    for secret in [tokens.token, tokens.refresh_token] {
        assert!(!shown.contains(secret.expose()));
    }
}
