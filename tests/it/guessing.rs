//! Guessing at passwords: slowed by account, by device and by address, in one count for all instances, and never
//! revealed.

use std::net::IpAddr;

use authy_client::Client;
use authy_core::{
    Authenticator as _, Authy, ClientInfo, ErrorKind, Secret,
    api::session::{Credentials, RefreshToken},
    engine::Caller,
};
use authy_tests::{
    PASSWORD, TestApp, TestUser, at_once, credentials, fresh_name, operator, until,
    wire::{Answer, send},
};

mod concurrent;
mod refusals;

/// So many wrong passwords in a row are followed by no wait; `lockout.rs` says what comes then.
const FREE: usize = 5;

/// An app behind a trusted proxy.
async fn behind_a_proxy() -> TestApp {
    TestApp::with(|_, http| http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await
}

/// A login as a request, for tests that look at the bytes of the answer.
async fn log_in(app: &TestApp, name: &str, password: &str, header: &str) -> Answer {
    let head = format!("POST /authy/login HTTP/1.1\ncontent-type: application/json\nx-request-id: same\n{header}");
    send(app.address, &head, &format!(r#"{{"username":"{name}","password":"{password}"}}"#)).await
}

async fn guess(app: &TestApp, name: &str) -> Option<ErrorKind> {
    app.anonymous().login(Credentials::new(name, Secret::new("wrong"))).await.unwrap_err().kind()
}

/// Guesses until the right password is refused as well.
async fn lock(app: &TestApp, name: &str) {
    for _ in 0..FREE {
        assert_eq!(guess(app, name).await, Some(ErrorKind::InvalidCredentials));
    }
    assert!(!gets_in(&app.anonymous(), name).await, "{name} is not slowed");
}

async fn gets_in(client: &Client, name: &str) -> bool {
    match client.login(credentials(name)).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!((error.kind(), error.status()), (Some(ErrorKind::InvalidCredentials), Some(401)));
            false
        }
    }
}

/// Lets time pass for everything that is counted.
async fn pass(app: &TestApp, time: &str) {
    let sql = format!(
        "UPDATE authy.throttle SET counted = counted - '{time}'::interval, forgotten = forgotten - '{time}'::interval"
    );
    app.sql().await.execute(&sql, &[]).await.unwrap();
}

async fn number(app: &TestApp, sql: &str) -> i64 {
    app.sql().await.query_one(sql, &[]).await.unwrap().get(0)
}

async fn device_of(app: &TestApp, user: &TestUser) -> Secret {
    app.anonymous().login(credentials(&user.username)).await.unwrap().device_token.unwrap()
}

#[tokio::test]
async fn a_thousand_addresses_get_no_more_guesses_than_one_and_the_owner_gets_in() {
    let app = behind_a_proxy().await;
    let user = app.user().await;
    let owner = app.anonymous().with_device_token(&device_of(&app, &user).await);
    let looked_at = || number(&app, "SELECT coalesce(max(failures), 0)::bigint FROM authy.throttle");
    let mut addresses = (0..1000_u32).map(|number| format!("x-forwarded-for: 192.0.{}.{}", number / 250, number % 250));
    let mut guesses = async |count: usize| {
        for address in addresses.by_ref().take(count) {
            assert_eq!(log_in(&app, &user.username, "wrong", &address).await.code(), "invalid_credentials");
        }
    };
    // Makes the last failure exactly this old, also on a slow machine.
    let sql = app.sql().await;
    let wait = async |seconds: i32| {
        let age =
            "UPDATE authy.throttle SET counted = clock_timestamp() - $1 * interval '1 second' WHERE failures >= 5";
        sql.execute(age, &[&f64::from(seconds)]).await.unwrap();
    };
    guesses(FREE).await;
    wait(-600).await;
    guesses(995 - FREE - 6 * 20).await;
    assert_eq!(looked_at().await, 5);
    // An hour, in which guesses come from everywhere whenever there is one to be had, and in between. The next wait is
    // longer than what is left of the hour.
    for (seconds, failures) in [(30, 6), (60, 7), (120, 8), (240, 9), (480, 10), (960, 11)] {
        wait(seconds / 2).await;
        guesses(10).await;
        assert_eq!(looked_at().await, failures - 1, "too early, after half of {seconds} seconds");
        wait(seconds).await;
        guesses(10).await;
        assert_eq!(looked_at().await, failures);
    }
    wait(1700).await;
    guesses(5).await;
    assert!(!gets_in(&app.anonymous(), &user.username).await);
    assert_eq!(looked_at().await, 11);
    // Meanwhile, at the first try.
    assert!(gets_in(&owner, &user.username).await);
    assert!(!gets_in(&app.anonymous(), &user.username).await, "which is no help to other callers");
    wait(1920).await;
    assert!(gets_in(&app.anonymous(), &user.username).await, "no wait is for ever");
    assert!(looked_at().await < 5, "and all is forgiven");
}

#[tokio::test]
async fn a_device_token_is_worth_nothing_to_anybody_else() {
    let app = TestApp::new().await;
    let (user, other) = (app.user().await, app.user().await);
    let token = device_of(&app, &user).await;
    let [device, expires, mac] = token.expose().split('.').collect::<Vec<_>>()[..] else { panic!("{token:?}") };
    lock(&app, &user.username).await;
    let forged = [
        String::new(),
        format!("{device}.{expires}.{}", mac.chars().rev().collect::<String>()),
        format!("{device}.9{expires}.{mac}"),
        format!("another.{expires}.{mac}"),
        format!("{device}.{expires}"),
        "a".repeat(4000),
        device_of(&app, &other).await.expose().to_owned(),
    ];
    for forged in forged {
        let client = app.anonymous().with_device_token(&Secret::new(forged.clone()));
        assert!(!gets_in(&client, &user.username).await, "{forged}");
    }
    let known = app.anonymous().with_device_token(&token);
    assert!(gets_in(&known, &user.username).await);
    // It is no password, its guesses are slowed like any others, and those of one device are not another's.
    app.sql().await.execute("DELETE FROM authy.throttle", &[]).await.unwrap();
    let second = app.anonymous().with_device_token(&device_of(&app, &user).await);
    for _ in 0..FREE {
        let wrong = known.login(Credentials::new(&*user.username, Secret::new("wrong"))).await.unwrap_err();
        assert_eq!(wrong.kind(), Some(ErrorKind::InvalidCredentials));
    }
    assert!(!gets_in(&known, &user.username).await);
    assert!(gets_in(&second, &user.username).await);
    assert!(gets_in(&app.anonymous(), &user.username).await);
    // A new password makes it unknown.
    let sql = app.sql().await;
    sql.execute("UPDATE authy.password SET changed = now() WHERE user_id = $1", &[user.id.as_uuid()]).await.unwrap();
    lock(&app, &user.username).await;
    assert!(!gets_in(&second, &user.username).await);
}

#[tokio::test]
async fn a_device_stays_known_over_logins_and_new_epochs_and_a_refresh_returns_no_device_token() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let token = device_of(&app, &user).await;
    app.authy.sessions().end_all(&operator(), user.id).await.unwrap();
    lock(&app, &user.username).await;
    let again = app.anonymous().with_device_token(&token).login(credentials(&user.username)).await.unwrap();
    let device = |token: &Secret| token.expose().split('.').next().unwrap().to_owned();
    assert_eq!(device(&again.device_token.unwrap()), device(&token), "one device, however often it logs in");
    let refreshed = app.anonymous().refresh(RefreshToken { refresh_token: again.refresh_token }).await.unwrap();
    assert_eq!(refreshed.device_token, None);
}

