//! Guesses at the same time: the bound holds, with the few that can be under way while nothing is on record, and a crowd
//! with the right password is not held back.

use std::collections::HashSet;

use authy_core::UserId;
use authy_tests::new_user;

use super::*;

/// So many attempts at a target are under way at a time in each server, and can exceed the bound.
const UNDER_WAY: i64 = 4;

/// Logs in from nowhere, so that only the account counts. The results, in the order of the numbers.
async fn guess_at_once(
    engines: &[Authy],
    name: &str,
    count: usize,
    password: impl Fn(usize) -> String,
) -> Vec<Option<ErrorKind>> {
    let guess = |number: usize| {
        let (authy, name) = (engines[number % engines.len()].clone(), name.to_owned());
        let credentials = Credentials::new(name, Secret::new(password(number)));
        async move {
            let anonymous = Caller::anonymous(ClientInfo::default());
            authy.sessions().login(&anonymous, credentials).await.err().map(|error| error.kind())
        }
    };
    at_once(count, guess).await
}

async fn looked_at(app: &TestApp) -> i64 {
    number(app, "SELECT coalesce(sum(failures), 0)::bigint FROM authy.throttle WHERE pending = 0").await
}

/// Hashes that take long enough to see what is under way.
async fn with_slow_hashes() -> TestApp {
    TestApp::with(|config, _| config.hash.argon2 = "m=32768,t=3,p=1".parse().unwrap()).await
}

/// Hashes that take some time, so that attempts overlap.
async fn with_real_hashes() -> TestApp {
    TestApp::with(|config, _| config.hash.argon2 = "m=16384,t=1,p=1".parse().unwrap()).await
}

/// A user who signs up in the process, where no client gives up waiting for a slow hash.
async fn slow_user(app: &TestApp) -> (UserId, String) {
    let name = fresh_name("ada");
    let anonymous = Caller::anonymous(ClientInfo::default());
    let id = app.authy.users().register(&anonymous, new_user(&name)).await.unwrap();
    no_hash_is_running(app).await;
    (id, name)
}

/// A thread that has given its result away counts as running until it is scheduled again, and its priority is low.
async fn no_hash_is_running(app: &TestApp) {
    until("no hash is running", || async { app.authy.statistics().hashing.running == 0 }).await;
}

fn hashes(app: &TestApp) -> u64 {
    app.authy.statistics().hashing.waits.count()
}

#[tokio::test]
async fn of_many_guesses_at_once_no_more_are_looked_at_than_one_after_another_and_four_on_each_server() {
    let app = TestApp::new().await;
    let second = TestApp::on(app.database.clone(), app.master_keys.clone(), |_, _| ()).await;
    let engines = [app.authy.clone(), second.authy.clone()];
    let known = app.user().await.username;
    // Identical ones count like different ones, and those at an unknown name like those at a known one.
    for (name, is_same) in [(known.clone(), true), (known.clone(), false), (fresh_name("unknown"), true)] {
        for servers in [&engines[..1], &engines[..]] {
            app.sql().await.execute("DELETE FROM authy.throttle", &[]).await.unwrap();
            let wrong = |number: usize| if is_same { "wrong".to_owned() } else { format!("wrong-{number}") };
            let answers = guess_at_once(servers, &name, 50 * servers.len(), wrong).await;
            assert!(answers.iter().all(|answer| *answer == Some(ErrorKind::InvalidCredentials)), "{answers:?}");
            let (counted, most) = (looked_at(&app).await, 5 + UNDER_WAY * servers.len() as i64 - 1);
            assert!((5..=most).contains(&counted), "{counted} on {} servers", servers.len());
            guess_at_once(servers, &name, 20, |_| PASSWORD.to_owned()).await;
            assert_eq!(looked_at(&app).await, counted, "not even the right one");
            // The next is one only, however many try: the wait is that after all of them.
            pass(&app, "1 day").await;
            guess_at_once(servers, &name, 20, wrong).await;
            assert_eq!(looked_at(&app).await, counted + 1);
        }
    }
}

#[tokio::test]
async fn with_a_failure_on_record_none_exceeds_the_bound() {
    let app = TestApp::new().await;
    let second = TestApp::on(app.database.clone(), app.master_keys.clone(), |_, _| ()).await;
    let engines = [app.authy.clone(), second.authy.clone()];
    let (known, neighbour) = (app.user().await.username, app.user().await.username);
    guess_at_once(&engines, &known, 1, |_| "wrong".to_owned()).await;
    guess_at_once(&engines, &known, 100, |number| format!("wrong-{number}")).await;
    assert_eq!(looked_at(&app).await, 5);
    // One on record of the address is enough.
    let sql = app.sql().await;
    sql.execute("DELETE FROM authy.throttle", &[]).await.unwrap();
    assert!(!try_from(&app.authy, "192.0.2.1", &known, "wrong").await);
    let guess = |number: usize| {
        let (authy, name) = (engines[number % 2].clone(), neighbour.clone());
        async move { try_from(&authy, "192.0.2.1", &name, &format!("wrong-{number}")).await }
    };
    assert!(at_once(100, guess).await.iter().all(|gets_in| !gets_in));
    assert_eq!(number(&app, "SELECT max(failures)::bigint FROM authy.throttle WHERE key LIKE 'account:%'").await, 5);
}

