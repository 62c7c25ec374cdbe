//! How quick the way from a commit to RabbitMQ is, and what it costs: `cargo bench -p authy-tests --bench relay`.
//!
//! PostgreSQL, RabbitMQ and the relay share the machine, so only the ratios and the orders of magnitude mean anything
//! elsewhere. Both keep what they write in memory where there is `/dev/shm`. `RELAY_ONLY` picks one part by its name:
//! `backlog`, `lag`, `cost`, `away`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use authy_core::{
    Authy,
    api::event::EventView,
    engine::{Config, Delivery, DeliveryError, MasterKeys, Sink},
};
use authy_server::sink::Amqp;
use authy_tests::{cheap, credentials, database, fresh_name, new_user, operator, rabbit};
use futures_util::{StreamExt as _, stream};
use hdrhistogram::Histogram;
use lapin::{BasicProperties, options::BasicPublishOptions, options::ConfirmSelectOptions};

// As the server has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const BACKLOG: usize = 50_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let only = std::env::var("RELAY_ONLY").ok();
        let wanted = |name: &str| only.as_ref().is_none_or(|only| name.contains(only.as_str()));
        if wanted("backlog") {
            backlog().await;
        }
        if wanted("lag") {
            lag().await;
        }
        for (name, config) in [("real hashes", Config::default()), ("cheap hashes", cheap())] {
            if wanted("cost") {
                let broker = rabbit::shared().await;
                let url = broker.url(&rabbit::fresh_host());
                cost(&format!("{name}, by 16 at a time, RabbitMQ on the same machine"), &config, &url, true).await;
            }
            if wanted("away") {
                let mut broker = rabbit::alone().await;
                let url = broker.url(&rabbit::fresh_host());
                broker.stop().await;
                cost(&format!("{name}, by 16 at a time, while RabbitMQ is away"), &config, &url, false).await;
                broker.start().await;
            }
        }
    });
}

/// The sink, watched.
struct Watched {
    sink: Amqp,
    delivered: AtomicUsize,
    /// From the event's time to its confirmation, in microseconds.
    lags: Mutex<Histogram<u64>>,
}

impl Watched {
    fn new(url: &str) -> Arc<Self> {
        let lags = Mutex::new(Histogram::new(3).unwrap());
        Arc::new(Self { sink: Amqp::new(url.parse().unwrap()), delivered: AtomicUsize::new(0), lags })
    }

