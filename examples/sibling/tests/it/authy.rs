//! An authy server for a test, on a PostgreSQL of its own.

use std::future::pending;

use authy_client::{
    Client, RoleName, UserId,
    api::session::{Credentials, Tokens},
};
use authy_core::{
    Authy, ClientInfo,
    api::{role::NewRole, user::NewUser},
    engine::{Caller, Config, MasterKeys},
};
use authy_postgres::Cluster;
use authy_server::{HttpConfig, Server};
use tempfile::TempDir;
use tokio::net::TcpListener;

pub(crate) const PASSWORD: &str = "difference-engine-no-2";

/// Ends with the test.
pub(crate) struct AuthyServer {
    pub(crate) url: String,
    pub(crate) engine: Authy,
    _cluster: Cluster,
    _folder: TempDir,
}

impl AuthyServer {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cluster = Cluster::builder(folder.path()).dangerous_volatile().start().await.unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let config = Config { issuer: Some(url.clone()), ..Config::default() };
        let builder = Authy::builder(cluster.config()).master_keys(MasterKeys::generate().unwrap()).config(config);
        let engine = builder.start().await.unwrap();
        // It believes the addresses that the service passes on.
        let http = HttpConfig { trusted_proxies: vec!["127.0.0.1/32".parse().unwrap()], ..HttpConfig::default() };
        tokio::spawn(Server::new(engine.clone(), http).serve(listener, pending()));
        Self { url, engine, _cluster: cluster, _folder: folder }
    }

    /// Returns a client without a token.
    pub(crate) fn client(&self) -> Client {
        Client::builder(&self.url).build().unwrap()
    }

    /// Signs up a user with the role `user`.
    pub(crate) async fn sign_up(&self, name: &str) -> UserId {
        let user = NewUser::new(name, &format!("{name}@example.org"), PASSWORD).unwrap();
        self.engine.users().register(&self.operator(), user).await.unwrap()
    }

    /// Signs up a user, and logs in.
    pub(crate) async fn log_in(&self, name: &str) -> Tokens {
        self.sign_up(name).await;
        self.client().login(credentials(name)).await.unwrap()
    }

    /// Signs up a user with a role of level 5: an account for the background job.
    pub(crate) async fn service_account(&self) -> (UserId, Credentials) {
        let id = self.sign_up("bids").await;
        let name: RoleName = "accounts-reader".parse().unwrap();
        let role = NewRole {
            name: name.clone(),
            description: "Reads accounts".parse().unwrap(),
            level: 5.try_into().unwrap(),
        };
        self.engine.roles().ensure(&self.operator(), role).await.unwrap();
        self.engine.roles().grant(&self.operator(), &name, id).await.unwrap();
        (id, credentials("bids"))
    }

    pub(crate) fn operator(&self) -> Caller {
        Caller::operator(ClientInfo::default())
    }
}

pub(crate) fn credentials(name: &str) -> Credentials {
    Credentials::new(name, PASSWORD)
}
