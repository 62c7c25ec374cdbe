//! The background work of an engine: it begins with the engine, and ends with it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use authy_core::{
    Authenticator as _, Authy, ClientInfo, ErrorKind, EventId,
    api::event::EventView,
    engine::{Builder, Caller, Delivery, DeliveryError, MasterKeys, Sink},
};
use authy_tests::{cheap, credentials, database, fresh_name, new_user, operator, until};
use tokio::sync::Semaphore;

/// A sink that takes an event when the test permits it, and holds the engine like one that calls it.
struct GatedSink {
    pace: Delivery,
    begun: Semaphore,
    permits: Semaphore,
    received: Mutex<Vec<EventId>>,
}

impl GatedSink {
    fn new(pace: Delivery) -> Arc<Self> {
        let (begun, permits) = (Semaphore::new(0), Semaphore::new(0));
        Arc::new(Self { pace, begun, permits, received: Mutex::default() })
    }

    fn received(&self) -> Vec<EventId> {
        self.received.lock().unwrap().clone()
    }
}

#[async_trait]
impl Sink for GatedSink {
    fn name(&self) -> &'static str {
        "gated"
    }

    fn wants(&self, event: &EventView) -> bool {
        event.kind == "user.registered"
    }

    fn delivery(&self) -> Delivery {
        self.pace
    }

    async fn deliver(&self, event: &EventView) -> Result<(), DeliveryError> {
        self.begun.add_permits(1);
        self.permits.acquire().await.unwrap().forget();
        self.received.lock().unwrap().push(event.event_id);
        Ok(())
    }
}

const PACES: [Delivery; 2] = [Delivery::Ordered { in_flight: 4 }, Delivery::PerSubject { in_flight: 4 }];

fn builder(database: &tokio_postgres::Config, keys: &MasterKeys) -> Builder {
    Authy::builder(database.clone()).master_keys(keys.clone()).config(cheap())
}

async fn sign_up(authy: &Authy) -> String {
    let name = fresh_name("ada");
    authy.users().register(&operator(), new_user(&name)).await.unwrap();
    name
}

