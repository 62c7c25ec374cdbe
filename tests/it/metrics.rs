//! The metrics: what is counted, who can read it, and that the number of series is fixed.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use authy_core::{
    Authy, Secret,
    api::{
        event::EventView,
        session::{Credentials, RefreshToken},
    },
    engine::{Delivery, DeliveryError, MasterKeys, Sink},
};
use authy_tests::{
    PASSWORD, TestApp, cheap, credentials, database, fresh_name, operator, until,
    wire::{Answer, get, post, send},
};
use rand::{RngExt as _, distr::Alphanumeric};

/// The samples of a scrape: a name with its labels, and its value.
type Samples = BTreeMap<String, f64>;

fn samples(text: &str) -> Samples {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(sample).collect()
}

async fn scrape(address: SocketAddr) -> Samples {
    let answer = get(address, "/metrics").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
    samples(&answer.body)
}

fn requests(route: &str, method: &str, status: &str) -> String {
    format!("authy_http_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}}")
}

fn logins(outcome: &str) -> String {
    format!("authy_logins_total{{outcome=\"{outcome}\",method=\"password\"}}")
}

#[tokio::test]
async fn what_the_server_and_the_engine_do_is_counted() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let before = scrape(app.address).await;
    let wrong = Credentials::new(&user.username, Secret::new("not-the-password"));
    app.anonymous().login(wrong).await.unwrap_err();
    let tokens = app.anonymous().login(credentials(&user.username)).await.unwrap();
    user.client.get_self().await.unwrap();
    app.anonymous().refresh(RefreshToken { refresh_token: tokens.refresh_token }).await.unwrap();
    app.anonymous().refresh(RefreshToken { refresh_token: Secret::new("no refresh token") }).await.unwrap_err();
    app.authy.sessions().end_all(&operator(), user.id).await.unwrap();
    let after = scrape(app.address).await;

    let grown = |sample: &str| after.get(sample).unwrap() - before.get(sample).copied().unwrap_or(0.0);
    assert_eq!(grown(&requests("/authy/login", "POST", "2xx")), 1.0);
    assert_eq!(grown(&requests("/authy/login", "POST", "4xx")), 1.0);
    assert_eq!(grown(&requests("/authy/user", "GET", "2xx")), 1.0);
    assert_eq!(grown("authy_http_request_duration_seconds_count{route=\"/authy/login\"}"), 2.0);
    assert_eq!((grown(&logins("succeeded")), grown(&logins("invalid_credentials"))), (1.0, 1.0));
    assert_eq!(grown("authy_refreshes_total{outcome=\"succeeded\"}"), 1.0);
    assert_eq!(grown("authy_refreshes_total{outcome=\"invalid_credentials\"}"), 1.0);
    assert_eq!(grown("authy_hash_wait_seconds_count"), 2.0);
    assert!(grown("authy_revocations") >= 1.0, "those of the user's sessions");
    assert!(after["authy_http_connections"] >= 1.0, "the one that asks");
    assert_eq!(after["authy_keys{state=\"active\",alg=\"EdDSA\"}"], 1.0);
    assert!(after["authy_feed_staleness_seconds"] < 30.0);
    assert!(after["authy_db_connections{state=\"idle\"}"] <= after["authy_db_connections_max"]);
    assert!(after["process_resident_memory_bytes"] > 1e6 && after["process_open_fds"] > 3.0, "{after:?}");
}

#[tokio::test]
async fn guesses_and_stolen_tokens_are_counted() {
    let app = TestApp::with(|config, _| config.refresh_grace = Duration::ZERO).await;
    let user = app.user().await;
    for _ in 0..8 {
        let wrong = Credentials::new(&user.username, Secret::new("not-the-password"));
        app.anonymous().login(wrong).await.unwrap_err();
    }
    let spent = RefreshToken { refresh_token: user.refresh_token.clone() };
    app.anonymous().refresh(spent.clone()).await.unwrap();
    app.anonymous().refresh(spent).await.unwrap_err();
    let counted = scrape(app.address).await;
    assert_eq!(counted["authy_throttled_accounts_total"], 1.0);
    assert!(counted["authy_refused_guesses_total"] >= 1.0, "{counted:?}");
    assert_eq!(counted["authy_session_replays_total"], 1.0);
}

