//! The own account, as it is shown to its owner.

use std::{sync::Arc, time::Duration};

use authy_core::{Authy, UserId};
use authy_tests::{TestApp, at_once, fresh_name, new_user, operator};
use tokio::time::timeout;

/// Number of reads at the same moment: many more than statements that are under way.
const READS: usize = 96;

async fn users(authy: &Authy) -> Arc<[UserId]> {
    let mut users = Vec::new();
    for _ in 0..8 {
        users.push(authy.users().register(&operator(), new_user(&fresh_name("ada"))).await.unwrap());
    }
    // Nobody has this one.
    users.push(UserId::random());
    users.into()
}

/// Reads the account of each of the users; checks that everybody gets the own one.
async fn read_at_once(authy: &Authy, users: &Arc<[UserId]>) {
    let found = at_once(READS, |number| {
        let (authy, id) = (authy.clone(), users[number % users.len()]);
        async move { (id, authy.users().find_own(id).await.unwrap()) }
    });
    for (id, found) in found.await {
        assert_eq!(found.map(|own| own.public_id), (id != users[users.len() - 1]).then_some(id));
    }
}

#[tokio::test]
async fn of_many_who_read_their_accounts_at_once_each_gets_the_own_one() {
    let app = TestApp::new().await;
    let users = users(&app.authy).await;
    read_at_once(&app.authy, &users).await;
    let own = app.authy.users().find_own(users[0]).await.unwrap().unwrap();
    let shown = app.authy.users().find(users[0]).await.unwrap().unwrap();
    assert_eq!((own.username, own.email, own.created), (shown.username, shown.email, shown.created));
}

#[tokio::test]
async fn who_stops_waiting_for_the_own_account_takes_it_from_nobody_else() {
    let app = TestApp::new().await;
    let users = users(&app.authy).await;
    for _ in 0..20 {
        let gone = timeout(Duration::ZERO, app.authy.users().find_own(users[0]));
        let (_, ()) = tokio::join!(gone, read_at_once(&app.authy, &users));
    }
}

#[tokio::test]
async fn what_was_committed_before_is_read() {
    let app = TestApp::new().await;
    for _ in 0..20 {
        let id = app.authy.users().register(&operator(), new_user(&fresh_name("ada"))).await.unwrap();
        assert!(app.authy.users().find_own(id).await.unwrap().is_some());
    }
}
