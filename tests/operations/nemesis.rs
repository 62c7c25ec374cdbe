//! A nemesis: three instances, a database with a standby and a broker under a light load, and faults at random moments.
//! A checker reads the whole history afterwards, and fails when something is in it that must never be.
//!
//! `make nemesis` runs it for as long as it is told, and `make test-operations` for a minute. The faults are a function
//! of the seed, which is printed; what the clients do meanwhile, and how far they are, is not.

use std::{
    env,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex as AsyncMutex, watch},
    task::JoinSet,
    time::{sleep, sleep_until},
};

mod checker;
mod client;
mod database;
mod history;
mod instance;
mod load;
mod outcome;
mod plan;
mod recorder;
mod report;
mod tokens;
mod world;

use checker::SETTLING;
use history::History;
use load::{Administrator, LoadClient};
use plan::Plan;
use recorder::Recorder;
use tokens::Checkers;
use world::World;

/// Number of clients, each of which waits for one answer at a time.
const CLIENTS: usize = 6;

/// How long the load goes on when everything has settled.
const CALM: Duration = Duration::from_secs(7);

/// Seeds that found something once, and for how many seconds they run.
const SEEDS: &[(u64, u64)] = &[
    // A session whose last refresh was lost by a failover got 503 for ever.
    (165, 23),
    // An instance whose clock was an hour ahead refused every token, and issued tokens that everyone refused.
    (275, 27),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "operations: make test-operations"]
async fn no_fault_breaks_what_was_promised() {
    let number = |name| env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")));
    let (seed, seconds) = (number("NEMESIS_SEED"), number("NEMESIS_SECONDS"));
    run(seed.unwrap_or_else(|| rand::random::<u32>().into()), Duration::from_secs(seconds.unwrap_or(60))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "operations: make test-operations"]
async fn what_broke_a_promise_once_breaks_it_no_more() {
    for (seed, seconds) in SEEDS {
        run(*seed, Duration::from_secs(*seconds)).await;
    }
}

/// Runs the faults of a seed for so long, and checks the history.
async fn run(seed: u64, length: Duration) {
    let repeat = format!("make nemesis NEMESIS_SEED={seed} NEMESIS_SECONDS={}", length.as_secs());
    println!("seed {seed}; again: {repeat}");
    let mut end = Duration::ZERO;
    let is_within = |step: &plan::Step| {
        end += step.pause + step.lasts;
        end <= length
    };
    Plan::of(seed).take_while(is_within).for_each(|step| println!("planned {step}"));
    let recorder = Arc::new(Recorder::new());
    let saved = SavedOnPanic { recorder: recorder.clone(), path: path(seed) };
    let mut world = World::start(recorder.clone()).await;
    let checkers = Arc::new(Checkers::new(world.clients(), world.verifiers().await, recorder.clone()));
    let live = Arc::new(Mutex::new(Vec::new()));
    let (stop, stopped) = watch::channel(false);
    let administrator = Administrator { username: world.administrator.clone(), token: AsyncMutex::default() };
    let administrator = Arc::new(administrator);
    let (mut load, mut watching) = (JoinSet::new(), JoinSet::new());
    let watched = recorder.clone();
    watching.spawn(async move { watched.watch_machine().await });
    for number in 0..CLIENTS {
        let (checkers, stopped) = (checkers.clone(), stopped.clone());
        load.spawn(LoadClient::new(number, seed, checkers, administrator.clone(), stopped, live.clone()).run());
    }
    suffer(&mut world, seed, length, &recorder).await;

    // Long enough to see that all is well again.
    sleep(SETTLING + CALM).await;
    stop.send_replace(true);
    load.join_all().await;
    let live = std::mem::take(&mut *live.lock().unwrap());
    checkers.check_all(&live).await;
    let mut history = std::mem::take(&mut *recorder.history());
    outcome::read(&world, &mut history).await;
    let findings = checker::check(&history);
    println!("{}", report::summary(&history, &findings));
    history.save(&saved.path);
    world.keep_logs(&saved.path.with_extension("logs"));
    println!("the history: {}; the logs are beside it; again: {repeat}", saved.path.display());
    assert!(findings.violations.is_empty(), "{}", report::violations(&findings));
}

/// Lets the faults happen, one after the other.
async fn suffer(world: &mut World, seed: u64, length: Duration, recorder: &Recorder) {
    let end = Instant::now() + length;
    for step in Plan::of(seed) {
        let due = Instant::now() + step.pause;
        if due + step.lasts > end {
            return sleep_until(end.into()).await;
        }
        sleep_until(due.into()).await;
        let say = |what: &str| println!("{:7.1} s  {what}", recorder.now() as f64 / 1e6);
        say(&step.fault.to_string());
        match world.suffer(&step).await {
            None => say("repaired, every instance writes"),
            Some(why) => say(&format!("left out: {why}")),
        }
    }
}

/// Where the history of a run is written.
fn path(seed: u64) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("nemesis-{seed}.jsonl"))
}

/// Keeps the history of a run that was not completed.
struct SavedOnPanic {
    recorder: Arc<Recorder>,
    path: PathBuf,
}

impl Drop for SavedOnPanic {
    fn drop(&mut self) {
        let history: History = std::mem::take(&mut *self.recorder.history());
        if std::thread::panicking() && !history.operations.is_empty() {
            history.save(&self.path);
            println!("the history so far: {}", self.path.display());
        }
    }
}
