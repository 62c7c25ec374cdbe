//! What has to work on every database, however it is reached and configured.

use std::{sync::Arc, time::Duration};

use authy_core::{
    Authenticator as _, Authy, ErrorKind, RoleName, UserId,
    api::{event::EventQuery, session::RefreshToken, user::UserQuery},
    engine::{Config, Delivery, MasterKeys},
};

use crate::{
    TestApp, TestUser, at_once, credentials, database, fresh_name, new_user, operator,
    recording_sink::{RecordingSink, assert_complete},
    until,
};

/// Number of concurrent logins: several times as many as there are connections.
const LOGINS: usize = 40;

/// Creates the schema in a database, and tries sign-up, login, check, refresh, revocation, roles, lists, deliveries, and maintenance,
/// by two servers. `direct` is the way to the database for the test itself.
///
/// # Panics
/// When anything fails.
pub async fn try_essentials(
    config: &tokio_postgres::Config,
    direct: &tokio_postgres::Config,
    delivery: Delivery,
    change: impl Fn(&mut Config),
) {
    let keys = MasterKeys::generate().unwrap();
    let folder = database::folder();
    let path = folder.path().join("record");
    let mut settings = Config::default();
    change(&mut settings);
    let migration =
        Authy::builder(config.clone()).without_background().master_keys(keys.clone()).config(settings).migrate();
    assert!(!migration.await.unwrap().applied.is_empty());
    let changed = |config: &mut Config| {
        config.self_test = Some(Duration::from_millis(200));
        change(config);
    };
    let first = TestApp::build(
        config.clone(),
        keys.clone(),
        |config, _| changed(config),
        |_| vec![Arc::new(RecordingSink::open(&path, delivery))],
    )
    .await;
    let second = TestApp::on(config.clone(), keys, |config, _| {
        changed(config);
        config.issuer = Some(first.url());
    })
    .await;

    let name = fresh_name("ada");
    let id = first.anonymous().register(new_user(&name)).await.unwrap().public_id;
    try_logins(&first, &name).await;
    let user = log_in(&first, &name, id).await;
    assert_eq!(second.authy.authenticate(user.token.expose()).await.unwrap().public_id, id);
    let refresh = RefreshToken { refresh_token: user.refresh_token.clone() };
    let refreshed = user.client.refresh(refresh).await.unwrap();

    let admin: RoleName = "admin".parse().unwrap();
    first.authy.roles().grant(&operator(), &admin, id).await.unwrap();
    until_refused(&second.authy, refreshed.token.expose()).await;
    let user = log_in(&second, &name, id).await;
    assert_eq!(user.client.list_users(UserQuery::default()).await.unwrap().users.len(), 1);
    assert!(!user.client.list_events(EventQuery::default()).await.unwrap().events.is_empty());
    assert!(!user.client.list_sessions().await.unwrap().sessions.is_empty());
    user.client.export_self().await.unwrap();
    user.client.logout().await.unwrap();
    until_refused(&first.authy, user.token.expose()).await;
    first.authy.users().delete(&operator(), id).await.unwrap();
    let refused = second.anonymous().login(credentials(&name)).await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::InvalidCredentials));

    for TestApp { authy, .. } in [&first, &second] {
        until("the self-test of revocations has passed", || async {
            authy.revocations().self_test().is_some_and(|test| test.failed.is_none())
        })
        .await;
        authy.check().await.unwrap();
        authy.maintain().await.unwrap();
    }
    until("everything has been delivered", || async {
        first.authy.deliveries().list_sinks().await.unwrap().iter().all(|sink| sink.waiting == 0)
    })
    .await;
    assert_complete(&database::connect(direct).await, &path, "after everything").await;
}

async fn log_in(app: &TestApp, name: &str, id: UserId) -> TestUser {
    let tokens = app.anonymous().login(credentials(name)).await.unwrap();
    let client = app.anonymous().with_token(tokens.token.clone());
    TestUser { username: name.to_owned(), id, token: tokens.token, refresh_token: tokens.refresh_token, client }
}

async fn try_logins(app: &TestApp, name: &str) {
    let (client, name): (_, Arc<str>) = (app.anonymous(), name.into());
    let logins = at_once(LOGINS, move |_| {
        let (client, name) = (client.clone(), name.clone());
        async move { client.login(credentials(&name)).await.map(drop).map_err(|error| error.to_string()) }
    });
    let failed: Vec<_> = logins.await.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{} of {LOGINS} logins failed: {failed:?}", failed.len());
}

async fn until_refused(authy: &Authy, token: &str) {
    until("the token is refused", || async {
        authy.authenticate(token).await.is_err_and(|error| error.kind() == ErrorKind::InvalidToken)
    })
    .await;
}
