//! Who may do what, asked of the engine itself, with no HTTP in between: an embedding program has no endpoint rows to protect it.

use authy_core::{
    Authenticator as _, Authy, Error, ErrorKind, Level, Result, RoleName, Secret, SessionId, UserId,
    api::{account::AccountChange, event::EventQuery, role::NewRole},
    engine::{Caller, MasterKeys, Origin},
};
use authy_tests::{PASSWORD, TestApp, cheap, credentials, fresh_name, new_user, operator};
use futures_util::{FutureExt as _, future::BoxFuture};

mod isolation;
mod late_body;
mod matrix;
mod race;

/// A password that nobody has yet.
const NEW_PASSWORD: &str = "carousel-marmalade-77";

/// A sink that has not taken an event.
const SINK: &str = "away";

/// What a function of the engine is tried on.
struct AuthorityFixture {
    authy: Authy,
    database: tokio_postgres::Config,
    /// A user with the role `user`, logged in.
    subject: UserId,
    session: SessionId,
    /// An event that a sink has not taken.
    stuck: authy_core::EventId,
    /// A role that nobody has.
    role: NewRole,
}

impl AuthorityFixture {
    async fn new(app: &TestApp, level: u32) -> Self {
        let authy = app.authy.clone();
        let name = fresh_name("subject");
        let subject = authy.register(&operator(), new_user(&name)).await.unwrap();
        let session = identity(&authy, &name).await.session_id;
        let role = NewRole {
            name: fresh_name("role").parse().unwrap(),
            description: "A role of the tests".parse().unwrap(),
            level: Level::clamped(level),
        };
        let query = EventQuery { user: Some(subject), kind: None, after: None, limit: None };
        let stuck = authy.list_events(&query).await.unwrap().events.last().unwrap().event_id;
        let delivery = "INSERT INTO authy.delivery (sink, event_id, happened, subject, attempts, error)
                        VALUES ($3, $1, now(), $2, 3, 'away')";
        app.sql().await.execute(delivery, &[stuck.as_uuid(), subject.as_uuid(), &SINK]).await.unwrap();
        Self { authy, database: app.database.clone(), subject, session, stuck, role }
    }

