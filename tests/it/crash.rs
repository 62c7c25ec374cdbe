//! A server that is killed with SIGKILL at every step of every write, and what is there after it has started again: no
//! user without a role and an event, no event without its effect, none lost and none invented; and what was
//! acknowledged was done.
//!
//! The server is a process of its own (`tests/server_process`). Its steps are the fault points of the engine: with a
//! statement on its way and after it, before, during and after every commit, and around every event that is handed to a
//! sink. All of them take minutes: every third is tried, from one that chance chooses, or all where `AUTHY_TEST_EVERY_STEP`
//! is set, as `make test-operations` does.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use authy_client::Client;
use authy_core::{
    Authy, ClientInfo, Secret, UserId,
    api::{session::RefreshToken, user::Deletion},
    engine::{Caller, Delivery, MasterKeys},
};
use authy_tests::{
    SERVER_PROCESS_ISSUER, cheap, credentials, database, fresh_name, new_account, new_user, operator,
    recording_sink::{RecordingSink, assert_complete},
    until,
};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

pub(crate) mod server_process;
mod state_snapshot;
pub(crate) mod write_cases;

use server_process::{Environment, ServerProcess};
use state_snapshot::assert_events_match_tables;
use write_cases::WriteCase;

/// An engine in the process of the test, which is not killed: it prepares each case, and delivers what a killed server
/// left.
struct Coordinator {
    environment: Environment,
    authy: Authy,
    sql: Arc<tokio_postgres::Client>,
    root: Secret,
    _folder: tempfile::TempDir,
}

