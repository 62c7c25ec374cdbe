//! Who relays to a sink, from where on, and what a holder of the lease that was replaced does: nothing more.

use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;
use tokio_postgres::Client;

use super::*;

/// A sink that begins a delivery when the test permits it, and keeps what it received.
struct GatedSink {
    name: &'static str,
    pace: Delivery,
    begun: Mutex<Vec<EventView>>,
    permits: Semaphore,
    received: Mutex<Vec<EventView>>,
}

impl GatedSink {
    fn new(name: &'static str, pace: Delivery, permits: usize) -> Arc<Self> {
        let (begun, received) = (Mutex::default(), Mutex::default());
        Arc::new(Self { name, pace, begun, permits: Semaphore::new(permits), received })
    }

    fn begun(&self) -> Vec<EventView> {
        self.begun.lock().unwrap().clone()
    }

    fn received(&self) -> Vec<EventView> {
        self.received.lock().unwrap().clone()
    }
}

#[async_trait]
impl Sink for GatedSink {
    fn name(&self) -> &'static str {
        self.name
    }

    fn delivery(&self) -> Delivery {
        self.pace
    }

    async fn deliver(&self, event: &EventView) -> Result<(), DeliveryError> {
        self.begun.lock().unwrap().push(event.clone());
        self.permits.acquire().await.unwrap().forget();
        self.received.lock().unwrap().push(event.clone());
        Ok(())
    }
}

const MANY: usize = 10_000;

#[tokio::test]
async fn the_sinks_of_a_new_database_get_its_first_event_and_a_later_one_begins_at_the_present() {
    for pace in PACES {
        let (database, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
        let authy = instance(&database, &keys).await;
        let user = write_events(&authy).await;
        let (first, later) = (GatedSink::new("first", pace, MANY), GatedSink::new("later", pace, MANY));
        let _background = authy.start_background_with(vec![first.clone()]).await.unwrap();
        until("it has what happened before", || async { first.received().len() == 4 }).await;
        let received = first.received();
        assert!(received.iter().any(|event| event.kind == EventKind::KeyCreated), "{received:?}");
        assert!(received.iter().any(|event| event.subject == Some(user)), "{received:?}");

        let _background = authy.start_background_with(vec![later.clone()]).await.unwrap();
        let user = write_events(&authy).await;
        until("both have what happened then", || async { first.received().len() == 7 && later.received().len() == 3 })
            .await;
        assert!(later.received().iter().all(|event| event.subject == Some(user)));
    }
}

#[tokio::test]
async fn a_first_start_without_sinks_is_the_beginning_too() {
    let (database, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
    let authy = instance(&database, &keys).await;
    drop(authy.start_background_with(Vec::new()).await.unwrap());
    write_events(&authy).await;
    let sink = GatedSink::new("later", PACES[0], MANY);
    let _background = authy.start_background_with(vec![sink.clone()]).await.unwrap();
    let user = write_events(&authy).await;
    until("it has what happened then", || async { sink.received().len() == 3 }).await;
    assert!(sink.received().iter().all(|event| event.subject == Some(user)));
}

/// Has the database end the connection of the holder, as it does when it hears no heartbeat.
async fn end_lease(sql: &Client) {
    let end = "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON pg_database.oid = database
               WHERE datname = current_database() AND locktype = 'advisory' AND classid = 1635088489";
    assert_eq!(sql.query(end, &[]).await.unwrap().len(), 1, "one instance holds the lease");
}

#[tokio::test]
async fn a_holder_that_lost_its_lease_delivers_and_records_nothing_more() {
    for pace in PACES {
        let (database, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
        let (lost, next) = (GatedSink::new("gated", pace, 1), GatedSink::new("gated", pace, MANY));
        let (first, second) = (instance(&database, &keys).await, instance(&database, &keys).await);
        let leading = first.start_background_with(vec![lost.clone()]).await.unwrap();
        until("the first event is delivered", || async { lost.received().len() == 1 }).await;
        let waiting = second.start_background_with(vec![next.clone()]).await.unwrap();
        let user = write_events(&first).await;
        until("a delivery is under way", || async { lost.begun().len() == 2 }).await;

        end_lease(&database::connect(&database).await).await;
        until("another instance delivers all of it", || async { next.received().len() == 3 }).await;
        // The delivery that was under way would end now, and with it begin the next ones.
        lost.permits.add_permits(MANY);
        write_events(&second).await;
        until("it goes on", || async { next.received().len() == 6 }).await;
        assert_eq!((lost.begun().len(), lost.received().len()), (2, 1), "{pace:?}");
        let kinds = kinds_by_user(&next.received());
        assert_eq!(kinds[&user], KINDS, "{pace:?}");

        // A stop hands over at once, and the first one has not given up.
        waiting.stop().await;
        write_events(&first).await;
        until("the first one delivers again", || async { lost.received().len() == 4 }).await;
        assert_eq!(next.received().len(), 6, "{pace:?}");
        leading.stop().await;
    }
}

#[tokio::test]
async fn an_event_that_is_being_delivered_keeps_its_place_although_an_operator_gives_it_up() {
    let (database, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
    let authy = instance(&database, &keys).await;
    let sink = GatedSink::new("gated", Delivery::PerSubject { in_flight: 4 }, 1);
    let _background = authy.start_background_with(vec![sink.clone()]).await.unwrap();
    until("the first event is delivered", || async { sink.received().len() == 1 }).await;
    let user = write_events(&authy).await;
    until("a delivery is under way", || async { sink.begun().len() == 2 }).await;
    let under_way = sink.begun()[1].clone();
    assert_eq!((under_way.subject, under_way.kind), (Some(user), EventKind::UserRegistered));
    authy.deliveries().skip(&operator(), "gated", under_way.event_id).await.unwrap();
    let other = write_events(&authy).await;
    let begun = |subject| sink.begun().iter().filter(|event| event.subject == subject).count();
    until("another user's is under way", || async { begun(Some(other)) == 1 }).await;
    // That of the operator's decision, too.
    until("that of the decision is", || async { sink.begun().len() >= 3 }).await;
    let of_user: Vec<_> = sink.begun().into_iter().filter(|event| event.subject == Some(user)).collect();
    assert_eq!(of_user.len(), 1, "the next one waits: {of_user:?}");
    sink.permits.add_permits(MANY);
    until("all are delivered", || async { sink.received().len() >= 8 }).await;
}
