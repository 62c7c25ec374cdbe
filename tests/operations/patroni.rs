//! Two servers on a cluster that Patroni manages: what their clients see during a switchover, and when the leader dies, freezes or
//! comes back.

use std::time::Duration;

use authy_core::{Authenticator as _, ErrorKind, engine::MasterKeys};
use authy_tests::{
    TestApp, credentials, new_user,
    patroni::{LEADER_TTL, PatroniCluster, Replication},
    until, until_within,
};

mod load;

use load::Load;

/// Maximum time from the loss of a leader to the first write on the next: Patroni's, and some seconds of a busy machine.
const FAILOVER: Duration = Duration::from_secs(LEADER_TTL.as_secs() + 25);

async fn two_servers(cluster: &PatroniCluster) -> [TestApp; 2] {
    let keys = MasterKeys::generate().unwrap();
    let first = TestApp::on(cluster.config(), keys.clone(), |_, _| ()).await;
    let issuer = first.url();
    let second = TestApp::on(cluster.config(), keys, |config, _| config.issuer = Some(issuer)).await;
    [first, second]
}

#[tokio::test]
#[ignore = "operations: make test-operations"]
async fn a_switchover_loses_nothing_and_every_refusal_is_unavailable() {
    let cluster = PatroniCluster::start(Replication::Synchronous).await;
    let apps = two_servers(&cluster).await;
    let load = Load::start(&apps);
    load.until_both_have_written().await;
    let leader = cluster.switch_over().await;
    load.until_both_have_written().await;
    let history = load.stop().await;
    history.report("switchover, synchronous");
    assert_eq!(history.lost(&cluster.sql(leader, "authy").await).await, [""; 0]);
    history.assert_only_unavailable();
}

#[tokio::test]
#[ignore = "operations: make test-operations"]
async fn a_leader_that_dies_loses_nothing_with_a_synchronous_standby() {
    let mut cluster = PatroniCluster::start(Replication::Synchronous).await;
    let apps = two_servers(&cluster).await;
    let load = Load::start(&apps);
    load.until_both_have_written().await;
    let leader = cluster.leader().await.unwrap();
    cluster.kill(leader);
    let next = cluster.until_another_leads(leader).await;
    load.until_both_have_written().await;
    let history = load.stop().await;
    history.report("leader killed, synchronous");
    assert_eq!(history.lost(&cluster.sql(next, "authy").await).await, [""; 0]);
    history.assert_only_unavailable();
    assert!(history.longest_outage() < FAILOVER, "{:?}", history.longest_outage());
}

#[tokio::test]
#[ignore = "operations: make test-operations"]
async fn a_leader_that_freezes_and_comes_back_is_not_believed() {
    let cluster = PatroniCluster::start(Replication::Synchronous).await;
    let apps = two_servers(&cluster).await;
    let user = apps[0].user().await;
    let load = Load::start(&apps);
    load.until_both_have_written().await;
    let frozen = cluster.leader().await.unwrap();
    cluster.freeze(frozen);
    let next = cluster.until_another_leads(frozen).await;
    load.until_both_have_written().await;
    apps[1].anonymous().with_token(user.token.clone()).logout().await.unwrap();
    cluster.thaw(frozen);
    // The node that comes back knows nothing of the logout, and takes no more writes.
    cluster.until_follows(frozen).await;
    load.until_both_have_written().await;
    for app in &apps {
        let refused = || async {
            app.authy
                .authenticate(user.token.expose())
                .await
                .is_err_and(|error| error.kind() == ErrorKind::InvalidToken)
        };
        until("the servers refuse the token", refused).await;
    }
    let history = load.stop().await;
    history.report("leader frozen for the time of a failover, synchronous");
    assert_eq!(history.lost(&cluster.sql(next, "authy").await).await, [""; 0]);
    history.assert_only_unavailable();
    assert!(history.longest_outage() < FAILOVER, "{:?}", history.longest_outage());
}

/// What is lost here is lost by the setting: no program can prevent it. The servers that acknowledged it notice, and everything else
/// works afterwards.
#[tokio::test]
#[ignore = "operations: make test-operations"]
async fn an_asynchronous_standby_that_was_behind_loses_the_last_writes_and_nothing_else() {
    let mut cluster = PatroniCluster::start(Replication::Asynchronous).await;
    let apps = two_servers(&cluster).await;
    let before = apps[0].user().await;
    let load = Load::start(&apps);
    load.until_both_have_written().await;
    let leader = cluster.leader().await.unwrap();
    cluster.freeze_replication(leader);
    load.until_both_have_written().await;
    cluster.kill(leader);
    let next = cluster.until_another_leads(leader).await;
    load.until_both_have_written().await;
    let history = load.stop().await;
    history.report("leader killed, asynchronous with a standby that was behind");
    let sql = cluster.sql(next, "authy").await;
    let lost = history.lost(&sql).await;
    println!("  lost: {} of {} acknowledged sign-ups", lost.len(), history.acknowledged());
    assert!(!lost.is_empty(), "the standby was not behind");
    history.assert_only_unavailable();
    let losses = || apps.iter().map(|app| app.authy.revocations().database_status().lost_history).sum::<u64>();
    until("the loss is noticed", || async { losses() > 0 }).await;
    for app in &apps {
        let logs_in = || async { app.anonymous().login(credentials(&before.username)).await.is_ok() };
        until_within(Duration::from_secs(20), "an earlier user can log in", logs_in).await;
        let name = &lost[0];
        if app.address == apps[0].address {
            app.anonymous().register(new_user(name)).await.expect("a name that was lost is free again");
        }
        app.anonymous().login(credentials(name)).await.expect("who signs up again can log in");
    }
}
