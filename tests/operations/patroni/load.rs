//! Sign-ups without pause on several servers, and what became of each.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use authy_client::Client;
use authy_core::ErrorKind;
use authy_tests::{TestApp, fresh_name, new_user, until_within};
use tokio::task::JoinSet;

/// Maximum time without a successful write that a test waits for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Pause between two requests to a server.
const PAUSE: Duration = Duration::from_millis(20);

/// The writers, one for each server.
pub(crate) struct Load {
    histories: Vec<Arc<Mutex<History>>>,
    writers: JoinSet<()>,
}

/// What clients saw.
#[derive(Clone, Default)]
pub(crate) struct History {
    acknowledged: Vec<String>,
    refused: Vec<(Option<ErrorKind>, String)>,
    longest_outage: Duration,
}

impl Load {
    pub(crate) fn start(apps: &[TestApp]) -> Self {
        let mut writers = JoinSet::new();
        let histories = apps.iter().map(|app| {
            let history = Arc::new(Mutex::new(History::default()));
            writers.spawn(write(app.anonymous(), history.clone()));
            history
        });
        Self { histories: histories.collect(), writers }
    }

    /// Waits until each server has acknowledged another 25 writes.
    pub(crate) async fn until_both_have_written(&self) {
        for history in &self.histories {
            let goal = history.lock().unwrap().acknowledged.len() + 25;
            let done = || async { history.lock().unwrap().acknowledged.len() >= goal };
            until_within(PATIENCE, "a server writes", done).await;
        }
    }

    pub(crate) async fn stop(mut self) -> History {
        self.writers.shutdown().await;
        let mut whole = History::default();
        for history in &self.histories {
            let history = history.lock().unwrap().clone();
            whole.acknowledged.extend(history.acknowledged);
            whole.refused.extend(history.refused);
            whole.longest_outage = whole.longest_outage.max(history.longest_outage);
        }
        whole
    }
}

async fn write(client: Client, history: Arc<Mutex<History>>) {
    let mut last_success = Instant::now();
    loop {
        let name = fresh_name("load");
        let answer = client.register(new_user(&name)).await;
        match answer {
            Ok(_) => {
                let outage = last_success.elapsed();
                last_success = Instant::now();
                history.lock().unwrap().acknowledge(name, outage);
            }
            Err(error) => history.lock().unwrap().refused.push((error.kind(), format!("{error:?}"))),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl History {
    fn acknowledge(&mut self, name: String, outage: Duration) {
        self.acknowledged.push(name);
        self.longest_outage = self.longest_outage.max(outage);
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// The longest time between two acknowledged writes of one server.
    pub(crate) fn longest_outage(&self) -> Duration {
        self.longest_outage
    }

    /// Prints the figures.
    pub(crate) fn report(&self, experiment: &str) {
        println!(
            "{experiment}: {} sign-ups acknowledged, {} refused, longest outage {:.1} s",
            self.acknowledged.len(),
            self.refused.len(),
            self.longest_outage.as_secs_f64()
        );
    }

    /// The names of acknowledged users who are not in the database.
    pub(crate) async fn lost(&self, sql: &tokio_postgres::Client) -> Vec<String> {
        let rows = sql.query("SELECT username FROM authy.users", &[]).await.unwrap();
        let kept: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
        self.acknowledged.iter().filter(|name| !kept.contains(*name)).cloned().collect()
    }

    /// A server that cannot write says so, and nothing else.
    pub(crate) fn assert_only_unavailable(&self) {
        let others: Vec<_> = self.refused.iter().filter(|(kind, _)| *kind != Some(ErrorKind::Unavailable)).collect();
        assert!(others.is_empty(), "{others:#?}");
    }
}
