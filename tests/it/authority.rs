//! Who may do what, asked of the engine itself, with no HTTP in between: an embedding program has no endpoint rows to
//! protect it.

use authy_core::{
    Authenticator as _, Authy, ClientInfo, Error, ErrorKind, Level, Result, RoleName, Secret, SessionId, UserId,
    api::{account::AccountChange, event::EventQuery, role::NewRole},
    engine::{Caller, ExportOptions, FirstAuthy, ImportOptions, ImportRecord, ImportSource, MasterKeys},
    time::now,
    tls::Roots,
};
use authy_tests::{PASSWORD, TestApp, cheap, credentials, fresh_name, new_account, new_user, old_database, operator};
use futures_util::{FutureExt as _, future::BoxFuture};

mod isolation;
mod late_body;
mod matrix;
mod race;

/// A password that no user has yet.
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
    /// A role that no user has.
    role: NewRole,
}

impl AuthorityFixture {
    async fn new(app: &TestApp, level: u32) -> Self {
        let authy = app.authy.clone();
        let name = fresh_name("subject");
        let subject = authy.users().register(&operator(), new_user(&name)).await.unwrap();
        let session = identity(&authy, &name).await.session_id;
        let role = NewRole {
            name: fresh_name("role").parse().unwrap(),
            description: "A role of the tests".parse().unwrap(),
            level: Level::clamped(level),
        };
        let query = EventQuery { user: Some(subject), ..EventQuery::default() };
        let stuck = authy.events().list(&query).await.unwrap().events.last().unwrap().event_id;
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
        let query = EventQuery { user: Some(user), ..EventQuery::default() };
        let call: PendingCall<'_> = match function {
            "users.create" => later(|| ignore(authy.users().create(caller, new_account(&fresh_name("new"), "user")))),
            "roles.create" => later(|| ignore(authy.roles().create(caller, own.clone()))),
            "roles.ensure" => later(|| ignore(authy.roles().ensure(caller, own.clone()))),
            "roles.delete" => later(|| authy.roles().delete(caller, &own.name)),
            "roles.grant" => later(|| authy.roles().grant(caller, &guest, user)),
            "roles.revoke" => later(|| authy.roles().revoke(caller, &role, user)),
            "users.delete" => later(|| authy.users().delete(caller, user)),
            "users.restore" => later(|| authy.users().restore(caller, user)),
            "users.erase" => later(|| authy.users().erase(caller, user)),
            "users.send_reset" => later(|| authy.users().send_reset(caller, user)),
            "users.create_reset" => later(|| ignore(authy.users().create_reset(caller, user))),
            "users.unlock" => later(|| authy.users().unlock(caller, user)),
            "users.change" => later(|| ignore(authy.users().change(caller, user, change()))),
            "sessions.end" => later(|| authy.sessions().end(caller, user, self.session)),
            "sessions.end_all" => later(|| authy.sessions().end_all(caller, user)),
            "keys.rotate" => later(|| ignore(authy.keys().rotate(caller))),
            "set_issuer" => later(|| authy.set_issuer(caller, own.name.as_str())),
            "keys.reseal" => later(|| ignore(authy.keys().reseal(caller))),
            "keys.revoke" => later(|| async {
                let keys = authy.keys().list().await.unwrap();
                authy.keys().revoke(caller, &keys.first().unwrap().kid).await
            }),
            "deliveries.retry" => later(|| authy.deliveries().retry(caller, SINK, self.stuck)),
            "deliveries.skip" => later(|| authy.deliveries().skip(caller, SINK, self.stuck)),
            "deliveries.dismiss" => later(|| authy.deliveries().dismiss(caller, SINK, self.stuck)),
            "deliveries.dismiss_all" => later(|| ignore(authy.deliveries().dismiss_all(caller, SINK, now()))),
            "users.create_first_administrator" => later(|| ignore(authy.users().create_first_administrator(caller))),
            "sessions.end_everyone" => later(|| ignore(authy.sessions().end_everyone(caller))),
            "import" => later(|| async {
                authy.import(caller, user_source(), &ImportOptions::default(), |_| ()).await.map(drop)
            }),
            "export" => later(|| async {
                let target = FirstAuthy {
                    database: old_database::create(&[]).await,
                    roots: Roots::platform(),
                    app_time_zone: None,
                    database_time_zone: None,
                };
                authy.export(caller, &target, &ExportOptions::default(), |_| ()).await.map(drop)
            }),
            "forget_fallback_hashes" => later(|| ignore(authy.forget_fallback_hashes(caller))),
            "recover" => later(|| ignore(authy.recover(caller))),
            "users.wrap_passwords" => later(|| ignore(authy.users().wrap_passwords(caller, |_| ()))),
            "sessions.issue_token" => later(|| ignore(authy.sessions().issue_token(caller, user))),
            "deliveries.list_notifications" => later(|| async {
                let events = authy.events().list(&query).await.unwrap().events;
                authy.deliveries().list_notifications(caller, events.last().unwrap()).await.map(drop)
            }),
            "sessions.logout" => later(|| authy.sessions().logout(caller)),
            "sessions.end_others" => later(|| authy.sessions().end_others(caller)),
            "users.resend_validation" => later(|| authy.users().resend_validation(caller)),
            "sessions.verify_password" => later(|| authy.sessions().verify_password(caller, &password)),
            joining => later(|| self.join(joining, caller)),
        };
        call().await
    }

    /// The functions that take a transaction of the caller's.
    async fn join(&self, function: &str, caller: &Caller) -> Result<()> {
        let (authy, user) = (&self.authy, self.subject);
        let (role, guest, own) = (named("user"), named("guest"), &self.role);
        // Prepared by the operator: what counts is who writes.
        let account = authy.users().prepare_account(&operator(), new_account(&fresh_name("new"), "user")).await?;
        let change = match function {
            "within.users.change" => Some(authy.users().prepare_change(&operator(), user, change()).await?),
            _ => None,
        };
        let mut client = authy_tests::database::connect(&self.database).await;
        let tx = client.transaction().await.unwrap();
        let write: PendingCall<'_> = match function {
            "within.users.create" => later(|| ignore(authy.within(&tx).users().create(caller, &account))),
            "within.roles.create" => later(|| ignore(authy.within(&tx).roles().create(caller, own))),
            "within.roles.ensure" => later(|| ignore(authy.within(&tx).roles().ensure(caller, own))),
            "within.roles.delete" => later(|| ignore(authy.within(&tx).roles().delete(caller, &own.name))),
            "within.roles.grant" => later(|| ignore(authy.within(&tx).roles().grant(caller, &guest, user))),
            "within.roles.revoke" => later(|| ignore(authy.within(&tx).roles().revoke(caller, &role, user))),
            "within.users.delete" => later(|| ignore(authy.within(&tx).users().delete(caller, user))),
            "within.users.restore" => later(|| ignore(authy.within(&tx).users().restore(caller, user))),
            "within.users.erase" => later(|| ignore(authy.within(&tx).users().erase(caller, user))),
            "within.users.send_reset" => later(|| ignore(authy.within(&tx).users().send_reset(caller, user))),
            "within.users.create_reset" => later(|| ignore(authy.within(&tx).users().create_reset(caller, user))),
            "within.users.change" => {
                later(|| ignore(authy.within(&tx).users().change(caller, change.as_ref().unwrap())))
            }
            "within.sessions.end_all" => later(|| ignore(authy.within(&tx).sessions().end_all(caller, user))),
            unknown => panic!("there is no call of {unknown}"),
        };
        write().await?;
        tx.commit().await.unwrap();
        Ok(())
    }

    /// What must be there before a function is called.
    async fn prepare(&self, function: &str) {
        match function.trim_start_matches("within.") {
            "roles.delete" => drop(self.authy.roles().create(&operator(), self.role.clone()).await.unwrap()),
            "users.restore" => self.authy.users().delete(&operator(), self.subject).await.unwrap(),
            "deliveries.dismiss" | "deliveries.dismiss_all" => {
                self.authy.deliveries().skip(&operator(), SINK, self.stuck).await.unwrap();
            }
            _ => {}
        }
    }
}

