//! An installation of a size, and what is measured in it.

use authy_core::{
    Authenticator as _, Authy, Secret, UserId,
    api::{
        event::{EventKind, EventQuery},
        page::{ListCursor, PageNumber, PageSize},
        role::RoleUserQuery,
        user::UserQuery,
    },
    engine::{MasterKeys, fuzz},
};
use authy_tests::{cheap, credentials, database, fresh_name, new_account, new_user, operator};
use futures_util::future::BoxFuture;

use crate::fill::fill;

/// An operation; the number is that of the measurement.
type Operation = for<'a> fn(&'a Installation, usize) -> BoxFuture<'a, ()>;

/// An installation with many users.
pub(crate) struct Installation {
    authy: Authy,
    users: usize,
    /// The positions of the pages before the last ones.
    far: ListCursor,
    far_members: ListCursor,
    token: Secret,
}

impl Installation {
    pub(crate) async fn new(users: usize) -> Self {
        let database = database::fresh().await;
        let keys = MasterKeys::generate().unwrap();
        let authy = Authy::builder(database.clone())
            .without_background()
            .master_keys(keys)
            .config(cheap())
            .start()
            .await
            .unwrap();
        let root = fresh_name("root");
        authy.users().create(&operator(), new_account(&root, "superadmin")).await.unwrap();
        let sql = database::connect(&database).await;
        let phc: String = sql.query_one("SELECT phc FROM authy.password", &[]).await.unwrap().get(0);
        fill(&sql, users, &phc).await;
        let role = sql.query_one("SELECT role_id FROM authy.role WHERE name = 'user'", &[]).await.unwrap().get(0);
        let last = UserQuery { after: Some(fuzz::last_page(None)), ..UserQuery::default() };
        let far = authy.users().list(&last).await.unwrap().previous.unwrap();
        let last = RoleUserQuery { page: None, after: Some(fuzz::last_page(Some(role))) };
        let (_, members) = authy.roles().list_users(&"user".parse().unwrap(), &last).await.unwrap().unwrap();
        let token = authy.sessions().login(&operator(), credentials(&root)).await.unwrap().token;
        Self { authy, users, far, far_members: members.previous.unwrap(), token }
    }

    /// Another user for each measurement.
    fn name(&self, time: usize) -> String {
        format!("u-{}", time * self.users / 50)
    }

    async fn list(&self, query: UserQuery) {
        assert!(!self.authy.users().list(&query).await.unwrap().items.is_empty());
    }

    async fn list_members(&self, after: Option<ListCursor>) {
        let query = RoleUserQuery { page: None, after };
        let (_, page) = self.authy.roles().list_users(&"user".parse().unwrap(), &query).await.unwrap().unwrap();
        assert_eq!(page.items.len(), 20);
    }

    async fn find(&self, time: usize) -> UserId {
        self.authy.users().find_id(&self.name(time).parse().unwrap()).await.unwrap().unwrap()
    }
}

fn all() -> UserQuery {
    UserQuery::default()
}

fn search(q: &str) -> UserQuery {
    UserQuery { q: Some(q.to_owned()), ..all() }
}

macro_rules! operations {
    ($($name:literal: |$here:ident, $time:ident| $work:expr;)+) => {
        /// What is measured.
        pub(crate) const OPERATIONS: &[(&str, Operation)] = &[$(($name, |$here, $time| {
            let _ = $time;
            Box::pin(async move { $work; })
        })),+];
    };
}

operations! {
    "users, first page": |here, time| here.list(all()).await;
    "users, page 100 of 100 each": |here, time| here.list(UserQuery {
        page: PageNumber::new(100).ok(),
        per_page: PageSize::new(100).ok(),
        ..all()
    }).await;
    "users, far page": |here, time| here.list(UserQuery { after: Some(here.far.clone()), ..all() }).await;
    "users, q=u (everybody)": |here, time| here.list(search("u")).await;
    "users, q=u-1234": |here, time| here.list(search("u-1234")).await;
    "users, q=u&deleted=true": |here, time| here.list(UserQuery { deleted: Some(true), ..search("u") }).await;
    "users, deleted=true": |here, time| here.list(UserQuery { deleted: Some(true), ..all() }).await;
    "users, deleted=false&validated=true": |here, time| here.list(UserQuery {
        deleted: Some(false),
        validated: Some(true),
        ..all()
    }).await;
    "users, role=user": |here, time| here.list(UserQuery { role: "user".parse().ok(), ..all() }).await;
    "users, role=user&validated=false": |here, time| here.list(UserQuery {
        role: "user".parse().ok(),
        validated: Some(false),
        ..all()
    }).await;
    "members of user, first page": |here, time| here.list_members(None).await;
    "members of user, far page": |here, time| here.list_members(Some(here.far_members.clone())).await;
    "events, newest": |here, time| here.authy.events().list(&EventQuery::default()).await.unwrap();
    "events, a rare kind": |here, time| here.authy.events().list(&EventQuery {
        kind: Some(EventKind::RoleDeleted),
        ..EventQuery::default()
    }).await.unwrap();
    "events of a user": |here, time| {
        let user = Some(here.find(time).await);
        here.authy.events().list(&EventQuery { user, ..EventQuery::default() }).await.unwrap()
    };
    "find by name": |here, time| here.find(time).await;
    "check of a token": |here, time| here.authy.authenticate(here.token.expose()).await.unwrap();
    "login, with a cheap hash": |here, time| {
        here.authy.sessions().login(&operator(), credentials(&here.name(time))).await.unwrap()
    };
    "sign-up, with a cheap hash": |here, time| {
        here.authy.users().register(&operator(), new_user(&fresh_name("new"))).await.unwrap()
    };
    "grant of a role": |here, time| {
        let user = here.find(time).await;
        here.authy.roles().grant(&operator(), &"guest".parse().unwrap(), user).await.unwrap()
    };
    "revoke of a role": |here, time| {
        let user = here.find(time).await;
        here.authy.roles().revoke(&operator(), &"guest".parse().unwrap(), user).await.unwrap()
    };
    "export of a user": |here, time| here.authy.users().export(here.find(time).await).await.unwrap();
    "deletion of a user": |here, time| here.authy.users().delete(&operator(), here.find(time).await).await.unwrap();
    "erasure of a user": |here, time| {
        let name = format!("u-{}", time * here.users / 50 + 1);
        let user = here.authy.users().find_named(&name.parse().unwrap()).await.unwrap().unwrap();
        here.authy.users().erase(&operator(), user.public_id).await.unwrap()
    };
    "maintenance": |here, time| here.authy.maintain().await.unwrap();
}
