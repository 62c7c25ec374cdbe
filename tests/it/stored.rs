//! What an import brings and today's rules would refuse: it is shown as it is, and its owners get in.

use authy_core::{
    Email, RoleName, UserId, Username,
    api::{session::Credentials, user::NewAccount},
};
use authy_tests::{PASSWORD, TestApp, TestUser, fresh_name, new_account, operator};
use serde_json::{from_value, json};

mod aliases;
mod levels;
mod mail;
mod reading;
mod role_names;

/// A name as it may be stored.
fn name(text: &str) -> Username {
    Username::existing(text).unwrap()
}

fn role(text: &str) -> RoleName {
    RoleName::existing(text).unwrap()
}

/// An app, and the users that an import has put into its database.
struct Imported {
    app: TestApp,
    sql: tokio_postgres::Client,
}

impl Imported {
    async fn new() -> Self {
        Self::into(TestApp::new().await).await
    }

    async fn into(app: TestApp) -> Self {
        let sql = app.sql().await;
        Self { app, sql }
    }

    /// A hash of a password.
    async fn hash(&self, password: &str) -> String {
        let account = new_account(&fresh_name("hashed"), "user");
        let password = Some(authy_core::NewPassword::new(password.into()).unwrap());
        let donor = self.app.authy.users().create(&operator(), NewAccount { password, ..account }).await.unwrap();
        let query = "DELETE FROM authy.password WHERE user_id = $1 RETURNING phc";
        self.sql.query_one(query, &[donor.as_uuid()]).await.unwrap().get(0)
    }

    /// A user with a role, who has the key of the name.
    async fn user(&self, username: &str, email: &str, role_name: &str) -> UserId {
        let key = name(username).key();
        self.user_with_key((username, &key), email, PASSWORD, role_name).await
    }

    /// A user whose name has the key of another user: found by an alias alone.
    async fn colliding_user(&self, username: &str, email: &str, password: &str) -> UserId {
        let key = format!("{} ALIAS {}", name(username).key(), UserId::random());
        let user = self.user_with_key((username, &key), email, password, "user").await;
        self.alias(username, user).await;
        user
    }

    async fn user_with_key(&self, name: (&str, &str), email: &str, password: &str, role: &str) -> UserId {
        let (id, phc) = (UserId::random(), self.hash(password).await);
        let email_key = from_value::<Email>(json!(email)).unwrap().key();
        let user = "INSERT INTO authy.users (public_id, username, username_key, email, email_key, validated_at)
                    VALUES ($1, $2, $3, $4, $5, now())";
        self.sql.execute(user, &[id.as_uuid(), &name.0, &name.1, &email, &email_key]).await.unwrap();
        let password = "INSERT INTO authy.password (user_id, phc) VALUES ($1, $2)";
        self.sql.execute(password, &[id.as_uuid(), &phc]).await.unwrap();
        let grant = "INSERT INTO authy.user_role (user_id, role_id) SELECT $1, role_id FROM authy.role WHERE name = $2";
        assert_eq!(self.sql.execute(grant, &[id.as_uuid(), &role]).await.unwrap(), 1, "no role {role:?}");
        id
    }

    async fn alias(&self, spelling: &str, user: UserId) {
        let alias = "INSERT INTO authy.alias (spelling, user_id, spelling_key) VALUES ($1, $2, $3)";
        self.sql.execute(alias, &[&spelling, user.as_uuid(), &name(spelling).key()]).await.unwrap();
    }

    async fn role(&self, name: &str, description: &str, level: i32) {
        let insert = "INSERT INTO authy.role (name, name_key, description, level) VALUES ($1, $2, $3, $4)";
        self.sql.execute(insert, &[&name, &role(name).key(), &description, &level]).await.unwrap();
    }

    /// The user as a login finds it, if the password opens an account.
    async fn opens(&self, username: &str, password: &str) -> Option<UserId> {
        let credentials = Credentials::new(username, password);
        match self.app.anonymous().login(credentials).await {
            Ok(tokens) => Some(tokens.public_id),
            Err(error) => {
                assert_eq!(error.status(), Some(401), "{username:?}: {error}");
                None
            }
        }
    }

    async fn log_in(&self, username: &str) -> TestUser {
        let tokens = self.app.anonymous().login(Credentials::new(username, PASSWORD)).await.unwrap();
        let client = self.app.anonymous().with_token(tokens.token.clone());
        let (token, refresh_token, id) = (tokens.token, tokens.refresh_token, tokens.public_id);
        TestUser { username: username.to_owned(), id, token, refresh_token, client }
    }
}
