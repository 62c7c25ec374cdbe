//! A server that is killed with SIGKILL at every step of every write, and what is there after it has started again: no user
//! without a role and an event, no event without its effect, none lost and none invented; and what was acknowledged was done.
//!
//! The server is a process of its own (`tests/victim`). Its steps are the fault points of the engine: with a statement on its way
//! and after it, before, during and after every commit, and around every event that is handed to a sink.

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
    Authy, Secret, UserId,
    api::{session::RefreshToken, user::Deletion},
    engine::{Caller, MasterKeys, Origin, Pace},
};
use authy_tests::{
    VICTIMS_ISSUER, cheap, credentials, database, fresh_name,
    ledger::{self, Ledger},
    new_user, operator, until,
};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

mod books;
mod deeds;
pub(crate) mod victim;

use books::balance;
use deeds::Deed;
use victim::{Site, Victim};

/// A house in this process, which is not killed: it prepares, and looks after the dead.
struct Survivor {
    site: Site,
    authy: Authy,
    sql: Arc<tokio_postgres::Client>,
    root: Secret,
    _folder: tempfile::TempDir,
}

impl Survivor {
    async fn new(pace: &'static str) -> Self {
        let folder = database::folder();
        let (database, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
        let sql = Arc::new(database::connect(&database).await);
        let site = Site { database, sql: sql.clone(), keys, ledger: folder.path().join("ledger"), pace };
        let mut config = cheap();
        config.issuer = VICTIMS_ISSUER.to_owned();
        let builder = Authy::builder(site.database.clone()).master_keys(site.keys.clone()).config(config);
        let authy = builder.start().await.unwrap();
        let mut survivor = Self { site, authy, sql, root: Secret::new(""), _folder: folder };
        // From now on the sink is told of everything.
        survivor.settle("at the beginning").await;
        let name = fresh_name("root");
        let role = "superadmin".parse().unwrap();
        survivor.authy.create_user(&operator(), new_user(&name), &role).await.unwrap();
        let caller = Caller::nobody(Origin::default());
        survivor.root = survivor.authy.login(&caller, credentials(&name)).await.unwrap().token;
        survivor
    }

    /// Tells the sink what it was not told, and finds that it was told everything, in order, and nothing else.
    async fn settle(&self, when: &str) {
        let pace = match self.site.pace {
            "stream" => Pace::Stream { in_flight: 3 },
            _ => Pace::Queue { in_flight: 3 },
        };
        let ledger = Arc::new(Ledger::open(&self.site.ledger, pace));
        let background = self.authy.start_background_with(vec![ledger]).await.unwrap();
        until("everything is told", || async { self.waiting().await == 0 }).await;
        drop(background);
        until("nobody tells the sink", || async {
            let query = "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
                         WHERE datname = current_database() AND locktype = 'advisory'";
            self.sql.query_one(query, &[]).await.unwrap().get::<_, i64>(0) == 0
        })
        .await;
        ledger::audit(&self.sql, &self.site.ledger, when).await;
    }

    /// How many events the sink has not taken, as the database knows.
    async fn waiting(&self) -> u64 {
        self.authy.list_sinks().await.unwrap().iter().map(|sink| sink.waiting).sum()
    }
}

/// Does a deed again and again, each time with a server that dies one step later, until one lives to acknowledge it; the steps.
async fn kill_at_every_step_of(deed: Deed) -> Vec<String> {
    let survivor = Survivor::new("stream").await;
    let mut steps = Vec::new();
    let mut victim = Victim::start(&survivor.site).await;
    for nth in 1.. {
        let spare = tokio::spawn({
            let site = survivor.site.clone();
            async move { Victim::start(&site).await }
        });
        let scene = deed.prepare(&survivor.authy, &survivor.root, nth).await;
        victim.arm(nth).await;
        let answer = deed.act(&victim.client, &scene).await;
        let step = match &answer {
            // It is killed even so: what was acknowledged stays done.
            Ok(_) => {
                victim.kill().await;
                "killed after the answer".to_owned()
            }
            Err(error) => {
                assert_eq!(error.status(), None, "{deed:?}, step {nth}: {error:?}");
                victim.dies().await
            }
        };
        let when = format!("{deed:?}, step {nth}, {step}");
        let is_done = deed.is_done(&survivor.sql, &scene).await;
        balance(&survivor.sql, &when).await;
        match (&answer, step.as_str()) {
            (Ok(_), _) | (Err(_), "killed after commit") => assert!(is_done, "{when}: acknowledged and not done"),
            (Err(_), "killed at the commit") => assert!(!is_done, "{when}: done before it was committed"),
            (Err(error), _) => assert!(error.may_have_been_sent() || !is_done, "{when}: the client knows better"),
        }
        let was_answered = answer.is_ok();
        victim = spare.await.unwrap();
        eprintln!("{when}: {}", if is_done { "done" } else { "not done" });
        deed.repeat(&victim.client, &survivor.authy, &scene, is_done, answer.ok().flatten()).await;
        assert!(deed.is_done(&survivor.sql, &scene).await, "{when}: not done by the repetition");
        balance(&survivor.sql, &format!("{when}, repeated")).await;
        steps.push(format!("{deed:?} {nth} {step}"));
        if was_answered {
            break;
        }
    }
    victim.kill().await;
    survivor.settle(&format!("{deed:?}")).await;
    steps
}

/// Signs two people up and grants each a role: four events.
async fn live(survivor: &Survivor) {
    let admin = "admin".parse().unwrap();
    for _ in 0..2 {
        let user = survivor.authy.register(&operator(), new_user(&fresh_name("ada"))).await.unwrap();
        survivor.authy.grant_role(&operator(), &admin, user).await.unwrap();
    }
}

/// Has a few events told again and again, each time by a server that dies one step later, until one has done all there is to
/// do; the steps.
async fn kill_at_every_step_of_telling(pace: &'static str) -> Vec<String> {
    let survivor = Survivor::new(pace).await;
    let mut steps = Vec::new();
    for nth in 1.. {
        live(&survivor).await;
        let step = Victim::dies_telling(&survivor.site, nth).await;
        let when = format!("{pace}, step {nth}, {step}");
        let waiting = survivor.waiting().await;
        eprintln!("{when}: {waiting} waiting");
        // It asks for more as often as the clock says: it has done all there is to do.
        if waiting == 0 && (step.ends_with("LOOK") || step.ends_with("LIST_DUE")) {
            break;
        }
        survivor.settle(&when).await;
        steps.push(when);
    }
    steps
}

#[tokio::test]
async fn killed_at_any_step_of_any_write_nothing_is_half_done_lost_or_invented() {
    let writes = deeds::ALL.iter().map(|deed| kill_at_every_step_of(*deed).boxed());
    let telling = ["stream", "queue"].map(|pace| kill_at_every_step_of_telling(pace).boxed());
    // As many at a time as there are cores to start servers on, the longest first.
    let steps: Vec<_> = stream::iter(telling.into_iter().chain(writes)).buffer_unordered(2).collect().await;
    let steps: HashSet<String> = steps.into_iter().flatten().collect();
    assert!(steps.len() >= 200, "only {} steps", steps.len());
    println!("killed at {} steps", steps.len());
}

#[tokio::test]
async fn when_the_one_who_tells_is_killed_another_goes_on_within_five_seconds() {
    for pace in ["stream", "queue"] {
        let survivor = Survivor::new(pace).await;
        let mut victims =
            vec![Victim::start_threaded(&survivor.site).await, Victim::start_threaded(&survivor.site).await];
        for round in 0..3 {
            let leader = leader(&survivor, &victims).await;
            live(&survivor).await;
            // In the middle of it, and something happens while nobody tells.
            let dying = victims.swap_remove(leader);
            tokio::join!(dying.kill(), live(&survivor));
            let since = Instant::now();
            until("another tells all of it", || async { survivor.waiting().await == 0 }).await;
            assert!(since.elapsed() < Duration::from_secs(5), "{pace}, round {round}: {:?}", since.elapsed());
            ledger::audit(&survivor.sql, &survivor.site.ledger, &format!("{pace}, round {round}")).await;
            victims.push(Victim::start_threaded(&survivor.site).await);
        }
    }
}

/// Which of them holds the lock of the sink.
async fn leader(survivor: &Survivor, victims: &[Victim]) -> usize {
    let query = "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
                 WHERE datname = current_database() AND locktype = 'advisory'
                   AND classid = 1635088489 AND granted";
    let name: Mutex<Option<usize>> = Mutex::default();
    until("somebody tells the sink", || async {
        let row = survivor.sql.query_opt(query, &[]).await.unwrap();
        let leads = |row: &tokio_postgres::Row| victims.iter().position(|victim| victim.name == row.get::<_, &str>(0));
        *name.lock().unwrap() = row.as_ref().and_then(leads);
        name.lock().unwrap().is_some()
    })
    .await;
    name.into_inner().unwrap().unwrap()
}

#[tokio::test]
async fn killed_at_any_moment_under_load_nothing_is_half_done_lost_or_invented() {
    let survivor = Survivor::new("queue").await;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut moments = SmallRng::seed_from_u64(seed);
    for round in 0..12 {
        let victim = Victim::start_threaded(&survivor.site).await;
        let answers = Arc::new(AtomicU32::new(0));
        let crowd: Vec<_> = (0..6)
            .map(|_| tokio::spawn(crowd(victim.client.clone(), survivor.root.clone(), answers.clone())))
            .collect();
        // Counted in answers, so that a slow machine is killed in the middle of it too, and then by the clock.
        let enough = moments.random_range(1..80);
        until("it has answered", || async { answers.load(Ordering::SeqCst) >= enough }).await;
        tokio::time::sleep(Duration::from_micros(moments.random_range(0..20_000))).await;
        victim.kill().await;
        let when = format!("seed {seed}, round {round}");
        balance(&survivor.sql, &when).await;
        for one in crowd {
            for (user, kind) in one.await.unwrap() {
                let query = "SELECT count(*) FROM authy.event WHERE subject = $1 AND kind = $2";
                let count: i64 = survivor.sql.query_one(query, &[user.as_uuid(), &kind]).await.unwrap().get(0);
                assert!(count > 0, "{when}: {kind} was acknowledged and is lost");
            }
        }
    }
    survivor.settle(&format!("seed {seed}")).await;
}

/// What a server has acknowledged: an event of a user's that must be there from then on.
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

/// Lives one life after the other until the server dies; what was acknowledged.
async fn crowd(client: Client, root: Secret, answers: Arc<AtomicU32>) -> Vec<(UserId, &'static str)> {
    let mut acknowledged = Acknowledged { events: Vec::new(), answers };
    loop {
        if let Err(error) = a_life(&client, &root, &mut acknowledged).await {
            assert_eq!(error.status(), None, "it answered, and not as it should: {error:?}");
            return acknowledged.events;
        }
    }
}

async fn a_life(client: &Client, root: &Secret, told: &mut Acknowledged) -> authy_client::Result<()> {
    let (name, root) = (fresh_name("ada"), client.with_token(root.clone()));
    let user = client.register(new_user(&name)).await?.public_id;
    told.take(user, "user.registered");
    let tokens = client.login(credentials(&name)).await?;
    told.take(user, "session.opened");
    let tokens = client.refresh(RefreshToken { refresh_token: tokens.refresh_token }).await?;
    told.take(user, "session.refreshed");
    client.login(credentials(&name)).await?;
    let own = client.with_token(tokens.token);
    own.end_other_sessions().await?;
    told.take(user, "sessions.ended");
    own.logout().await?;
    told.take(user, "session.ended");
    root.grant_role("admin".parse().unwrap(), user).await?;
    told.take(user, "role.granted");
    root.revoke_role("user".parse().unwrap(), user).await?;
    told.take(user, "role.revoked");
    root.delete_user(user, Deletion::PLAIN).await?;
    told.take(user, "user.deleted");
    Ok(())
}
