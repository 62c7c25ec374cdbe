//! Every kind of write, each of which a server is killed in the middle of.

use authy_client::{Client, Error, Result};
use authy_core::{
    Authy, ClientInfo, ErrorKind, RoleName, Secret, UserId,
    api::{
        account::{AccountChange, Code, ForgottenPassword, PasswordReset},
        event::EventKind,
        role::NewRole,
        session::{RefreshToken, Tokens},
        user::{Deletion, NewAccount, NewUser},
    },
    engine::Caller,
};
use authy_tests::{PASSWORD, code, credentials, fresh_name, legacy, new_account, new_user, operator, until};
use uuid::Uuid;

/// Declares the cases, and the list of them.
macro_rules! write_cases {
    ($($(#[doc = $doc:literal])* $name:ident),+ $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum WriteCase { $($(#[doc = $doc])* $name),+ }

        pub(crate) const ALL: &[WriteCase] = &[$($name),+];
    };
}

write_cases! {
    SignUp,
    /// With a password and a role, and vouched for, where another user has signed up with the address.
    CreateUser,
    /// Without a password.
    InviteUser,
    /// The code of the invitation sets the first password.
    AcceptInvitation,
    /// Another code for a user without a password.
    InviteAgain,
    LogIn,
    /// The first use of a token of an earlier system.
    OpenLegacy,
    GrantRole,
    RevokeRole,
    DeleteUser,
    Refresh,
    /// A token whose answer was lost, within the grace.
    RefreshAgain,
    /// A token that was spent long ago: the session ends.
    Replay,
    LogOut,
    EndOtherSessions,
    EndUserSessions,
    CreateRole,
    DeleteRole,
    /// The code that came with the sign-up.
    Validate,
    /// The same where another user has signed up with the address, and is logged in.
    ConfirmContested,
    ResendValidation,
    ChangePassword,
    RequestEmail,
    /// The code that went to the new address.
    ConfirmEmail,
    ForgetPassword,
    ResetPassword,
    RestoreUser,
    EraseUser,
}

use WriteCase::*;

/// The password that is chosen.
const OTHER: &str = "carousel-marmalade-77";

/// The user, role and tokens that a case works on.
pub(crate) struct Fixture {
    /// The name of a user or a role.
    name: String,
    user: UserId,
    /// The one that is used, and two more of the same user's.
    sessions: Vec<Tokens>,
    /// Presented to be exchanged, or as a token of an earlier system.
    presented: Option<Secret>,
    /// What came by mail.
    code: Option<Secret>,
    root: Secret,
    level: u32,
}

impl WriteCase {
    /// Makes everything that must be there before, with an engine that is not killed.
    pub(crate) async fn prepare(self, engine: &Authy, root: &Secret, round: u64) -> Fixture {
        let name = fresh_name("target");
        let mut fixture = Fixture {
            user: UserId::random(),
            sessions: Vec::new(),
            presented: None,
            code: None,
            root: root.clone(),
            level: 1000 + u32::try_from(round).unwrap(),
            name,
        };
        match self {
            CreateRole | SignUp | InviteUser => return fixture,
            DeleteRole => {
                engine.roles().create(&operator(), fixture.role()).await.unwrap();
                return fixture;
            }
            CreateUser => {
                fixture.user = sign_up_rival(engine, &fixture).await;
                return fixture;
            }
            AcceptInvitation | InviteAgain => {
                fixture.user = engine.users().create(&operator(), fixture.invited()).await.unwrap();
                fixture.code = Some(code(engine, fixture.user, EventKind::ResetRequested).await);
                return fixture;
            }
            _ => {}
        }
        // Whether a user is the last superadmin takes the longest to find out.
        let role = if matches!(self, RevokeRole | DeleteUser | EraseUser) { "superadmin" } else { "user" };
        fixture.user = match self {
            // The operator does not vouch for the address.
            Validate | ConfirmContested | ResendValidation => {
                engine.users().register(&anonymous(), new_user(&fixture.name)).await.unwrap()
            }
            _ => engine.users().create(&operator(), new_account(&fixture.name, role)).await.unwrap(),
        };
        let sessions = if matches!(self, LogIn | OpenLegacy) { 0 } else { 3 };
        for _ in 0..sessions {
            fixture.sessions.push(engine.sessions().login(&anonymous(), credentials(&fixture.name)).await.unwrap());
        }
        fixture.presented = match self {
            OpenLegacy => Some(legacy::token(fixture.user, &fixture.name).into()),
            _ => fixture.sessions.first().map(|tokens| tokens.refresh_token.clone()),
        };
        match self {
            ConfirmEmail => {
                engine.users().change(&operator(), fixture.user, fixture.other_email(None)).await.unwrap();
            }
            ResetPassword => engine.users().forgot_password(&anonymous(), &fixture.forgotten()).await.unwrap(),
            ConfirmContested => drop(sign_up_rival(engine, &fixture).await),
            RestoreUser => engine.users().delete(&operator(), fixture.user).await.unwrap(),
            _ => {}
        }
        fixture.code = match self {
            Validate | ConfirmContested => Some(code(engine, fixture.user, EventKind::UserRegistered).await),
            ConfirmEmail => Some(code(engine, fixture.user, EventKind::EmailRequested).await),
            ResetPassword => Some(code(engine, fixture.user, EventKind::ResetRequested).await),
            _ => None,
        };
        let spent = match self {
            RefreshAgain => 1,
            Replay => 2,
            _ => 0,
        };
        let mut token = fixture.presented.clone();
        for _ in 0..spent {
            token = Some(engine.sessions().refresh(&anonymous(), refresh(token.unwrap())).await.unwrap().refresh_token);
        }
        fixture
    }

    /// Sends the write once. A refresh yields its token.
    pub(crate) async fn act(self, client: &Client, fixture: &Fixture) -> Result<Option<String>> {
        let root = || client.with_token(fixture.root.clone());
        let own = || client.with_token(fixture.sessions[0].token.clone());
        let role = |name: &str| name.parse::<RoleName>().unwrap();
        match self {
            SignUp => client.register(new_user(&fixture.name)).await.map(|_| None),
            CreateUser => root().create_user(new_account(&fixture.name, "admin")).await.map(|_| None),
            InviteUser => root().create_user(fixture.invited()).await.map(|_| None),
            InviteAgain => root().send_reset(fixture.user).await.map(|_| None),
            LogIn => client.login(credentials(&fixture.name)).await.map(|_| None),
            OpenLegacy => client.with_token(fixture.presented.clone().unwrap()).get_self().await.map(|_| None),
            GrantRole => root().grant_role(role("admin"), fixture.user).await.map(|_| None),
            RevokeRole => root().revoke_role(role("superadmin"), fixture.user).await.map(|_| None),
            DeleteUser => root().delete_user(fixture.user, Deletion::PLAIN).await.map(|_| None),
            Refresh | RefreshAgain => {
                let tokens = client.refresh(refresh(fixture.presented.clone().unwrap())).await?;
                Ok(Some(tokens.refresh_token.expose().to_owned()))
            }
            Replay => match client.refresh(refresh(fixture.presented.clone().unwrap())).await {
                // That is its answer.
                Err(error) if error.kind() == Some(ErrorKind::InvalidRefreshToken) => Ok(None),
                Err(error) => Err(error),
                Ok(_) => panic!("a spent token was exchanged"),
            },
            LogOut => own().logout().await.map(|_| None),
            EndOtherSessions => {
                client.with_token(fixture.sessions[1].token.clone()).end_other_sessions().await.map(|_| None)
            }
            EndUserSessions => root().end_user_sessions(fixture.user).await.map(|_| None),
            CreateRole => root().create_role(fixture.role()).await.map(|_| None),
            DeleteRole => root().delete_role(role(&fixture.name)).await.map(|_| None),
            Validate | ConfirmContested | ConfirmEmail => {
                client.validate(Code::new(fixture.code.clone().unwrap())).await.map(|_| None)
            }
            ResendValidation => own().resend_validation().await.map(|_| None),
            ChangePassword => {
                let change = AccountChange::password(Some(Secret::new(PASSWORD)), Secret::new(OTHER)).unwrap();
                own().change_user(fixture.user, change).await.map(|_| None)
            }
            RequestEmail => {
                let change = fixture.other_email(Some(Secret::new(PASSWORD)));
                own().change_user(fixture.user, change).await.map(|_| None)
            }
            ForgetPassword => client.forgot_password(fixture.forgotten()).await.map(|_| None),
            ResetPassword | AcceptInvitation => {
                let code = fixture.code.clone().unwrap();
                client.reset_password(PasswordReset::new(code, Secret::new(OTHER)).unwrap()).await.map(|_| None)
            }
            RestoreUser => root().restore_user(fixture.user).await.map(|_| None),
            EraseUser => root().delete_user(fixture.user, Deletion::ERASE).await.map(|_| None),
        }
    }

    /// Whether the write was done.
    pub(crate) async fn is_done(self, sql: &tokio_postgres::Client, fixture: &Fixture) -> bool {
        let user = *fixture.user.as_uuid();
        let count = async |what: &str, id: &(dyn tokio_postgres::types::ToSql + Sync)| {
            let query = format!("SELECT count(*) FROM authy.{what}");
            sql.query_one(&query, &[id]).await.unwrap().get::<_, i64>(0)
        };
        let has = "user_role JOIN authy.role USING (role_id) WHERE user_id = $1 AND name = ";
        match self {
            SignUp => count("users WHERE username = $1", &fixture.name).await == 1,
            CreateUser => {
                count("users WHERE username = $1 AND validated_at IS NOT NULL", &fixture.name).await == 1
                    && count("users WHERE public_id = $1 AND email = 'unconfirmed@authy.invalid'", &user).await == 1
            }
            InviteUser => {
                count("code JOIN authy.users ON public_id = user_id WHERE username = $1", &fixture.name).await == 1
            }
            InviteAgain => count("code WHERE user_id = $1", &user).await >= 2,
            LogIn => count("session WHERE user_id = $1", &user).await >= 1,
            OpenLegacy => count("session WHERE user_id = $1", &user).await == 1,
            GrantRole => count(&format!("{has}'admin'"), &user).await == 1,
            RevokeRole => count(&format!("{has}'superadmin'"), &user).await == 0,
            DeleteUser => count("users WHERE public_id = $1 AND deleted_at IS NOT NULL", &user).await == 1,
            Refresh => count("session WHERE session_id = $1 AND generation = 1", &fixture.session(0)).await == 1,
            // It changes nothing but how long the session's access tokens may live.
            RefreshAgain => {
                count(
                    "session WHERE session_id = $1 AND access_until > rotated + interval '900 seconds'",
                    &fixture.session(0),
                )
                .await
                    == 1
            }
            Replay | LogOut => {
                count("session WHERE session_id = $1 AND ended_at IS NOT NULL", &fixture.session(0)).await == 1
            }
            EndOtherSessions => count("session WHERE user_id = $1 AND ended_at IS NOT NULL", &user).await == 2,
            EndUserSessions => count("session WHERE user_id = $1 AND ended_at IS NOT NULL", &user).await == 3,
            CreateRole => count("role WHERE name = $1", &fixture.name).await == 1,
            DeleteRole => count("role WHERE name = $1", &fixture.name).await == 0,
            Validate => count("users WHERE public_id = $1 AND validated_at IS NOT NULL", &user).await == 1,
            ConfirmContested => {
                count("users WHERE username = $1 AND email = 'unconfirmed@authy.invalid'", &fixture.rival()).await == 1
                    && count("users WHERE public_id = $1 AND validated_at IS NOT NULL", &user).await == 1
            }
            ResendValidation => count("event WHERE subject = $1 AND kind = 'validation.requested'", &user).await >= 1,
            ChangePassword | ResetPassword | AcceptInvitation => {
                count("event WHERE subject = $1 AND kind = 'password.changed'", &user).await == 1
            }
            RequestEmail => count("code WHERE user_id = $1 AND purpose = 'email'", &user).await == 1,
            ConfirmEmail => count("users WHERE email = $1", &fixture.other_address()).await == 1,
            ForgetPassword => count("code WHERE user_id = $1 AND purpose = 'reset'", &user).await >= 1,
            RestoreUser => count("users WHERE public_id = $1 AND deleted_at IS NULL", &user).await == 1,
            EraseUser => count("users WHERE public_id = $1 AND erased_at IS NOT NULL", &user).await == 1,
        }
    }

    /// Repeats the write as a caller without an answer does, and asserts what must come of it: it is done, and done
    /// once.
    pub(crate) async fn repeat(
        self,
        client: &Client,
        engine: &Authy,
        fixture: &Fixture,
        was_done: bool,
        answer: Option<String>,
    ) {
        if self.revokes() {
            let client = client.with_token(fixture.sessions[0].token.clone());
            let is_revoked =
                async || client.get_self().await.is_err_and(|error| error.kind() == Some(ErrorKind::InvalidToken));
            if was_done {
                // The killed server may have informed no other; the others find out by themselves.
                until("the token is revoked", &is_revoked).await;
            } else {
                assert!(!is_revoked().await, "the token is revoked and nothing was done");
            }
        }
        let again = self.act(client, fixture).await;
        if let Ok(Some(token)) = &again {
            let successor =
                engine.sessions().refresh(&anonymous(), refresh(fixture.presented.clone().unwrap())).await.unwrap();
            assert_eq!(token, successor.refresh_token.expose(), "two successors");
            assert!(answer.is_none_or(|answer| answer == *token), "two successors");
        }
        let refused = again.err().map(|error: Error| error.kind().unwrap());
        assert_eq!(refused, self.refusal().filter(|_| was_done), "the repetition");
    }

    /// Whether the first session's token is revoked by it.
    fn revokes(self) -> bool {
        match self {
            SignUp | CreateUser | InviteUser | AcceptInvitation | InviteAgain => false,
            LogIn | OpenLegacy | Refresh | RefreshAgain | CreateRole | DeleteRole => false,
            Validate | ConfirmContested | ResendValidation | RequestEmail | ForgetPassword => false,
            // It was before.
            RestoreUser => false,
            GrantRole | RevokeRole | DeleteUser | Replay | LogOut | EndOtherSessions | EndUserSessions => true,
            ChangePassword | ConfirmEmail | ResetPassword | EraseUser => true,
        }
    }

    /// The error of a repetition after the write was done. None where a repetition does no harm.
    fn refusal(self) -> Option<ErrorKind> {
        match self {
            SignUp | CreateUser | InviteUser => Some(ErrorKind::AlreadyRegistered),
            GrantRole => Some(ErrorKind::AlreadyAssigned),
            RevokeRole | DeleteRole | ResetPassword | AcceptInvitation => Some(ErrorKind::NotFound),
            DeleteUser | EraseUser => Some(ErrorKind::AlreadyDeleted),
            RestoreUser => Some(ErrorKind::NotDeleted),
            LogOut | ChangePassword => Some(ErrorKind::InvalidToken),
            CreateRole => Some(ErrorKind::RoleExists),
            LogIn | OpenLegacy | Refresh | RefreshAgain | Replay => None,
            EndOtherSessions | EndUserSessions => None,
            // The code has done its work.
            Validate | ConfirmEmail | ConfirmContested => None,
            ResendValidation | RequestEmail | ForgetPassword | InviteAgain => None,
        }
    }
}

/// Signs another user up with the address, who logs in.
async fn sign_up_rival(engine: &Authy, fixture: &Fixture) -> UserId {
    let rival = NewUser { username: fixture.rival().parse().unwrap(), ..new_user(&fixture.name) };
    let user = engine.users().register(&anonymous(), rival).await.unwrap();
    engine.sessions().login(&anonymous(), credentials(&fixture.rival())).await.unwrap();
    user
}

impl Fixture {
    fn role(&self) -> NewRole {
        NewRole {
            name: self.name.parse().unwrap(),
            description: "Made to go".parse().unwrap(),
            level: authy_core::Level::clamped(self.level),
        }
    }

    /// The name of another user.
    fn rival(&self) -> String {
        format!("rival-{}", self.name)
    }

    /// An account without a password.
    fn invited(&self) -> NewAccount {
        NewAccount::new(&self.name, &format!("{}@example.org", self.name)).unwrap()
    }

    fn other_address(&self) -> String {
        format!("{}@example.net", self.name)
    }

    fn other_email(&self, password: Option<Secret>) -> AccountChange {
        AccountChange::email(password, self.other_address().parse().unwrap())
    }

    fn forgotten(&self) -> ForgottenPassword {
        ForgottenPassword { email: format!("{}@example.org", self.name).parse().unwrap() }
    }

    /// The session of a refresh token, which begins with it.
    fn session(&self, number: usize) -> Uuid {
        self.sessions[number].refresh_token.expose().split('.').next().unwrap().parse().unwrap()
    }
}

fn refresh(token: Secret) -> RefreshToken {
    RefreshToken { refresh_token: token }
}

fn anonymous() -> Caller {
    Caller::anonymous(ClientInfo::default())
}
