//! A failover to a standby that was behind: it is noticed, a lost epoch does not begin again, and the operator recovers.

use std::time::Duration;

use authy_core::{
    Authy, RoleName,
    api::session::RefreshToken,
    engine::{Caller, MasterKeys},
};
use authy_tests::{TestApp, TestUser, cheap, credentials, failover::FailoverPair, operator, until, until_within};

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
