//! What two transactions may see of each other does not depend on the settings of a database or of a host.

use super::*;
use authy_tests::{at_once, database};

/// An engine on a database whose transactions are snapshots unless they say otherwise.
async fn on_snapshots() -> (tokio_postgres::Config, Authy) {
    let config = database::fresh().await;
    let name = config.get_dbname().unwrap();
    let set = format!("ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'repeatable read'");
    database::connect(&config).await.batch_execute(&set).await.unwrap();
    let authy = engine_on(config.clone()).await;
    (config, authy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_superadmins_who_delete_themselves_at_once_leave_one() {
    let (config, authy) = on_snapshots().await;
    let sql = database::connect(&config).await;
    let isolation: String = sql.query_one("SHOW transaction_isolation", &[]).await.unwrap().get(0);
    assert_eq!(isolation, "repeatable read", "the database is not as the test wants it");
    for _ in 0..6 {
        let both = [caller_with_role(&authy, "superadmin").await, caller_with_role(&authy, "superadmin").await];
        let ids: Vec<_> = both.iter().map(|caller| caller.identity().unwrap().public_id).collect();
        let engine = authy.clone();
        let answers = at_once(2, move |number| {
            let (authy, caller) = (engine.clone(), both[number].clone());
            async move { authy.users().delete(&caller, caller.identity().unwrap().public_id).await.is_ok() }
        })
        .await;
        assert_eq!(answers.iter().filter(|deleted| **deleted).count(), 1, "one goes and one stays");
        for id in ids {
            // With another one there it may go, so that the next two are alone again.
            let spare = caller_with_role(&authy, "superadmin").await.identity().unwrap().public_id;
            drop(authy.users().delete(&operator(), id).await);
            sql.execute("DELETE FROM authy.user_role WHERE user_id = $1", &[spare.as_uuid()]).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_hosts_transaction_with_another_isolation_is_refused() {
    let app = TestApp::new().await;
    let mut host = app.sql().await;
    let user = app.user().await;
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let tx = host.transaction().await.unwrap();
        tx.batch_execute(&format!("SET TRANSACTION ISOLATION LEVEL {level}")).await.unwrap();
        let refused = app.authy.within(&tx).users().delete(&operator(), user.id).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{level}");
        assert!(refused.to_string().contains("READ COMMITTED"), "{refused}");
        tx.rollback().await.unwrap();
    }
    assert!(!app.authy.users().find(user.id).await.unwrap().unwrap().deleted);
}

#[tokio::test]
async fn a_login_and_a_refresh_do_not_fail_on_snapshots() {
    let (_, authy) = on_snapshots().await;
    let name = fresh_name("ada");
    authy.users().register(&operator(), new_user(&name)).await.unwrap();
    // One-statement writes of the same account, at once: as snapshots they would refuse each other.
    let engine = authy.clone();
    let logins = at_once(8, move |_| {
        let (authy, name) = (engine.clone(), name.clone());
        async move { authy.sessions().login(&anonymous(), credentials(&name)).await.map(|tokens| tokens.public_id) }
    })
    .await;
    assert!(logins.iter().all(Result::is_ok), "{logins:?}");
}
