//! The load: clients, each of which leads users through their lives, one request after the other.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex},
    time::Duration,
};

use authy_tests::PASSWORD;
use http::Method;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use serde_json::{Value, json};
use tokio::{
    sync::{Mutex as AsyncMutex, watch},
    time::{Instant, sleep},
};

use super::{
    client::{Answer, Call},
    history::{Action, Checker, Issued, Operation, Outcome, request_id},
    tokens::{Checkers, Token},
};

/// The role that is granted and revoked.
pub(super) const ROLE: &str = "auditor";

/// How long a client goes on repeating a refresh: less than the grace within which that is safe (30 s).
const REPEATS: Duration = Duration::from_secs(20);

/// An administrator's session: the same for all clients.
pub(super) struct Administrator {
    pub(super) username: String,
    pub(super) token: AsyncMutex<Option<(Token, Instant)>>,
}

/// A client.
pub(super) struct LoadClient {
    pub(super) number: usize,
    pub(super) random: SmallRng,
    pub(super) checkers: Arc<Checkers>,
    pub(super) administrator: Arc<Administrator>,
    pub(super) stopped: watch::Receiver<bool>,
    /// Tokens of users who were left with a session.
    pub(super) live: Arc<Mutex<Vec<Token>>>,
}

/// A session as its owner knows it.
struct OpenSession {
    token: Token,
    refresh_token: String,
    generation: u64,
}

/// What a client was told.
struct Told {
    operation: u64,
    outcome: Outcome,
    body: Value,
}

impl LoadClient {
    pub(super) fn new(
        number: usize,
        seed: u64,
        checkers: Arc<Checkers>,
        administrator: Arc<Administrator>,
        stopped: watch::Receiver<bool>,
        live: Arc<Mutex<Vec<Token>>>,
    ) -> Self {
        let random = SmallRng::seed_from_u64(seed.wrapping_add(number as u64 + 1));
        Self { number, random, checkers, administrator, stopped, live }
    }

    /// Works until it is stopped.
    pub(super) async fn run(mut self) {
        let mut users = 0;
        while !*self.stopped.borrow() {
            // Whatever is unclear about a user, who is left then, is for the checker.
            let _ = self.life_of(format!("user-{}-{users}", self.number)).await;
            users += 1;
        }
    }

    /// Leads a user from the sign-up to the end. Ends early when it is unclear what was done.
    async fn life_of(&mut self, user: String) -> Option<()> {
        let id = self.sign_up(&user).await?;
        let mut session = self.log_in(&user).await?;
        let mut has_role = false;
        for _ in 0..self.random.random_range(3..9) {
            if *self.stopped.borrow() {
                break;
            }
            match self.random.random_range(0..10) {
                0..=1 => self.check(&session.token).await,
                2..=3 => session = self.refresh(&session).await?,
                4 => session = self.refresh_twice_at_once(&session).await?,
                5..=6 => {
                    self.change_role(&user, &id, &session.token, has_role).await?;
                    has_role = !has_role;
                    session = self.refresh(&session).await?;
                }
                7..=8 => {
                    let other = self.log_in(&user).await?;
                    self.log_out(&other).await?;
                }
                _ => {
                    self.replay(&session).await?;
                    session = self.log_in(&user).await?;
                }
            }
        }
        match self.random.random_range(0..4) {
            0 => self.live.lock().unwrap().push(session.token),
            1 => self.log_out(&session).await?,
            2 => self.delete(&user, "/authy/user", &session.token, Some(session.token.clone())).await?,
            _ => {
                let administrator = self.administrator_token().await;
                self.delete(&user, &format!("/authy/user/{id}"), &session.token, administrator).await?;
            }
        }
        Some(())
    }

    async fn sign_up(&mut self, user: &str) -> Option<String> {
        let email = format!("{user}@example.org");
        let body = json!({ "username": user, "email": email, "password": PASSWORD, "confirm_password": PASSWORD });
        let told =
            self.send(Action::SignUp { user: user.to_owned() }, Method::POST, "/authy/user", Some(body), None).await;
        Some(told.body["public_id"].as_str()?.to_owned())
    }

    async fn log_in(&mut self, user: &str) -> Option<OpenSession> {
        let body = json!({ "username": user, "password": PASSWORD });
        let action = Action::Login { user: user.to_owned() };
        opened(user, &self.send(action, Method::POST, "/authy/login", Some(body), None).await)
    }

    async fn check(&mut self, token: &Token) {
        let action = Action::Check { user: token.user.clone() };
        self.send(action, Method::GET, "/authy/checkaccess/99", None, Some(token.clone())).await;
        let verifier = self.random.random_range(0..self.checkers.verifiers.len());
        let seen = self.checkers.check(token, Checker::Verifier(verifier)).await;
        self.checkers.recorder.sightings([seen]);
    }

    /// Refreshes, again until there is an answer that says whether it was done.
    async fn refresh(&mut self, session: &OpenSession) -> Option<OpenSession> {
        let begun = Instant::now();
        loop {
            let told = self.refresh_once(session).await;
            if let Some(opened) = opened(&session.token.user, &told) {
                return Some(opened);
            }
            if !told.outcome.is_unknown() || begun.elapsed() > REPEATS {
                return None;
            }
        }
    }

    async fn refresh_once(&mut self, session: &OpenSession) -> Told {
        let OpenSession { token, refresh_token, generation } = session;
        let (user, session, generation) = (token.user.clone(), token.session.clone(), *generation);
        let action = Action::Refresh { user, session, generation };
        self.send(action, Method::POST, "/authy/token", Some(json!({ "refresh_token": refresh_token })), None).await
    }

