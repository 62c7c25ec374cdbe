//! Refresh tokens: one chain a session, whatever is lost, repeated, stolen or done at once.

use std::{collections::BTreeMap, time::Duration};

use authy_client::Client;
use authy_core::{
    Authenticator as _, ErrorKind, Secret,
    api::{
        Nothing,
        session::{RefreshToken, Tokens},
    },
    engine::MasterKeys,
    time::unix_seconds,
};
use authy_tests::{TestApp, TestUser, at_once, credentials, until};
use proptest::{prelude::*, test_runner::TestRunner};

async fn present(client: &Client, token: &str) -> Result<Tokens, ErrorKind> {
    let request = RefreshToken { refresh_token: Secret::new(token) };
    client.refresh(request).await.map_err(|error| error.kind().unwrap())
}

fn text(tokens: &Tokens) -> String {
    tokens.refresh_token.expose().to_owned()
}

async fn ended(app: &TestApp, user: &TestUser) -> bool {
    let sql = app.sql().await;
    let row =
        sql.query_one("SELECT ended_at IS NOT NULL FROM authy.session WHERE user_id = $1", &[user.id.as_uuid()]).await;
    row.unwrap().get(0)
}

async fn events(app: &TestApp, user: &TestUser, kind: &str) -> i64 {
    let sql = app.sql().await;
    let count = "SELECT count(*) FROM authy.event WHERE subject = $1 AND kind = $2";
    sql.query_one(count, &[user.id.as_uuid(), &kind]).await.unwrap().get(0)
}

/// An app in which a spent token yields its successor for ever, or never.
async fn app(forgives: bool) -> TestApp {
    TestApp::with(|config, _| config.refresh_grace = Duration::from_secs(if forgives { 3600 } else { 0 })).await
}

#[tokio::test]
async fn a_hundred_who_refresh_at_once_get_one_successor_and_keep_the_session() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let (anonymous, token) = (app.anonymous(), user.refresh_token.expose().to_owned());
    let answers = at_once(100, move |_| {
        let (anonymous, token) = (anonymous.clone(), token.clone());
        async move { present(&anonymous, &token).await }
    });
    let answers: Vec<_> = answers.await.into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|tokens| text(tokens) == text(&answers[0])), "two successors");
    let next = present(&app.anonymous(), &text(&answers[0])).await.unwrap();
    for tokens in answers.iter().chain([&next]) {
        assert!(app.anonymous().with_token(tokens.token.clone()).get_self().await.is_ok());
    }
    assert!(!ended(&app, &user).await);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_given_again() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let lost = text(&present(&app.anonymous(), user.refresh_token.expose()).await.unwrap());
    let again = present(&app.anonymous(), user.refresh_token.expose()).await.unwrap();
    assert_eq!(text(&again), lost);
    assert_eq!((again.expires_in, again.public_id), (900, user.id));
    assert!(again.refresh_expires_in > 13 * 24 * 3600);
}

/// The time at which an access token expires, and that until which the database knows it, in seconds since 1970.
async fn expiry(app: &TestApp, tokens: &Tokens) -> (u64, f64) {
    let identity = app.authy.authenticate(tokens.token.expose()).await.unwrap();
    let until = "SELECT extract(epoch FROM access_until)::float8 FROM authy.session WHERE session_id = $1";
    let until = app.sql().await.query_one(until, &[identity.session_id.as_uuid()]).await.unwrap().get(0);
    (unix_seconds(identity.expires), until)
}

#[tokio::test]
async fn an_access_token_ends_when_the_database_says_however_long_the_session_was_written() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let (mut sql, watch) = (app.sql().await, app.sql().await);
    for kind in ["login", "refresh", "repeated"] {
        let held = sql.transaction().await.unwrap();
        let rows = "SELECT FROM authy.users JOIN authy.session ON public_id = user_id WHERE public_id = $1 FOR UPDATE";
        held.query(rows, &[user.id.as_uuid()]).await.unwrap();
        let (client, token, name) = (app.anonymous(), user.refresh_token.expose().to_owned(), user.username.clone());
        let waiting = tokio::spawn(async move {
            match kind {
                "login" => client.login(credentials(&name)).await.unwrap(),
                _ => present(&client, &token).await.unwrap(),
            }
        });
        // The next second has begun, by which a token that is made afterwards would end later.
        let waits =
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                     AND clock_timestamp() - query_start > interval '1 second'";
        until("it has waited for a second", || async { watch.query_one(waits, &[]).await.unwrap().get(0) }).await;
        held.rollback().await.unwrap();
        let (expires, until) = expiry(&app, &waiting.await.unwrap()).await;
        assert!(expires as f64 <= until, "{kind}: {expires} is after {until}");
    }
}

