//! authy inside another program, in that program's database and in its transactions.

use authy_core::{
    Authenticator as _, Authy, ClientInfo, Error, ErrorKind, RoleName, Secret, UserId,
    api::{
        account::{AccountChange, PasswordReset},
        event::{EventKind, EventQuery},
        session::Credentials,
    },
    engine::{self, Builder, Caller, MasterKeys, Uncommitted},
};
use authy_tests::{cheap, code, credentials, database, new_account, new_user, operator};

async fn host() -> (tokio_postgres::Client, Authy) {
    let config = database::empty().await;
    let client = database::connect(&config).await;
    // A host with tables of the same names, and a search path that finds them first.
    client
        .batch_execute(
            "CREATE TABLE users (id int); CREATE TABLE role (id int); CREATE TABLE session (id int);
             CREATE TABLE customer (user_id uuid PRIMARY KEY)",
        )
        .await
        .unwrap();
    let authy =
        Authy::builder(config).without_background().master_keys(MasterKeys::generate().unwrap()).config(cheap());
    (client, authy.start().await.unwrap())
}

async fn count(client: &tokio_postgres::Client, table: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_database_on_another_machine_needs_a_word_about_encryption() {
    // A name that does not resolve: what is not refused cannot be reached.
    let start = async |config: &str, change: fn(Builder) -> Builder| {
        let builder =
            Authy::builder(config.parse().unwrap()).without_background().master_keys(MasterKeys::generate().unwrap());
        change(builder).start().await.err().unwrap()
    };
    let refused = start("host=db.invalid user=shop", |builder| builder).await;
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    let said = authy_core::error::chain(&refused);
    assert!(said.contains("sslmode=require") && said.contains("dangerous_allow_plain_text"), "{said}");
    let refused = Authy::builder("host=db.invalid sslmode=prefer user=shop".parse().unwrap()).migrate().await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    for (config, change) in [
        ("host=db.invalid user=shop sslmode=disable", (|builder| builder) as fn(Builder) -> Builder),
        ("host=db.invalid user=shop sslmode=require", |builder| builder),
        ("host=db.invalid user=shop", Builder::dangerous_allow_plain_text),
    ] {
        assert_eq!(start(config, change).await.kind(), ErrorKind::Unavailable, "{config}");
    }
}

#[tokio::test]
async fn a_database_without_a_host_is_refused_before_it_is_called_unavailable() {
    for config in ["", "postgres:///shop"] {
        let builder = Authy::builder(config.parse().unwrap()).master_keys(MasterKeys::generate().unwrap());
        let refused = builder.start().await.err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        assert!(refused.detail().contains("host=localhost"), "{refused}");
    }
}

#[tokio::test]
async fn what_the_host_rolls_back_never_happened_and_what_it_commits_did() {
    let (mut client, authy) = host().await;
    let caller = Caller::anonymous(ClientInfo::default());
    let registration = authy.users().prepare_registration(&caller, new_user("ada")).await.unwrap();
    let before = count(&client, "authy.event").await;
    for commits in [false, true] {
        let tx = client.transaction().await.unwrap();
        let registered = authy.within(&tx).users().register(&caller, &registration).await.unwrap();
        tx.execute("INSERT INTO customer VALUES ($1)", &[registered.value().as_uuid()]).await.unwrap();
        end(&authy, tx, commits, registered).await;
        let expected = i64::from(commits);
        for table in ["authy.users", "authy.password", "authy.user_role", "customer"] {
            assert_eq!(count(&client, table).await, expected, "{table}");
        }
        assert_eq!(count(&client, "authy.event").await, before + expected);
    }
    let tokens = authy.sessions().login(&caller, credentials("ada")).await.unwrap();
    assert_eq!(authy.authenticate(tokens.token.expose()).await.unwrap().public_id, tokens.public_id);
}

#[tokio::test]
async fn roles_and_deletions_join_a_transaction_too() {
    let (mut client, authy) = host().await;
    let (anonymous, operator) = (Caller::anonymous(ClientInfo::default()), operator());
    let id = authy.users().register(&anonymous, new_user("ada")).await.unwrap();
    let token = authy.sessions().login(&anonymous, credentials("ada")).await.unwrap().token;
    let admin: RoleName = "admin".parse().unwrap();

    let tx = client.transaction().await.unwrap();
    drop(authy.within(&tx).roles().grant(&operator, &admin, id).await.unwrap());
    tx.rollback().await.unwrap();
    assert_eq!(authy.authenticate(token.expose()).await.unwrap().level.get(), 10);

    let tx = client.transaction().await.unwrap();
    let granted = authy.within(&tx).roles().grant(&operator, &admin, id).await.unwrap();
    tx.commit().await.unwrap();
    authy.committed(granted);
    let refused = authy.authenticate(token.expose()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidToken);

    let tx = client.transaction().await.unwrap();
    let revoked = authy.within(&tx).roles().revoke(&operator, &admin, id).await.unwrap();
    let deleted = authy.within(&tx).users().delete(&operator, id).await.unwrap();
    tx.commit().await.unwrap();
    authy.committed(revoked);
    authy.committed(deleted);
    assert!(authy.users().find(id).await.unwrap().unwrap().deleted);
}

#[tokio::test]
async fn what_a_host_has_committed_and_handed_back_is_in_force_here_at_once() {
    let (mut client, authy) = host().await;
    let _background = authy.start_background_with(Vec::new()).await.unwrap();
    let (anonymous, operator) = (Caller::anonymous(ClientInfo::default()), operator());
    let id = authy.users().register(&anonymous, new_user("ada")).await.unwrap();
    let guest: RoleName = "guest".parse().unwrap();
    for number in 0..10 {
        let token = authy.sessions().login(&anonymous, credentials("ada")).await.unwrap().token;
        authy.authenticate(token.expose()).await.unwrap();
        let tx = client.transaction().await.unwrap();
        let written = match number % 2 {
            0 => authy.within(&tx).roles().grant(&operator, &guest, id).await.unwrap(),
            _ => authy.within(&tx).roles().revoke(&operator, &guest, id).await.unwrap(),
        };
        authy.authenticate(token.expose()).await.unwrap();
        tx.commit().await.unwrap();
        authy.committed(written);
        // No poll is waited for.
        let refused = authy.authenticate(token.expose()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidToken, "round {number}");
    }
}

#[tokio::test]
async fn a_reader_of_a_half_done_transaction_sees_nothing_of_it() {
    let (mut client, authy) = host().await;
    let caller = Caller::anonymous(ClientInfo::default());
    let registration = authy.users().prepare_registration(&caller, new_user("ada")).await.unwrap();
    let tx = client.transaction().await.unwrap();
    let registered = authy.within(&tx).users().register(&caller, &registration).await.unwrap();
    assert!(authy.users().find(*registered.value()).await.unwrap().is_none());
    tx.commit().await.unwrap();
    let id = authy.committed(registered);
    assert!(authy.users().find(id).await.unwrap().is_some());
}

#[tokio::test]
async fn every_change_of_an_account_joins_a_transaction() {
    let (mut client, authy) = host().await;
    let (anonymous, operator) = (Caller::anonymous(ClientInfo::default()), operator());
    let new = |password: &str| Secret::new(format!("{password}-marmalade-58"));
    let logs_in = async |name: &str, password: Secret| {
        authy.sessions().login(&anonymous, Credentials::new(name, password)).await.is_ok()
    };
    let account = authy.users().prepare_account(&operator, new_account("ada", "admin")).await.unwrap();
    let tx = client.transaction().await.unwrap();
    let created = authy.within(&tx).users().create(&operator, &account).await.unwrap();
    tx.commit().await.unwrap();
    let id = authy.committed(created);

    // Each is rolled back first, and then it is as if nothing had been.
    let change = AccountChange {
        email: Some("ada@example.com".parse().unwrap()),
        ..AccountChange::password(None, new("changed")).unwrap()
    };
    let change = authy.users().prepare_change(&operator, id, change).await.unwrap();
    for commits in [false, true] {
        let tx = client.transaction().await.unwrap();
        let changed = authy.within(&tx).users().change(&operator, &change).await.unwrap();
        end(&authy, tx, commits, changed).await;
        assert_eq!(logs_in("ada", new("changed")).await, commits);
    }
    let confirmation = code(&authy, id, EventKind::EmailRequested).await;
    for commits in [false, true] {
        let tx = client.transaction().await.unwrap();
        let validated = authy.within(&tx).users().validate(&anonymous, &confirmation).await.unwrap();
        assert_eq!(validated.value().public_id, id);
        end(&authy, tx, commits, validated).await;
        let email = authy.users().find(id).await.unwrap().unwrap().email;
        assert_eq!(email.as_str() == "ada@example.com", commits);
    }
    let mut code = None;
    for commits in [false, true] {
        let tx = client.transaction().await.unwrap();
        let sent = authy.within(&tx).users().send_reset(&operator, id).await.unwrap();
        let created = authy.within(&tx).users().create_reset(&operator, id).await.unwrap();
        code = Some(created.value().clone());
        end(&authy, tx, commits, sent).await;
        let reset = PasswordReset::new(code.clone().unwrap(), new("reset")).unwrap();
        assert_eq!(authy.users().prepare_reset(&anonymous, reset).await.is_ok(), commits);
    }
    let reset = authy
        .users()
        .prepare_reset(&anonymous, PasswordReset::new(code.unwrap(), new("reset")).unwrap())
        .await
        .unwrap();
    for commits in [false, true] {
        let tx = client.transaction().await.unwrap();
        let set = authy.within(&tx).users().reset_password(&anonymous, &reset).await.unwrap();
        end(&authy, tx, commits, set).await;
        assert_eq!(logs_in("ada", new("reset")).await, commits);
    }
    let token = authy.sessions().login(&anonymous, Credentials::new("ada", new("reset"))).await.unwrap().token;
    for commits in [false, true] {
        let tx = client.transaction().await.unwrap();
        let ended = authy.within(&tx).sessions().end_all(&operator, id).await.unwrap();
        end(&authy, tx, commits, ended).await;
        assert_eq!(authy.authenticate(token.expose()).await.is_err(), commits);
    }
    for commits in [false, true] {
        let tx = client.transaction().await.unwrap();
        drop(authy.within(&tx).users().delete(&operator, id).await.unwrap());
        drop(authy.within(&tx).users().restore(&operator, id).await.unwrap());
        let erased = authy.within(&tx).users().erase(&operator, id).await.unwrap();
        end(&authy, tx, commits, erased).await;
        let user = authy.users().find(id).await.unwrap().unwrap();
        assert_eq!((user.deleted, user.username.as_str() == "ada"), (commits, !commits));
    }
    // The deletion, the restoration and the erasure of the transaction that was committed.
    let events = authy.events().list(&EventQuery { user: Some(id), ..EventQuery::default() }).await.unwrap();
    let kinds: Vec<_> = events.events.iter().take(3).map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["user.erased", "user.restored", "user.deleted"]);
}

