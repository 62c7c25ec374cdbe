//! An attacker signs up with another user's address: the owner confirms it from the mailbox and has it, and
//! nothing of the attacker's gives access. (Sudhodanan and Paverd, "Pre-hijacked accounts", USENIX Security 2022.)

use authy_client::Client;
use authy_core::{
    ErrorKind, Secret, UserId,
    api::{
        account::{AccountChange, Code, ForgottenPassword, PasswordReset},
        event::EventKind,
        session::{Credentials, RefreshToken, Tokens},
        user::{Deletion, NewAccount, NewUser},
    },
};
use authy_tests::{TestApp, at_once, fresh_name, new_account, operator};

const OWNER_PASSWORD: &str = "gooseberry-semaphore-77";
const ATTACKER_PASSWORD: &str = "carousel-marmalade-58";
const NEXT: &str = "periwinkle-gyroscope-31";

/// Signs up under a fresh name.
async fn sign_up(app: &TestApp, email: &str, password: &str) -> (UserId, String) {
    let name = fresh_name("someone");
    let user = NewUser::new(&name, email, Secret::new(password)).unwrap();
    (app.anonymous().register(user).await.unwrap().public_id, name)
}

async fn log_in(app: &TestApp, name: &str, password: &str) -> Result<Tokens, Option<ErrorKind>> {
    let answer = app.anonymous().login(Credentials::new(name, Secret::new(password))).await;
    answer.map_err(|error| error.kind())
}

/// An attacker, and everything that is prepared to get into the account of the owner of an address.
struct Attacker {
    id: UserId,
    name: String,
    /// The code of the sign-up, should the attacker ever read it.
    code: Secret,
    tokens: Option<Tokens>,
    pending: Option<Secret>,
}

impl Attacker {
    async fn sign_up(app: &TestApp, email: &str) -> Self {
        let (id, name) = sign_up(app, email, ATTACKER_PASSWORD).await;
        let code = app.code(id, EventKind::UserRegistered).await;
        let mut attacker = Self { id, name, code, tokens: None, pending: None };
        if let Ok(tokens) = log_in(app, &attacker.name, ATTACKER_PASSWORD).await {
            let own = format!("{}@attacker.example", attacker.name);
            let change = AccountChange::email(Some(Secret::new(ATTACKER_PASSWORD)), own.parse().unwrap());
            app.anonymous().with_token(tokens.token.clone()).change_user(id, change).await.unwrap();
            attacker.pending = Some(app.code(id, EventKind::EmailRequested).await);
            attacker.tokens = Some(tokens);
        }
        attacker
    }

    /// That nothing that was prepared opens anything any more.
    async fn is_shut_out(&self, app: &TestApp, when: &str) {
        if let Some(tokens) = &self.tokens {
            let session = app.anonymous().with_token(tokens.token.clone());
            assert_eq!(session.get_self().await.unwrap_err().kind(), Some(ErrorKind::InvalidToken), "{when}");
            let refresh_token = tokens.refresh_token.clone();
            assert!(app.anonymous().refresh(RefreshToken { refresh_token }).await.is_err(), "{when}");
        }
        let codes = [Some(&self.code), self.pending.as_ref()];
        for code in codes.into_iter().flatten() {
            let refused = app.anonymous().validate(Code::new(code.clone())).await.unwrap_err();
            assert_eq!(refused.kind(), Some(ErrorKind::NotFound), "{when}");
        }
    }

    /// That the account is not the owner's, and has nothing of the address.
    async fn has_lost(&self, app: &TestApp, admin: &Client, address: &str, when: &str) {
        self.is_shut_out(app, when).await;
        let view = admin.get_user(self.id).await.unwrap();
        assert!(view.email.as_str() != address && !view.validated, "{when}: {view:?}");
        let released = "SELECT count(*) FROM authy.event WHERE subject = $1 AND kind = 'email.released'
                        AND ip IS NULL AND user_agent IS NULL AND request_id IS NULL";
        let released_events = app.sql().await.query_one(released, &[self.id.as_uuid()]).await.unwrap();
        assert_eq!(
            released_events.get::<_, i64>(0),
            1,
            "{when}: an event says so, and not from where the owner confirmed"
        );
    }
}