#[tokio::test]
async fn a_spent_token_kills_its_session_and_says_so() {
    for (forgives, generations) in [(false, 1), (true, 2)] {
        let app = app(forgives).await;
        let user = app.user().await;
        let mut last = None;
        let mut token = user.refresh_token.expose().to_owned();
        for _ in 0..generations {
            let tokens = present(&app.anonymous(), &token).await.unwrap();
            token = text(&tokens);
            last = Some(tokens);
        }
        let refused = present(&app.anonymous(), user.refresh_token.expose()).await;
        assert_eq!(refused.unwrap_err(), ErrorKind::InvalidRefreshToken);
        assert!(ended(&app, &user).await);
        assert_eq!(events(&app, &user, "session.replayed").await, 1);
        assert_eq!(present(&app.anonymous(), &token).await.unwrap_err(), ErrorKind::InvalidRefreshToken);
        for token in [user.token, last.unwrap().token] {
            let refused = app.anonymous().with_token(token).get_self().await.unwrap_err();
            assert_eq!(refused.kind(), Some(ErrorKind::InvalidToken), "its access tokens are revoked at once");
        }
    }
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused() {
    let app = TestApp::new().await;
    let (user, other) = (app.user().await, app.user().await);
    let good = user.refresh_token.expose();
    let parts: Vec<_> = good.split('.').collect();
    let of_other: Vec<_> = other.refresh_token.expose().split('.').collect();
    for wrong in [
        String::new(),
        "x".into(),
        "..".into(),
        format!("{good}x"),
        format!("{good}."),
        good[..good.len() - 1].to_owned(),
        good.to_uppercase(),
        format!("{}.1.{}", parts[0], parts[2]),
        format!("{}.-1.{}", parts[0], parts[2]),
        format!("{}.00.{}", parts[0], parts[2]),
        format!("{}.18446744073709551616.{}", parts[0], parts[2]),
        format!("{}.{}.{}", of_other[0], parts[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        user.token.expose().to_owned(),
        "é".repeat(5000),
    ] {
        assert_eq!(present(&app.anonymous(), &wrong).await.unwrap_err(), ErrorKind::InvalidRefreshToken, "{wrong}");
    }
    assert!(present(&app.anonymous(), good).await.is_ok(), "the session has survived all of it");
}

#[tokio::test]
async fn what_ends_a_session_ends_its_refresh_token() {
    let app = TestApp::new().await;
    let root = app.superadmin().await;
    for end in 0..5 {
        let user = app.user().await;
        let other = app.again(&user).await;
        let ended = match end {
            0 => user.client.logout().await,
            1 => other.client.end_other_sessions().await,
            2 => root.client.end_user_sessions(user.id).await,
            3 => user.client.delete_self().await,
            _ => root.client.revoke_role("user".parse().unwrap(), user.id).await.map(|_| Nothing {}),
        };
        ended.unwrap();
        let refused = present(&app.anonymous(), user.refresh_token.expose()).await.unwrap_err();
        let expected = if end == 4 { ErrorKind::NoRole } else { ErrorKind::InvalidRefreshToken };
        assert_eq!(refused, expected, "{end}");
    }
}

#[tokio::test]
async fn a_session_that_is_not_used_or_is_too_old_ends() {
    for (idle, absolute) in [(1, 3600), (3600, 1)] {
        let app = TestApp::with(|config, _| {
            config.refresh_idle = Duration::from_secs(idle);
            config.refresh_absolute = Duration::from_secs(absolute);
        });
        let app = app.await;
        let user = app.user().await;
        // A used one lasts as long as it may, and a refused attempt does not count as use.
        let sql = app.sql().await;
        until("a second has gone by", || async {
            let query = "SELECT now() > last_used + interval '1 second' FROM authy.session WHERE user_id = $1";
            sql.query_one(query, &[user.id.as_uuid()]).await.unwrap().get(0)
        })
        .await;
        let refused = present(&app.anonymous(), user.refresh_token.expose()).await.unwrap_err();
        assert_eq!(refused, ErrorKind::InvalidRefreshToken, "idle {idle}, absolute {absolute}");
        assert!(app.again(&user).await.client.list_sessions().await.unwrap().sessions.iter().all(|s| s.current));
    }
}

#[tokio::test]
async fn a_dump_and_an_old_token_open_nothing_without_the_master_key() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let spent = user.refresh_token.expose().to_owned();
    let current = text(&present(&app.anonymous(), &spent).await.unwrap());
    // Everything that a dump knows: the session and its generation. What it does not know is the MAC.
    let session = spent.split('.').next().unwrap().to_owned();
    let guessed = format!("{session}.1.{}", spent.split('.').nth(2).unwrap());
    assert_eq!(present(&app.anonymous(), &guessed).await.unwrap_err(), ErrorKind::InvalidRefreshToken);
    // A copy of the database under another master key does not even start; see keys.rs. With the key of the copy's
    // owner, tokens made under the old one are none.
    let (sql, copy) = (app.sql().await, app.database.clone());
    // Nothing makes new keys in a copy.
    app.stop().await;
    sql.batch_execute("DELETE FROM authy.signing_key").await.unwrap();
    let attacker = TestApp::on(copy, MasterKeys::generate().unwrap(), |_, _| ()).await;
    for token in [&spent, &current] {
        assert_eq!(present(&attacker.anonymous(), token).await.unwrap_err(), ErrorKind::InvalidRefreshToken);
    }
}

#[derive(Clone, Copy, Debug)]
enum RefreshStep {
    /// Presents the token of this many generations ago.
    Present(usize),
    /// The same, and the answer is lost.
    Lose(usize),
    /// Many present tokens at once.
    Together(usize, usize),
    LogOut,
}

fn steps() -> impl Strategy<Value = (bool, Vec<RefreshStep>)> {
    let step = prop_oneof![
        6 => Just(RefreshStep::Present(0)),
        2 => (0..3_usize).prop_map(RefreshStep::Present),
        2 => (0..2_usize).prop_map(RefreshStep::Lose),
        2 => (0..2_usize, 0..3_usize).prop_map(|(a, b)| RefreshStep::Together(a, b)),
        1 => Just(RefreshStep::LogOut),
    ];
    (any::<bool>(), prop::collection::vec(step, 1..14))
}

/// What the owner and a attacker hold, and what must be true of it.
struct Chain<'a> {
    app: &'a TestApp,
    forgives: bool,
    tokens: BTreeMap<usize, String>,
    current: usize,
    cause_of_death: Option<&'static str>,
}

impl Chain<'_> {
    fn token(&self, ago: usize) -> (usize, String) {
        let generation = self.current.saturating_sub(ago);
        // One whose answer was lost is asked for again by its parent, so here it is not known.
        let known = self.tokens.range(..=generation).next_back().unwrap();
        (*known.0, known.1.clone())
    }

    /// What must come of presenting a token; changes the state accordingly.
    fn expect(&mut self, generation: usize) -> Option<usize> {
        if self.cause_of_death.is_some() {
            return None;
        }
        if generation == self.current {
            self.current += 1;
            return Some(self.current);
        }
        if self.forgives && generation + 1 == self.current {
            return Some(self.current);
        }
        self.cause_of_death = Some("session.replayed");
        None
    }

    /// What came, which is the only successor of its parent there is.
    fn learn(&mut self, generation: usize, token: String) {
        let known = self.tokens.entry(generation).or_insert_with(|| token.clone());
        assert_eq!(*known, token, "two chains live");
    }

    async fn step(&mut self, step: RefreshStep, user: &TestUser) {
        let anonymous = self.app.anonymous();
        match step {
            RefreshStep::Present(ago) | RefreshStep::Lose(ago) => {
                let (generation, token) = self.token(ago);
                let answer = present(&anonymous, &token).await;
                match self.expect(generation) {
                    Some(next) if matches!(step, RefreshStep::Present(_)) => self.learn(next, text(&answer.unwrap())),
                    Some(_) => assert!(answer.is_ok()),
                    None => assert_eq!(answer.unwrap_err(), ErrorKind::InvalidRefreshToken),
                }
            }
            RefreshStep::Together(one, other) => {
                let (one, other) = (self.token(one), self.token(other));
                let (a, b) = tokio::join!(present(&anonymous, &one.1), present(&anonymous, &other.1));
                // Either order is right; in this one or in the other everything must fit.
                let before = (self.current, self.cause_of_death);
                let fits =
                    |expected: Option<usize>, answer: &Result<Tokens, ErrorKind>| expected.is_some() == answer.is_ok();
                let (first, second) = (self.expect(one.0), self.expect(other.0));
                let (first, second) = if fits(first, &a) && fits(second, &b) {
                    (first, second)
                } else {
                    (self.current, self.cause_of_death) = before;
                    let second = self.expect(other.0);
                    (self.expect(one.0), second)
                };
                assert!(fits(first, &a) && fits(second, &b), "{first:?} {a:?} {second:?} {b:?}");
                for (generation, answer) in [(first, a), (second, b)] {
                    if let (Some(generation), Ok(tokens)) = (generation, answer) {
                        self.learn(generation, text(&tokens));
                    }
                }
            }
            RefreshStep::LogOut => {
                let ended = user.client.logout().await;
                assert_eq!(ended.is_ok(), self.cause_of_death.is_none());
                self.cause_of_death.get_or_insert("session.ended");
            }
        }
    }
}

