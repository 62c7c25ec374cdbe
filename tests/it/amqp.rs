//! RabbitMQ hears of every event, whatever becomes of it, of its queues and of the way to it.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use authy_core::{
    Authy, EventId, Secret, UserId,
    api::{event::EventView, message::EventMessage, session::RefreshToken},
    engine::{Background, MasterKeys, Sink},
    time::{HttpDate, from_unix_seconds, unix_seconds},
};
use authy_server::sink::Amqp;
use authy_tests::{PASSWORD, TestApp, cheap, database, fresh_name, new_user, operator, rabbit, tools, until_within};
use futures_util::{StreamExt as _, stream};
use lapin::{
    ExchangeKind,
    message::Delivery,
    options::{ExchangeDeclareOptions, ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::json;

/// As long as it takes when the relay has just begun its longest wait.
const BROKER_TIMEOUT: Duration = Duration::from_secs(90);

const EXCHANGE: &str = "authy.events";
const QUEUE: &str = "authy.audit";

async fn engine(url: &str) -> (Authy, Background) {
    let keys = MasterKeys::generate().unwrap();
    let authy = Authy::builder(database::fresh().await)
        .without_background()
        .master_keys(keys)
        .config(cheap())
        .start()
        .await
        .unwrap();
    // Not the first start, whose sinks receive the creation of the first key as well.
    drop(authy.start_background_with(Vec::new()).await.unwrap());
    let background = authy.start_background_with(vec![sink(url)]).await.unwrap();
    (authy, background)
}

fn sink(url: &str) -> Arc<dyn Sink> {
    Arc::new(Amqp::new(url.parse().unwrap()))
}

/// Signs users up and grants each a role: two events per user.
async fn sign_up(authy: &Authy, users: usize) -> Vec<UserId> {
    let admin = "admin".parse().unwrap();
    let one = |_| async {
        let id = authy.users().register(&operator(), new_user(&fresh_name("ada"))).await.unwrap();
        authy.roles().grant(&operator(), &admin, id).await.unwrap();
        id
    };
    stream::iter(0..users).map(one).buffer_unordered(8).collect().await
}

fn read(message: &Delivery) -> EventMessage {
    serde_json::from_slice(&message.data).unwrap()
}

/// What a consumer has heard of each user, who hears everything once.
#[derive(Default)]
struct Consumer {
    seen: HashSet<EventId>,
    by_user: BTreeMap<UserId, Vec<String>>,
    repetitions: usize,
}

impl Consumer {
    async fn hear(&mut self, url: &str) {
        for message in rabbit::take_all(url, QUEUE).await {
            let event = read(&message).event;
            match self.seen.insert(event.event_id) {
                true => self.by_user.entry(event.subject.unwrap()).or_default().push(event.kind.to_string()),
                false => self.repetitions += 1,
            }
        }
    }

    /// Receives until it has that many events.
    async fn hear_all(&mut self, url: &str, events: usize) {
        let deadline = tokio::time::Instant::now() + BROKER_TIMEOUT;
        while self.seen.len() < events {
            assert!(tokio::time::Instant::now() < deadline, "{} of {events} have arrived", self.seen.len());
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.hear(url).await;
        }
    }
}

#[tokio::test]
async fn a_thousand_sign_ups_around_a_stop_and_a_crash_of_the_broker_arrive_once_and_in_order() {
    let mut broker = rabbit::alone().await;
    let url = broker.url(&rabbit::fresh_host());
    let (authy, _background) = engine(&url).await;
    let mut consumer = Consumer::default();
    let mut users = sign_up(&authy, 300).await;
    consumer.hear_all(&url, 100).await;

    broker.stop().await;
    users.extend(sign_up(&authy, 400).await);
    assert!(authy.deliveries().list_sinks().await.unwrap()[0].waiting >= 800, "those were not delivered");
    let (_, more) = tokio::join!(broker.start(), sign_up(&authy, 100));
    users.extend(more);
    until_within(BROKER_TIMEOUT, "events come again", || async {
        authy.deliveries().list_sinks().await.unwrap()[0].waiting < 900
    })
    .await;

    let (_, more) = tokio::join!(broker.kill(), sign_up(&authy, 200));
    users.extend(more);
    broker.start().await;
    consumer.hear_all(&url, 2000).await;
    assert_eq!(consumer.by_user.keys().copied().collect::<HashSet<_>>(), users.into_iter().collect());
    let expected = ["user.registered", "role.granted"];
    assert!(consumer.by_user.values().all(|heard| *heard == expected), "out of order: {:?}", consumer.by_user);
    assert!(consumer.repetitions <= 1000, "{} repetitions", consumer.repetitions);
    until_within(BROKER_TIMEOUT, "nothing is left", || async {
        authy.deliveries().list_sinks().await.unwrap()[0].waiting == 0
    })
    .await;
}

#[tokio::test]
async fn a_queue_that_was_deleted_comes_back_and_what_happens_meanwhile_is_in_it() {
    let broker = rabbit::shared().await;
    let url = broker.url(&rabbit::fresh_host());
    let (authy, _background) = engine(&url).await;
    let mut consumer = Consumer::default();
    sign_up(&authy, 20).await;
    consumer.hear_all(&url, 40).await;
    let channel = rabbit::channel(&url).await;
    channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await.unwrap();
    sign_up(&authy, 200).await;
    consumer.hear_all(&url, 440).await;
    assert!(consumer.by_user.values().all(|heard| *heard == ["user.registered", "role.granted"]));
}

#[tokio::test]
async fn an_exchange_of_another_type_is_reported_and_delays_nothing_else_until_it_is_deleted() {
    let broker = rabbit::shared().await;
    let url = broker.url(&rabbit::fresh_host());
    let channel = rabbit::channel(&url).await;
    let options = ExchangeDeclareOptions::default();
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Direct, options, FieldTable::default()).await.unwrap();
    let (authy, _background) = engine(&url).await;
    sign_up(&authy, 20).await;
    let error = refused(&url).await;
    assert!(error.contains("of another type") && error.contains("PRECONDITION_FAILED"), "{error}");
    assert_eq!(authy.deliveries().list_sinks().await.unwrap()[0].waiting, 40);
    channel.exchange_delete(EXCHANGE.into(), ExchangeDeleteOptions::default()).await.unwrap();
    Consumer::default().hear_all(&url, 40).await;
}

#[tokio::test]
async fn an_exchange_that_is_deleted_while_it_is_used_comes_back() {
    let broker = rabbit::shared().await;
    let url = broker.url(&rabbit::fresh_host());
    let (authy, _background) = engine(&url).await;
    let mut consumer = Consumer::default();
    sign_up(&authy, 5).await;
    consumer.hear_all(&url, 10).await;
    let channel = rabbit::channel(&url).await;
    channel.exchange_delete(EXCHANGE.into(), ExchangeDeleteOptions::default()).await.unwrap();
    sign_up(&authy, 20).await;
    consumer.hear_all(&url, 50).await;
}

#[tokio::test]
async fn the_error_of_a_broker_is_shown_without_its_password() {
    let broker = rabbit::shared().await;
    let host = rabbit::fresh_host();
    let url = broker.url(&host);
    for (url, reason) in [
        (broker.url("nowhere"), "refuses access to the virtual host"),
        (url.replace(rabbit::PASSWORD, "guess"), "refuses the name or the password"),
        ("amqp://authy:guess@127.0.0.1:1".to_owned(), "cannot be reached"),
        // The exchange is missing, and the user may not declare it.
        (broker.url_of("writer", &host), "has not taken a message"),
    ] {
        let error = refused(&url).await;
        assert!(error.contains(reason), "{reason}: {error}");
        assert!(!error.contains("guess") && !error.contains(rabbit::PASSWORD), "{error}");
    }
}

#[tokio::test]
async fn existing_declarations_are_used_as_they_are() {
    let broker = rabbit::shared().await;
    let host = rabbit::fresh_host();
    let url = broker.url(&host);
    let mut bounded = FieldTable::default();
    bounded.insert("x-max-length".into(), AMQPValue::LongInt(1_000_000));
    let channel = rabbit::channel(&url).await;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), durable, bounded).await.unwrap();
    sink(&url).deliver(&event()).await.unwrap();
    // Now that everything is there, one who may only publish can do so.
    sink(&broker.url_of("writer", &host)).deliver(&event()).await.unwrap();
    assert_eq!(rabbit::take_all(&url, QUEUE).await.len(), 2);
}