async fn app(require_validated: bool) -> TestApp {
    TestApp::with(|config, _| config.require_validated = require_validated).await
}

fn address() -> String {
    format!("{}@example.org", fresh_name("owner"))
}

/// The accounts that are sent a code when the password of an address is forgotten.
async fn request_reset(app: &TestApp, address: &str) -> Vec<UserId> {
    let sql = app.sql().await;
    sql.execute("DELETE FROM authy.code WHERE purpose = 'reset'", &[]).await.unwrap();
    app.anonymous().forgot_password(ForgottenPassword { email: address.parse().unwrap() }).await.unwrap();
    let codes = sql.query("SELECT user_id FROM authy.code WHERE purpose = 'reset' AND user_id IS NOT NULL", &[]);
    codes.await.unwrap().iter().map(|row| row.get::<_, uuid::Uuid>(0).into()).collect()
}

#[tokio::test]
async fn an_attacker_who_signed_up_first_does_not_keep_the_address_from_its_owner() {
    for require_validated in [false, true] {
        for is_first in [true, false] {
            let when = format!("require_validated {require_validated}, the attacker is first: {is_first}");
            let app = app(require_validated).await;
            let (admin, address) = (app.admin().await, address());
            let (attacker, (owner, name)) = if is_first {
                let attacker = Attacker::sign_up(&app, &address).await;
                (attacker, sign_up(&app, &address.to_uppercase(), OWNER_PASSWORD).await)
            } else {
                let owner = sign_up(&app, &address, OWNER_PASSWORD).await;
                (Attacker::sign_up(&app, &address).await, owner)
            };
            let code = app.code(owner, EventKind::UserRegistered).await;
            assert_eq!(app.anonymous().validate(Code::new(code)).await.unwrap().public_id, owner, "{when}");
            attacker.has_lost(&app, &admin.client, &address, &when).await;

            let tokens = log_in(&app, &name, OWNER_PASSWORD).await.unwrap();
            let view = app.anonymous().with_token(tokens.token).get_self().await.unwrap();
            assert_eq!((view.public_id, view.email.as_str().to_lowercase()), (owner, address.clone()), "{when}");
            assert!(log_in(&app, &name, ATTACKER_PASSWORD).await.is_err(), "{when}");
            assert_eq!(request_reset(&app, &address).await, [owner], "{when}");
            // The attacker's account is the attacker's, without the address; where a confirmed one is asked for, it is
            // shut.
            match log_in(&app, &attacker.name, ATTACKER_PASSWORD).await {
                Ok(tokens) => {
                    assert!(!require_validated, "{when}");
                    let resent = app.anonymous().with_token(tokens.token).resend_validation().await.unwrap_err();
                    assert_eq!(resent.kind(), Some(ErrorKind::AlreadyRegistered), "{when}: no address to send it to");
                }
                Err(kind) => assert!(require_validated && kind == Some(ErrorKind::NotValidated), "{when}: {kind:?}"),
            }
            let codes = "SELECT count(*) FROM authy.code WHERE user_id = $1";
            let row = app.sql().await.query_one(codes, &[attacker.id.as_uuid()]).await.unwrap();
            assert_eq!(row.get::<_, i64>(0), 0, "{when}: nothing is sent to an address that is gone");
            // From now on it is taken.
            let again = NewUser::new(&fresh_name("again"), &address, Secret::new(ATTACKER_PASSWORD)).unwrap();
            let taken = app.anonymous().register(again).await.unwrap_err();
            assert_eq!(taken.kind(), Some(ErrorKind::AlreadyRegistered), "{when}");
        }
    }
}