#[tokio::test]
async fn a_login_without_a_failure_on_record_writes_no_count_and_a_failure_two_statements() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let sql = app.sql().await;
    let watch = "CREATE TABLE public.written (key text);
                 CREATE FUNCTION public.watch() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN INSERT INTO public.written VALUES (coalesce(NEW.key, OLD.key)); RETURN NULL; END $$;
                 CREATE TRIGGER watch AFTER INSERT OR UPDATE OR DELETE ON authy.throttle
                 FOR EACH ROW EXECUTE FUNCTION public.watch()";
    sql.batch_execute(watch).await.unwrap();
    let written = async || number(&app, "SELECT count(*) FROM public.written").await;
    assert!(gets_in(&app.anonymous(), &user.username).await);
    assert_eq!(written().await, 0);
    guess(&app, &user.username).await;
    assert_eq!(written().await, 3, "counted; and settled, with its address");
    // The name is reserved, settled with the address, and reserved again and cleared.
    guess(&app, &user.username).await;
    assert!(gets_in(&app.anonymous(), &user.username).await);
    assert_eq!(written().await, 8);
}

#[tokio::test]
async fn a_failure_is_counted_from_what_is_on_record_when_it_ends() {
    let app = with_slow_hashes().await;
    let (user, name) = slow_user(&app).await;
    let (authy, guessed) = (app.authy.clone(), name.clone());
    let guess = tokio::spawn(async move { try_from(&authy, "192.0.2.1", &guessed, "wrong").await });
    until("it is being verified", || async { app.authy.statistics().hashing.running == 1 }).await;
    assert_eq!(looked_at(&app).await, 0);
    // Others have failed meanwhile, on another server, and two of them are forgotten already.
    let others = "INSERT INTO authy.throttle (key, failures, counted, forgotten)
                  VALUES ('account:' || $1::uuid, 6, now() - interval '15 days', now() + interval '1 day')";
    let sql = app.sql().await;
    sql.execute(others, &[user.as_uuid()]).await.unwrap();
    assert!(!guess.await.unwrap());
    let row = sql.query_one("SELECT failures, counted > now() - interval '1 minute', forgotten > now() + interval '5 weeks' FROM authy.throttle WHERE key LIKE 'account:%'", &[]);
    let row = row.await.unwrap();
    assert_eq!((row.get::<_, i32>(0), row.get(1), row.get(2)), (5, true, true));
    // The fifth is the first that is followed by a wait.
    assert_eq!(number(&app, "SELECT count(*) FROM authy.event WHERE kind = 'account.throttled'").await, 1);
    assert!(!try_from(&app.authy, "192.0.2.1", &name, PASSWORD).await);
}

#[tokio::test]
async fn a_guess_whose_guesser_hangs_up_counts() {
    let app = with_slow_hashes().await;
    for name in [slow_user(&app).await.1, fresh_name("unknown")] {
        app.sql().await.execute("DELETE FROM authy.throttle", &[]).await.unwrap();
        // Not on record, and then on record.
        for failures in [1, 2] {
            let (client, guessed) = (app.anonymous(), Credentials::new(&*name, Secret::new("wrong")));
            let guess = tokio::spawn(async move { client.login(guessed).await });
            until("it is being verified", || async { app.authy.statistics().hashing.running == 1 }).await;
            guess.abort();
            let over = format!("SELECT count(*) FROM authy.throttle WHERE failures = {failures} AND pending = 0");
            until("it is over, and its address was counted", || async { number(&app, &over).await == 2 }).await;
            no_hash_is_running(&app).await;
        }
    }
}

#[tokio::test]
async fn a_guess_that_still_waits_to_be_verified_when_its_guesser_hangs_up_does_not_count() {
    let app = TestApp::with(|config, _| {
        config.hash.threads = 1;
        config.hash.argon2 = "m=65536,t=8,p=1".parse().unwrap();
    });
    let app = app.await;
    let (_, name) = slow_user(&app).await;
    // Not on record, and then on record.
    for failures in [0, 1] {
        if failures > 0 {
            assert!(!try_from(&app.authy, "192.0.2.1", &name, "wrong").await);
            no_hash_is_running(&app).await;
        }
        let before = hashes(&app);
        let (authy, other) = (app.authy.clone(), fresh_name("unknown"));
        let busy = tokio::spawn(async move { try_from(&authy, "198.51.100.1", &other, "wrong").await });
        until("the thread is busy", || async { app.authy.statistics().hashing.running == 1 }).await;
        let (authy, guessed) = (app.authy.clone(), name.clone());
        let guess = tokio::spawn(async move { try_from(&authy, "192.0.2.1", &guessed, "wrong").await });
        until("it waits", || async { app.authy.statistics().hashing.waiting == 1 }).await;
        guess.abort();
        let on_record =
            "SELECT coalesce(sum(failures + 10 * pending), 0) FROM authy.throttle WHERE key LIKE 'account:%'";
        until("it is taken back", || async { number(&app, on_record).await == failures }).await;
        assert!(!busy.await.unwrap());
        assert_eq!(hashes(&app) - before, 1, "it was verified");
        assert_eq!(number(&app, on_record).await, failures);
        no_hash_is_running(&app).await;
    }
}

