//! Every committed event reaches every sink, in order per user, whichever server ends in between; and the audit trail
//! keeps it.

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
    engine::{Background, Delivery, DeliveryError, MasterKeys, Sink},
};
use authy_tests::{at_once, cheap, credentials, database, fresh_name, new_user, operator, until};

mod due;
mod export;
mod lease;
mod trail;

/// A sink that keeps the events it received in memory, and takes none while it is away.
struct MemorySink {
    pace: Delivery,
    received: Mutex<Vec<EventView>>,
    is_away: AtomicBool,
    refuses: Mutex<HashSet<UserId>>,
}

impl MemorySink {
    fn new(pace: Delivery) -> Arc<Self> {
        Arc::new(Self { pace, received: Mutex::default(), is_away: AtomicBool::new(false), refuses: Mutex::default() })
    }

    fn received(&self) -> Vec<EventView> {
        self.received.lock().unwrap().clone()
    }

    fn ids(&self) -> HashSet<EventId> {
        self.received().iter().map(|event| event.event_id).collect()
    }
}

#[async_trait]
impl Sink for MemorySink {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn wants(&self, event: &EventView) -> bool {
        event.kind != "key.created"
    }

    fn delivery(&self) -> Delivery {
        self.pace
    }

    async fn deliver(&self, event: &EventView) -> Result<(), DeliveryError> {
        // Lets other tasks run in the middle of a delivery.
        tokio::task::yield_now().await;
        if self.is_away.load(Ordering::SeqCst) {
            return Err(DeliveryError::retryable("it is away"));
        }
        if event.subject.is_some_and(|user| self.refuses.lock().unwrap().contains(&user)) {
            return Err(DeliveryError::retryable("it does not take this user"));
        }
        self.received.lock().unwrap().push(event.clone());
        Ok(())
    }
}

const PACES: [Delivery; 2] = [Delivery::Ordered { in_flight: 32 }, Delivery::PerSubject { in_flight: 32 }];

async fn instance(database: &tokio_postgres::Config, keys: &MasterKeys) -> Authy {
    Authy::builder(database.clone())
        .without_background()
        .master_keys(keys.clone())
        .config(cheap())
        .start()
        .await
        .unwrap()
}

async fn engine_with(sink: Arc<MemorySink>) -> (tokio_postgres::Config, Authy, Background) {
    let config = database::fresh().await;
    let authy = instance(&config, &MasterKeys::generate().unwrap()).await;
    let background = authy.start_background_with(vec![sink]).await.unwrap();
    (config, authy, background)
}

/// Signs up, grants a role and takes it away again: three events of one user.
async fn write_events(authy: &Authy) -> UserId {
    let admin = "admin".parse().unwrap();
    let id = authy.users().register(&operator(), new_user(&fresh_name("ada"))).await.unwrap();
    authy.roles().grant(&operator(), &admin, id).await.unwrap();
    authy.roles().revoke(&operator(), &admin, id).await.unwrap();
    id
}

/// The kinds of each user's events, in order of delivery, repetitions left out.
fn kinds_by_user(received: &[EventView]) -> BTreeMap<UserId, Vec<String>> {
    let (mut seen, mut by_user) = (HashSet::new(), BTreeMap::<_, Vec<_>>::new());
    for event in received.iter().filter(|event| seen.insert(event.event_id)) {
        by_user.entry(event.subject.unwrap()).or_default().push(event.kind.to_string());
    }
    by_user
}

const KINDS: [&str; 3] = ["user.registered", "role.granted", "role.revoked"];

#[tokio::test]
async fn every_event_reaches_a_sink_in_order_per_user_even_when_it_was_away() {
    for pace in PACES {
        let sink = MemorySink::new(pace);
        let (_, authy, _background) = engine_with(sink.clone()).await;
        sink.is_away.store(true, Ordering::SeqCst);
        let users = at_once(20, {
            let authy = authy.clone();
            move |_| {
                let authy = authy.clone();
                async move { write_events(&authy).await }
            }
        });
        let users: HashSet<_> = users.await.into_iter().collect();
        assert!(sink.received().is_empty());
        sink.is_away.store(false, Ordering::SeqCst);
        until("everything has been delivered", || async { sink.ids().len() == 60 }).await;
        let by_user = kinds_by_user(&sink.received());
        assert_eq!(by_user.keys().copied().collect::<HashSet<_>>(), users);
        assert!(by_user.values().all(|kinds| *kinds == KINDS), "{pace:?} {by_user:?}");
    }
}

#[tokio::test]
async fn a_late_commit_is_not_skipped_and_a_long_transaction_delays_no_other() {
    for pace in PACES {
        let sink = MemorySink::new(pace);
        let (config, authy, _background) = engine_with(sink.clone()).await;
        let mut host = database::connect(&config).await;
        let caller = operator();
        let early = authy.users().prepare_registration(&caller, new_user("early")).await.unwrap();
        let tx = host.transaction().await.unwrap();
        let late = *authy.within(&tx).users().register(&caller, &early).await.unwrap().value();
        for _ in 0..3 {
            let known = sink.ids().len();
            write_events(&authy).await;
            until("those in between have been delivered", || async { sink.ids().len() == known + 3 }).await;
        }
        assert!(sink.received().iter().all(|event| event.subject != Some(late)), "delivered before it was committed");
        tx.commit().await.unwrap();
        until("the late one has been delivered", || async {
            sink.received().iter().any(|event| event.subject == Some(late) && event.kind == "user.registered")
        })
        .await;
        assert_eq!(sink.received().len(), 10, "nothing was delivered twice without need");
    }
}