    async fn has_delivered(&self, events: usize) {
        while self.delivered.load(Ordering::Relaxed) < events {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[async_trait]
impl Sink for Watched {
    fn name(&self) -> &'static str {
        self.sink.name()
    }

    fn delivery(&self) -> Delivery {
        self.sink.delivery()
    }

    async fn deliver(&self, event: &EventView) -> Result<(), DeliveryError> {
        self.sink.deliver(event).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        let lag = now.saturating_sub(u128::from(event.happened_micros.unsigned_abs()));
        self.lags.lock().unwrap().record(u64::try_from(lag).unwrap().max(1)).unwrap();
        self.delivered.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

async fn engine(config: Config) -> (tokio_postgres::Config, Authy) {
    let database = database::fresh().await;
    let keys = MasterKeys::generate().unwrap();
    let authy =
        Authy::builder(database.clone()).without_background().master_keys(keys).config(config).start().await.unwrap();
    (database, authy)
}

/// Events that have piled up while there was no sink.
async fn backlog() {
    let broker = rabbit::shared().await;
    let url = broker.url(&rabbit::fresh_host());
    let (database, authy) = engine(cheap()).await;
    let sink = Watched::new(&url);
    let background = authy.start_background_with(vec![sink.clone()]).await.unwrap();
    authy.users().register(&operator(), new_user(&fresh_name("first"))).await.unwrap();
    sink.has_delivered(1).await;
    let limit = plain(&url).await;
    let sql = database::connect(&database).await;
    let insert = format!(
        "INSERT INTO authy.event (event_id, happened, kind, origin, subject, session_id, ip, user_agent, request_id, detail)
         SELECT gen_random_uuid(), clock_timestamp(), 'session.opened', 'user', md5((n % 10000)::text)::uuid,
                gen_random_uuid(), '203.0.113.7', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
                gen_random_uuid()::text, '{{\"level\": 10}}'
         FROM generate_series(1, {BACKLOG}) n"
    );
    sql.batch_execute(&insert).await.unwrap();
    let begun = Instant::now();
    sink.has_delivered(BACKLOG + 1).await;
    let rate = BACKLOG as f64 / begun.elapsed().as_secs_f64();
    println!("a backlog of {BACKLOG} events: {rate:.0} events/s, each confirmed");
    println!(
        "  {:.2} of what a loop that only publishes and waits for confirmations does ({limit:.0}/s)",
        rate / limit
    );
    drop(background);
}

/// What a broker takes without reading a database: messages of the same size on one channel, as many under way.
async fn plain(url: &str) -> f64 {
    let channel = rabbit::channel(url).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let body = [b'x'; 480];
    let properties = BasicProperties::default().with_delivery_mode(2);
    let begun = Instant::now();
    let confirms = stream::iter(0..BACKLOG).map(|_| async {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let sent = channel.basic_publish("authy.events".into(), "x".into(), options, &body, properties.clone());
        assert!(sent.await.unwrap().await.unwrap().is_ack());
    });
    confirms.buffer_unordered(256).for_each(|()| async {}).await;
    BACKLOG as f64 / begun.elapsed().as_secs_f64()
}

/// From a login to the confirmation of its event, at 500 logins a minute.
async fn lag() {
    const LOGINS: usize = 250;
    let broker = rabbit::shared().await;
    let url = broker.url(&rabbit::fresh_host());
    let (_, authy) = engine(Config::default()).await;
    let sink = Watched::new(&url);
    let _background = authy.start_background_with(vec![sink.clone()]).await.unwrap();
    let name = fresh_name("ada");
    authy.users().register(&operator(), new_user(&name)).await.unwrap();
    sink.has_delivered(1).await;
    sink.lags.lock().unwrap().reset();
    let mut clock = tokio::time::interval(Duration::from_secs(60) / 500);
    for _ in 0..LOGINS {
        clock.tick().await;
        let (authy, name) = (authy.clone(), name.clone());
        tokio::spawn(async move { authy.sessions().login(&operator(), credentials(&name)).await.unwrap() });
    }
    sink.has_delivered(1 + LOGINS).await;
    let lags = sink.lags.lock().unwrap();
    let ms = |quantile: f64| lags.value_at_quantile(quantile) as f64 / 1e3;
    println!("\n500 logins a minute, from the event to its confirmation:");
    println!("  p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", ms(0.5), ms(0.99), ms(1.0));
}

/// What sign-ups lose when RabbitMQ hears of them, or is to hear of them once it is there: with and without, by turns.
async fn cost(name: &str, config: &Config, url: &str, is_there: bool) {
    const ROUNDS: usize = 4;
    const ROUND: Duration = Duration::from_secs(5);
    let (_, with) = engine(config.clone()).await;
    let (_, without) = engine(config.clone()).await;
    let sink = Watched::new(url);
    let _backgrounds = (
        with.start_background_with(vec![sink.clone()]).await.unwrap(),
        without.start_background_with(Vec::new()).await.unwrap(),
    );
    let (mut on, mut off) = (0, 0);
    for _ in 0..ROUNDS {
        off += sign_ups(&without, ROUND).await;
        on += sign_ups(&with, ROUND).await;
        // What is left over is not on the others' account.
        if is_there {
            sink.has_delivered(on).await;
        }
    }
    let rate = |users: usize| users as f64 / (ROUNDS as f64 * ROUND.as_secs_f64());
    println!("\nsign-ups with {name}:");
    println!("  {:.0}/s without, {:.0}/s with it: {:.2}", rate(off), rate(on), rate(on) / rate(off));
}

async fn sign_ups(authy: &Authy, time: Duration) -> usize {
    let end = Instant::now() + time;
    let one = |_| async {
        authy.users().register(&operator(), new_user(&fresh_name("ada"))).await.unwrap();
    };
    stream::iter(0..).take_while(|_| async { Instant::now() < end }).map(one).buffer_unordered(16).count().await
}
