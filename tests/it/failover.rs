//! A failover to a standby that was behind: the new primary gives out transaction ids again, and yet nothing is missed.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use authy_client::Client;
use authy_core::{
    Authenticator, Authy, ErrorKind, UserId,
    api::{
        event::{EventKind, EventView},
        user::UserQuery,
    },
    engine::{Delivery, DeliveryError, MasterKeys, Sink},
};
use authy_tests::{
    TestApp, TestUser, cheap, credentials, database, failover::FailoverPair, fresh_name, new_user, operator,
    proxy::Proxy, until, until_within,
};
use tokio::sync::Semaphore;
use tokio_postgres::Config;

mod demotion;
mod history;
mod replica;

async fn verdict(authenticator: &impl Authenticator, user: &TestUser) -> Result<(), ErrorKind> {
    authenticator.authenticate(user.token.expose()).await.map(drop).map_err(|error| error.kind())
}

const REVOKED: Result<(), ErrorKind> = Err(ErrorKind::InvalidToken);

/// Uses up transaction ids until they are past this one.
async fn spend_transactions(sql: &tokio_postgres::Client, past: u64) {
    let spend = format!("DO $$ BEGIN WHILE pg_current_xact_id() <= '{past}'::xid8 LOOP COMMIT; END LOOP; END $$");
    sql.batch_execute(&spend).await.unwrap();
}

#[tokio::test]
async fn what_is_revoked_at_a_transaction_id_that_was_used_before_the_failover_is_heard_of() {
    let pair = FailoverPair::start().await;
    let keys = MasterKeys::generate().unwrap();
    let first = TestApp::on(pair.config(), keys.clone(), |_, _| ()).await;
    let issuer = first.url();
    let second = TestApp::on(pair.config(), keys.clone(), |config, _| config.issuer = Some(issuer.clone())).await;
    let proxy = Proxy::to(second.address).await;
    let verifier = second.anonymous().verifier().issuer(&issuer).start().await.unwrap();
    let resuming = Client::builder(&proxy.url()).retries(0).build().unwrap();
    let resuming = resuming.verifier().issuer(&issuer).start().await.unwrap();

    let (before, unheard, during, after, good) =
        (first.user().await, first.user().await, first.user().await, first.user().await, first.user().await);
    before.client.logout().await.unwrap();
    pair.until_the_standby_has_everything().await;
    pair.cut_replication().await;
    // The standby misses this, and many transactions more. All followers have moved on behind them.
    let sql = first.sql().await;
    let start = first.authy.revocations().read(None).await.unwrap().cursor.to_string();
    let start: u64 = start.rsplit('-').next().unwrap().parse().unwrap();
    spend_transactions(&sql, start + 2000).await;
    unheard.client.logout().await.unwrap();
    for authenticator in [&verifier, &resuming] {
        until("all followers are up to date", || async { verdict(authenticator, &unheard).await == REVOKED }).await;
    }
    until("the other server is up to date", || async { verdict(&second.authy, &unheard).await == REVOKED }).await;
    proxy.cut();
    drop(sql);
    pair.fail_over().await;

    // Another instance is the first to find the new primary. It revokes at transaction ids that were used before, and
    // when the others find the new primary, it counts from beyond where they were.
    let mut config = cheap();
    config.issuer = Some(issuer.clone());
    let quick = Authy::builder(pair.standby_config())
        .without_background()
        .master_keys(keys)
        .config(config)
        .start()
        .await
        .unwrap();
    quick.sessions().end_all(&operator(), during.id).await.unwrap();
    let sql = database::connect(&pair.standby_config()).await;
    let xid = "SELECT max(xid)::text FROM authy.revocation";
    let used: u64 = sql.query_one(xid, &[]).await.unwrap().get::<_, &str>(0).parse().unwrap();
    assert!(used < start + 2000, "the new primary does not use transaction ids again: {used}");
    spend_transactions(&sql, start + 4000).await;
    pair.open_standby();
    let request = || async { first.anonymous().login(credentials(&good.username)).await.is_ok() };
    until_within(Duration::from_secs(20), "the first server is back", request).await;

    proxy.mend(second.address);
    for user in [&before, &during] {
        for authy in [&first.authy, &second.authy] {
            until("the servers refuse it", || async { verdict(authy, user).await == REVOKED }).await;
        }
        for authenticator in [&verifier, &resuming] {
            until("the verifiers refuse it", || async { verdict(authenticator, user).await == REVOKED }).await;
        }
    }
    // From here on all is as it was: in force everywhere within a second.
    first.anonymous().with_token(after.token.clone()).logout().await.unwrap();
    let revoked = Instant::now();
    until("the other server refuses it", || async { verdict(&second.authy, &after).await == REVOKED }).await;
    for authenticator in [&verifier, &resuming] {
        until("the verifiers refuse it", || async { verdict(authenticator, &after).await == REVOKED }).await;
    }
    assert!(revoked.elapsed() < Duration::from_secs(1), "it took {:?}", revoked.elapsed());
    // What the old primary lost with its revocation is refused where it was heard of, and the others are not affected.
    assert_eq!(verdict(&second.authy, &unheard).await, REVOKED);
    for authenticator in [&verifier, &resuming] {
        assert_eq!(verdict(authenticator, &good).await, Ok(()));
    }
}