    /// Sends the same refresh token twice at once, as two tabs of a browser do.
    async fn refresh_twice_at_once(&mut self, session: &OpenSession) -> Option<OpenSession> {
        let mut other = Self::new(
            self.number,
            self.random.random(),
            self.checkers.clone(),
            self.administrator.clone(),
            self.stopped.clone(),
            self.live.clone(),
        );
        let (first, second) = tokio::join!(self.refresh(session), other.refresh(session));
        first.or(second)
    }

    async fn log_out(&mut self, session: &OpenSession) -> Option<()> {
        let token = &session.token;
        self.checkers.watch(token);
        let action = Action::Logout { user: token.user.clone(), session: token.session.clone() };
        let told = self.send(action, Method::POST, "/authy/logout", None, Some(token.clone())).await;
        done(&told)
    }

    /// Grants or revokes the role. Both revoke the user's tokens.
    async fn change_role(&mut self, user: &str, id: &str, token: &Token, has_role: bool) -> Option<()> {
        let administrator = self.administrator_token().await?;
        self.checkers.watch(token);
        let (action, method) = match has_role {
            false => (Action::Grant { user: user.to_owned() }, Method::POST),
            true => (Action::Revoke { user: user.to_owned() }, Method::DELETE),
        };
        let told =
            self.send(action, method, &format!("/authy/role/{ROLE}/users/{id}"), None, Some(administrator)).await;
        self.forget_administrator(&told).await;
        done(&told)
    }

    async fn delete(&mut self, user: &str, path: &str, token: &Token, by: Option<Token>) -> Option<()> {
        self.checkers.watch(token);
        let told = self.send(Action::Delete { user: user.to_owned() }, Method::DELETE, path, None, Some(by?)).await;
        self.forget_administrator(&told).await;
        done(&told)
    }

    /// Presents a refresh token that is older than the direct predecessor of the current one, which ends the session.
    async fn replay(&mut self, session: &OpenSession) -> Option<()> {
        let next = self.refresh(session).await?;
        let last = self.refresh(&next).await?;
        self.checkers.watch(&last.token);
        self.refresh_once(session).await;
        Some(())
    }

    /// The administrator's token, from a login when there is none that is recent.
    async fn administrator_token(&mut self) -> Option<Token> {
        let administrator = self.administrator.clone();
        let mut current = administrator.token.lock().await;
        if let Some((token, since)) = &*current
            && since.elapsed() < Duration::from_secs(300)
        {
            return Some(token.clone());
        }
        let session = self.log_in(&administrator.username).await?;
        *current = Some((session.token.clone(), Instant::now()));
        Some(session.token)
    }

    /// Forgets the administrator's token, when it may be the reason for a refusal.
    async fn forget_administrator(&self, told: &Told) {
        if matches!(told.outcome, Outcome::Refused { status: 401 | 403, .. }) {
            *self.administrator.token.lock().await = None;
        }
    }

    /// Sends a request to one of the instances, and records it.
    async fn send(
        &mut self,
        action: Action,
        method: Method,
        path: &str,
        body: Option<Value>,
        token: Option<Token>,
    ) -> Told {
        // Some ten requests a second, of all clients together.
        sleep(Duration::from_millis(self.random.random_range(300..900))).await;
        let recorder = &self.checkers.recorder;
        let instance = self.random.random_range(0..self.checkers.instances.len());
        let (id, began) = (recorder.next_operation(), recorder.now());
        let sent = token.as_ref().map(|token| token.access.as_str());
        let call = Call { method, path: path.to_owned(), body, token: sent, request_id: request_id(id) };
        let answered = self.checkers.instances[instance].send(call).await;
        let ended = recorder.now();
        let (outcome, body) = match answered {
            Ok(answer) => (outcome(&answer), answer.body),
            Err(why) => (Outcome::Unanswered { why }, Value::Null),
        };
        let (client, token) = (Some(self.number), token.map(|token| token.issued_by));
        recorder.operation(Operation { id, client, instance, action, token, began, ended, outcome: outcome.clone() });
        Told { operation: id, outcome, body }
    }
}

fn outcome(answer: &Answer) -> Outcome {
    let (status, code) = (answer.status, answer.text("code"));
    match status {
        200..300 => Outcome::Done(issued(&answer.text("refresh_token"))),
        500.. => Outcome::Failed { status, code, has_retry_after: answer.has_retry_after },
        _ => Outcome::Refused { status, code },
    }
}

/// Reads a refresh token: `session.generation.MAC`.
fn issued(refresh_token: &str) -> Option<Issued> {
    let mut parts = refresh_token.split('.');
    let (session, generation) = (parts.next()?.to_owned(), parts.next()?.parse().ok()?);
    let mut digest = DefaultHasher::new();
    refresh_token.hash(&mut digest);
    Some(Issued { session, generation, refresh_token: format!("{:016x}", digest.finish()) })
}

fn opened(user: &str, told: &Told) -> Option<OpenSession> {
    let Outcome::Done(Some(Issued { session, generation, .. })) = &told.outcome else { return None };
    let (issued_by, access) = (told.operation, told.body["token"].as_str()?.to_owned());
    let token = Token { issued_by, user: user.to_owned(), session: session.clone(), access };
    let refresh_token = told.body["refresh_token"].as_str()?.to_owned();
    Some(OpenSession { token, refresh_token, generation: *generation })
}

fn done(told: &Told) -> Option<()> {
    matches!(told.outcome, Outcome::Done(_)).then_some(())
}