#[tokio::test]
async fn all_instances_count_together_and_a_restart_forgets_nothing() {
    let app = TestApp::new().await;
    let name = app.user().await.username;
    let second = TestApp::on(app.database.clone(), app.master_keys.clone(), |_, _| ()).await;
    for _ in 0..FREE / 2 {
        guess(&app, &name).await;
    }
    for _ in FREE / 2..FREE {
        guess(&second, &name).await;
    }
    assert!(!gets_in(&app.anonymous(), &name).await && !gets_in(&second.anonymous(), &name).await);
    let (database, keys) = (app.database.clone(), app.master_keys.clone());
    app.stop().await;
    second.stop().await;
    let restarted = TestApp::on(database, keys, |_, _| ()).await;
    assert!(!gets_in(&restarted.anonymous(), &name).await);
    pass(&restarted, "30 seconds").await;
    assert!(gets_in(&restarted.anonymous(), &name).await);
}

#[tokio::test]
async fn an_account_that_begins_to_be_slowed_has_one_event() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let unknown = fresh_name("unknown");
    for name in [&user.username, &unknown] {
        for _ in 0..2 * FREE {
            guess(&app, name).await;
        }
    }
    let sql = app.sql().await;
    let events = sql
        .query("SELECT subject, detail->>'of', detail->'failures' FROM authy.event WHERE kind = 'account.throttled' ORDER BY event_id", &[])
        .await
        .unwrap();
    let events: Vec<_> = events
        .iter()
        .map(|row| (row.get::<_, Option<uuid::Uuid>>(0), row.get::<_, String>(1), row.get::<_, serde_json::Value>(2)))
        .collect();
    let once = |subject| (subject, "login".to_owned(), serde_json::json!(FREE));
    assert_eq!(events, [once(Some(*user.id.as_uuid())), once(None)]);
    pass(&app, "1 hour").await;
    guess(&app, &user.username).await;
    assert_eq!(number(&app, "SELECT count(*) FROM authy.event WHERE kind = 'account.throttled'").await, 2);
}

