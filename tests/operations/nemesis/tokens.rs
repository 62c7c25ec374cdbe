//! Shows tokens to every instance and every verifier, and records what each of them answers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use authy_client::LocalVerifier;
use authy_core::{Authenticator as _, ErrorKind};
use http::Method;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    client::{Call, HttpClient, PATIENCE},
    history::{Action, Checker, Operation, Outcome, Sighting, Verdict},
    recorder::{Recorder, micros},
};

/// How long a token is watched that somebody still accepts.
const WATCH: Duration = Duration::from_secs(12);

/// A token that a client got.
#[derive(Clone)]
pub(super) struct Token {
    /// The operation that issued it.
    pub(super) issued_by: u64,
    pub(super) user: String,
    pub(super) session: String,
    pub(super) access: String,
}

/// Everyone who checks tokens.
pub(super) struct Checkers {
    pub(super) instances: Vec<HttpClient>,
    pub(super) verifiers: Vec<LocalVerifier>,
    pub(super) recorder: Arc<Recorder>,
    watching: Mutex<JoinSet<()>>,
    watched: Mutex<Vec<Token>>,
}

impl Checkers {
    pub(super) fn new(instances: Vec<HttpClient>, verifiers: Vec<LocalVerifier>, recorder: Arc<Recorder>) -> Self {
        Self { instances, verifiers, recorder, watching: Mutex::default(), watched: Mutex::default() }
    }

    /// Shows a token to everyone, until all refuse it. Begins before the token is revoked.
    pub(super) fn watch(self: &Arc<Self>, token: &Token) {
        self.watched.lock().unwrap().push(token.clone());
        let (checkers, token) = (self.clone(), token.clone());
        let mut watching = self.watching.lock().unwrap();
        while watching.try_join_next().is_some() {}
        watching.spawn(async move {
            let instances = (0..checkers.instances.len()).map(Checker::Instance);
            let verifiers = (0..checkers.verifiers.len()).map(Checker::Verifier);
            let watches = instances.chain(verifiers).map(|by| checkers.watch_by(&token, by));
            let sightings = futures_util::future::join_all(watches).await;
            checkers.recorder.sightings(sightings.into_iter().flatten());
        });
    }

    async fn watch_by(&self, token: &Token, by: Checker) -> Vec<Sighting> {
        // A request costs more than a look at what a verifier knows.
        let pause = match by {
            Checker::Instance(_) => Duration::from_millis(500),
            Checker::Verifier(_) => Duration::from_millis(100),
        };
        let (begun, mut seen) = (Instant::now(), Vec::<Sighting>::new());
        while begun.elapsed() < WATCH {
            join(&mut seen, self.check(token, by).await);
            if seen.last().is_some_and(|last| last.verdict == Verdict::Refused && last.times == 2) {
                break;
            }
            sleep(pause).await;
        }
        seen
    }

    /// Shows a token to one of them.
    pub(super) async fn check(&self, token: &Token, by: Checker) -> Sighting {
        let sighting = |verdict, began| {
            let (times, first, last) = (1, self.recorder.now(), began);
            Sighting { token: token.issued_by, by, verdict, times, first, last, knew_until: None, staleness: None }
        };
        match by {
            Checker::Instance(number) => {
                let (id, began) = (self.recorder.next_operation(), self.recorder.now());
                let path = "/authy/checkaccess/99".to_owned();
                let request_id = super::history::request_id(id);
                let call = Call { method: Method::GET, path, body: None, token: Some(&token.access), request_id };
                let answered = self.instances[number].send(call).await;
                let verdict = match &answered {
                    Ok(answer) if answer.status == 200 => Verdict::Accepted,
                    Ok(answer) if answer.status == 401 => Verdict::Refused,
                    Ok(_) => Verdict::CannotTell,
                    Err(_) => Verdict::Unanswered,
                };
                if let (Verdict::CannotTell, Ok(answer)) = (verdict, answered) {
                    let (status, code) = (answer.status, answer.text("code"));
                    let outcome = match status {
                        500.. => Outcome::Failed { status, code, has_retry_after: answer.has_retry_after },
                        _ => Outcome::Refused { status, code },
                    };
                    let (client, instance, ended) = (None, number, self.recorder.now());
                    let (action, token) = (Action::Check { user: token.user.clone() }, Some(token.issued_by));
                    self.recorder.operation(Operation { id, client, instance, action, token, began, ended, outcome });
                }
                sighting(verdict, began)
            }
            Checker::Verifier(number) => {
                let verifier = &self.verifiers[number];
                let (began, before) = (self.recorder.now(), verifier.staleness().map(micros));
                let verdict = match timeout(PATIENCE, verifier.authenticate(&token.access)).await {
                    Ok(Ok(_)) => Verdict::Accepted,
                    Ok(Err(error)) if error.kind() == ErrorKind::InvalidToken => Verdict::Refused,
                    Ok(Err(_)) => Verdict::CannotTell,
                    Err(_) => Verdict::Unanswered,
                };
                let after = verifier.staleness().map(micros);
                let knew_until = before.map(|age| began.saturating_sub(age));
                Sighting { knew_until, staleness: before.min(after), ..sighting(verdict, began) }
            }
        }
    }

    /// Waits until nothing is watched, and shows every token that was, and those of `live`, to everyone once more.
    pub(super) async fn check_all(&self, live: &[Token]) {
        let watching = std::mem::take(&mut *self.watching.lock().unwrap());
        watching.join_all().await;
        let mut tokens: BTreeMap<u64, Token> = BTreeMap::new();
        let watched = self.watched.lock().unwrap().clone();
        tokens.extend(watched.iter().chain(live).map(|token| (token.issued_by, token.clone())));
        for token in tokens.values() {
            let instances = (0..self.instances.len()).map(Checker::Instance);
            let verifiers = (0..self.verifiers.len()).map(Checker::Verifier);
            let checks = instances.chain(verifiers).map(|by| self.check(token, by));
            self.recorder.sightings(futures_util::future::join_all(checks).await);
        }
    }
}

/// Adds a sighting to those before: to the last one, when the verdict is the same.
fn join(seen: &mut Vec<Sighting>, next: Sighting) {
    match seen.last_mut() {
        Some(last) if last.verdict == next.verdict => {
            last.times += 1;
            last.last = next.last;
            last.knew_until = last.knew_until.max(next.knew_until);
            last.staleness = last.staleness.max(next.staleness);
        }
        _ => seen.push(next),
    }
}
