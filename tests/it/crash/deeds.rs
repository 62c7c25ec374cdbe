//! What a server is killed in the middle of: every kind of write.

use authy_client::{Client, Error, Result};
use authy_core::{
    Authy, ErrorKind, RoleName, Secret, UserId,
    api::{
        account::{AccountChange, Code, ForgottenPassword, PasswordReset},
        event::EventKind,
        role::NewRole,
        session::{RefreshToken, Tokens},
        user::{Deletion, NewUser},
    },
    engine::{Caller, Origin},
};
use authy_tests::{PASSWORD, code, credentials, fresh_name, new_user, operator, until};
use uuid::Uuid;

/// Declares the deeds, and the list of them.
macro_rules! deeds {
    ($($(#[doc = $doc:literal])* $name:ident),+ $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Deed { $($(#[doc = $doc])* $name),+ }

        pub(super) const ALL: &[Deed] = &[$($name),+];
    };
}

deeds! {
    SignUp,
    LogIn,
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
    /// The same where somebody else has signed up with the address, and is logged in.
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

use Deed::*;

/// The password that is chosen.
const OTHER: &str = "carousel-marmalade-77";

/// Whom or what it is done to.
pub(super) struct Scene {
    /// The name of a user or a role.
    name: String,
    user: UserId,
    /// The one that is used, and two more of the same user's.
    sessions: Vec<Tokens>,
    /// Presented to be exchanged.
    presented: Option<Secret>,
    /// What came by mail.
    code: Option<Secret>,
    root: Secret,
    level: u32,
}

impl Deed {
    /// Everything that must be there before, done by a house that is not killed.
    pub(super) async fn prepare(self, house: &Authy, root: &Secret, round: u64) -> Scene {
        let name = fresh_name("victim");
        let mut scene = Scene {
            user: UserId::random(),
            sessions: Vec::new(),
            presented: None,
            code: None,
            root: root.clone(),
            level: 1000 + u32::try_from(round).unwrap(),
            name,
        };
        if matches!(self, CreateRole | DeleteRole | SignUp) {
            if self == DeleteRole {
                house.create_role(&operator(), scene.role()).await.unwrap();
            }
            return scene;
        }
        // Whether somebody is the last superadmin takes the longest to find out.
        let role = if matches!(self, RevokeRole | DeleteUser | EraseUser) { "superadmin" } else { "user" };
        let role = role.parse().unwrap();
        scene.user = match self {
            // Nobody vouches for the address.
            Validate | ConfirmContested | ResendValidation => {
                house.register(&nobody(), new_user(&scene.name)).await.unwrap()
            }
            _ => house.create_user(&operator(), new_user(&scene.name), &role).await.unwrap(),
        };
        let sessions = if matches!(self, LogIn) { 0 } else { 3 };
        for _ in 0..sessions {
            scene.sessions.push(house.login(&nobody(), credentials(&scene.name)).await.unwrap());
        }
        scene.presented = scene.sessions.first().map(|tokens| tokens.refresh_token.clone());
        match self {
            ConfirmEmail => {
                house.change_user(&operator(), scene.user, scene.other_email(None)).await.unwrap();
            }
            ResetPassword => house.forgot_password(&nobody(), &scene.forgotten()).await.unwrap(),
            ConfirmContested => {
                let rival = NewUser { username: scene.rival().parse().unwrap(), ..new_user(&scene.name) };
                house.register(&nobody(), rival).await.unwrap();
                house.login(&nobody(), credentials(&scene.rival())).await.unwrap();
            }
            RestoreUser => house.delete_user(&operator(), scene.user).await.unwrap(),
            _ => {}
        }
        scene.code = match self {
            Validate | ConfirmContested => Some(code(house, scene.user, EventKind::UserRegistered).await),
            ConfirmEmail => Some(code(house, scene.user, EventKind::EmailRequested).await),
            ResetPassword => Some(code(house, scene.user, EventKind::ResetRequested).await),
            _ => None,
        };
        let spent = match self {
            RefreshAgain => 1,
            Replay => 2,
            _ => 0,
        };
        let mut token = scene.presented.clone();
        for _ in 0..spent {
            token = Some(house.refresh(&nobody(), refresh(token.unwrap())).await.unwrap().refresh_token);
        }
        scene
    }

    /// Does it, once. A refresh yields its token.
    pub(super) async fn act(self, client: &Client, scene: &Scene) -> Result<Option<String>> {
        let root = || client.with_token(scene.root.clone());
        let own = || client.with_token(scene.sessions[0].token.clone());
        let role = |name: &str| name.parse::<RoleName>().unwrap();
        match self {
            SignUp => client.register(new_user(&scene.name)).await.map(|_| None),
            LogIn => client.login(credentials(&scene.name)).await.map(|_| None),
            GrantRole => root().grant_role(role("admin"), scene.user).await.map(|_| None),
            RevokeRole => root().revoke_role(role("superadmin"), scene.user).await.map(|_| None),
            DeleteUser => root().delete_user(scene.user, Deletion::PLAIN).await.map(|_| None),
            Refresh | RefreshAgain => {
                let tokens = client.refresh(refresh(scene.presented.clone().unwrap())).await?;
                Ok(Some(tokens.refresh_token.expose().to_owned()))
            }
            Replay => match client.refresh(refresh(scene.presented.clone().unwrap())).await {
                // That is its answer.
                Err(error) if error.kind() == Some(ErrorKind::InvalidRefreshToken) => Ok(None),
                Err(error) => Err(error),
                Ok(_) => panic!("a spent token was exchanged"),
            },
            LogOut => own().logout().await.map(|_| None),
            EndOtherSessions => {
                client.with_token(scene.sessions[1].token.clone()).end_other_sessions().await.map(|_| None)
            }
            EndUserSessions => root().end_user_sessions(scene.user).await.map(|_| None),
            CreateRole => root().create_role(scene.role()).await.map(|_| None),
            DeleteRole => root().delete_role(role(&scene.name)).await.map(|_| None),
            Validate | ConfirmContested | ConfirmEmail => {
                client.validate(Code::new(scene.code.clone().unwrap())).await.map(|_| None)
            }
            ResendValidation => own().resend_validation().await.map(|_| None),
            ChangePassword => {
                let change = AccountChange::password(Some(Secret::new(PASSWORD)), Secret::new(OTHER)).unwrap();
                own().change_user(scene.user, change).await.map(|_| None)
            }
            RequestEmail => {
                let change = scene.other_email(Some(Secret::new(PASSWORD)));
                own().change_user(scene.user, change).await.map(|_| None)
            }
            ForgetPassword => client.forgot_password(scene.forgotten()).await.map(|_| None),
            ResetPassword => {
                let code = scene.code.clone().unwrap();
                client.reset_password(PasswordReset::new(code, Secret::new(OTHER)).unwrap()).await.map(|_| None)
            }
            RestoreUser => root().restore_user(scene.user).await.map(|_| None),
            EraseUser => root().delete_user(scene.user, Deletion::ERASE).await.map(|_| None),
        }
    }

    /// Whether it was done.
    pub(super) async fn is_done(self, sql: &tokio_postgres::Client, scene: &Scene) -> bool {
        let user = *scene.user.as_uuid();
        let count = async |what: &str, id: &(dyn tokio_postgres::types::ToSql + Sync)| {
            let query = format!("SELECT count(*) FROM authy.{what}");
            sql.query_one(&query, &[id]).await.unwrap().get::<_, i64>(0)
        };
        let has = "user_role JOIN authy.role USING (role_id) WHERE user_id = $1 AND name = ";
        match self {
            SignUp => count("users WHERE username = $1", &scene.name).await == 1,
            LogIn => count("session WHERE user_id = $1", &user).await >= 1,
            GrantRole => count(&format!("{has}'admin'"), &user).await == 1,
            RevokeRole => count(&format!("{has}'superadmin'"), &user).await == 0,
            DeleteUser => count("users WHERE public_id = $1 AND deleted_at IS NOT NULL", &user).await == 1,
            Refresh => count("session WHERE session_id = $1 AND generation = 1", &scene.session(0)).await == 1,
            // It changes nothing but how long the session's access tokens may live.
            RefreshAgain => {
                count(
                    "session WHERE session_id = $1 AND access_until > rotated + interval '900 seconds'",
                    &scene.session(0),
                )
                .await
                    == 1
            }
            Replay | LogOut => {
                count("session WHERE session_id = $1 AND ended_at IS NOT NULL", &scene.session(0)).await == 1
            }
            EndOtherSessions => count("session WHERE user_id = $1 AND ended_at IS NOT NULL", &user).await == 2,
            EndUserSessions => count("session WHERE user_id = $1 AND ended_at IS NOT NULL", &user).await == 3,
            CreateRole => count("role WHERE name = $1", &scene.name).await == 1,
            DeleteRole => count("role WHERE name = $1", &scene.name).await == 0,
            Validate => count("users WHERE public_id = $1 AND validated_at IS NOT NULL", &user).await == 1,
            ConfirmContested => {
                count("users WHERE username = $1 AND email = 'unconfirmed@authy.invalid'", &scene.rival()).await == 1
                    && count("users WHERE public_id = $1 AND validated_at IS NOT NULL", &user).await == 1
            }
            ResendValidation => count("event WHERE subject = $1 AND kind = 'validation.requested'", &user).await >= 1,
            ChangePassword | ResetPassword => {
                count("event WHERE subject = $1 AND kind = 'password.changed'", &user).await == 1
            }
            RequestEmail => count("code WHERE user_id = $1 AND purpose = 'email'", &user).await == 1,
            ConfirmEmail => count("users WHERE email = $1", &scene.other_address()).await == 1,
            ForgetPassword => count("code WHERE user_id = $1 AND purpose = 'reset'", &user).await >= 1,
            RestoreUser => count("users WHERE public_id = $1 AND deleted_at IS NULL", &user).await == 1,
            EraseUser => count("users WHERE public_id = $1 AND erased_at IS NOT NULL", &user).await == 1,
        }
    }

    /// What whoever heard nothing does next, and what must come of it; then it is done, and done once.
    pub(super) async fn repeat(
        self,
        client: &Client,
        house: &Authy,
        scene: &Scene,
        was_done: bool,
        answer: Option<String>,
    ) {
        if self.voids() {
            let client = client.with_token(scene.sessions[0].token.clone());
            let is_void =
                async || client.get_self().await.is_err_and(|error| error.kind() == Some(ErrorKind::InvalidToken));
            if was_done {
                // The one who died may have told nobody; the others find out by themselves.
                until("the token is void", &is_void).await;
            } else {
                assert!(!is_void().await, "the token is void and nothing was done");
            }
        }
        let again = self.act(client, scene).await;
        if let Ok(Some(token)) = &again {
            let successor = house.refresh(&nobody(), refresh(scene.presented.clone().unwrap())).await.unwrap();
            assert_eq!(token, successor.refresh_token.expose(), "two successors");
            assert!(answer.is_none_or(|answer| answer == *token), "two successors");
        }
        let refused = again.err().map(|error: Error| error.kind().unwrap());
        assert_eq!(refused, self.refusal().filter(|_| was_done), "the repetition");
    }

    /// Whether the first session's token is void by it.
    fn voids(self) -> bool {
        match self {
            SignUp | LogIn | Refresh | RefreshAgain | CreateRole | DeleteRole => false,
            Validate | ConfirmContested | ResendValidation | RequestEmail | ForgetPassword => false,
            // It was before.
            RestoreUser => false,
            GrantRole | RevokeRole | DeleteUser | Replay | LogOut | EndOtherSessions | EndUserSessions => true,
            ChangePassword | ConfirmEmail | ResetPassword | EraseUser => true,
        }
    }

    /// What is said to whoever wants it done once more; where nothing is, it does no harm.
    fn refusal(self) -> Option<ErrorKind> {
        match self {
            SignUp => Some(ErrorKind::AlreadyRegistered),
            GrantRole => Some(ErrorKind::AlreadyAssigned),
            RevokeRole | DeleteRole | ResetPassword => Some(ErrorKind::NotFound),
            DeleteUser | EraseUser => Some(ErrorKind::AlreadyDeleted),
            RestoreUser => Some(ErrorKind::NotDeleted),
            LogOut | ChangePassword => Some(ErrorKind::InvalidToken),
            CreateRole => Some(ErrorKind::RoleExists),
            LogIn | Refresh | RefreshAgain | Replay | EndOtherSessions | EndUserSessions => None,
            // The code has done its work.
            Validate | ConfirmEmail | ConfirmContested => None,
            ResendValidation | RequestEmail | ForgetPassword => None,
        }
    }
}

impl Scene {
    fn role(&self) -> NewRole {
        NewRole {
            name: self.name.parse().unwrap(),
            description: "Made to go".parse().unwrap(),
            level: authy_core::Level::clamped(self.level),
        }
    }

    /// The name of somebody else.
    fn rival(&self) -> String {
        format!("rival-{}", self.name)
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

fn nobody() -> Caller {
    Caller::nobody(Origin::default())
}
