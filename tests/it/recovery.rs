//! A database that has gone back in time, and what the operator does about it.

use std::collections::BTreeSet;

use authy_core::{
    Authenticator, ErrorKind, Secret,
    api::{
        account::{ForgottenPassword, PasswordReset},
        event::{EventKind, EventQuery},
        session::{RefreshToken, Tokens},
    },
};
use authy_tests::{TestApp, TestUser, code, credentials, fresh_name, new_user, operator, until};

async fn verdict(authenticator: &impl Authenticator, user: &TestUser) -> Result<(), ErrorKind> {
    authenticator.authenticate(user.token.expose()).await.map(drop).map_err(|error| error.kind())
}

const REVOKED: Result<(), ErrorKind> = Err(ErrorKind::InvalidToken);

async fn present(app: &TestApp, token: &Secret) -> Result<Tokens, ErrorKind> {
    let request = RefreshToken { refresh_token: token.clone() };
    app.anonymous().refresh(request).await.map_err(|error| error.kind().unwrap())
}

fn lost_history(app: &TestApp) -> u64 {
    app.authy.revocations().database_status().lost_history
}

#[tokio::test]
async fn a_refresh_token_that_the_database_has_forgotten_ends_its_session() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let newer = present(&app, &user.refresh_token).await.unwrap();
    let newest = present(&app, &newer.refresh_token).await.unwrap();
    assert_eq!(lost_history(&app), 0);
    // As after a restore to the time of the login, when the first token was the current one.
    let back = "UPDATE authy.session SET generation = 0, rotated = NULL, last_used = created,
                    access_until = created + (access_until - last_used)";
    app.sql().await.batch_execute(back).await.unwrap();

    let refused = Some(ErrorKind::InvalidRefreshToken);
    assert_eq!(present(&app, &newest.refresh_token).await.err(), refused);
    // Otherwise who has copied the first one would go on.
    assert_eq!(present(&app, &user.refresh_token).await.err(), refused);
    for token in [&user.token, &newest.token] {
        assert!(app.authy.authenticate(token.expose()).await.is_err());
    }
    assert_eq!(lost_history(&app), 1);
    let query = EventQuery { user: Some(user.id), kind: Some(EventKind::SessionEnded), ..EventQuery::default() };
    let events = app.authy.events().list(&query).await.unwrap().events;
    assert_eq!(events.first().unwrap().detail["reason"], "lost_history");
}

