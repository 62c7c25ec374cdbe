//! What is committed reaches every sink, in order per user, whatever dies in between; and the audit trail keeps it.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use authy_core::{
    Authy, ErrorKind, EventId, UserId,
    api::event::{EventKind, EventQuery, EventView},
    engine::{Background, MasterKeys, Pace, Sink, Undelivered},
};
use authy_tests::{at_once, cheap, credentials, database, fresh_name, new_user, operator, until};

mod trail;

/// A neighbour that remembers what it was told, and takes nothing while it is away.
struct Neighbour {
    pace: Pace,
    told: Mutex<Vec<EventView>>,
    is_away: AtomicBool,
    refuses: Mutex<HashSet<UserId>>,
}

impl Neighbour {
    fn new(pace: Pace) -> Arc<Self> {
        Arc::new(Self { pace, told: Mutex::default(), is_away: AtomicBool::new(false), refuses: Mutex::default() })
    }

    fn told(&self) -> Vec<EventView> {
        self.told.lock().unwrap().clone()
    }

    fn ids(&self) -> HashSet<EventId> {
        self.told().iter().map(|event| event.event_id).collect()
    }
}

#[async_trait]
impl Sink for Neighbour {
    fn name(&self) -> &'static str {
        "neighbour"
    }

    fn wants(&self, event: &EventView) -> bool {
        event.kind != "key.created"
    }

    fn pace(&self) -> Pace {
        self.pace
    }

    async fn deliver(&self, event: &EventView) -> Result<(), Undelivered> {
        // Others get a turn in the middle of it.
        tokio::task::yield_now().await;
        if self.is_away.load(Ordering::SeqCst) {
            return Err(Undelivered::for_now("it is away"));
        }
        if event.subject.is_some_and(|user| self.refuses.lock().unwrap().contains(&user)) {
            return Err(Undelivered::for_now("it does not take this user"));
        }
        self.told.lock().unwrap().push(event.clone());
        Ok(())
    }
}

const PACES: [Pace; 2] = [Pace::Stream { in_flight: 32 }, Pace::Queue { in_flight: 32 }];

async fn instance(database: &tokio_postgres::Config, keys: &MasterKeys) -> Authy {
    Authy::builder(database.clone()).master_keys(keys.clone()).config(cheap()).start().await.unwrap()
}

async fn house(sink: Arc<Neighbour>) -> (tokio_postgres::Config, Authy, Background) {
    let config = database::fresh().await;
    let authy = instance(&config, &MasterKeys::generate().unwrap()).await;
    let background = authy.start_background_with(vec![sink]).await.unwrap();
    (config, authy, background)
}

/// Signs up, grants a role and takes it away again: three events of one user.
async fn live(authy: &Authy) -> UserId {
    let admin = "admin".parse().unwrap();
    let id = authy.register(&operator(), new_user(&fresh_name("ada"))).await.unwrap();
    authy.grant_role(&operator(), &admin, id).await.unwrap();
    authy.revoke_role(&operator(), &admin, id).await.unwrap();
    id
}

/// The kinds of events that each user's are, in the order in which they were told, repetitions left out.
fn lives(told: &[EventView]) -> BTreeMap<UserId, Vec<String>> {
    let (mut seen, mut lives) = (HashSet::new(), BTreeMap::<_, Vec<_>>::new());
    for event in told.iter().filter(|event| seen.insert(event.event_id)) {
        lives.entry(event.subject.unwrap()).or_default().push(event.kind.clone());
    }
    lives
}

const LIFE: [&str; 3] = ["user.registered", "role.granted", "role.revoked"];

#[tokio::test]
async fn every_event_reaches_a_sink_in_order_per_user_even_when_it_was_away() {
    for pace in PACES {
        let sink = Neighbour::new(pace);
        let (_, authy, _background) = house(sink.clone()).await;
        sink.is_away.store(true, Ordering::SeqCst);
        let users = at_once(20, {
            let authy = authy.clone();
            move |_| {
                let authy = authy.clone();
                async move { live(&authy).await }
            }
        });
        let users: HashSet<_> = users.await.into_iter().collect();
        assert!(sink.told().is_empty());
        sink.is_away.store(false, Ordering::SeqCst);
        until("everything has been told", || async { sink.ids().len() == 60 }).await;
        let lives = lives(&sink.told());
        assert_eq!(lives.keys().copied().collect::<HashSet<_>>(), users);
        assert!(lives.values().all(|life| *life == LIFE), "{pace:?} {lives:?}");
    }
}

#[tokio::test]
async fn who_commits_late_is_not_skipped_and_who_runs_for_long_holds_up_nobody() {
    for pace in PACES {
        let sink = Neighbour::new(pace);
        let (config, authy, _background) = house(sink.clone()).await;
        let mut host = database::connect(&config).await;
        let caller = operator();
        let early = authy.prepare_registration(&caller, new_user("early")).await.unwrap();
        let tx = host.transaction().await.unwrap();
        let late = *authy.register_in(&tx, &caller, &early).await.unwrap().value();
        for _ in 0..3 {
            let known = sink.ids().len();
            live(&authy).await;
            until("those in between have been told", || async { sink.ids().len() == known + 3 }).await;
        }
        assert!(sink.told().iter().all(|event| event.subject != Some(late)), "told before it was committed");
        tx.commit().await.unwrap();
        until("the late one has been told", || async {
            sink.told().iter().any(|event| event.subject == Some(late) && event.kind == "user.registered")
        })
        .await;
        assert_eq!(sink.told().len(), 10, "nothing was told twice without need");
    }
}