impl Coordinator {
    async fn new(pace: &'static str) -> Self {
        let folder = database::folder();
        let (database, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
        let sql = Arc::new(database::connect(&database).await);
        let environment = Environment { database, sql: sql.clone(), keys, record: folder.path().join("record"), pace };
        let mut config = cheap();
        config.issuer = Some(SERVER_PROCESS_ISSUER.to_owned());
        let builder = Authy::builder(environment.database.clone())
            .without_background()
            .master_keys(environment.keys.clone())
            .config(config);
        let authy = builder.start().await.unwrap();
        let mut coordinator = Self { environment, authy, sql, root: Secret::new(""), _folder: folder };
        // From now on the sink receives every event.
        coordinator.settle("at the beginning").await;
        let name = fresh_name("root");
        coordinator.authy.users().create(&operator(), new_account(&name, "superadmin")).await.unwrap();
        let caller = Caller::anonymous(ClientInfo::default());
        coordinator.root = coordinator.authy.sessions().login(&caller, credentials(&name)).await.unwrap().token;
        coordinator
    }

    /// Delivers what the sink has not received, and asserts that it received every event, in order, and nothing else.
    async fn settle(&self, when: &str) {
        let pace = match self.environment.pace {
            "stream" => Delivery::Ordered { in_flight: 3 },
            _ => Delivery::PerSubject { in_flight: 3 },
        };
        let sink = Arc::new(RecordingSink::open(&self.environment.record, pace));
        let background = self.authy.start_background_with(vec![sink]).await.unwrap();
        until("everything is delivered", || async { self.waiting().await == 0 }).await;
        drop(background);
        until("no relay holds the lock", || async {
            let query = "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
                         WHERE datname = current_database() AND locktype = 'advisory'";
            self.sql.query_one(query, &[]).await.unwrap().get::<_, i64>(0) == 0
        })
        .await;
        assert_complete(&self.sql, &self.environment.record, when).await;
    }

    /// Number of events that the sink has not taken, by the database.
    async fn waiting(&self) -> u64 {
        self.authy.deliveries().list_sinks().await.unwrap().iter().map(|sink| sink.waiting).sum()
    }
}

/// The steps at which servers are killed.
fn steps_to_try() -> std::iter::StepBy<std::ops::RangeFrom<u64>> {
    if every_step() { (1..).step_by(1) } else { (rand::random_range(1..=3)..).step_by(3) }
}

fn every_step() -> bool {
    std::env::var_os("AUTHY_TEST_EVERY_STEP").is_some()
}

/// Repeats a case, each time with a server that is killed a step later, until one acknowledges it. Returns the steps.
async fn kill_at_every_step_of(case: WriteCase) -> Vec<String> {
    let coordinator = Coordinator::new("stream").await;
    let mut steps = Vec::new();
    let mut server = ServerProcess::start(&coordinator.environment).await;
    for nth in steps_to_try() {
        let spare = tokio::spawn({
            let environment = coordinator.environment.clone();
            async move { ServerProcess::start(&environment).await }
        });
        let fixture = case.prepare(&coordinator.authy, &coordinator.root, nth).await;
        server.arm(nth).await;
        let answer = case.act(&server.client, &fixture).await;
        let step = match &answer {
            // Killed all the same: what was acknowledged stays done.
            Ok(_) => {
                server.kill().await;
                "killed after the answer".to_owned()
            }
            Err(error) => {
                assert_eq!(error.status(), None, "{case:?}, step {nth}: {error:?}");
                server.until_killed().await
            }
        };
        let when = format!("{case:?}, step {nth}, {step}");
        let is_done = case.is_done(&coordinator.sql, &fixture).await;
        assert_events_match_tables(&coordinator.sql, &when).await;
        match (&answer, step.as_str()) {
            (Ok(_), _) | (Err(_), "killed after commit") => assert!(is_done, "{when}: acknowledged and not done"),
            (Err(_), "killed at the commit") => assert!(!is_done, "{when}: done before it was committed"),
            (Err(error), _) => assert!(error.may_have_been_sent() || !is_done, "{when}: the client knows better"),
        }
        let was_answered = answer.is_ok();
        server = spare.await.unwrap();
        eprintln!("{when}: {}", if is_done { "done" } else { "not done" });
        case.repeat(&server.client, &coordinator.authy, &fixture, is_done, answer.ok().flatten()).await;
        assert!(case.is_done(&coordinator.sql, &fixture).await, "{when}: not done by the repetition");
        assert_events_match_tables(&coordinator.sql, &format!("{when}, repeated")).await;
        steps.push(format!("{case:?} {nth} {step}"));
        if was_answered {
            break;
        }
    }
    server.kill().await;
    coordinator.settle(&format!("{case:?}")).await;
    steps
}

/// Signs two users up and grants each a role: four events.
async fn write_events(coordinator: &Coordinator) {
    let admin = "admin".parse().unwrap();
    for _ in 0..2 {
        let user = coordinator.authy.users().register(&operator(), new_user(&fresh_name("ada"))).await.unwrap();
        coordinator.authy.roles().grant(&operator(), &admin, user).await.unwrap();
    }
}

/// Has a few events delivered again and again, each time by a server that is killed a step later, until one has
/// delivered all of them. Returns the steps.
async fn kill_at_every_step_of_delivery(pace: &'static str) -> Vec<String> {
    let coordinator = Coordinator::new(pace).await;
    let mut steps = Vec::new();
    for nth in steps_to_try() {
        write_events(&coordinator).await;
        let step = ServerProcess::killed_while_delivering(&coordinator.environment, nth).await;
        let when = format!("{pace}, step {nth}, {step}");
        let waiting = coordinator.waiting().await;
        eprintln!("{when}: {waiting} waiting");
        // It polls as often as the clock says: there is nothing left to deliver.
        if waiting == 0 && (step.ends_with("LOOK") || step.ends_with("LIST_DUE")) {
            break;
        }
        coordinator.settle(&when).await;
        steps.push(when);
    }
    steps
}

#[tokio::test]
async fn killed_at_any_step_of_any_write_nothing_is_half_done_lost_or_invented() {
    let writes = write_cases::ALL.iter().map(|case| kill_at_every_step_of(*case).boxed());
    let deliveries = ["stream", "queue"].map(|pace| kill_at_every_step_of_delivery(pace).boxed());
    // As many at a time as there are cores to start servers on, the longest first.
    let steps: Vec<_> = stream::iter(deliveries.into_iter().chain(writes)).buffer_unordered(2).collect().await;
    let steps: HashSet<String> = steps.into_iter().flatten().collect();
    let least = if every_step() { 200 } else { 60 };
    assert!(steps.len() >= least, "only {} steps", steps.len());
    println!("killed at {} steps", steps.len());
}

#[tokio::test]
async fn when_the_delivering_server_is_killed_another_goes_on_within_five_seconds() {
    for pace in ["stream", "queue"] {
        let coordinator = Coordinator::new(pace).await;
        let mut servers = vec![
            ServerProcess::start_threaded(&coordinator.environment).await,
            ServerProcess::start_threaded(&coordinator.environment).await,
        ];
        for round in 0..3 {
            let leader = leader(&coordinator, &servers).await;
            write_events(&coordinator).await;
            // In the middle of it, and something happens while no server delivers.
            let killed = servers.swap_remove(leader);
            tokio::join!(killed.kill(), write_events(&coordinator));
            let since = Instant::now();
            until("another delivers all of it", || async { coordinator.waiting().await == 0 }).await;
            assert!(since.elapsed() < Duration::from_secs(5), "{pace}, round {round}: {:?}", since.elapsed());
            assert_complete(&coordinator.sql, &coordinator.environment.record, &format!("{pace}, round {round}")).await;
            servers.push(ServerProcess::start_threaded(&coordinator.environment).await);
        }
    }
}

/// Index of the server that holds the lock of the sink.
async fn leader(coordinator: &Coordinator, servers: &[ServerProcess]) -> usize {
    let query = "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
                 WHERE datname = current_database() AND locktype = 'advisory'
                   AND classid = 1635088489 AND granted";
    let name: Mutex<Option<usize>> = Mutex::default();
    until("a server delivers", || async {
        let row = coordinator.sql.query_opt(query, &[]).await.unwrap();
        let leads =
            |row: &tokio_postgres::Row| servers.iter().position(|server| server.name() == row.get::<_, &str>(0));
        *name.lock().unwrap() = row.as_ref().and_then(leads);
        name.lock().unwrap().is_some()
    })
    .await;
    name.into_inner().unwrap().unwrap()
}

#[tokio::test]
async fn killed_at_any_moment_under_load_nothing_is_half_done_lost_or_invented() {
    let coordinator = Coordinator::new("queue").await;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut moments = SmallRng::seed_from_u64(seed);
    for round in 0..12 {
        let server = ServerProcess::start_threaded(&coordinator.environment).await;
        let answers = Arc::new(AtomicU32::new(0));
        let clients: Vec<_> = (0..6)
            .map(|_| tokio::spawn(run_client(server.client.clone(), coordinator.root.clone(), answers.clone())))
            .collect();
        // Counted in answers, so that a slow machine is killed in the middle of it too, and then by the clock.
        let enough = moments.random_range(1..80);
        until("it has answered", || async { answers.load(Ordering::SeqCst) >= enough }).await;
        tokio::time::sleep(Duration::from_micros(moments.random_range(0..20_000))).await;
        server.kill().await;
        let when = format!("seed {seed}, round {round}");
        assert_events_match_tables(&coordinator.sql, &when).await;
        for one in clients {
            for (user, kind) in one.await.unwrap() {
                let query = "SELECT count(*) FROM authy.event WHERE subject = $1 AND kind = $2";
                let count: i64 = coordinator.sql.query_one(query, &[user.as_uuid(), &kind]).await.unwrap().get(0);
                assert!(count > 0, "{when}: {kind} was acknowledged and is lost");
            }
        }
    }
    coordinator.settle(&format!("seed {seed}")).await;
}

/// What a server has acknowledged: events that must be there from then on.
struct Acknowledged {
    events: Vec<(UserId, &'static str)>,
    answers: Arc<AtomicU32>,
}

impl Acknowledged {
    fn take(&mut self, user: UserId, kind: &'static str) {
        self.events.push((user, kind));
        self.answers.fetch_add(1, Ordering::SeqCst);
    }
}

/// Takes one user after another from sign-up to deletion until the server is killed. Returns what was acknowledged.
async fn run_client(client: Client, root: Secret, answers: Arc<AtomicU32>) -> Vec<(UserId, &'static str)> {
    let mut acknowledged = Acknowledged { events: Vec::new(), answers };
    loop {
        if let Err(error) = sign_up_to_deletion(&client, &root, &mut acknowledged).await {
            assert_eq!(error.status(), None, "it answered, and not as it should: {error:?}");
            return acknowledged.events;
        }
    }
}

async fn sign_up_to_deletion(
    client: &Client,
    root: &Secret,
    acknowledged: &mut Acknowledged,
) -> authy_client::Result<()> {
    let (name, root) = (fresh_name("ada"), client.with_token(root.clone()));
    let user = client.register(new_user(&name)).await?.public_id;
    acknowledged.take(user, "user.registered");
    let tokens = client.login(credentials(&name)).await?;
    acknowledged.take(user, "session.opened");
    let tokens = client.refresh(RefreshToken { refresh_token: tokens.refresh_token }).await?;
    acknowledged.take(user, "session.refreshed");
    client.login(credentials(&name)).await?;
    let own = client.with_token(tokens.token);
    own.end_other_sessions().await?;
    acknowledged.take(user, "sessions.ended");
    own.logout().await?;
    acknowledged.take(user, "session.ended");
    root.grant_role("admin".parse().unwrap(), user).await?;
    acknowledged.take(user, "role.granted");
    root.revoke_role("user".parse().unwrap(), user).await?;
    acknowledged.take(user, "role.revoked");
    root.delete_user(user, Deletion::PLAIN).await?;
    acknowledged.take(user, "user.deleted");
    Ok(())
}