#[tokio::test]
async fn requests_beyond_a_rate_limit_are_counted_by_limit() {
    let app = TestApp::with(|_, http| http.limits.login = "1/day".parse().unwrap()).await;
    for _ in 0..3 {
        post(app.address, "/authy/login", r#"{"username":"nobody","password":"wrong"}"#).await;
    }
    let counted = scrape(app.address).await;
    assert_eq!(counted["authy_rate_limited_requests_total{limit=\"login\"}"], 2.0);
    assert_eq!(counted["authy_rate_limited_requests_total{limit=\"default\"}"], 0.0);
}

#[tokio::test]
async fn open_connections_and_streams_are_counted_until_they_end() {
    let app = TestApp::new().await;
    let open = async || {
        let now = scrape(app.address).await;
        (now["authy_event_streams{kind=\"anonymous\"}"], now["authy_http_connections"])
    };
    assert_eq!(open().await.0, 0.0);
    let verifier = app.anonymous().verifier().issuer(app.url()).start().await.unwrap();
    until("the stream counts", async || open().await.0 == 1.0).await;
    drop(verifier);
    until("nothing but the scrape is open", async || open().await == (0.0, 1.0)).await;
}

#[tokio::test]
async fn a_thousand_paths_methods_and_names_add_no_series() {
    let app = TestApp::new().await;
    let made_up = || -> String { rand::rng().sample_iter(Alphanumeric).take(12).map(char::from).collect() };
    let round = async |count: usize| {
        for number in 0..count {
            let word = made_up();
            match number % 5 {
                0 => send(app.address, &format!("GET /{word} HTTP/1.1"), "").await,
                1 => send(app.address, &format!("{word} /authy/login HTTP/1.1"), "").await,
                2 => send(app.address, &format!("GET /authy/fetch/{word}?{word}={word} HTTP/1.1"), "").await,
                3 => send(app.address, &format!("GET /authy/validate/{word} HTTP/1.1\nuser-agent: {word}"), "").await,
                _ => {
                    let body = format!(r#"{{"username":"{word}","password":"{word}"}}"#);
                    post(app.address, "/authy/login", &body).await
                }
            };
        }
        scrape(app.address).await
    };
    let names = |samples: &Samples| samples.keys().cloned().collect::<BTreeSet<_>>();
    let (few, many) = (round(5).await, round(1000).await);
    let added: Vec<_> = names(&many).difference(&names(&few)).cloned().collect();
    assert!(added.is_empty(), "{added:?}");
    assert_eq!(many[&requests("(none)", "GET", "4xx")], 201.0);
    assert_eq!(many[&requests("/authy/login", "other", "4xx")], 201.0);
    assert!(many.len() < 2000, "{}", many.len());
}

#[tokio::test]
async fn metrics_are_for_programs_on_this_machine_only() {
    let app = TestApp::new().await;
    let ask = async |lines: &str| send(app.address, &format!("GET /metrics HTTP/1.1\n{lines}"), "").await;
    assert_eq!(ask("accept: */*").await.status, 200);
    let open = ask("accept: application/openmetrics-text;version=1.0.0").await;
    assert_eq!(open.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.body.ends_with("# EOF\n"), "{}", open.body);
    let refused = |answer: Answer| assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
    for line in ["x-forwarded-for: 127.0.0.1", "forwarded: for=127.0.0.1", "via: 1.1 proxy", "x-real-ip: ::1"] {
        refused(ask(line).await);
    }
    assert_eq!(send(app.address, "POST /metrics HTTP/1.1", "").await.status, 405);
    refused(get(app.address, "/authy/metrics").await);
    // As nginx asks when nothing else is configured.
    let old = authy_tests::wire::raw(app.address, b"GET /metrics HTTP/1.0\r\nhost: 127.0.0.1\r\n\r\n").await;
    refused(old[0].clone());
    let counted = scrape(app.address).await;
    assert_eq!(counted[&requests("(none)", "GET", "4xx")], 6.0, "and the refused requests are counted as any other");
}

/// A sink that accepts nothing until it is told to.
struct ClosedSink {
    opens: Arc<AtomicBool>,
    delivery: Delivery,
}

#[async_trait]
impl Sink for ClosedSink {
    fn name(&self) -> &'static str {
        "closed"
    }

    fn delivery(&self) -> Delivery {
        self.delivery
    }

    async fn deliver(&self, _: &EventView) -> Result<(), DeliveryError> {
        match self.opens.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(DeliveryError::retryable("it is closed")),
        }
    }
}