#[test]
fn never_two_live_chains_and_never_a_dead_one_without_a_cause() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let apps = runtime.block_on(async { (app(false).await, app(true).await) });
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() });
    let checked = runner.run(&steps(), |(forgives, steps)| {
        let app = if forgives { &apps.1 } else { &apps.0 };
        runtime.block_on(async {
            let user = app.user().await;
            let tokens = BTreeMap::from([(0, user.refresh_token.expose().to_owned())]);
            let mut chain = Chain { app, forgives, tokens, current: 0, cause_of_death: None };
            for step in steps {
                chain.step(step, &user).await;
            }
            assert_eq!(ended(app, &user).await, chain.cause_of_death.is_some());
            for kind in ["session.replayed", "session.ended"] {
                let expected = i64::from(chain.cause_of_death == Some(kind));
                assert_eq!(events(app, &user, kind).await, expected, "{kind}");
            }
        });
        Ok(())
    });
    checked.unwrap();
    runtime.block_on(async {
        assert!(apps.0.anonymous().login(credentials("unknown-user")).await.is_err());
    });
}

#[tokio::test]
async fn a_token_issued_while_the_account_changes_stays_revoked_until_it_expires() {
    let app = TestApp::new().await;
    let (root, user) = (app.superadmin().await, app.user().await);
    let mut sql = app.sql().await;
    // Nothing that the session ever got lives any more.
    let idle =
        "UPDATE authy.session SET last_used = now() - interval '2 hours', access_until = now() - interval '105 minutes'
                WHERE user_id = $1";
    sql.execute(idle, &[user.id.as_uuid()]).await.unwrap();
    let held = sql.transaction().await.unwrap();
    held.execute("SELECT FROM authy.session WHERE user_id = $1 FOR UPDATE", &[user.id.as_uuid()]).await.unwrap();
    let (anonymous, refresh_token) = (app.anonymous(), user.refresh_token.clone());
    let refresh = tokio::spawn(async move { anonymous.refresh(RefreshToken { refresh_token }).await });
    let watch = app.sql().await;
    let waits = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%authy.session%'";
    until("the refresh waits for the session", async || {
        watch.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 1
    })
    .await;
    root.client.grant_role("guest".parse().unwrap(), user.id).await.unwrap();
    held.rollback().await.unwrap();

    let made = refresh.await.unwrap().unwrap();
    let refused = app.anonymous().with_token(made.token).get_self().await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::InvalidToken));
    let lives = "SELECT until > now() + interval '15 minutes' FROM authy.revocation WHERE user_id = $1";
    assert!(watch.query_one(lives, &[user.id.as_uuid()]).await.unwrap().get::<_, bool>(0));
    let refresh_token = made.refresh_token;
    let next = app.anonymous().refresh(RefreshToken { refresh_token }).await.unwrap();
    assert!(app.anonymous().with_token(next.token).get_self().await.is_ok());
}