/// Logs in at the engine itself, from an address.
async fn try_from(authy: &Authy, address: &str, name: &str, password: &str) -> bool {
    let client_info = ClientInfo { ip: Some(address.parse::<IpAddr>().unwrap()), ..ClientInfo::default() };
    authy.sessions().login(&Caller::anonymous(client_info), Credentials::new(name, Secret::new(password))).await.is_ok()
}

#[tokio::test]
async fn an_address_that_guesses_at_many_names_is_slowed_alone_and_as_a_whole_network() {
    let app = TestApp::new().await;
    let (user, authy) = (app.user().await, &app.authy);
    let known = device_of(&app, &user).await;
    for number in 0..100 {
        let address = format!("2001:db8:0:1::{number}");
        assert!(!try_from(authy, &address, &format!("name-{number}"), "wrong").await);
    }
    for slowed in ["2001:db8:0:1::1", "2001:db8:0:1:ffff::1"] {
        assert!(!try_from(authy, slowed, &user.username, PASSWORD).await, "{slowed}");
    }
    for free in ["2001:db8:0:2::1", "192.0.2.1"] {
        assert!(try_from(authy, free, &user.username, PASSWORD).await, "{free}");
    }
    // Others live in that network, and they have been here before.
    let client_info =
        ClientInfo { ip: Some("2001:db8:0:1::1".parse().unwrap()), device_token: Some(known), ..ClientInfo::default() };
    authy.sessions().login(&Caller::anonymous(client_info), credentials(&user.username)).await.unwrap();
    // One failure is taken back every 36 seconds, as `lockout.rs` says it.
    pass(&app, "36 seconds").await;
    assert!(!try_from(authy, "2001:db8:0:1::1", "another", "wrong").await);
    assert!(!try_from(authy, "2001:db8:0:1::1", &user.username, PASSWORD).await);
    pass(&app, "72 seconds").await;
    assert!(try_from(authy, "2001:db8:0:1::1", &user.username, PASSWORD).await);
    assert_eq!(
        number(&app, "SELECT max(failures)::bigint FROM authy.throttle").await,
        100,
        "a success takes none back"
    );
}