#[tokio::test]
async fn the_lag_of_a_sink_is_that_of_what_it_has_not_accepted() {
    for delivery in [Delivery::Ordered { in_flight: 1 }, Delivery::PerSubject { in_flight: 1 }] {
        let opens = Arc::new(AtomicBool::new(false));
        let sink: Arc<dyn Sink> = Arc::new(ClosedSink { opens: opens.clone(), delivery });
        let app = TestApp::with_sinks(|_: &Authy| vec![sink.clone()]).await;
        app.user().await;
        let status = async || app.authy.deliveries().list_sinks().await.unwrap().remove(0);
        until("the sink has refused an event", async || {
            let status = status().await;
            status.stuck > 0 || status.error.is_some()
        })
        .await;
        let value = async |name: &str| scrape(app.address).await.get(&format!("{name}{{sink=\"closed\"}}")).copied();
        // Background work measures when it starts.
        let _again = app.authy.start_background_with(vec![sink.clone()]).await.unwrap();
        until("it is behind", async || value("authy_relay_lag_seconds").await > Some(0.0)).await;
        until("what is stuck is measured", async || {
            let has_stuck = value("authy_relay_stuck_events").await > Some(0.0);
            has_stuck == matches!(delivery, Delivery::PerSubject { .. })
        })
        .await;
        opens.store(true, Ordering::Relaxed);
        until("it has caught up", async || status().await.waiting == 0).await;
        let _again = app.authy.start_background_with(vec![sink]).await.unwrap();
        until("and is measured", async || value("authy_relay_lag_seconds").await == Some(0.0)).await;
        assert_eq!(value("authy_relay_stuck_events").await, Some(0.0));
    }
}

#[tokio::test]
async fn a_scrape_is_answered_while_the_database_is_away_and_says_how_old_its_values_are() {
    let app = TestApp::with_sinks(|_: &Authy| {
        vec![Arc::new(ClosedSink {
            opens: Arc::new(AtomicBool::new(true)),
            delivery: Delivery::Ordered { in_flight: 1 },
        })]
    })
    .await;
    let user = app.user().await;
    let age = async || scrape(app.address).await.get("authy_relay_measurement_age_seconds").copied();
    until("it was measured", async || age().await.is_some()).await;
    database::close(&app.database).await;
    let answer = app.anonymous().login(credentials(&user.username)).await.unwrap_err();
    assert!(answer.is_unavailable(), "{answer:?}");
    let first = (age().await, scrape(app.address).await["authy_feed_staleness_seconds"]);
    until("both grow older", async || {
        let now = (age().await, scrape(app.address).await["authy_feed_staleness_seconds"]);
        now.0 > first.0 && now.1 > first.1 + 1.0
    })
    .await;
    assert!(scrape(app.address).await[&logins("unavailable")] >= 1.0);
}

#[tokio::test]
async fn a_program_that_embeds_the_engine_reads_the_same_without_a_server() {
    let authy = Authy::builder(database::fresh().await)
        .master_keys(MasterKeys::generate().unwrap())
        .config(cheap())
        .without_background()
        .start()
        .await
        .unwrap();
    let statistics = authy.statistics();
    assert_eq!(statistics.revocation_age, None, "nothing follows the revocations");
    assert!(statistics.relay.is_none());
    let name = fresh_name("ada");
    let account = authy_tests::new_account(&name, "user");
    authy.users().create(&operator(), account).await.unwrap();
    authy.sessions().login(&operator(), Credentials::new(&name, Secret::new(PASSWORD))).await.unwrap();
    let statistics = authy.statistics();
    let succeeded = statistics.sessions.logins.iter().find(|(outcome, _)| outcome.as_str() == "succeeded");
    assert_eq!(succeeded.map(|(_, count)| *count), Some(1));
    assert_eq!((statistics.hashing.waits.count(), statistics.hashing.waiting), (2, 0));
}