#[tokio::test]
async fn a_wrong_password_counts_although_the_database_could_not_count_it_at_once() {
    let app = TestApp::new().await;
    let (user, other) = (app.user().await, app.user().await);
    let mut sql = app.sql().await;
    let holder = sql.transaction().await.unwrap();
    holder.batch_execute("LOCK TABLE authy.throttle IN SHARE MODE").await.unwrap();
    assert_eq!(guess(&app, &user.username).await, Some(ErrorKind::Unavailable), "as a right one would be");
    // From then on nothing is verified that could not be counted before.
    let before = hashes(&app);
    for name in [&other.username, &fresh_name("unknown")] {
        assert_eq!(guess(&app, name).await, Some(ErrorKind::Unavailable));
    }
    assert_eq!(hashes(&app), before);
    drop(holder);
    until("it is counted", || async { looked_at(&app).await >= 1 }).await;
    assert!(gets_in(&app.anonymous(), &user.username).await);
}

#[tokio::test]
async fn a_crowd_with_the_right_password_needs_few_hashes_and_each_gets_a_session() {
    let app = with_real_hashes().await;
    let user = app.user().await;
    let before = hashes(&app);
    let sessions = at_once(60, |_| {
        let (authy, credentials) = (app.authy.clone(), credentials(&user.username));
        async move {
            let anonymous = Caller::anonymous(ClientInfo::default());
            authy.sessions().login(&anonymous, credentials).await.unwrap().refresh_token
        }
    });
    let sessions: HashSet<_> = sessions.await.iter().map(|token| token.expose().to_owned()).collect();
    assert_eq!(sessions.len(), 60);
    let needed = hashes(&app) - before;
    assert!(needed <= 6, "{needed} hashes");
    assert_eq!(looked_at(&app).await, 0);
}

#[tokio::test]
async fn wrong_passwords_beside_a_crowd_with_the_right_one_are_verified_and_counted_each() {
    let app = with_real_hashes().await;
    let name = app.user().await.username;
    let before = hashes(&app);
    // The three are under way beside the right one, or after it.
    let password = |number: usize| if number % 20 < 17 { PASSWORD.to_owned() } else { format!("wrong-{number}") };
    let answers = guess_at_once(std::slice::from_ref(&app.authy), &name, 20, password).await;
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(*answer, (number >= 17).then_some(ErrorKind::InvalidCredentials), "{number}");
    }
    assert!(hashes(&app) - before >= 4, "each wrong one is hashed");
}

#[tokio::test]
async fn a_password_that_is_identical_to_a_wrong_one_waits_for_it_whether_or_not_the_account_exists() {
    let app = with_real_hashes().await;
    let sql = app.sql().await;
    for name in [slow_user(&app).await.1, fresh_name("unknown")] {
        sql.execute("DELETE FROM authy.throttle", &[]).await.unwrap();
        no_hash_is_running(&app).await;
        let before = hashes(&app);
        let engines = [app.authy.clone()];
        let guesses = guess_at_once(&engines, &name, 4, |_| "wrong".to_owned());
        let watch = async {
            loop {
                let hashing = app.authy.statistics().hashing;
                let counted = sql.query_one("SELECT count(*) FROM authy.throttle", &[]).await.unwrap();
                if counted.get::<_, i64>(0) > 0 {
                    break;
                }
                // Nothing was on record after the look at the queue, so the first had not ended.
                assert!(hashing.running + hashing.waiting <= 1, "{name}: {hashing:?}");
            }
        };
        let (answers, ()) = tokio::join!(guesses, watch);
        assert!(answers.iter().all(|answer| *answer == Some(ErrorKind::InvalidCredentials)), "{answers:?}");
        assert_eq!(hashes(&app) - before, 4, "each is verified");
        assert_eq!(number(&app, "SELECT max(failures)::bigint FROM authy.throttle").await, 4);
    }
}

#[tokio::test]
async fn those_who_are_right_are_not_refused_because_many_log_in_at_once() {
    let app = TestApp::new().await;
    let second = TestApp::on(app.database.clone(), app.master_keys.clone(), |_, _| ()).await;
    let name = app.user().await.username;
    // One failure less than is followed by a wait: there is room for one at a time.
    for _ in 1..FREE {
        guess(&app, &name).await;
    }
    let clients = [app.anonymous(), second.anonymous()];
    let answers = at_once(40, move |number| {
        let (client, name) = (clients[number % 2].clone(), name.clone());
        async move { client.login(credentials(&name)).await }
    });
    for answer in answers.await {
        answer.unwrap();
    }
}