#[tokio::test]
async fn a_queue_that_refuses_what_it_has_no_room_for_is_waited_for_and_loses_nothing() {
    let broker = rabbit::shared().await;
    let url = broker.url(&rabbit::fresh_host());
    let mut bounded = FieldTable::default();
    bounded.insert("x-max-length".into(), AMQPValue::LongInt(10));
    bounded.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    let channel = rabbit::channel(&url).await;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), durable, bounded).await.unwrap();
    let (authy, _background) = engine(&url).await;
    sign_up(&authy, 20).await;
    let error = async || authy.deliveries().list_sinks().await.unwrap()[0].error.clone().unwrap_or_default();
    until_within(BROKER_TIMEOUT, "it is full", || async { error().await.contains("a queue is full") }).await;
    let mut consumer = Consumer::default();
    consumer.hear_all(&url, 40).await;
    assert!(consumer.by_user.values().all(|heard| *heard == ["user.registered", "role.granted"]));
}

#[tokio::test]
async fn as_few_channels_as_there_are_carry_everything() {
    let broker = rabbit::shared().await;
    let url = broker.url(&rabbit::fresh_host());
    let (authy, _background) = engine(&format!("{url}?channel_max=3")).await;
    sign_up(&authy, 50).await;
    Consumer::default().hear_all(&url, 100).await;
}