/// Takes every sign-up, one of them only when it is let go.
#[derive(Clone)]
struct SlowSink {
    holds_the_next: Arc<AtomicBool>,
    is_holding: Arc<Semaphore>,
    let_go: Arc<Semaphore>,
    taken: Arc<Mutex<Vec<UserId>>>,
}

#[async_trait]
impl Sink for SlowSink {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn wants(&self, event: &EventView) -> bool {
        event.kind == EventKind::UserRegistered.as_str()
    }

    fn delivery(&self) -> Delivery {
        Delivery::Ordered { in_flight: 1 }
    }

    async fn deliver(&self, event: &EventView) -> Result<(), DeliveryError> {
        if self.holds_the_next.swap(false, Ordering::SeqCst) {
            self.is_holding.add_permits(1);
            self.let_go.acquire().await.unwrap().forget();
        }
        self.taken.lock().unwrap().extend(event.subject);
        Ok(())
    }
}

#[tokio::test]
async fn a_sink_that_is_slow_during_a_failover_is_sent_what_happened_after_it() {
    let pair = FailoverPair::start().await;
    let keys = MasterKeys::generate().unwrap();
    let app = TestApp::on(pair.config(), keys.clone(), |_, _| ()).await;
    let slow = SlowSink {
        holds_the_next: Arc::default(),
        is_holding: Arc::new(Semaphore::new(0)),
        let_go: Arc::new(Semaphore::new(0)),
        taken: Arc::default(),
    };
    let _relay = app.authy.start_background_with(vec![Arc::new(slow.clone())]).await.unwrap();
    let sign_up =
        async |authy: &Authy| authy.users().register(&operator(), new_user(&fresh_name("ada"))).await.unwrap();
    let has = |user: UserId| slow.taken.lock().unwrap().contains(&user);
    let before = sign_up(&app.authy).await;
    until("the sink has the first one", || async { has(before) }).await;
    until("its cursor has moved", || async {
        app.authy.deliveries().list_sinks().await.unwrap().iter().all(|sink| sink.waiting == 0)
    })
    .await;
    pair.until_the_standby_has_everything().await;
    pair.cut_replication().await;
    let sql = app.sql().await;
    let start = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text";
    let start: u64 = sql.query_one(start, &[]).await.unwrap().get::<_, &str>(0).parse().unwrap();
    spend_transactions(&sql, start + 2000).await;
    drop(sql);
    // The sink is busy with this one while the primary is lost, and the event with it.
    slow.holds_the_next.store(true, Ordering::SeqCst);
    sign_up(&app.authy).await;
    slow.is_holding.acquire().await.unwrap().forget();
    pair.fail_over().await;
    let quick = Authy::builder(pair.standby_config())
        .without_background()
        .master_keys(keys)
        .config(cheap())
        .start()
        .await
        .unwrap();
    let after = sign_up(&quick).await;
    let sql = database::connect(&pair.standby_config()).await;
    let used = "SELECT max(xid)::text FROM authy.event";
    let used: u64 = sql.query_one(used, &[]).await.unwrap().get::<_, &str>(0).parse().unwrap();
    assert!(used < start + 2000, "the new primary does not use transaction ids again: {used}");
    spend_transactions(&sql, start + 4000).await;
    pair.open_standby();
    until_within(Duration::from_secs(20), "the new primary is found", || async { app.authy.ping().await.is_ok() })
        .await;
    slow.let_go.add_permits(1);
    until_within(Duration::from_secs(20), "the sink has the one after the failover", || async { has(after) }).await;
}

