//! The webhook receives every sign-up until it answers 201, whatever it does instead, and no request waits for it.

use std::{
    net::SocketAddr,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use authy_client::Client;
use authy_core::{
    ErrorKind, Level, Secret, UserId,
    api::{
        event::{EventKind, EventQuery},
        user::{Details, UserQuery},
    },
    engine::{Background, StuckDelivery},
};
use authy_server::sink::Webhook;
use authy_tests::{
    TestApp, fresh_name, new_user, operator,
    receiver::{Reaction, Received, Receiver},
    tools, until,
    wire::send,
};
use aws_lc_rs::hmac;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::StatusCode;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpSocket,
    process::Command,
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// An app whose webhook is this receiver, with a timeout of half a second so that attempts follow each other fast.
async fn app_with_receiver(
    handler: impl Fn(&Received) -> Reaction + Send + Sync + 'static,
) -> (TestApp, Receiver, Background) {
    let (app, receiver) = (TestApp::new().await, Receiver::start(handler).await);
    let background = start_webhook(&app, receiver.address).await;
    (app, receiver, background)
}

async fn start_webhook(app: &TestApp, address: SocketAddr) -> Background {
    let url = format!("http://{address}/details?from=authy").parse().unwrap();
    let webhook = Webhook::new(app.authy.clone(), url, SECRET.parse().unwrap()).unwrap();
    let webhook = webhook.with_timeout(Duration::from_millis(500));
    app.authy.start_background_with(vec![Arc::new(webhook)]).await.unwrap()
}

/// Signs a user up over HTTP.
async fn sign_up(app: &TestApp) -> UserId {
    app.anonymous().register(new_user(&fresh_name("ada"))).await.unwrap().public_id
}

async fn details(app: &TestApp, user: UserId) -> Option<Details> {
    app.authy.users().find(user).await.unwrap().unwrap().details
}

async fn until_details_are(app: &TestApp, user: UserId, expected: Details) {
    until(&format!("the details are {expected:?}"), || async { details(app, user).await == Some(expected) }).await;
}

/// Why it has not gone well so far, once it was tried.
async fn until_stuck(app: &TestApp) -> StuckDelivery {
    until("an attempt has failed", || async { !app.authy.deliveries().list_stuck(1).await.unwrap().is_empty() }).await;
    app.authy.deliveries().list_stuck(1).await.unwrap().remove(0)
}

fn requests_about(receiver: &Receiver, user: UserId) -> usize {
    receiver.received().iter().filter(|request| request.body.contains(&user.to_string())).count()
}

/// As a receiver would verify it.
fn is_signed(request: &Received, secret: &str) -> bool {
    let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let (id, timestamp) = (request.header("webhook-id"), request.header("webhook-timestamp"));
    let message = format!("{id}.{timestamp}.{}", request.body);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let is_fresh = now.abs_diff(timestamp.parse().unwrap()) < 300;
    let signed = request.header("webhook-signature").split(' ').any(|signature| {
        let mac = BASE64_STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
        hmac::verify(&key, message.as_bytes(), &mac).is_ok()
    });
    is_fresh && signed
}

#[tokio::test]
async fn a_sign_up_is_sent_once_signed_and_with_a_token_of_the_new_user() {
    let (app, receiver, _background) = app_with_receiver(|_| Reaction::Status(201)).await;
    let user = sign_up(&app).await;
    until_details_are(&app, user, Details::Created).await;
    let received = receiver.received();
    assert_eq!(received.len(), 1);
    let request = &received[0];
    assert_eq!(request.line, "POST /details?from=authy HTTP/1.1");
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.body, format!(r#"{{"public_id":"{user}"}}"#));
    assert!(is_signed(request, SECRET));
    assert!(!is_signed(request, "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"));
    let changed =
        Received { body: request.body.replace(&user.to_string(), &UserId::random().to_string()), ..request.clone() };
    assert!(!is_signed(&changed, SECRET));

    let client = app.anonymous().with_token(Secret::new(request.header("x-access-token")));
    let granted = client.check_access(Level::clamped(10)).await.unwrap();
    assert_eq!((granted.public_id, granted.level.get()), (user, 10));
    assert!(client.check_access(Level::clamped(5)).await.is_err());
    let me = client.get_self().await.unwrap();
    assert_eq!(me.last_login, None, "it is no login");
    let sessions = client.list_sessions().await.unwrap().sessions;
    assert_eq!((sessions.len(), sessions[0].current), (1, true));
    assert!(sessions[0].user_agent.as_deref().unwrap().ends_with("(webhook)"), "{sessions:?}");
    let query = EventQuery { user: Some(user), kind: Some(EventKind::TokenIssued), ..EventQuery::default() };
    let trail = app.authy.events().list(&query).await.unwrap().events;
    assert_eq!(
        (trail.len(), trail[0].actor_kind.as_str(), trail[0].session_id),
        (1, "operator", Some(sessions[0].session_id))
    );

    app.authy.users().delete(&operator(), user).await.unwrap();
    assert_eq!(client.get_self().await.unwrap_err().kind(), Some(ErrorKind::InvalidToken));
    assert_eq!(details(&app, user).await, Some(Details::Created));
}

#[tokio::test]
async fn whatever_is_not_201_is_tried_again_until_it_is() {
    let endless = [b"HTTP/1.1 500 x\r\ncontent-length: 1000000000000\r\n\r\n".as_slice(), &[b'x'; 4096]].concat();
    let long_head = [b"HTTP/1.1 201 x\r\n".as_slice(), &b"a: b\r\n".repeat(1000)].concat();
    let redirect = b"HTTP/1.1 307 x\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".to_vec();
    let reactions = [
        (Reaction::Status(500), "did not answer 201: 500"),
        (Reaction::Status(200), "did not answer 201: 200"),
        (Reaction::Status(202), "did not answer 201: 202"),
        (Reaction::Status(401), "did not answer 201: 401"),
        (Reaction::Bytes(redirect), "did not answer 201: 307"),
        (Reaction::Hang, "did not answer in time"),
        (Reaction::Close, "gave no answer"),
        (Reaction::Bytes(b"HTTP/1.1 20".to_vec()), "gave no answer"),
        (Reaction::Bytes(b"\x16\x03\x01 no http at all".to_vec()), "gave no answer"),
        (Reaction::Bytes(vec![0xff; 100_000]), "gave no answer"),
        (Reaction::Endless(endless), "did not answer 201: 500"),
        (Reaction::Endless(long_head), "gave no answer"),
    ];
    let tasks = reactions.map(|(reaction, reason)| tokio::spawn(is_tried_again_after(reaction, reason)));
    for task in tasks {
        task.await.unwrap();
    }
}

async fn is_tried_again_after(reaction: Reaction, reason: &'static str) {
    let (app, receiver, _background) = app_with_receiver(move |_| reaction.clone()).await;
    let user = sign_up(&app).await;
    let stuck = until_stuck(&app).await;
    let error = stuck.error.unwrap();
    assert!(error.contains(reason), "{reason} is not in: {error}");
    assert_eq!((stuck.sink.as_str(), stuck.subject, stuck.is_given_up), ("webhook", Some(user), false));
    assert_eq!(details(&app, user).await, Some(Details::Pending));
    receiver.react(|_| Reaction::Status(201));
    until_details_are(&app, user, Details::Created).await;
    let received = receiver.received();
    assert!(received.iter().all(|request| is_signed(request, SECRET) && request.line.contains(" /details")));
    let ids: Vec<_> = received.iter().map(|request| request.header("webhook-id")).collect();
    assert!(ids.len() >= 2 && ids.iter().all(|id| *id == ids[0]), "a repetition is known by its id: {ids:?}");
}

/// An app whose webhook is this receiver, with other settings than the defaults.
async fn app_with_settings(receiver: &Receiver, change: impl FnOnce(Webhook) -> Webhook) -> (TestApp, Background) {
    let app = TestApp::new().await;
    let url = format!("http://{}/details", receiver.address).parse().unwrap();
    let webhook = change(Webhook::new(app.authy.clone(), url, SECRET.parse().unwrap()).unwrap());
    let background = app.authy.start_background_with(vec![Arc::new(webhook)]).await.unwrap();
    (app, background)
}

#[tokio::test]
async fn an_answer_that_the_settings_accept_is_the_last() {
    let receiver = Receiver::start(|_| Reaction::Status(500)).await;
    let accepted = vec![StatusCode::CONFLICT, StatusCode::INTERNAL_SERVER_ERROR];
    let (app, _background) = app_with_settings(&receiver, |webhook| webhook.with_accepted(accepted)).await;
    let user = sign_up(&app).await;
    until_details_are(&app, user, Details::Created).await;
    assert_eq!(requests_about(&receiver, user), 1);
    // Only those: what is not named is a failure, 201 as well.
    receiver.react(|_| Reaction::Status(201));
    let user = sign_up(&app).await;
    let error = until_stuck(&app).await.error.unwrap();
    assert!(error.contains("did not answer with an accepted status: 201"), "{error}");
    receiver.react(|_| Reaction::Status(409));
    until_details_are(&app, user, Details::Created).await;
}

#[tokio::test]
async fn a_sign_up_that_is_not_accepted_for_too_long_is_given_up_and_others_go_on() {
    let (poor, seen) = (Arc::new(std::sync::Mutex::new(None)), Arc::new(AtomicUsize::new(0)));
    let handler = {
        let (poor, seen) = (poor.clone(), seen.clone());
        move |request: &Received| {
            let is_poor = *poor.lock().unwrap().get_or_insert_with(|| request.body.clone()) == request.body;
            seen.fetch_add(usize::from(is_poor), Ordering::SeqCst);
            Reaction::Status(if is_poor { 500 } else { 201 })
        }
    };
    let receiver = Receiver::start(handler).await;
    let limit = Duration::from_secs(2);
    let (app, _background) = app_with_settings(&receiver, |webhook| webhook.with_give_up_after(Some(limit))).await;
    let begun = Instant::now();
    let unlucky = sign_up(&app).await;
    until("the first attempt", || async { seen.load(Ordering::SeqCst) > 0 }).await;
    let lucky = sign_up(&app).await;
    until_details_are(&app, lucky, Details::Created).await;
    until_details_are(&app, unlucky, Details::Failed).await;
    assert!(begun.elapsed() >= limit, "{:?}", begun.elapsed());
    let stuck = app.authy.deliveries().list_stuck(2).await.unwrap().remove(0);
    assert_eq!((stuck.subject, stuck.is_given_up), (Some(unlucky), true));
    assert!(stuck.attempts >= 3 && stuck.error.unwrap().contains("500"));
    assert_eq!(app.authy.deliveries().list_sinks().await.unwrap()[0].given_up, 1);
    let attempts = seen.load(Ordering::SeqCst);

    // The operator tries again: the time begins anew.
    app.authy.deliveries().retry(&operator(), "webhook", stuck.event_id).await.unwrap();
    until("another attempt", || async { seen.load(Ordering::SeqCst) > attempts }).await;
    assert_eq!(details(&app, unlucky).await, Some(Details::Pending));
    receiver.react(|_| Reaction::Status(201));
    until_details_are(&app, unlucky, Details::Created).await;
}

#[tokio::test]
async fn a_receiver_that_was_down_is_called_when_it_is_up() {
    let app = TestApp::new().await;
    // Its address is taken, and no server listens there.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let _background = start_webhook(&app, socket.local_addr().unwrap()).await;
    let user = app.anonymous().register(new_user("ada")).await.unwrap().public_id;
    let error = until_stuck(&app).await.error.unwrap();
    assert!(error.contains("cannot be reached"), "{error}");
    let receiver = Receiver::on(socket.listen(16).unwrap(), |_| Reaction::Status(201));
    until_details_are(&app, user, Details::Created).await;
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn a_stuck_sign_up_delays_no_other() {
    let first = Arc::new(AtomicUsize::new(0));
    let stuck = Arc::new(std::sync::Mutex::new(String::new()));
    let handler = {
        let (first, stuck) = (first.clone(), stuck.clone());
        move |request: &Received| {
            if first.fetch_add(1, Ordering::SeqCst) == 0 {
                *stuck.lock().unwrap() = request.body.clone();
            }
            match *stuck.lock().unwrap() == request.body {
                true => Reaction::Hang,
                false => Reaction::Status(201),
            }
        }
    };
    let (app, receiver, _background) = app_with_receiver(handler).await;
    let unlucky = sign_up(&app).await;
    until("the first one hangs", || async { requests_about(&receiver, unlucky) == 1 }).await;
    for _ in 0..20 {
        let user = sign_up(&app).await;
        until_details_are(&app, user, Details::Created).await;
    }
    assert_eq!(details(&app, unlucky).await, Some(Details::Pending));
}

#[tokio::test]
async fn signing_up_does_not_wait_for_a_receiver_that_hangs() {
    let (app, receiver) = (TestApp::new().await, Receiver::start(|_| Reaction::Hang).await);
    let url = format!("http://{}/", receiver.address).parse().unwrap();
    let webhook = Webhook::new(app.authy.clone(), url, SECRET.parse().unwrap()).unwrap();
    let _background = app.authy.start_background_with(vec![Arc::new(webhook)]).await.unwrap();
    let begun = Instant::now();
    for _ in 0..30 {
        app.anonymous().register(new_user(&fresh_name("ada"))).await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    until("as many hang as may at a time", || async { receiver.received().len() == 16 }).await;
}

#[tokio::test]
async fn a_user_deleted_meanwhile_is_not_sent_and_an_operator_decides_about_the_rest() {
    let (app, receiver, _background) = app_with_receiver(|_| Reaction::Status(500)).await;
    let (deleted, given_up) = (sign_up(&app).await, sign_up(&app).await);
    until("both were tried", || async {
        requests_about(&receiver, deleted) > 0 && requests_about(&receiver, given_up) > 0
    })
    .await;
    app.authy.users().delete(&operator(), deleted).await.unwrap();
    until_details_are(&app, deleted, Details::Failed).await;
    let stuck = app.authy.deliveries().list_stuck(10).await.unwrap();
    let of = |user| stuck.iter().find(|stuck| stuck.subject == Some(user)).unwrap();
    assert!(of(deleted).is_given_up);
    assert_eq!(of(deleted).error.as_deref(), Some("the user was deleted before the webhook was notified"));

    let event = of(given_up).event_id;
    app.authy.deliveries().skip(&operator(), "webhook", event).await.unwrap();
    assert_eq!(details(&app, given_up).await, Some(Details::Failed));
    receiver.react(|_| Reaction::Status(201));
    app.authy.deliveries().retry(&operator(), "webhook", event).await.unwrap();
    until_details_are(&app, given_up, Details::Created).await;
    assert_eq!(details(&app, deleted).await, Some(Details::Failed));
}

#[tokio::test]
async fn administrators_see_what_became_of_it_and_others_are_not_bothered() {
    let (app, receiver) = (TestApp::new().await, Receiver::start(|_| Reaction::Status(500)).await);
    let early = app.admin().await;
    let seen = |client: &Client, user| {
        let client = client.clone();
        async move { serde_json::to_value(client.get_user(user).await.unwrap()).unwrap()["details"].clone() }
    };
    assert!(seen(&early.client, early.id).await.is_null(), "there is no webhook");
    let _background = start_webhook(&app, receiver.address).await;
    assert!(seen(&early.client, early.id).await.is_null(), "a sign-up from before the webhook is not sent");
    let ada = app.anonymous().register(new_user("ada")).await.unwrap().public_id;
    assert_eq!(seen(&early.client, ada).await, "pending");
    receiver.react(|_| Reaction::Status(201));
    until("it was delivered", || async { seen(&early.client, ada).await == "created" }).await;
    let query = |q: Option<&str>| UserQuery { q: q.map(ToOwned::to_owned), ..UserQuery::default() };
    for q in [None, Some("ada")] {
        let page = early.client.list_users(query(q)).await.unwrap().users;
        assert_eq!(page.last().map(|user| (user.public_id, user.details)), Some((ada, Some(Details::Created))));
    }
    // Maintenance deletes what was delivered a month ago, and not this.
    let sql = app.sql().await;
    sql.batch_execute("UPDATE authy.delivery SET changed = now() - interval '1 year'").await.unwrap();
    app.authy.maintain().await.unwrap();
    assert_eq!(seen(&early.client, ada).await, "created");
}

#[tokio::test]
async fn the_receiver_of_the_examples_takes_what_is_ours_and_nothing_else() {
    let app = TestApp::new().await;
    let script = std::fs::read_to_string(tools::root().join("examples/webhook.py")).unwrap();
    let verification = script.split("\n\n\n").find(|part| part.starts_with("def is_from_authy")).unwrap();
    let page = std::fs::read_to_string(tools::root().join("docs/events-and-sinks.md")).unwrap();
    assert!(page.contains(verification), "docs/events-and-sinks.md shows other lines");
    let mut command = Command::new(tools::python());
    command.arg("-c").arg(script).args([app.url().as_str(), SECRET]).stdout(Stdio::piped()).kill_on_drop(true);
    let mut running = command.spawn().unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    let address = lines.next_line().await.unwrap().unwrap();
    let address = address.trim_start_matches("listening on http://").trim_end_matches('/').parse().unwrap();

    let _background = start_webhook(&app, address).await;
    let ada = sign_up(&app).await;
    until_details_are(&app, ada, Details::Created).await;
    assert_eq!(lines.next_line().await.unwrap().unwrap(), format!("{ada} signed up"));

    // It is not signed, but the token is valid.
    let token = app.authy.sessions().issue_token(&operator(), ada).await.unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let head = format!(
        "POST / HTTP/1.1\nx-access-token: {}\nwebhook-id: a\nwebhook-timestamp: {now}\nwebhook-signature: v1,AAAA",
        token.expose()
    );
    assert_eq!(send(address, &head, &format!(r#"{{"public_id":"{ada}"}}"#)).await.status, 401);
    // It is signed, but the token is another issuer's.
    let (elsewhere, receiver, _background) = app_with_receiver(|_| Reaction::Status(201)).await;
    until_details_are(&elsewhere, sign_up(&elsewhere).await, Details::Created).await;
    let foreign = &receiver.received()[0];
    let headers = foreign.headers.iter().filter(|(name, _)| name.starts_with("webhook-") || name == "x-access-token");
    let headers: String = headers.map(|(name, value)| format!("\n{name}: {value}")).collect();
    assert_eq!(send(address, &format!("POST / HTTP/1.1{headers}"), &foreign.body).await.status, 401);
}

#[tokio::test]
async fn a_sign_up_that_is_not_queued_yet_is_pending() {
    let (app, receiver) = (TestApp::new().await, Receiver::start(|_| Reaction::Status(201)).await);
    let before = app.user().await.id;
    drop(start_webhook(&app, receiver.address).await);
    let ada = app.anonymous().register(new_user("ada")).await.unwrap().public_id;
    assert_eq!((details(&app, before).await, details(&app, ada).await), (None, Some(Details::Pending)));
    assert_eq!(receiver.received().len(), 0);
    let _background = start_webhook(&app, receiver.address).await;
    until_details_are(&app, ada, Details::Created).await;
    assert_eq!(details(&app, before).await, None);
}
