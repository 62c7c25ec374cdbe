//! How long it takes until all refuse: three servers and ten verifiers, each with a database connection or a
//! stream of its own, while tokens are revoked one after another.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use authy_core::{Authenticator, RoleName};
use authy_tests::{TestApp, TestUser, operator};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

const REVOCATIONS: usize = 60;

pub(crate) async fn measure() {
    let first = TestApp::new().await;
    let issuer = first.url();
    let mut apps = Vec::new();
    for _ in 0..2 {
        let issuer = issuer.clone();
        let on =
            TestApp::on(first.database.clone(), first.master_keys.clone(), |config, _| config.issuer = Some(issuer));
        apps.push(on.await);
    }
    apps.push(first);
    let mut authenticators: Vec<Arc<dyn Authenticator>> = Vec::new();
    for number in 0..10 {
        let client = apps[number % apps.len()].anonymous();
        authenticators.push(Arc::new(client.verifier().issuer(&issuer).start().await.unwrap()));
    }
    // The server that revokes knows at once, so only the others are measured.
    authenticators.extend(apps[..2].iter().map(|app| Arc::new(app.authy.clone()) as _));
    let home = &apps[2];
    println!("\nuntil each of 10 verifiers and 2 other servers refuses a token, {REVOCATIONS} times:");
    for notified in [true, false] {
        let mut delays = Histogram::<u64>::new(3).unwrap();
        for _ in 0..REVOCATIONS {
            let test_user = home.user().await;
            for authenticator in &authenticators {
                authenticator.authenticate(test_user.token.expose()).await.unwrap();
            }
            let watching = watch(&authenticators, &test_user);
            if notified {
                test_user.client.logout().await.unwrap();
            } else {
                // A host program's own commit sends no NOTIFY: followers have only their polls.
                let mut host = home.sql().await;
                let tx = host.transaction().await.unwrap();
                let user: RoleName = "user".parse().unwrap();
                let forgotten = home.authy.within(&tx).roles().revoke(&operator(), &user, test_user.id).await.unwrap();
                drop(forgotten);
                tx.commit().await.unwrap();
            }
            let revoked = Instant::now();
            for refused in watching.join_all().await {
                let delay = refused.saturating_duration_since(revoked);
                delays.record(u64::try_from(delay.as_micros()).unwrap().max(1)).unwrap();
            }
        }
        let ms = |quantile: f64| delays.value_at_quantile(quantile) as f64 / 1e3;
        println!(
            "  NOTIFY {:<3}  p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
            if notified { "on" } else { "off" },
            ms(0.5),
            ms(0.99),
            ms(1.0)
        );
    }
}

/// When each of them refuses.
fn watch(authenticators: &[Arc<dyn Authenticator>], user: &TestUser) -> JoinSet<Instant> {
    let mut watching = JoinSet::new();
    for authenticator in authenticators {
        let (authenticator, token) = (authenticator.clone(), user.token.clone());
        watching.spawn(async move {
            while authenticator.authenticate(token.expose()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Instant::now()
        });
    }
    watching
}
