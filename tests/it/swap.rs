//! One trait, authenticators implementations: whatever checks a token, the answer is the same.

use std::{collections::HashSet, sync::Arc, time::Duration};

use authy_client::LocalVerifier;
use authy_core::{Authenticator, ErrorKind, Identity};
use authy_tests::{TestApp, TestUser, forge::Forger, until};
use tokio::net::TcpListener;

/// The three implementations of `Authenticator`, on one app.
struct Authenticators {
    all: Vec<(&'static str, Arc<dyn Authenticator>)>,
    local: LocalVerifier,
}

impl Authenticators {
    async fn of(app: &TestApp) -> Self {
        let local = app.anonymous().verifier().start().await.unwrap();
        let all: Vec<(&str, Arc<dyn Authenticator>)> = vec![
            ("embedded", Arc::new(app.authy.clone())),
            ("local", Arc::new(local.clone())),
            ("client", Arc::new(app.anonymous())),
        ];
        Self { all, local }
    }

    async fn ask(&self, token: &str) -> Vec<(&'static str, Result<Identity, ErrorKind>)> {
        let mut answers = Vec::new();
        for (name, authenticator) in &self.all {
            answers.push((*name, authenticator.authenticate(token).await.map_err(|error| error.kind())));
        }
        answers
    }

    async fn refuse(&self, user: &TestUser) -> bool {
        let answers = self.ask(user.token.expose()).await;
        answers.iter().all(|(_, answer)| *answer == Err(ErrorKind::InvalidToken))
    }
}

#[tokio::test]
async fn a_good_token_says_the_same_to_all() {
    let app = TestApp::new().await;
    let authenticators = Authenticators::of(&app).await;
    for role in ["superadmin", "admin", "user", "guest"] {
        let user = app.user_with_role(role).await;
        // Once to verify it and once to remember it.
        for _ in 0..2 {
            for (name, answer) in authenticators.ask(user.token.expose()).await {
                let identity = answer.unwrap();
                assert_eq!(
                    (identity.public_id, identity.username.unwrap().as_str()),
                    (user.id, &*user.username),
                    "{name}"
                );
                assert_eq!(identity.roles.unwrap(), [role.parse().unwrap()], "{name}");
            }
        }
    }
}

#[tokio::test]
async fn what_ended_is_refused_by_all_within_a_second() {
    let app = TestApp::new().await;
    let (authenticators, root) = (Authenticators::of(&app).await, app.superadmin().await);
    let users = [app.user().await, app.user().await, app.user().await, app.user().await, app.user().await];
    for user in &users {
        assert!(authenticators.ask(user.token.expose()).await.iter().all(|(_, answer)| answer.is_ok()));
    }
    let [logged_out, deleted, granted, taken, ended] = users;
    logged_out.client.logout().await.unwrap();
    deleted.client.delete_self().await.unwrap();
    root.client.grant_role("guest".parse().unwrap(), granted.id).await.unwrap();
    root.client.revoke_role("user".parse().unwrap(), taken.id).await.unwrap();
    root.client.end_user_sessions(ended.id).await.unwrap();
    for user in [logged_out, deleted, granted, taken, ended] {
        let refused =
            tokio::time::timeout(Duration::from_secs(1), until("it is refused", || authenticators.refuse(&user)));
        refused.await.expect("a token was accepted for more than a second after it was revoked");
    }
    assert!(authenticators.ask(root.token.expose()).await.iter().all(|(_, answer)| answer.is_ok()));
}

#[tokio::test]
async fn hostile_tokens_are_refused_by_all_and_cause_no_request() {
    let app = TestApp::new().await;
    let authenticators = Authenticators::of(&app).await;
    let user = app.user().await;
    let forger = Forger::new(&app, &user).await;
    for (name, answer) in authenticators.ask(&forger.control()).await {
        assert!(answer.is_ok(), "{name} refuses what is good: {answer:?}");
    }
    let elsewhere = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/keys.json", elsewhere.local_addr().unwrap());
    let corpus = forger.corpus(&url);
    let names: HashSet<_> = corpus.iter().map(|(name, _)| name).collect();
    assert!(names.len() == corpus.len() && corpus.len() >= 60, "{}", corpus.len());
    let before = authenticators.local.key_requests();
    for (attack, token) in &corpus {
        for (name, answer) in authenticators.ask(token).await {
            assert_eq!(answer, Err(ErrorKind::InvalidToken), "{attack}: {name} says otherwise of {token}");
        }
    }
    assert_eq!(authenticators.local.key_requests(), before, "a token made the verifier ask for keys");
    let asked = tokio::time::timeout(Duration::from_millis(50), elsewhere.accept()).await;
    assert!(asked.is_err(), "a token caused a request to a URL of its choice");
    for (name, answer) in authenticators.ask(user.token.expose()).await {
        assert!(answer.is_ok(), "{name} was confused: {answer:?}");
    }
}