#[tokio::test]
async fn a_reset_of_an_account_that_an_attacker_made_gives_it_to_the_owner_alone() {
    for require_validated in [false, true] {
        let when = format!("require_validated {require_validated}");
        let app = app(require_validated).await;
        let (admin, address) = (app.admin().await, address());
        let other = Attacker::sign_up(&app, &address).await;
        let attacker = Attacker::sign_up(&app, &address).await;
        // The one that was made last: who signs up and loses the mail is sent to the own account.
        assert_eq!(request_reset(&app, &address).await, [attacker.id], "{when}");
        let code = app.code(attacker.id, EventKind::ResetRequested).await;
        app.anonymous().reset_password(PasswordReset::new(code, Secret::new(NEXT)).unwrap()).await.unwrap();
        attacker.is_shut_out(&app, &when).await;
        // The other account may be the owner's as well: it is left alone, and cannot confirm the address any more.
        assert!(!admin.client.get_user(other.id).await.unwrap().validated, "{when}");
        let refused = app.anonymous().validate(Code::new(other.code.clone())).await.unwrap_err();
        // Where a confirmed address is required, its attempts to log in have revoked the code as well.
        let expected = if require_validated { ErrorKind::NotFound } else { ErrorKind::AlreadyRegistered };
        assert_eq!(refused.kind(), Some(expected), "{when}");
        assert_eq!(log_in(&app, &other.name, ATTACKER_PASSWORD).await.is_ok(), !require_validated, "{when}");
        let view = admin.client.get_user(attacker.id).await.unwrap();
        assert!(view.validated && view.email.as_str() == address, "{when}: {view:?}");
        assert!(log_in(&app, &attacker.name, ATTACKER_PASSWORD).await.is_err(), "{when}");
        // With the device that the attacker made known as well: it went with the password.
        if let Some(device) = attacker.tokens.as_ref().and_then(|tokens| tokens.device_token.clone()) {
            let known = app.anonymous().with_device_token(&device);
            assert!(
                known.login(Credentials::new(&attacker.name, Secret::new(ATTACKER_PASSWORD))).await.is_err(),
                "{when}"
            );
            let counted = "SELECT failures FROM authy.throttle WHERE failures > 1";
            let failures = app.sql().await.query(counted, &[]).await.unwrap();
            assert!(!failures.is_empty(), "{when}: both guesses count together, so the device is not known");
        }
        let tokens = log_in(&app, &attacker.name, NEXT).await.unwrap();
        let own = app.anonymous().with_token(tokens.token);
        let roles: Vec<_> = own.get_own_roles().await.unwrap().roles.into_iter().map(|role| role.level.get()).collect();
        assert_eq!(roles, [10], "{when}");
        assert_eq!(own.list_sessions().await.unwrap().sessions.len(), 1, "{when}");
        assert_eq!(own.export_self().await.unwrap().user.pending_email, None, "{when}");
    }
}

#[tokio::test]
async fn an_unconfirmed_account_that_is_deleted_or_erased_keeps_no_address() {
    let app = TestApp::new().await;
    let (root, address) = (app.superadmin().await, address());
    let (deleted, _) = sign_up(&app, &address, ATTACKER_PASSWORD).await;
    root.client.delete_user(deleted, Deletion::PLAIN).await.unwrap();
    let (erased, _) = sign_up(&app, &address, ATTACKER_PASSWORD).await;
    root.client.delete_user(erased, Deletion::ERASE).await.unwrap();
    let (owner, _) = sign_up(&app, &address, OWNER_PASSWORD).await;
    let code = app.code(owner, EventKind::UserRegistered).await;
    app.anonymous().validate(Code::new(code)).await.unwrap();
    root.client.restore_user(deleted).await.unwrap();
    let view = root.client.get_user(deleted).await.unwrap();
    assert!(!view.deleted && view.email.as_str() != address, "{view:?}");
    assert_eq!(request_reset(&app, &address).await, [owner]);
    // What was confirmed stays taken, whatever becomes of its user.
    for deletion in [Deletion::PLAIN, Deletion::ERASE] {
        root.client.delete_user(owner, deletion).await.unwrap();
        let again = NewUser::new(&fresh_name("again"), &address, Secret::new(ATTACKER_PASSWORD)).unwrap();
        let taken = app.anonymous().register(again).await.unwrap_err();
        assert_eq!(taken.kind(), Some(ErrorKind::AlreadyRegistered));
    }
}

