//! What an operator can find out about a database and about sinks, without changing anything.

use std::{net::SocketAddr, sync::Arc};

use authy_core::{
    Authy,
    engine::{Background, DatabaseReport, KeyState, MasterKeys},
    tls::Roots,
};
use authy_server::sink::{Amqp, Mailer, WebhookUrl};
use authy_tests::{
    TestApp, cheap, database,
    failover::FailoverPair,
    pgbouncer::PgBouncer,
    rabbit,
    receiver::{Reaction, Receiver},
    smtp::MailServer,
    until,
};
use tokio::{
    io::{self, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

async fn inspect(database: &tokio_postgres::Config, keys: &MasterKeys) -> DatabaseReport {
    Authy::builder(database.clone()).master_keys(keys.clone()).inspect().await.unwrap()
}

#[tokio::test]
async fn an_inspection_of_an_empty_database_creates_nothing_in_it() {
    let database = database::empty().await;
    let report = inspect(&database, &MasterKeys::generate().unwrap()).await;
    assert_eq!((report.schema, report.can_migrate, report.keys.len()), (None, true, 0));
    assert_eq!((report.encoding.as_str(), report.is_standby, report.has_pooler), ("UTF8", false, false));
    assert!(report.version_number >= 130_000 && report.connections_left > 0, "{report:?}");
    assert!(report.clock_ahead_ms.abs() < 1000 + report.clock_accuracy.as_millis() as i64, "{report:?}");
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'authy'";
    let count = database::connect(&database).await.query_one(schemas, &[]).await.unwrap().get::<_, i64>(0);
    assert_eq!(count, 0);
}

#[tokio::test]
async fn an_inspection_finds_the_keys_that_the_master_key_does_not_decrypt() {
    let app = TestApp::new().await;
    let report = inspect(&app.database, &app.master_keys).await;
    assert_eq!(report.schema, Some(report.newest_schema));
    assert!(report.keys.iter().any(|key| key.key.state == KeyState::Active));
    assert!(report.keys.iter().all(|key| key.is_readable) && report.forbidden_tables.is_empty());
    let report = inspect(&app.database, &MasterKeys::generate().unwrap()).await;
    assert!(!report.keys.is_empty() && !report.keys.iter().any(|key| key.is_readable), "{report:?}");
}

#[tokio::test]
async fn an_inspection_finds_the_rights_that_a_role_lacks_and_its_limit_of_connections() {
    let app = TestApp::new().await;
    let role = authy_tests::fresh_name("reader").replace('-', "_");
    let sql = app.sql().await;
    let made = format!(
        "CREATE ROLE {role} LOGIN CONNECTION LIMIT 3; GRANT USAGE ON SCHEMA authy TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA authy TO {role};
         REVOKE DELETE ON authy.users FROM {role}"
    );
    sql.batch_execute(&made).await.unwrap();
    let mut database = app.database.clone();
    database.user(&role);
    let report = inspect(&database, &app.master_keys).await;
    assert_eq!((report.can_migrate, report.forbidden_tables), (false, vec!["users".to_owned()]));
    assert_eq!((report.schema, report.connections_left), (None, 2));
    sql.batch_execute(&format!("GRANT DELETE ON authy.users TO {role}")).await.unwrap();
    let report = inspect(&database, &app.master_keys).await;
    assert_eq!((report.schema, report.forbidden_tables.len()), (Some(report.newest_schema), 0));
    sql.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
}

#[tokio::test]
async fn an_inspection_knows_the_issuer_and_what_is_wrong_with_a_standby_for_reads() {
    let (app, pair) = (TestApp::new().await, FailoverPair::start().await);
    let report = inspect(&app.database, &app.master_keys).await;
    assert_eq!((report.issuer, report.replica), (Some(app.url()), None));
    let inspect = async |primary: &tokio_postgres::Config, standby: tokio_postgres::Config| {
        let builder = Authy::builder(primary.clone()).master_keys(app.master_keys.clone()).replica(standby);
        builder.inspect().await.unwrap().replica.unwrap()
    };
    let why = |found: Result<u64, String>| found.unwrap_err();
    assert!(why(inspect(&app.database, app.database.clone()).await).contains("not a standby"));
    assert!(why(inspect(&app.database, pair.standby_config()).await).contains("another database cluster"));
    pair.until_the_standby_has_everything().await;
    inspect(&pair.primary_config(), pair.standby_config()).await.unwrap();
}

#[tokio::test]
async fn an_inspection_finds_a_pooler_and_works_behind_it() {
    let app = TestApp::new().await;
    for mode in ["transaction", "session"] {
        let pgbouncer = PgBouncer::start(&app.database, mode, 5).await;
        let report = inspect(&pgbouncer.config(&app.database), &app.master_keys).await;
        assert!(report.has_pooler && report.keys.iter().all(|key| key.is_readable), "{mode}: {report:?}");
        assert_eq!(report.schema, Some(report.newest_schema));
    }
}

async fn publish_one_event(url: &str) -> (Authy, Background) {
    let authy = Authy::builder(database::fresh().await)
        .without_background()
        .master_keys(MasterKeys::generate().unwrap())
        .config(cheap())
        .start()
        .await
        .unwrap();
    let background = authy.start_background_with(vec![Arc::new(Amqp::new(url.parse().unwrap()))]).await.unwrap();
    let user = authy_tests::new_user(&authy_tests::fresh_name("ada"));
    authy.users().register(&authy_tests::operator(), user).await.unwrap();
    (authy, background)
}

#[tokio::test]
async fn an_inspection_of_a_broker_declares_nothing_and_sees_what_is_queued() {
    let broker = rabbit::shared().await;
    let url = broker.url(&rabbit::fresh_host());
    let amqp = Amqp::new(url.parse().unwrap());
    for _ in 0..2 {
        let report = amqp.inspect().await.unwrap();
        assert_eq!((report.has_exchange, report.queued, report.consumers), (false, None, 0));
    }
    let _publishing = publish_one_event(&url).await;
    until("the event is in the queue", async || {
        let report = amqp.inspect().await.unwrap();
        report.has_exchange && report.queued.is_some_and(|queued| queued > 0)
    })
    .await;
    let wrong = url.replace(rabbit::PASSWORD, "hunter2");
    let error = Amqp::new(wrong.parse().unwrap()).inspect().await.unwrap_err().describe();
    assert!(error.contains("refuses the name or the password") && !error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_check_of_a_mail_server_goes_as_far_as_the_login_and_sends_no_mail() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("certificate.pem");
    let server = MailServer::with(&["--login", "shop", "p@ss", "--tls", certificate.to_str().unwrap()]).await;
    let port = server.address.port();
    let url = |password: &str| format!("smtp://shop:{password}@localhost:{port}?tls=required").parse().unwrap();
    let roots = Roots::platform().with_pem(&std::fs::read(&certificate).unwrap()).unwrap();
    Mailer::smtp_with_roots(&url("p%40ss"), &roots).unwrap().check().await.unwrap();
    let refused = Mailer::smtp_with_roots(&url("hunter2"), &roots).unwrap().check().await.unwrap_err().describe();
    assert!(refused.contains("does not accept the login") && !refused.contains("hunter2"), "{refused}");
    let other = Roots::platform();
    let untrusted = Mailer::smtp_with_roots(&url("p%40ss"), &other).unwrap().check().await.unwrap_err().describe();
    assert!(untrusted.contains("certificate"), "{untrusted}");
    assert_eq!(server.waiting().len(), 0);
}

/// Passes a connection on to a mail server, and adds answers to the last one that is not encrypted.
async fn add_answers(listener: TcpListener, server: SocketAddr, added: &'static str) {
    let (client, _) = listener.accept().await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = TcpStream::connect(server).await.unwrap().into_split();
    tokio::spawn(async move { io::copy(&mut from_client, &mut to_server).await });
    let (mut bytes, mut begun) = ([0; 4096], 0);
    // The greeting, and the answer to STARTTLS.
    while begun < 2 {
        let length = from_server.read(&mut bytes).await.unwrap();
        let mut answer = bytes[..length].to_vec();
        begun += u32::from(answer.starts_with(b"220"));
        if begun == 2 {
            answer.extend(added.as_bytes());
        }
        to_client.write_all(&answer).await.unwrap();
    }
    let _ = io::copy(&mut from_server, &mut to_client).await;
}

#[tokio::test]
async fn answers_that_a_stranger_adds_before_the_encryption_begins_are_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("certificate.pem");
    let server = MailServer::with(&["--login", "shop", "p@ss", "--tls", certificate.to_str().unwrap()]).await;
    let roots = Roots::platform().with_pem(&std::fs::read(&certificate).unwrap()).unwrap();
    for (added, is_accepted) in [("", true), ("250-mail.test\r\n250 AUTH PLAIN\r\n235 welcome\r\n", false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(add_answers(listener, server.address, added));
        let url = format!("smtp://shop:p%40ss@localhost:{port}?tls=required").parse().unwrap();
        let checked = Mailer::smtp_with_roots(&url, &roots).unwrap().check().await;
        assert_eq!(checked.is_ok(), is_accepted, "{checked:?}");
    }
}

#[tokio::test]
async fn a_check_of_a_webhook_sends_no_request() {
    let receiver = Receiver::start(|_| Reaction::Status(201)).await;
    let url: WebhookUrl = format!("http://{}/details", receiver.address).parse().unwrap();
    url.check_connection(&Roots::platform()).await.unwrap();
    // It speaks no TLS.
    let url: WebhookUrl = format!("https://{}/details", receiver.address).parse().unwrap();
    assert!(url.check_connection(&Roots::platform()).await.is_err());
    assert!(receiver.received().is_empty());
    let error = "http://127.0.0.1:1/".parse::<WebhookUrl>().unwrap().check_connection(&Roots::platform()).await;
    assert!(error.unwrap_err().describe().contains("cannot be reached"));
}
