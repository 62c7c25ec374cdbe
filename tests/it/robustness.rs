//! Failures of the environment: concurrent requests, callers that disconnect, endless headers, and a database that
//! stops.

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use authy_core::{Authenticator as _, Authy, ErrorKind, api::user::Deletion, engine::MasterKeys};
use authy_postgres::Cluster;
use authy_tests::{
    TestApp, at_once, cheap, credentials, database, new_user, until,
    wire::{get, raw},
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

#[tokio::test]
async fn of_many_who_want_one_name_at_once_one_gets_it() {
    let app = TestApp::new().await;
    for round in 0..5 {
        let (anonymous, name) = (app.anonymous(), format!("wanted-{round}"));
        let answers = at_once(8, move |_| {
            let (anonymous, name) = (anonymous.clone(), name.clone());
            async move { anonymous.register(new_user(&name)).await }
        });
        let answers = answers.await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        let taken = |error: &authy_client::Error| error.kind() == Some(ErrorKind::AlreadyRegistered);
        assert!(answers.iter().filter_map(|answer| answer.as_ref().err()).all(taken), "{answers:?}");
        // Also to those who found the name free and were second.
        let is_named = |error: &authy_client::Error| error.fields().iter().any(|field| field.field == "username");
        assert!(answers.iter().filter_map(|answer| answer.as_ref().err()).all(is_named), "{answers:?}");
    }
}

#[tokio::test]
async fn of_two_last_superadmins_who_delete_each_other_at_once_one_stays() {
    for _ in 0..5 {
        let app = TestApp::new().await;
        let (one, other) = (app.superadmin().await, app.superadmin().await);
        let delete = Deletion::PLAIN;
        let (a, b) =
            tokio::join!(one.client.delete_user(other.id, delete.clone()), other.client.delete_user(one.id, delete));
        assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
        let sql = app.sql().await;
        let row = sql.query_one("SELECT count(*) FROM authy.users WHERE deleted_at IS NULL", &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), 1);
    }
}

#[tokio::test]
async fn a_pool_that_is_exhausted_says_not_now_and_recovers() {
    let app = TestApp::with(|config, _| config.connections = 2).await;
    let user = app.user().await;
    let mut sql = app.sql().await;
    let lock = sql.transaction().await.unwrap();
    lock.execute("SELECT 1 FROM authy.users FOR UPDATE", &[]).await.unwrap();
    // The first two wait for the row and hold the only connections; the third waits for a connection.
    let (anonymous, name) = (app.anonymous(), user.username.clone());
    let waiting = at_once(3, move |_| {
        let (anonymous, name) = (anonymous.clone(), name.clone());
        async move { anonymous.login(credentials(&name)).await }
    });
    let reads = async {
        // Reads of single rows have connections of their own.
        for _ in 0..10 {
            user.client.get_self().await.unwrap();
        }
    };
    let (answers, ()) = tokio::join!(waiting, reads);
    for answer in answers {
        let error = answer.unwrap_err();
        assert_eq!((error.kind(), error.status()), (Some(ErrorKind::Unavailable), Some(503)), "{error:?}");
        assert!(error.retry_after().is_some());
    }
    lock.rollback().await.unwrap();
    until("the pool has recovered", || async { app.anonymous().login(credentials(&user.username)).await.is_ok() })
        .await;
}