#[tokio::test]
async fn of_many_who_confirm_one_address_at_once_one_has_it() {
    let app = TestApp::new().await;
    for _ in 0..4 {
        let address = address();
        let mut accounts = Vec::new();
        for _ in 0..5 {
            let (id, _) = sign_up(&app, &address, ATTACKER_PASSWORD).await;
            accounts.push((id, app.code(id, EventKind::UserRegistered).await));
        }
        let answers = at_once(5, |number| {
            let (anonymous, (id, code)) = (app.anonymous(), accounts[number].clone());
            async move { (id, anonymous.validate(Code::new(code)).await.map_err(|error| error.kind())) }
        })
        .await;
        let winners: Vec<_> = answers.iter().filter(|(_, answer)| answer.is_ok()).map(|(id, _)| *id).collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        let refused = |kind: &Option<ErrorKind>| *kind == Some(ErrorKind::NotFound);
        assert!(answers.iter().filter_map(|(_, answer)| answer.as_ref().err()).all(refused), "{answers:?}");
        let holders = "SELECT public_id, validated_at IS NOT NULL FROM authy.users WHERE email = $1";
        let rows = app.sql().await.query(holders, &[&address]).await.unwrap();
        let holders: Vec<(UserId, bool)> =
            rows.iter().map(|row| (row.get::<_, uuid::Uuid>(0).into(), row.get(1))).collect();
        assert_eq!(holders, [(winners[0], true)]);
    }
}

#[tokio::test]
async fn an_address_that_is_vouched_for_or_changed_to_is_taken_off_those_who_did_not_confirm_it() {
    let app = TestApp::new().await;
    let (admin, vouched, wanted) = (app.admin().await, address(), address());
    let attacker = Attacker::sign_up(&app, &vouched).await;
    let user = NewAccount { email: vouched.parse().unwrap(), ..new_account(&fresh_name("vouched"), "user") };
    let owner = app.authy.users().create(&operator(), user).await.unwrap();
    attacker.has_lost(&app, &admin.client, &vouched, "vouched for").await;
    assert_eq!(request_reset(&app, &vouched).await, [owner]);

    let attacker = Attacker::sign_up(&app, &wanted).await;
    let test_user = app.user().await;
    test_user.client.change_user(test_user.id, AccountChange::email(None, wanted.parse().unwrap())).await.unwrap();
    let code = app.code(test_user.id, EventKind::EmailRequested).await;
    app.anonymous().validate(Code::new(code)).await.unwrap();
    attacker.has_lost(&app, &admin.client, &wanted, "changed to").await;
    assert_eq!(request_reset(&app, &wanted).await, [test_user.id]);
}

#[tokio::test]
async fn thousands_of_sign_ups_with_one_address_do_not_keep_its_owner_from_confirming_it() {
    let app = app(false).await;
    let (admin, address) = (app.admin().await, address());
    let crowd = "INSERT INTO authy.users (public_id, username, username_key, email, email_key)
                 SELECT gen_random_uuid(), 'crowd-' || number, 'crowd-' || number, $1, $1 FROM generate_series(1, 5000) AS number";
    app.sql().await.execute(crowd, &[&address]).await.unwrap();
    let owner = Attacker::sign_up(&app, &address).await;
    app.anonymous().validate(Code::new(owner.code.clone())).await.unwrap();
    assert!(admin.client.get_user(owner.id).await.unwrap().validated);
    let named = "SELECT count(*) FROM authy.users WHERE email_key = $1 AND validated_at IS NOT NULL";
    assert_eq!(app.sql().await.query_one(named, &[&address]).await.unwrap().get::<_, i64>(0), 1);
}