#[tokio::test]
async fn another_instance_takes_over_and_goes_on_where_the_first_was() {
    for pace in PACES {
        let (config, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
        let (one, other) = (Neighbour::new(pace), Neighbour::new(pace));
        let (first, second) = (instance(&config, &keys).await, instance(&config, &keys).await);
        let leading = first.start_background_with(vec![one.clone()]).await.unwrap();
        live(&first).await;
        until("the first tells", || async { one.ids().len() == 3 }).await;
        let _waiting = second.start_background_with(vec![other.clone()]).await.unwrap();
        live(&second).await;
        until("the first tells what the second wrote", || async { one.ids().len() == 6 }).await;
        assert!(other.told().is_empty(), "two tell at once");
        // What is told and not yet noted is told once more: that is allowed.
        drop(leading);
        live(&second).await;
        until("the second tells", || async { other.ids().len() >= 3 }).await;
        let all: HashSet<_> = one.ids().union(&other.ids()).copied().collect();
        assert_eq!(all.len(), 9);
    }
}

#[tokio::test]
async fn one_event_that_is_stuck_holds_up_its_user_only_until_an_operator_gives_up() {
    let sink = Neighbour::new(Pace::Queue { in_flight: 4 });
    let (_, authy, _background) = house(sink.clone()).await;
    let stuck = authy.register(&operator(), new_user("stuck")).await.unwrap();
    until("the sign-up was told", || async { sink.ids().len() == 1 }).await;
    sink.refuses.lock().unwrap().insert(stuck);
    let admin = "admin".parse().unwrap();
    authy.grant_role(&operator(), &admin, stuck).await.unwrap();
    authy.revoke_role(&operator(), &admin, stuck).await.unwrap();
    for _ in 0..5 {
        live(&authy).await;
    }
    until("the others were told", || async { sink.ids().len() == 16 }).await;
    until("the attempt is noted", || async { !authy.list_stuck(10).await.unwrap().is_empty() }).await;
    let listed = authy.list_stuck(10).await.unwrap();
    assert_eq!(listed.len(), 1, "the second one waits for the first: {listed:?}");
    assert_eq!((listed[0].kind.as_deref(), listed[0].subject), (Some("role.granted"), Some(stuck)));
    assert!(listed[0].error.as_deref().unwrap().contains("does not take this user"));
    let sinks = authy.list_sinks().await.unwrap();
    assert_eq!((sinks[0].waiting, sinks[0].stuck >= 1), (2, true), "{sinks:?}");

    authy.skip_delivery(&operator(), "neighbour", listed[0].event_id).await.unwrap();
    sink.refuses.lock().unwrap().clear();
    until("the next one was told", || async { sink.told().iter().filter(|e| e.subject == Some(stuck)).count() >= 2 })
        .await;
    authy.retry_delivery(&operator(), "neighbour", listed[0].event_id).await.unwrap();
    until("it was told after all", || async { sink.ids().contains(&listed[0].event_id) }).await;
    let unknown = authy.skip_delivery(&operator(), "neighbour", EventId::random()).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    let query = EventQuery { user: Some(stuck), kind: Some(EventKind::DeliverySkipped), after: None, limit: None };
    assert_eq!(authy.list_events(&query).await.unwrap().events.len(), 1, "an operator's hand shows in the trail");
}

#[tokio::test]
async fn a_database_that_moved_into_another_cluster_goes_on_and_skips_nothing() {
    for pace in PACES {
        let (config, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
        let (before, after) = (Neighbour::new(pace), Neighbour::new(pace));
        let authy = instance(&config, &keys).await;
        let background = authy.start_background_with(vec![before.clone()]).await.unwrap();
        live(&authy).await;
        until("the first three were told", || async { before.ids().len() == 3 }).await;
        drop(background);
        live(&authy).await;
        // As a dump looks that was restored elsewhere: another cluster, whose transactions have small numbers, and in it what
        // was written before anybody noticed.
        let sql = database::connect(&config).await;
        sql.batch_execute(
            "UPDATE authy.event_epoch SET cluster = cluster + 1;
             UPDATE authy.event_cursor SET seen = '1000000000:1000000000:'",
        )
        .await
        .unwrap();
        let _background = authy.start_background_with(vec![after.clone()]).await.unwrap();
        live(&authy).await;
        until("everything that was not told was told", || async {
            before.ids().union(&after.ids()).count() == 9 && after.ids().len() >= 6
        })
        .await;
        let told = after.told().len();
        live(&authy).await;
        until("it goes on", || async { after.told().len() == told + 3 }).await;
        let epoch = sql.query_one("SELECT max(epoch) FROM authy.event", &[]).await.unwrap();
        assert_eq!(epoch.get::<_, i32>(0), 2);
    }
}
