//! A failover to a standby that was behind: it is noticed, a lost epoch does not begin again, and the operator recovers.

use std::{pin::pin, time::Duration};

use authy_core::{
    Authy, RoleName,
    api::session::RefreshToken,
    engine::{Caller, MasterKeys},
};
use authy_tests::{
    TestApp, TestUser, cheap, credentials, failover::FailoverPair, fresh_name, new_user, operator, until, until_within,
};
use futures_util::StreamExt as _;

use super::{REVOKED, verdict};

#[tokio::test]
async fn a_lost_epoch_does_not_begin_again_and_the_loss_is_noticed() {
    let pair = FailoverPair::start().await;
    let keys = MasterKeys::generate().unwrap();
    let app = TestApp::on(pair.config(), keys.clone(), |_, _| ()).await;
    let (user, gone, good) = (app.user().await, app.user().await, app.user().await);
    let guest: RoleName = "guest".parse().unwrap();
    pair.until_the_standby_has_everything().await;
    pair.cut_replication().await;
    gone.client.logout().await.unwrap();
    // Another epoch begins, in which a token is issued, and ends. The standby knows neither.
    app.authy.roles().grant(&operator(), &guest, user.id).await.unwrap();
    let request = RefreshToken { refresh_token: user.refresh_token.clone() };
    let lost = app.anonymous().refresh(request).await.unwrap();
    let lost = TestUser { token: lost.token, refresh_token: lost.refresh_token, ..user };
    app.authy.roles().revoke(&operator(), &guest, lost.id).await.unwrap();
    assert_eq!(verdict(&app.authy, &lost).await, REVOKED);
    let before = app.authy.revocations().database_status();
    assert_eq!((before.timeline, before.lost_history), (Some(1), 0));
    pair.fail_over().await;

    // An instance that was started afterwards does not know what was revoked.
    let mut config = cheap();
    config.issuer = Some(app.url());
    let fresh = Authy::builder(pair.standby_config()).master_keys(keys).config(config).start().await.unwrap();
    assert_eq!((verdict(&fresh, &lost).await, verdict(&fresh, &gone).await), (Ok(()), Ok(())));
    fresh.roles().grant(&operator(), &guest, lost.id).await.unwrap();
    assert_eq!(verdict(&fresh, &lost).await, REVOKED);

    // The one that goes on knows it, and that the database does not.
    pair.open_standby();
    let request = || async { app.anonymous().login(credentials(&good.username)).await.is_ok() };
    until_within(Duration::from_secs(20), "the first server is back", request).await;
    until("the loss is noticed", || async { app.authy.revocations().database_status().lost_history > 0 }).await;
    assert_eq!(app.authy.revocations().database_status().timeline, Some(2));
    assert_eq!((verdict(&app.authy, &gone).await, verdict(&app.authy, &good).await), (REVOKED, Ok(())));
    recover(&app, &fresh, &operator(), &good).await;
}

async fn recover(app: &TestApp, fresh: &Authy, operator: &Caller, good: &TestUser) {
    fresh.recover(operator).await.unwrap();
    for authy in [&app.authy, fresh] {
        until("all refuse what was issued before", || async { verdict(authy, good).await == REVOKED }).await;
    }
    assert_eq!(verdict(&app.authy, &app.again(good).await).await, Ok(()));
}

async fn until_the_new_primary_is_polled(app: &TestApp) {
    until_within(Duration::from_secs(20), "the new primary is polled", || async {
        app.authy.revocations().database_status().timeline == Some(2)
    })
    .await;
}

fn losses(app: &TestApp) -> u64 {
    app.authy.revocations().database_status().lost_history
}

#[tokio::test]
async fn acknowledged_writes_that_are_lost_without_a_revocation_are_noticed() {
    let pair = FailoverPair::start().await;
    let app = TestApp::on(pair.config(), MasterKeys::generate().unwrap(), |_, _| ()).await;
    app.user().await;
    pair.until_the_standby_has_everything().await;
    pair.cut_replication().await;
    app.anonymous().register(new_user(&fresh_name("lost"))).await.unwrap();
    pair.fail_over().await;
    pair.open_standby();
    until_the_new_primary_is_polled(&app).await;
    until("the loss is noticed", || async { losses(&app) > 0 }).await;
    assert_eq!(losses(&app), 1);
}

#[tokio::test]
async fn a_failover_that_loses_only_what_was_rolled_back_is_no_loss() {
    let pair = FailoverPair::start().await;
    let app = TestApp::on(pair.config(), MasterKeys::generate().unwrap(), |_, _| ()).await;
    let user = app.user().await;
    pair.until_the_standby_has_everything().await;
    pair.cut_replication().await;
    // The new primary gives out these transaction IDs again.
    let polled = async || {
        // It may have to be read from a database that is not there yet.
        let Ok(batches) = app.authy.revocations().follow(None).await else { return 0 };
        let cursor = pin!(batches).next().await.unwrap().cursor.to_string();
        cursor.rsplit('-').next().unwrap().parse::<u64>().unwrap()
    };
    let before = polled().await;
    let roll_back = format!(
        "DO $$ BEGIN WHILE pg_current_xact_id() <= '{}'::xid8 LOOP ROLLBACK; END LOOP; ROLLBACK; END $$",
        before + 2000
    );
    app.sql().await.batch_execute(&roll_back).await.unwrap();
    until("the server has seen the last of them", || async { polled().await >= before + 2000 }).await;
    pair.fail_over().await;
    pair.open_standby();
    until_the_new_primary_is_polled(&app).await;
    assert!(polled().await < before + 2000, "no transaction ID is used again");
    // It looks for its writes after the first poll, and before the second.
    let first = polled().await;
    until("the server polls again", || async {
        app.anonymous().login(credentials(&user.username)).await.is_ok() && polled().await > first
    })
    .await;
    assert_eq!(losses(&app), 0);
}
