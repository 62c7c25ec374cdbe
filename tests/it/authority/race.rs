//! Power that is taken away while a write is under way is not exercised afterwards, at whatever step the write is held.

use std::time::Duration;

use authy_core::engine::DangerousHold;
use authy_tests::until_within;
use futures_util::{StreamExt as _, stream};

use super::*;

/// Every write that needs power over others, or a good session of one's own.
const WRITES: &[&str] = &[
    "users.create",
    "roles.create",
    "roles.delete",
    "roles.grant",
    "roles.revoke",
    "users.delete",
    "users.restore",
    "users.erase",
    "users.send_reset",
    "users.create_reset",
    "users.change",
    "sessions.end",
    "sessions.end_all",
    "keys.rotate",
    "keys.revoke",
    "keys.reseal",
    "deliveries.retry",
    "deliveries.skip",
    "set_issuer",
    "sessions.end_others",
    "sessions.logout",
    "users.resend_validation",
    "within.roles.grant",
    "within.users.delete",
];

/// What ends the power of the actor.
#[derive(Clone, Copy, Debug)]
enum ActorChange {
    Demotion,
    Deletion,
    EndOfSession,
}

impl ActorChange {
    const ALL: [Self; 3] = [Self::Demotion, Self::Deletion, Self::EndOfSession];

    async fn apply(self, authy: &Authy, caller: &Caller) -> Result<()> {
        let identity = caller.identity().unwrap();
        let user = identity.public_id;
        match self {
            Self::Demotion => authy.roles().revoke(&operator(), &"superadmin".parse().unwrap(), user).await,
            Self::Deletion => authy.users().delete(&operator(), user).await,
            Self::EndOfSession => authy.sessions().end(&operator(), user, identity.session_id).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_that_was_taken_away_is_not_exercised_at_any_step() {
    let held: Vec<(usize, usize)> = stream::iter(WRITES.iter().enumerate())
        .map(|(number, write)| hold_at_every_step(number, write))
        .buffer_unordered(3)
        .collect()
        .await;
    let (steps, refused) = held.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(steps > 200 && refused > 60, "{steps} steps, {refused} of them refused: too few to mean anything");
}

/// Holds a write at each of its steps in turn; how many there were, and at how many it was refused.
async fn hold_at_every_step(number: usize, write: &'static str) -> (usize, usize) {
    // A database of its own: what waits in it waits for this write.
    let app = &TestApp::new().await;
    // So that no caller here is the last one.
    app.superadmin().await;
    let (mut steps, mut refused) = (0, 0);
    let changes =
        if write == "roles.grant" { &ActorChange::ALL[..] } else { &ActorChange::ALL[number % 3..=number % 3] };
    for change in changes {
        for nth in 1.. {
            match hold_at(app, number, write, *change, nth).await {
                None => break,
                Some(was_refused) => {
                    steps += 1;
                    refused += usize::from(was_refused);
                }
            }
        }
    }
    assert!(refused > 0, "{write} was never refused");
    (steps, refused)
}

/// Holds a write at its `nth` step, and takes the power away meanwhile; whether the write was refused, and none when it
/// was committed or over before it came that far.
async fn hold_at(app: &TestApp, number: usize, write: &'static str, change: ActorChange, nth: u64) -> Option<bool> {
    let level = 1_000 * (u32::try_from(number).unwrap() + 1) + u32::try_from(nth).unwrap() + 300 * change as u32;
    let fixture = AuthorityFixture::new(app, level).await;
    fixture.prepare(write).await;
    let caller = actor(&app.authy, write).await;
    let actor = *caller.identity().unwrap().public_id.as_uuid();
    let watcher = app.sql().await;
    let hold = DangerousHold::at(nth);
    let held = tokio::spawn({
        let (hold, caller) = (hold.clone(), caller.clone());
        async move { hold.scope(async move { fixture.call(write, &caller).await }).await }
    });
    let mut held = Box::pin(held);
    tokio::select! {
        () = hold.reached() => {}
        done = &mut held => {
            done.unwrap().unwrap();
            return None;
        }
    }
    let written = "SELECT count(*) FROM authy.event WHERE actor = $1";
    let count = async || watcher.query_one(written, &[&actor]).await.unwrap().get::<_, i64>(0);
    if count().await > 0 {
        hold.release();
        held.await.unwrap().unwrap();
        return None;
    }
    let (authy, changed) = (app.authy.clone(), caller.clone());
    let mut taken = Box::pin(tokio::spawn(async move { change.apply(&authy, &changed).await }));
    let was_taken = tokio::select! {
        done = &mut taken => {
            done.unwrap().unwrap();
            true
        }
        () = is_blocked(&watcher) => false,
    };
    hold.release();
    let answer = held.await.unwrap();
    let when = format!("{write} held at step {nth}, {change:?}");
    if was_taken {
        let is_over = write == "sessions.logout" && !matches!(change, ActorChange::Demotion);
        match answer {
            Ok(()) => assert!(is_over, "{when}: done after the power was gone"),
            Err(error) => assert!(refusal(Err(error)).is_some(), "{when}: refused for another reason"),
        }
        assert_eq!(count().await, 0, "{when}: an event in the name of a user without power");
        return Some(true);
    }
    // The write came first: it locks its actor, so the change of the actor waits for it.
    answer.unwrap_or_else(|error| panic!("{when}: {error:?}"));
    match taken.await.unwrap() {
        Err(error) if write == "sessions.logout" && error.kind() == ErrorKind::NotFound => {}
        done => done.unwrap_or_else(|error| panic!("{when}, afterwards: {error:?}")),
    }
    Some(false)
}

/// A user who may do everything, with what the write needs.
async fn actor(authy: &Authy, write: &str) -> Caller {
    if write != "users.resend_validation" {
        let caller = caller_with_role(authy, "superadmin").await;
        if write == "sessions.end_others" {
            let name = caller.identity().unwrap().username.clone().unwrap();
            identity(authy, name.as_str()).await;
        }
        return caller;
    }
    // A user whose address is not confirmed.
    let name = fresh_name("unconfirmed");
    let user = authy.users().register(&anonymous(), new_user(&name)).await.unwrap();
    authy.roles().grant(&operator(), &"superadmin".parse().unwrap(), user).await.unwrap();
    Caller::user(identity(authy, &name).await, ClientInfo::default())
}

/// Waits until a transaction waits for a lock.
async fn is_blocked(watcher: &tokio_postgres::Client) {
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let lock_timeout = Duration::from_secs(60);
    until_within(lock_timeout, "a transaction waits for a lock", || async {
        watcher.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) > 0
    })
    .await;
}