async fn end<T>(authy: &Authy, tx: tokio_postgres::Transaction<'_>, commits: bool, written: Uncommitted<T>) {
    match commits {
        true => {
            tx.commit().await.unwrap();
            authy.committed(written);
        }
        false => tx.rollback().await.unwrap(),
    }
}

#[tokio::test]
async fn a_user_has_an_id_before_the_transaction_which_can_run_on_a_connection_of_the_engine() {
    let (client, authy) = host().await;
    let caller = Caller::anonymous(ClientInfo::default());
    let registration = authy.users().prepare_registration(&caller, new_user("ada")).await.unwrap();
    let id = registration.user_id();
    client.execute("INSERT INTO customer VALUES ($1)", &[id.as_uuid()]).await.unwrap();
    for commits in [false, true] {
        let mut connection = authy.pool().get().await.unwrap();
        let tx: engine::deadpool_postgres::Transaction<'_> = connection.transaction().await.unwrap();
        let registered = authy.within(&tx).users().register(&caller, &registration).await.unwrap();
        match commits {
            true => tx.commit().await.unwrap(),
            false => tx.rollback().await.unwrap(),
        }
        if commits {
            assert_eq!(authy.committed(registered), id);
        }
        assert_eq!(authy.users().find(id).await.unwrap().is_some(), commits);
    }
    // The same registration again is one of a name that is taken.
    let mut connection = authy.pool().get().await.unwrap();
    let tx = connection.transaction().await.unwrap();
    let again = authy.within(&tx).users().register(&caller, &registration).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyRegistered);
}