#[tokio::test]
async fn a_forged_forwarded_for_changes_no_count() {
    let app = TestApp::new().await;
    for number in 0..100 {
        let forged =
            format!("x-forwarded-for: 192.0.2.{number}\nforwarded: for=192.0.2.{number}\nx-real-ip: 192.0.2.{number}");
        log_in(&app, &format!("name-{number}"), "wrong", &forged).await;
    }
    assert_eq!(number(&app, "SELECT max(failures)::bigint FROM authy.throttle").await, 100, "all of one address");
    // What a trusted proxy appended counts, and not what its client wrote before it.
    let app = behind_a_proxy().await;
    for number in 0..100 {
        let forged = format!("x-forwarded-for: 192.0.2.{number}, 198.51.100.7");
        log_in(&app, &format!("name-{number}"), "wrong", &forged).await;
    }
    assert_eq!(number(&app, "SELECT max(failures)::bigint FROM authy.throttle").await, 100);
}

#[tokio::test]
async fn a_password_asked_for_again_is_slowed_by_itself() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let caller = Caller::user(app.authy.authenticate(user.token.expose()).await.unwrap(), ClientInfo::default());
    let again = |password: &'static str| {
        let (authy, caller) = (app.authy.clone(), caller.clone());
        async move { authy.sessions().verify_password(&caller, &Secret::new(password)).await }
    };
    lock(&app, &user.username).await;
    again(PASSWORD).await.unwrap();
    for _ in 0..FREE {
        assert_eq!(again("wrong").await.unwrap_err().kind(), ErrorKind::InvalidCredentials);
    }
    let slowed = again(PASSWORD).await.unwrap_err();
    assert_eq!(slowed.kind(), ErrorKind::RateLimited);
    assert!((20..=30).contains(&slowed.retry_after().unwrap().as_secs()), "{:?}", slowed.retry_after());
    pass(&app, "30 seconds").await;
    again(PASSWORD).await.unwrap();
    app.authy.users().delete(&operator(), user.id).await.unwrap();
    assert_eq!(again(PASSWORD).await.unwrap_err().kind(), ErrorKind::InvalidCredentials);
}

/// A hash takes a second here: what answers in a tenth of it has computed none.
#[tokio::test]
async fn a_caller_with_a_token_who_is_slowed_costs_no_hash() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let mut config = authy_tests::cheap();
    config.hash.argon2 = "m=65536,t=12,p=1".parse().unwrap();
    let expensive =
        authy_core::Authy::builder(app.database.clone()).without_background().master_keys(app.master_keys.clone());
    let expensive = expensive.config(config).start().await.unwrap();
    let caller = Caller::user(app.authy.authenticate(user.token.expose()).await.unwrap(), ClientInfo::default());
    for _ in 0..FREE {
        app.authy.sessions().verify_password(&caller, &Secret::new("wrong")).await.unwrap_err();
    }
    let timed = async |work: std::pin::Pin<Box<dyn Future<Output = ErrorKind>>>| {
        let begun = std::time::Instant::now();
        (work.await, begun.elapsed())
    };
    let anonymous = async {
        expensive.sessions().login(&Caller::anonymous(ClientInfo::default()), credentials("unknown-user")).await
    };
    let (kind, hash) = timed(Box::pin(async { anonymous.await.unwrap_err().kind() })).await;
    assert_eq!(kind, ErrorKind::InvalidCredentials);
    let slowed = async { expensive.sessions().verify_password(&caller, &Secret::new(PASSWORD)).await.unwrap_err() };
    let (kind, refused) = timed(Box::pin(async { slowed.await.kind() })).await;
    assert_eq!(kind, ErrorKind::RateLimited);
    assert!(refused < hash / 4, "{refused:?} against {hash:?} for one hash");
}

#[tokio::test]
async fn what_is_remembered_no_more_is_thrown_away() {
    let mut app = TestApp::new().await;
    app.end_background();
    guess(&app, "another").await;
    assert_eq!(app.authy.maintain().await.unwrap().throttles, 0);
    pass(&app, "1 hour").await;
    assert_eq!(app.authy.maintain().await.unwrap().throttles, 1, "the address");
    pass(&app, "7 days").await;
    assert_eq!(app.authy.maintain().await.unwrap().throttles, 1, "the name");
}