/// A call that has yet to be made. Each makes its future in a frame of its own: together they would not fit on the
/// stack of a test.
type PendingCall<'a> = Box<dyn FnOnce() -> BoxFuture<'a, Result<()>> + Send + 'a>;

fn later<'a, F: Future<Output = Result<()>> + Send + 'a>(call: impl FnOnce() -> F + Send + 'a) -> PendingCall<'a> {
    Box::new(|| call().boxed())
}

/// What a call made is of no interest here.
async fn ignore<T>(call: impl Future<Output = Result<T>>) -> Result<()> {
    call.await.map(drop)
}

/// Another user to import.
fn user_source() -> ImportSource {
    let mut record = ImportRecord::default();
    record.username = Some(fresh_name("imported"));
    ImportSource::records([record])
}

fn named(role: &str) -> RoleName {
    role.parse().unwrap()
}

fn change() -> AccountChange {
    AccountChange::password(None, Secret::new(NEW_PASSWORD)).unwrap()
}

/// A user with that role only, logged in.
async fn caller_with_role(authy: &Authy, role: &str) -> Caller {
    let name = fresh_name(role);
    authy.users().create(&operator(), new_account(&name, role)).await.unwrap();
    Caller::user(identity(authy, &name).await, ClientInfo::default())
}

async fn identity(authy: &Authy, name: &str) -> authy_core::Identity {
    let tokens = authy.sessions().login(&anonymous(), credentials(name)).await.unwrap();
    authy.authenticate(tokens.token.expose()).await.unwrap()
}

fn anonymous() -> Caller {
    Caller::anonymous(ClientInfo::default())
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
    Authy::builder(database)
        .without_background()
        .master_keys(MasterKeys::generate().unwrap())
        .config(cheap())
        .start()
        .await
        .unwrap()
}