#[tokio::test]
async fn the_statements_of_the_host_take_identifiers_and_their_errors_are_answers() {
    let (client, authy) = host().await;
    let [user, other] = [UserId::random(), UserId::random()];
    let find = async |user: &UserId| -> Result<UserId, Error> {
        let connection = authy.pool().get().await?;
        let row = connection.query_one("SELECT user_id FROM customer WHERE user_id = $1", &[user]).await?;
        Ok(row.try_get("user_id")?)
    };
    client.execute("INSERT INTO customer VALUES ($1)", &[&user]).await.unwrap();
    assert_eq!(find(&user).await.unwrap(), user);
    // A defect of the host: no row, a column of another type, a constraint.
    assert_eq!(find(&other).await.unwrap_err().kind(), ErrorKind::Internal);
    let row = client.query_one("SELECT 1", &[]).await.unwrap();
    assert_eq!(Error::from(row.try_get::<_, UserId>(0).unwrap_err()).kind(), ErrorKind::Internal);
    let twice = client.execute("INSERT INTO customer VALUES ($1)", &[&user]).await.unwrap_err();
    assert_eq!(Error::from(twice).kind(), ErrorKind::Internal);

    // The database's state: a lock that is not free, a connection that ended.
    client.batch_execute("BEGIN; LOCK TABLE customer").await.unwrap();
    let locked = async || -> Result<(), Error> {
        let mut connection = authy.pool().get().await?;
        let tx = connection.transaction().await?;
        tx.batch_execute("SET LOCAL lock_timeout = 1").await?;
        Ok(tx.batch_execute("SELECT FROM customer").await?)
    };
    let refused = locked().await.unwrap_err();
    assert_eq!((refused.kind(), refused.retry_after().is_some()), (ErrorKind::Unavailable, true));
    let ended = client.batch_execute("SELECT pg_terminate_backend(pg_backend_pid())").await.unwrap_err();
    assert_eq!(Error::from(ended).kind(), ErrorKind::Unavailable);
    let closed = client.batch_execute("SELECT 1").await.unwrap_err();
    assert_eq!(Error::from(closed).kind(), ErrorKind::Unavailable);
}