    /// Calls a function of the engine on the fixture's user. What has to be there before is put there by the operator.
    async fn call(&self, function: &str, caller: &Caller) -> Result<()> {
        let (authy, user) = (&self.authy, self.subject);
        let (role, guest) = (named("user"), named("guest"));
        let (password, own) = (Secret::new(PASSWORD), &self.role);
        let query = EventQuery { user: Some(user), kind: None, after: None, limit: None };
        let call: Call<'_> = match function {
            "create_user" => later(|| ignore(authy.create_user(caller, new_user(&fresh_name("new")), &role))),
            "create_role" => later(|| ignore(authy.create_role(caller, own.clone()))),
            "delete_role" => later(|| authy.delete_role(caller, &own.name)),
            "grant_role" => later(|| authy.grant_role(caller, &guest, user)),
            "revoke_role" => later(|| authy.revoke_role(caller, &role, user)),
            "delete_user" => later(|| authy.delete_user(caller, user)),
            "restore_user" => later(|| authy.restore_user(caller, user)),
            "erase_user" => later(|| authy.erase_user(caller, user)),
            "send_reset" => later(|| authy.send_reset(caller, user)),
            "create_reset" => later(|| ignore(authy.create_reset(caller, user))),
            "change_user" => later(|| ignore(authy.change_user(caller, user, change()))),
            "end_session" => later(|| authy.end_session(caller, user, self.session)),
            "end_sessions" => later(|| authy.end_sessions(caller, user)),
            "rotate_key" => later(|| ignore(authy.rotate_key(caller))),
            "reseal_keys" => later(|| ignore(authy.reseal_keys(caller))),
            "revoke_key" => later(|| async {
                let keys = authy.list_keys().await.unwrap();
                authy.revoke_key(caller, &keys.first().unwrap().kid).await
            }),
            "retry_delivery" => later(|| authy.retry_delivery(caller, SINK, self.stuck)),
            "skip_delivery" => later(|| authy.skip_delivery(caller, SINK, self.stuck)),
            "issue_token" => later(|| ignore(authy.issue_token(caller, user))),
            "list_letters" => later(|| async {
                let events = authy.list_events(&query).await.unwrap().events;
                authy.list_letters(caller, events.last().unwrap()).await.map(drop)
            }),
            "logout" => later(|| authy.logout(caller)),
            "end_other_sessions" => later(|| authy.end_other_sessions(caller)),
            "resend_validation" => later(|| authy.resend_validation(caller)),
            "verify_password" => later(|| authy.verify_password(caller, &password)),
            joining => later(|| self.join(joining, caller)),
        };
        call().await
    }

    /// The functions that take a transaction of the caller's.
    async fn join(&self, function: &str, caller: &Caller) -> Result<()> {
        let (authy, user) = (&self.authy, self.subject);
        let (role, guest, own) = (named("user"), named("guest"), &self.role);
        // Prepared by the operator: what counts is who writes.
        let registration = authy.prepare_registration(&operator(), new_user(&fresh_name("new"))).await?;
        let change = match function {
            "change_user_in" => Some(authy.prepare_change(&operator(), user, change()).await?),
            _ => None,
        };
        let mut client = authy_tests::database::connect(&self.database).await;
        let tx = client.transaction().await.unwrap();
        let write: Call<'_> = match function {
            "create_user_in" => later(|| ignore(authy.create_user_in(&tx, caller, &registration, &role))),
            "create_role_in" => later(|| ignore(authy.create_role_in(&tx, caller, own))),
            "delete_role_in" => later(|| ignore(authy.delete_role_in(&tx, caller, &own.name))),
            "grant_role_in" => later(|| ignore(authy.grant_role_in(&tx, caller, &guest, user))),
            "revoke_role_in" => later(|| ignore(authy.revoke_role_in(&tx, caller, &role, user))),
            "delete_user_in" => later(|| ignore(authy.delete_user_in(&tx, caller, user))),
            "restore_user_in" => later(|| ignore(authy.restore_user_in(&tx, caller, user))),
            "erase_user_in" => later(|| ignore(authy.erase_user_in(&tx, caller, user))),
            "send_reset_in" => later(|| ignore(authy.send_reset_in(&tx, caller, user))),
            "create_reset_in" => later(|| ignore(authy.create_reset_in(&tx, caller, user))),
            "change_user_in" => later(|| ignore(authy.change_user_in(&tx, caller, change.as_ref().unwrap()))),
            "end_sessions_in" => later(|| ignore(authy.end_sessions_in(&tx, caller, user))),
            unknown => panic!("nobody has said how to call {unknown}"),
        };
        write().await?;
        tx.commit().await.unwrap();
        Ok(())
    }

    /// What must be there before a function is called.
    async fn prepare(&self, function: &str) {
        match function.trim_end_matches("_in") {
            "delete_role" => drop(self.authy.create_role(&operator(), self.role.clone()).await.unwrap()),
            "restore_user" => self.authy.delete_user(&operator(), self.subject).await.unwrap(),
            _ => {}
        }
    }
}

/// A call that has yet to be made. Each makes its future in a frame of its own: together they would not fit on the stack of a test.
type Call<'a> = Box<dyn FnOnce() -> BoxFuture<'a, Result<()>> + Send + 'a>;

fn later<'a, F: Future<Output = Result<()>> + Send + 'a>(call: impl FnOnce() -> F + Send + 'a) -> Call<'a> {
    Box::new(|| call().boxed())
}

/// What a call made is of no interest here.
async fn ignore<T>(call: impl Future<Output = Result<T>>) -> Result<()> {
    call.await.map(drop)
}

fn named(role: &str) -> RoleName {
    role.parse().unwrap()
}

fn change() -> AccountChange {
    AccountChange::password(None, Secret::new(NEW_PASSWORD)).unwrap()
}

/// Somebody with that role only, logged in.
async fn somebody(authy: &Authy, role: &str) -> Caller {
    let name = fresh_name(role);
    authy.create_user(&operator(), new_user(&name), &role.parse().unwrap()).await.unwrap();
    Caller::user(identity(authy, &name).await, Origin::default())
}

async fn identity(authy: &Authy, name: &str) -> authy_core::Identity {
    let tokens = authy.login(&anonymous(), credentials(name)).await.unwrap();
    authy.authenticate(tokens.token.expose()).await.unwrap()
}

fn anonymous() -> Caller {
    Caller::nobody(Origin::default())
}

/// Why a call was refused for want of power; none when it was not, whatever else came of it.
fn refusal(answer: Result<()>) -> Option<ErrorKind> {
    let kind = answer.as_ref().err().map(Error::kind)?;
    let refusals =
        [ErrorKind::TokenRequired, ErrorKind::InvalidToken, ErrorKind::InsufficientLevel, ErrorKind::BeyondYourLevel];
    assert!(kind != ErrorKind::Internal, "{answer:?}");
    refusals.contains(&kind).then_some(kind)
}

/// An engine on a database whose settings were changed.
async fn engine_on(database: tokio_postgres::Config) -> Authy {
    Authy::builder(database).master_keys(MasterKeys::generate().unwrap()).config(cheap()).start().await.unwrap()
}