#[tokio::test]
async fn a_message_is_what_the_asyncapi_document_says_and_has_no_secret_in_it() {
    let broker = rabbit::shared().await;
    let url = broker.url(&rabbit::fresh_host());
    let app = TestApp::new().await;
    let _background = app.authy.start_background_with(vec![sink(&url)]).await.unwrap();
    let user = app.user().await;
    let refresh = RefreshToken { refresh_token: user.refresh_token.clone() };
    let fresh = app.anonymous().refresh(refresh).await.unwrap();
    app.authy.roles().grant(&operator(), &"admin".parse().unwrap(), user.id).await.unwrap();
    app.authy.keys().rotate(&operator()).await.unwrap();
    until_within(BROKER_TIMEOUT, "everything was delivered", || async {
        app.authy.deliveries().list_sinks().await.unwrap()[0].waiting == 0
    })
    .await;
    let messages = rabbit::take_all(&url, QUEUE).await;

    let kinds: HashSet<_> = messages.iter().map(|message| read(message).event.kind.to_string()).collect();
    for kind in ["user.registered", "session.opened", "session.refreshed", "role.granted"] {
        assert!(kinds.contains(kind), "{kind} is not among {kinds:?}");
    }
    for message in &messages {
        let EventMessage { version, event } = read(message);
        let properties = &message.properties;
        assert_eq!(version, EventMessage::VERSION);
        assert_eq!(unix_seconds(event.happened), event.happened_micros.unsigned_abs() / 1_000_000);
        assert_eq!((message.exchange.as_str(), message.routing_key.as_str()), (EXCHANGE, event.kind.as_str()));
        assert_eq!(properties.delivery_mode(), &Some(2));
        assert_eq!(properties.timestamp(), &Some(unix_seconds(event.happened)));
        let texts = [properties.message_id(), properties.kind(), properties.content_type()];
        let texts = texts.map(|text| text.as_ref().unwrap().to_string());
        assert_eq!(texts, [event.event_id.to_string(), event.kind.to_string(), "application/json".to_owned()]);
        let text = String::from_utf8(message.data.clone()).unwrap();
        let tokens = [&user.token, &user.refresh_token, &fresh.token, &fresh.refresh_token].map(Secret::expose);
        for secret in tokens.into_iter().chain([PASSWORD, "argon2"]) {
            assert!(!text.contains(secret), "{text}");
        }
    }

    // The document is a schema once it is said that a message is one of those that it describes.
    let mut schema = authy_server::asyncapi::document();
    let described = schema["components"]["messages"].as_object().unwrap().keys();
    let described = described.map(|kind| json!({ "$ref": format!("#/components/messages/{kind}/payload") })).collect();
    schema.insert("oneOf".to_owned(), described);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), serde_json::to_string(&schema).unwrap()).unwrap();
    let texts: Vec<_> = messages.iter().map(|message| String::from_utf8(message.data.clone()).unwrap()).collect();
    tools::validate(file.path(), &texts).await;
}

/// Why an event is not taken.
async fn refused(url: &str) -> String {
    let error = sink(url).deliver(&event()).await.unwrap_err();
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    format!("{error}: {}", cause.unwrap_or_default())
}

fn event() -> EventView {
    let event = json!({
        "event_id": EventId::random(), "kind": "role.created", "happened": HttpDate(from_unix_seconds(0)).to_string(), "happened_micros": 0,
        "actor": null, "actor_kind": "operator", "subject": null, "session_id": null, "ip": null, "user_agent": null,
        "request_id": null, "detail": { "role": "a", "level": 5 },
    });
    serde_json::from_value(event).unwrap()
}