#[tokio::test]
async fn another_instance_takes_over_and_goes_on_where_the_first_was() {
    for pace in PACES {
        let (config, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
        let (one, other) = (MemorySink::new(pace), MemorySink::new(pace));
        let (first, second) = (instance(&config, &keys).await, instance(&config, &keys).await);
        let leading = first.start_background_with(vec![one.clone()]).await.unwrap();
        write_events(&first).await;
        until("the first delivers", || async { one.ids().len() == 3 }).await;
        let _waiting = second.start_background_with(vec![other.clone()]).await.unwrap();
        write_events(&second).await;
        until("the first delivers what the second wrote", || async { one.ids().len() == 6 }).await;
        assert!(other.received().is_empty(), "two deliver at once");
        // What is delivered and not yet recorded is delivered once more: that is allowed.
        drop(leading);
        write_events(&second).await;
        until("the second delivers", || async { other.ids().len() >= 3 }).await;
        let all: HashSet<_> = one.ids().union(&other.ids()).copied().collect();
        assert_eq!(all.len(), 9);
    }
}

#[tokio::test]
async fn one_event_that_is_stuck_holds_up_its_user_only_until_an_operator_gives_up() {
    let sink = MemorySink::new(Delivery::PerSubject { in_flight: 4 });
    let (_, authy, _background) = engine_with(sink.clone()).await;
    let stuck = authy.users().register(&operator(), new_user("stuck")).await.unwrap();
    until("the sign-up was delivered", || async { sink.ids().len() == 1 }).await;
    sink.refuses.lock().unwrap().insert(stuck);
    let admin = "admin".parse().unwrap();
    authy.roles().grant(&operator(), &admin, stuck).await.unwrap();
    authy.roles().revoke(&operator(), &admin, stuck).await.unwrap();
    for _ in 0..5 {
        write_events(&authy).await;
    }
    until("the others were delivered", || async { sink.ids().len() == 16 }).await;
    until("the attempt is noted", || async { !authy.deliveries().list_stuck(10).await.unwrap().is_empty() }).await;
    let listed = authy.deliveries().list_stuck(10).await.unwrap();
    assert_eq!(listed.len(), 1, "the second one waits for the first: {listed:?}");
    assert_eq!((listed[0].kind.as_deref(), listed[0].subject), (Some("role.granted"), Some(stuck)));
    assert!(listed[0].error.as_deref().unwrap().contains("does not take this user"));
    let sinks = authy.deliveries().list_sinks().await.unwrap();
    assert_eq!((sinks[0].waiting, sinks[0].stuck >= 1), (2, true), "{sinks:?}");

    authy.deliveries().skip(&operator(), "memory", listed[0].event_id).await.unwrap();
    sink.refuses.lock().unwrap().clear();
    until("the next one was delivered", || async {
        sink.received().iter().filter(|e| e.subject == Some(stuck)).count() >= 2
    })
    .await;
    authy.deliveries().retry(&operator(), "memory", listed[0].event_id).await.unwrap();
    until("it was delivered after all", || async { sink.ids().contains(&listed[0].event_id) }).await;
    let unknown = authy.deliveries().skip(&operator(), "memory", EventId::random()).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    let query = EventQuery { user: Some(stuck), kind: Some(EventKind::DeliverySkipped), ..EventQuery::default() };
    assert_eq!(authy.events().list(&query).await.unwrap().events.len(), 1, "an operator's hand shows in the trail");
}

#[tokio::test]
async fn a_database_that_moved_into_another_cluster_goes_on_and_skips_nothing() {
    for pace in PACES {
        let (config, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
        let (before, after) = (MemorySink::new(pace), MemorySink::new(pace));
        let authy = instance(&config, &keys).await;
        let background = authy.start_background_with(vec![before.clone()]).await.unwrap();
        write_events(&authy).await;
        until("the first three were delivered", || async { before.ids().len() == 3 }).await;
        drop(background);
        write_events(&authy).await;
        // As a dump looks that was restored elsewhere: another cluster, whose transactions have small numbers, and in
        // it what was written before an instance noticed.
        let sql = database::connect(&config).await;
        sql.batch_execute(
            "UPDATE authy.event_epoch SET cluster = cluster + 1;
             UPDATE authy.event_cursor SET seen = '1000000000:1000000000:'",
        )
        .await
        .unwrap();
        let _background = authy.start_background_with(vec![after.clone()]).await.unwrap();
        write_events(&authy).await;
        until("everything that was not delivered was delivered", || async {
            before.ids().union(&after.ids()).count() == 9 && after.ids().len() >= 6
        })
        .await;
        let known = after.received().len();
        write_events(&authy).await;
        until("it goes on", || async { after.received().len() == known + 3 }).await;
        let epoch = sql.query_one("SELECT max(epoch) FROM authy.event", &[]).await.unwrap();
        assert_eq!(epoch.get::<_, i32>(0), 2);
    }
}