/// Returns when the revocation of a user's only session ends, in seconds from now.
async fn revoked_for(app: &TestApp, user: &TestUser) -> f64 {
    let until =
        "SELECT extract(epoch FROM until - now())::float8 FROM authy.revocation JOIN authy.session USING (session_id)
                 WHERE session.user_id = $1";
    app.sql().await.query_one(until, &[user.id.as_uuid()]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_logout_lasts_as_long_as_tokens_of_an_exchange_that_the_database_has_forgotten() {
    let app = TestApp::new().await;
    let other = app.user().await;
    let ttl = present(&app, &other.refresh_token).await.unwrap().expires_in as f64;
    // The tokens that the database knows expire within a minute, or have expired.
    for (age, is_refresh) in [(ttl - 30.0, false), (ttl + 3600.0, false), (ttl + 3600.0, true)] {
        let user = app.user().await;
        let newer = present(&app, &user.refresh_token).await.unwrap();
        let back = "UPDATE authy.session SET generation = 0, rotated = NULL,
                        last_used = now() - make_interval(secs => $2),
                        access_until = now() + make_interval(secs => $3 - $2)
                    WHERE user_id = $1";
        app.sql().await.execute(back, &[user.id.as_uuid(), &age, &ttl]).await.unwrap();
        match is_refresh {
            false => drop(user.client.with_token(newer.token).logout().await.unwrap()),
            true => drop(present(&app, &newer.refresh_token).await.unwrap_err()),
        }
        let revoked = revoked_for(&app, &user).await;
        assert!((ttl..ttl + 120.0).contains(&revoked), "{age} {is_refresh}: {revoked} s");
    }
}

#[tokio::test]
async fn a_dump_that_is_restored_under_a_running_server_is_noticed() {
    let app = TestApp::new().await;
    let user = app.user().await;
    user.client.logout().await.unwrap();
    assert_eq!(lost_history(&app), 0);
    // The cluster, its timeline and its transaction numbers are the same.
    let sql = app.sql().await;
    sql.batch_execute("DELETE FROM authy.revocation").await.unwrap();
    let leave = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sql.execute(leave, &[]).await.unwrap();
    until("the loss is noticed", || async { lost_history(&app) == 1 }).await;
    // Once, although it is still missing.
    sql.execute(leave, &[]).await.unwrap();
    let fresh = app.user().await;
    fresh.client.logout().await.unwrap();
    assert_eq!((lost_history(&app), verdict(&app.authy, &user).await), (1, REVOKED));
}

#[tokio::test]
async fn a_logout_from_a_session_that_the_database_has_forgotten_revokes_its_tokens() {
    let (app, other) = two_servers().await;
    let (user, ended) = (app.user().await, app.user().await);
    let newer = present(&app, &user.refresh_token).await.unwrap();
    let verifier = other.anonymous().verifier().issuer(app.url()).start().await.unwrap();
    // As after a failover to a standby that was behind the login.
    let back = "DELETE FROM authy.session WHERE session_id = $1";
    let session = app.authy.authenticate(user.token.expose()).await.unwrap().session_id;
    app.sql().await.execute(back, &[session.as_uuid()]).await.unwrap();

    user.client.logout().await.unwrap();
    for token in [&user.token, &newer.token] {
        assert!(app.authy.authenticate(token.expose()).await.is_err());
        until("all refuse it", || async {
            let answers = [other.authy.authenticate(token.expose()).await, verifier.authenticate(token.expose()).await];
            answers.iter().all(|answer| answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::InvalidToken))
        })
        .await;
    }
    assert_eq!(lost_history(&app), 1);
    // A session that has ended is known.
    let again = ended.client.clone();
    ended.client.logout().await.unwrap();
    assert_eq!(again.logout().await.map_err(|error| error.kind()), Err(Some(ErrorKind::InvalidToken)));
    assert_eq!(lost_history(&app), 1);
}

/// What `end_everyone` and `recover` have in common: everybody has to log in again, and can.
async fn assert_everybody_is_out(app: &TestApp, other: &TestApp, users: &[&TestUser]) {
    for user in users {
        for authy in [&app.authy, &other.authy] {
            until("both servers refuse it", || async { verdict(authy, user).await == REVOKED }).await;
        }
        assert_eq!(present(app, &user.refresh_token).await.err(), Some(ErrorKind::InvalidRefreshToken));
        app.anonymous().login(credentials(&user.username)).await.unwrap();
        assert_eq!(verdict(&other.authy, &app.again(user).await).await, Ok(()));
    }
}

async fn two_servers() -> (TestApp, TestApp) {
    let app = TestApp::new().await;
    let issuer = app.url();
    let other =
        TestApp::on(app.database.clone(), app.master_keys.clone(), |config, _| config.issuer = Some(issuer)).await;
    (app, other)
}

#[tokio::test]
async fn all_sessions_of_all_users_end_at_once() {
    let (app, other) = two_servers().await;
    let users = [app.user().await, app.admin().await, app.superadmin().await];
    let verifier = other.anonymous().verifier().issuer(app.url()).start().await.unwrap();
    let ended = app.authy.sessions().end_everyone(&operator()).await.unwrap();
    assert_eq!((ended.users, ended.sessions), (3, 3));
    for user in &users {
        until("the verifier refuses it", || async { verdict(&verifier, user).await == REVOKED }).await;
    }
    assert_everybody_is_out(&app, &other, &users.each_ref()).await;
    let query = EventQuery { kind: Some(EventKind::AllSessionsEnded), ..EventQuery::default() };
    let events = app.authy.events().list(&query).await.unwrap().events;
    assert_eq!((events.len(), &events[0].detail["sessions"]), (1, &3.into()));
}

#[tokio::test]
async fn recovery_refuses_what_the_database_has_forgotten_too() {
    let (app, other) = two_servers().await;
    let (user, forgotten) = (app.user().await, app.user().await);
    let verifier = other.anonymous().verifier().issuer(app.url()).start().await.unwrap();
    let ada = app.authy.users().register(&operator(), new_user(&fresh_name("ada"))).await.unwrap();
    let address: String = {
        let sql = app.sql().await;
        sql.query_one("SELECT email FROM authy.users WHERE public_id = $1", &[&ada]).await.unwrap().get(0)
    };
    let reset = ForgottenPassword { email: address.parse().unwrap() };
    app.anonymous().forgot_password(reset).await.unwrap();
    let reset = code(&app.authy, ada, EventKind::ResetRequested).await;
    // As after a restore to a time before this login.
    let forget = "DELETE FROM authy.session WHERE user_id = $1";
    app.sql().await.execute(forget, &[&forgotten.id]).await.unwrap();
    assert_eq!(verdict(&other.authy, &forgotten).await, Ok(()));
    let kids = async || app.authy.keys().published().keys.iter().map(|key| key.kid.clone()).collect::<BTreeSet<_>>();
    let before = kids().await;

    let report = app.authy.recover(&operator()).await.unwrap();
    assert_eq!(report.revoked_keys.iter().cloned().collect::<BTreeSet<_>>(), before);
    assert!(kids().await.is_disjoint(&before));
    assert!(report.ended.codes > 0);
    for user in [&user, &forgotten] {
        until("the verifier refuses it", || async { verdict(&verifier, user).await == REVOKED }).await;
    }
    assert_everybody_is_out(&app, &other, &[&user, &forgotten]).await;
    assert_eq!(verdict(&verifier, &app.again(&user).await).await, Ok(()));
    let reset = PasswordReset::new(reset, Secret::new("carousel-marmalade-77")).unwrap();
    let refused = app.anonymous().reset_password(reset).await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::NotFound));
}