#[tokio::test]
async fn an_engine_follows_revocations_from_its_start_on_and_after_a_stop_it_asks_the_database() {
    let (database, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
    let (one, other) =
        (builder(&database, &keys).start().await.unwrap(), builder(&database, &keys).start().await.unwrap());
    let anonymous = Caller::anonymous(ClientInfo::default());
    let log_in = async |name: &str| one.sessions().login(&anonymous, credentials(name)).await.unwrap().token;
    let token = log_in(&sign_up(&one).await).await;
    let identity = one.authenticate(token.expose()).await.unwrap();
    one.sessions().logout(&Caller::user(identity, ClientInfo::default())).await.unwrap();
    until("the other engine has read it", || async {
        let snapshot = other.revocations().snapshot(None).unwrap();
        String::from_utf8_lossy(&snapshot.body).contains("\"session\"")
    })
    .await;
    assert_eq!(other.authenticate(token.expose()).await.unwrap_err().kind(), ErrorKind::InvalidToken);

    one.stop().await;
    // Twice does no harm, and the handles work on.
    one.clone().stop().await;
    let token = log_in(&sign_up(&one).await).await;
    assert!(one.authenticate(token.expose()).await.is_ok());

    let idle = builder(&database, &keys).without_background().start().await.unwrap();
    assert_eq!(idle.revocations().snapshot(None).err().unwrap().kind(), ErrorKind::Unavailable);
    assert!(idle.authenticate(token.expose()).await.is_ok());
}

#[tokio::test]
async fn a_stop_waits_until_what_is_being_delivered_is_recorded() {
    for pace in PACES {
        let (database, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
        let sink = GatedSink::new(pace);
        let authy = builder(&database, &keys).sink(sink.clone()).start().await.unwrap();
        sign_up(&authy).await;
        sink.begun.acquire().await.unwrap().forget();
        let mut stopping = std::pin::pin!(authy.stop());
        assert!(futures_util::poll!(&mut stopping).is_pending(), "{pace:?}");
        assert!(sink.received().is_empty());
        sink.permits.add_permits(1);
        // A second caller waits for the same end.
        tokio::join!(stopping, authy.stop());
        assert_eq!(sink.received().len(), 1, "{pace:?}");

        // The next start delivers what came after it, and nothing twice.
        sign_up(&authy).await;
        sink.permits.add_permits(10);
        let next = builder(&database, &keys).sink(sink.clone()).start().await.unwrap();
        until("everything is delivered", || async {
            next.deliveries().list_sinks().await.unwrap().iter().all(|sink| sink.waiting == 0)
        })
        .await;
        next.stop().await;
        let received = sink.received();
        assert!(received.len() == 2 && received[0] != received[1], "{pace:?}: {received:?}");
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_sink_that_takes_nothing() {
    struct Refusing(Semaphore);

    #[async_trait]
    impl Sink for Refusing {
        fn name(&self) -> &'static str {
            "refusing"
        }

        fn delivery(&self) -> Delivery {
            Delivery::Ordered { in_flight: 1 }
        }

        async fn deliver(&self, _: &EventView) -> Result<(), DeliveryError> {
            self.0.add_permits(1);
            Err(DeliveryError::retryable("it is away"))
        }
    }

    let sink = Arc::new(Refusing(Semaphore::new(0)));
    let keys = MasterKeys::generate().unwrap();
    let authy = builder(&database::fresh().await, &keys).sink(sink.clone()).start().await.unwrap();
    sign_up(&authy).await;
    sink.0.acquire().await.unwrap().forget();
    authy.stop().await;
}

#[tokio::test]
async fn dropping_the_last_clone_ends_the_work_although_a_sink_holds_the_engine() {
    struct Holding {
        authy: Authy,
        _held: Arc<()>,
    }

    #[async_trait]
    impl Sink for Holding {
        fn name(&self) -> &'static str {
            "holding"
        }

        fn delivery(&self) -> Delivery {
            Delivery::PerSubject { in_flight: 1 }
        }

        async fn deliver(&self, _: &EventView) -> Result<(), DeliveryError> {
            self.authy.ping().await.map_err(|cause| DeliveryError::retryable("the database is away").with_source(cause))
        }
    }

    let (database, keys, held) = (database::fresh().await, MasterKeys::generate().unwrap(), Arc::new(()));
    let _held = held.clone();
    let authy =
        builder(&database, &keys).sink_with(|authy| Ok(Holding { authy: authy.clone(), _held })).start().await.unwrap();
    let clone = authy.clone();
    drop(authy);
    sign_up(&clone).await;
    until("the sink has it", || async { clone.deliveries().list_sinks().await.unwrap()[0].waiting == 0 }).await;
    assert_eq!(Arc::strong_count(&held), 2);
    drop(clone);
    until("the sink is dropped", || async { Arc::strong_count(&held) == 1 }).await;
    let sql = database::connect(&database).await;
    until("its connections are closed", || async {
        let open =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                    AND backend_type = 'client backend'";
        sql.query_one(open, &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
}

#[tokio::test]
async fn a_sink_that_cannot_be_made_or_would_get_nothing_is_said_at_the_start() {
    let (database, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
    let failing = builder(&database, &keys).sink_with(|_| Err::<Arc<GatedSink>, _>("no such broker".into()));
    let error = failing.start().await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(authy_core::error::chain(&error).contains("no such broker"), "{error:?}");
    let idle = builder(&database, &keys).sink(GatedSink::new(PACES[0])).without_background();
    assert_eq!(idle.start().await.err().unwrap().kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn maintenance_after_a_long_time_without_it_is_done_in_parts() {
    let database = database::fresh().await;
    let builder = Authy::builder(database.clone()).without_background().config(cheap());
    let authy = builder.master_keys(MasterKeys::generate().unwrap()).start().await.unwrap();
    let expired = "INSERT INTO authy.throttle (key, failures, counted, forgotten)
                   SELECT n::text, 1, now(), now() - interval '1 day' FROM generate_series(1, 100001) AS n;
                   INSERT INTO authy.revocation (kid, until)
                   SELECT n::text, now() - interval '2 days' FROM generate_series(1, 100002) AS n";
    database::connect(&database).await.batch_execute(expired).await.unwrap();
    let mut deleted = Vec::new();
    for _ in 0..3 {
        let report = authy.maintain().await.unwrap();
        deleted.push((report.throttles, report.revocations));
    }
    assert_eq!(deleted, [(100_000, 100_000), (1, 2), (0, 0)]);
}