#[tokio::test]
async fn a_caller_who_disconnects_leaves_nothing_half_done() {
    let app = TestApp::new().await;
    let body = |name: &str| {
        format!(
            r#"{{"username":"{name}","email":"{name}@example.org","password":"tangerine-lighthouse-42","confirm_password":"tangerine-lighthouse-42"}}"#
        )
    };
    for number in 0..30 {
        let body = body(&format!("leaver-{number}"));
        let request = format!(
            "POST /authy/user HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        // At every point of the request, and after it.
        let cut = request.len() * number / 25;
        stream.write_all(&request.as_bytes()[..cut.min(request.len())]).await.unwrap();
        drop(stream);
    }
    let sql = app.sql().await;
    until("everything has ended", || async {
        let row = sql
            .query_one(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'",
                &[],
            )
            .await
            .unwrap();
        row.get::<_, i64>(0) == 0
    })
    .await;
    let row = sql
        .query_one(
            "SELECT count(*) FROM authy.users u WHERE NOT EXISTS (SELECT FROM authy.password p WHERE p.user_id = u.public_id)
                OR NOT EXISTS (SELECT FROM authy.user_role r WHERE r.user_id = u.public_id)
                OR NOT EXISTS (SELECT FROM authy.event e WHERE e.subject = u.public_id AND e.kind = 'user.registered')",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 0, "half a user");
    assert_eq!(get(app.address, "/authy/status").await.status, 200);
}

#[tokio::test]
async fn ten_megabytes_of_headers_are_refused() {
    let app = TestApp::new().await;
    let mut request = b"GET /authy/status HTTP/1.1\r\nhost: localhost\r\nx-long: ".to_vec();
    request.resize(10 * 1024 * 1024, b'a');
    request.extend_from_slice(b"\r\n\r\n");
    let answers = raw(app.address, &request).await;
    assert_eq!((answers[0].status, answers[0].code().as_str()), (431, "malformed_request"));
    assert_eq!(get(app.address, "/authy/status").await.status, 200);
}

#[tokio::test]
async fn a_database_that_dies_and_comes_back_costs_answers_and_no_restart() {
    // One that keeps what it acknowledged, which a volatile one need not.
    let folder = database::folder_on_disk();
    let cluster = Cluster::builder(folder.path()).start().await.unwrap();
    let app = TestApp::on(cluster.config(), MasterKeys::generate().unwrap(), |config, _| {
        config.max_staleness = Duration::from_secs(1);
    });
    let app = app.await;
    let user = app.user().await;
    for _ in 0..2 {
        let before = cluster.pid().unwrap();
        let postmaster = rustix::process::Pid::from_raw(before.cast_signed()).unwrap();
        rustix::process::kill_process(postmaster, rustix::process::Signal::KILL).unwrap();
        let statuses = Mutex::new(BTreeSet::new());
        until("the database is back", || async {
            let answer = app.anonymous().login(credentials(&user.username)).await;
            statuses.lock().unwrap().extend(answer.as_ref().err().map(|error| error.status()));
            answer.is_ok() && cluster.pid().is_some_and(|pid| pid != before)
        })
        .await;
        let statuses = statuses.into_inner().unwrap();
        assert!(statuses.iter().all(|status| *status == Some(503)), "{statuses:?}");
    }
    until("reads work too", || async { user.client.get_self().await.is_ok() }).await;
}

#[tokio::test]
async fn without_its_database_the_server_cannot_tell_and_says_so() {
    let folder = database::folder();
    let cluster = Cluster::builder(folder.path()).dangerous_volatile().start().await.unwrap();
    let app = TestApp::on(cluster.config(), MasterKeys::generate().unwrap(), |config, _| {
        config.max_staleness = Duration::from_millis(500);
    });
    let app = app.await;
    let user = app.user().await;
    cluster.stop().await.unwrap();
    until("what is known is too old", || async {
        let refused = user.client.check_access(authy_core::Level::clamped(99)).await;
        refused.is_err_and(|error| error.kind() == Some(ErrorKind::Unavailable) && error.status() == Some(503))
    })
    .await;
    let login = app.anonymous().login(credentials(&user.username)).await.unwrap_err();
    assert_eq!((login.kind(), login.status()), (Some(ErrorKind::Unavailable), Some(503)));
    let forged = app.authy.authenticate("no.token.atall").await.unwrap_err();
    assert_eq!(forged.kind(), ErrorKind::InvalidToken, "what is no token needs no database");
    assert_eq!(get(app.address, "/authy/status").await.status, 200);
}

#[tokio::test]
async fn a_database_that_is_not_there_is_no_reason_to_hang() {
    let folder = database::folder();
    let mut nowhere = tokio_postgres::Config::new();
    nowhere.host_path(folder.path()).user("authy").dbname("authy");
    let builder =
        Authy::builder(nowhere).without_background().master_keys(MasterKeys::generate().unwrap()).config(cheap());
    let started = tokio::time::timeout(Duration::from_secs(10), builder.start()).await.unwrap();
    assert_eq!(started.err().unwrap().kind(), ErrorKind::Unavailable);
}
