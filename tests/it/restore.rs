//! A dump that is restored into a new cluster, with PostgreSQL's own programs: transactions are counted anew there, and
//! all who remember how far they were go on, skip nothing and lose nothing.

use std::{path::Path, sync::Arc};

use authy_client::Client;
use authy_core::{
    Authenticator, Authy, ErrorKind,
    engine::{Delivery, MasterKeys},
};
use authy_postgres::Cluster;
use authy_tests::{
    TestApp, TestUser, database, fresh_name, new_user, operator,
    proxy::Proxy,
    recording_sink::{RecordingSink, assert_complete},
    until,
};

/// A cluster of its own, with a number of past transactions.
async fn cluster(folder: &Path, past: u32) -> Cluster {
    let cluster = Cluster::builder(folder).dangerous_volatile().start().await.unwrap();
    let sql = database::connect(&cluster.config()).await;
    let past = format!("DO $$ BEGIN FOR i IN 1..{past} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$");
    sql.batch_execute(&past).await.unwrap();
    cluster
}

/// Signs a user up, grants a role and revokes it: three events of one user.
async fn write_events(authy: &Authy) {
    let admin = "admin".parse().unwrap();
    let user = authy.users().register(&operator(), new_user(&fresh_name("ada"))).await.unwrap();
    authy.roles().grant(&operator(), &admin, user).await.unwrap();
    authy.roles().revoke(&operator(), &admin, user).await.unwrap();
}

async fn until_delivered(authy: &Authy) {
    until("everything is delivered", || async {
        authy.deliveries().list_sinks().await.unwrap().iter().map(|sink| sink.waiting).sum::<u64>() == 0
    })
    .await;
}

async fn verdict(authenticator: &impl Authenticator, user: &TestUser) -> Result<(), ErrorKind> {
    authenticator.authenticate(user.token.expose()).await.map(drop).map_err(|error| error.kind())
}

const REVOKED: Result<(), ErrorKind> = Err(ErrorKind::InvalidToken);

#[tokio::test]
async fn restored_into_a_new_cluster_everybody_goes_on_and_nothing_is_skipped_or_lost() {
    // Transactions have smaller numbers in the new cluster, or larger ones.
    let cases = [(Delivery::Ordered { in_flight: 8 }, 3000, 0), (Delivery::PerSubject { in_flight: 8 }, 0, 3000)];
    for (pace, past_of_old, past_of_new) in cases {
        let folders = [database::folder(), database::folder(), database::folder()];
        let (path, dump) = (folders[2].path().join("record"), folders[2].path().join("dump.sql"));
        let sink = || Arc::new(RecordingSink::open(&path, pace));
        let keys = MasterKeys::generate().unwrap();

        let old = cluster(folders[0].path(), past_of_old).await;
        let app = TestApp::on(old.config(), keys.clone(), |_, _| ()).await;
        let (issuer, proxy) = (app.url(), Proxy::to(app.address).await);
        let client = Client::builder(&proxy.url()).retries(0).build().unwrap();
        let follower = client.verifier().issuer(&issuer).start().await.unwrap();
        let relay = app.authy.start_background_with(vec![sink()]).await.unwrap();
        let (revoked, good, late) = (app.user().await, app.user().await, app.user().await);
        revoked.client.logout().await.unwrap();
        write_events(&app.authy).await;
        until_delivered(&app.authy).await;
        drop(relay);
        let delivered = RecordingSink::read(&path).len();
        // In the dump, and not delivered yet.
        write_events(&app.authy).await;
        let unheard = app.user().await;
        app.again(&unheard).await.client.end_other_sessions().await.unwrap();
        proxy.cut();
        database::run_program("pg_dump", &old.config(), &["-f", dump.to_str().unwrap()]).await;
        app.stop().await;
        old.stop().await.unwrap();
        assert_eq!(RecordingSink::read(&path).len(), delivered);

        let new = cluster(folders[1].path(), past_of_new).await;
        let restore = ["-q", "-v", "ON_ERROR_STOP=1", "-f", dump.to_str().unwrap()];
        database::run_program("psql", &new.config(), &restore).await;
        let app = TestApp::on(new.config(), keys, |config, _| config.issuer = Some(issuer.clone())).await;
        // Before an instance has noticed the move, and after it.
        write_events(&app.authy).await;
        let _relay = app.authy.start_background_with(vec![sink()]).await.unwrap();
        write_events(&app.authy).await;
        until_delivered(&app.authy).await;
        let sql = app.sql().await;
        assert_complete(&sql, &path, &format!("{pace:?}")).await;

        // What was revoked stays revoked, for the server and its followers, whatever they knew before the move.
        for (user, expected) in [(&revoked, REVOKED), (&unheard, REVOKED), (&good, Ok(())), (&late, Ok(()))] {
            assert_eq!(verdict(&app.authy, user).await, expected);
        }
        proxy.mend(app.address);
        until("the follower has moved over", || async { verdict(&follower, &unheard).await == REVOKED }).await;
        assert_eq!((verdict(&follower, &revoked).await, verdict(&follower, &good).await), (REVOKED, Ok(())));
        app.anonymous().with_token(late.token.clone()).logout().await.unwrap();
        until("the follower goes on", || async { verdict(&follower, &late).await == REVOKED }).await;
        assert_eq!(verdict(&follower, &good).await, Ok(()));
        until_delivered(&app.authy).await;
        assert_complete(&sql, &path, &format!("{pace:?}, after a logout")).await;
    }
}