/// Freezes the primary of a list of hosts, and waits until the servers have gone on with the other one.
async fn leave_a_frozen_primary(set: impl FnOnce(&mut Config)) {
    let pair = FailoverPair::start().await;
    let keys = MasterKeys::generate().unwrap();
    let mut both = pair.config_of_both();
    set(&mut both);
    let app = TestApp::on(both.clone(), keys.clone(), |_, _| ()).await;
    let user = app.user().await;
    pair.until_the_standby_has_everything().await;
    let _frozen = pair.freeze_and_promote().await;

    // A fresh server, which knows no host yet, starts, and the one that runs goes on.
    let fresh = Authy::builder(both).master_keys(keys).config(cheap()).start().await.unwrap();
    fresh.ping().await.unwrap();
    let request = || async { app.anonymous().login(credentials(&user.username)).await.is_ok() };
    until_within(Duration::from_secs(20), "the server is back", request).await;
}

#[tokio::test]
async fn a_primary_that_is_frozen_and_not_dead_is_left_for_the_one_that_was_promoted() {
    leave_a_frozen_primary(|_| ()).await;
}

#[tokio::test]
async fn a_frozen_primary_is_left_although_the_url_permits_it_more_time_than_an_answer_may_take() {
    leave_a_frozen_primary(|both| _ = both.connect_timeout(Duration::from_secs(10))).await;
}

#[tokio::test]
async fn a_database_that_freezes_is_said_before_clients_stop_waiting() {
    let pair = FailoverPair::start().await;
    let app = TestApp::on(pair.config(), MasterKeys::generate().unwrap(), |_, _| ()).await;
    let (user, admin, locked) = (app.user().await, app.admin().await, app.user().await);
    // The deletion is in the middle of its transaction when everything stops: it waits for a row.
    let mut sql = app.sql().await;
    let holder = sql.transaction().await.unwrap();
    holder.execute("SELECT FROM authy.users WHERE public_id = $1 FOR UPDATE", &[locked.id.as_uuid()]).await.unwrap();
    let deletion = tokio::spawn(async move { locked.client.delete_self().await.map(drop) });
    until("the deletion waits for the row", || async {
        let waiting = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        holder.query_one(waiting, &[]).await.unwrap().get(0)
    })
    .await;
    let _frozen = pair.freeze_and_promote().await;

    let anonymous = app.anonymous();
    let (deletion, sign_up, login, list) = tokio::join!(
        deletion,
        anonymous.register(new_user(&fresh_name("ada"))),
        anonymous.login(credentials(&user.username)),
        admin.client.list_users(UserQuery::default()),
    );
    let answers = [deletion.unwrap(), sign_up.map(drop), login.map(drop), list.map(drop)];
    assert_eq!(answers.map(|answer| answer.unwrap_err().kind()), [Some(ErrorKind::Unavailable); 4]);
}
