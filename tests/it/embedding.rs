//! authy inside another program, in that program's database and in its transactions.

use authy_core::{
    Authenticator as _, Authy, ErrorKind, RoleName,
    engine::{Caller, MasterKeys, Origin},
};
use authy_tests::{cheap, credentials, database, new_user, operator};

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
    let authy = Authy::builder(config).master_keys(MasterKeys::generate().unwrap()).config(cheap());
    (client, authy.start().await.unwrap())
}

async fn count(client: &tokio_postgres::Client, table: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn what_the_host_rolls_back_never_happened_and_what_it_commits_did() {
    let (mut client, authy) = host().await;
    let caller = Caller::nobody(Origin::default());
    let registration = authy.prepare_registration(&caller, new_user("ada")).await.unwrap();
    let before = count(&client, "authy.event").await;
    for commits in [false, true] {
        let tx = client.transaction().await.unwrap();
        let id = authy.register_in(&tx, &caller, &registration).await.unwrap();
        tx.execute("INSERT INTO customer VALUES ($1)", &[id.as_uuid()]).await.unwrap();
        if commits {
            tx.commit().await.unwrap()
        } else {
            tx.rollback().await.unwrap()
        }
        let expected = i64::from(commits);
        for table in ["authy.users", "authy.password", "authy.user_role", "customer"] {
            assert_eq!(count(&client, table).await, expected, "{table}");
        }
        assert_eq!(count(&client, "authy.event").await, before + expected);
    }
    let tokens = authy.login(&caller, credentials("ada")).await.unwrap();
    assert_eq!(authy.authenticate(tokens.token.expose()).await.unwrap().public_id, tokens.public_id);
}

#[tokio::test]
async fn roles_and_deletions_join_a_transaction_too() {
    let (mut client, authy) = host().await;
    let (nobody, operator) = (Caller::nobody(Origin::default()), operator());
    let id = authy.register(&nobody, new_user("ada")).await.unwrap();
    let token = authy.login(&nobody, credentials("ada")).await.unwrap().token;
    let admin: RoleName = "admin".parse().unwrap();

    let tx = client.transaction().await.unwrap();
    authy.grant_role_in(&tx, &operator, &admin, id).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(authy.authenticate(token.expose()).await.unwrap().level.get(), 10);

    let tx = client.transaction().await.unwrap();
    authy.grant_role_in(&tx, &operator, &admin, id).await.unwrap();
    tx.commit().await.unwrap();
    let void = authy.authenticate(token.expose()).await.unwrap_err();
    assert_eq!(void.kind(), ErrorKind::InvalidToken);

    let tx = client.transaction().await.unwrap();
    authy.revoke_role_in(&tx, &operator, &admin, id).await.unwrap();
    authy.delete_user_in(&tx, &operator, id).await.unwrap();
    tx.commit().await.unwrap();
    assert!(authy.find_user(id).await.unwrap().unwrap().deleted);
}

#[tokio::test]
async fn a_reader_of_a_half_done_transaction_sees_nothing_of_it() {
    let (mut client, authy) = host().await;
    let caller = Caller::nobody(Origin::default());
    let registration = authy.prepare_registration(&caller, new_user("ada")).await.unwrap();
    let tx = client.transaction().await.unwrap();
    let id = authy.register_in(&tx, &caller, &registration).await.unwrap();
    assert!(authy.find_user(id).await.unwrap().is_none());
    tx.commit().await.unwrap();
    assert!(authy.find_user(id).await.unwrap().is_some());
}
