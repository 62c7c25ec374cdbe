//! A server of authy on a PostgreSQL of its own, and the tool as an operator runs it.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Output,
};

use authy_client::{Client, ClientInfo, Secret, Username, api::session::Credentials};
use authy_core::{
    Authy,
    engine::{Caller, Config, MasterKeys},
};
use authy_postgres::Cluster;
use authy_server::{
    HttpConfig, RateLimits, Server,
    sink::{MailConfig, MailSink, Mailer, Sender, Templates},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Command};

pub(crate) struct TestServer {
    url: String,
    administrator: (Username, Secret),
    _authy: Authy,
    _cluster: Cluster,
    folder: TempDir,
}

impl TestServer {
    /// Starts a server with a limit on the requests of an address, such as `10/second`.
    pub(crate) async fn start(limit: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // PostgreSQL runs as a user of its own when the test is run by root, and has to get in.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let cluster = Cluster::builder(folder.path().join("data")).dangerous_volatile().start().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());

        let mailer = Mailer::folder(&folder.path().join("mail")).unwrap();
        let mails = MailConfig {
            from: Sender::local().unwrap(),
            service: "operations".to_owned(),
            validate_url: format!("{url}/authy/validate/{{code}}").parse().unwrap(),
            reset_url: None,
            templates: Templates::load(None).unwrap(),
        };
        let authy = Authy::builder(cluster.config())
            .master_keys(MasterKeys::generate().unwrap())
            .config(Config { issuer: Some(url.clone()), ..Config::default() })
            .sink_with(|authy| Ok(MailSink::new(authy.clone(), mailer, mails)))
            .start()
            .await
            .unwrap();
        let operator = Caller::operator(ClientInfo::default());
        let administrator = authy.users().create_first_administrator(&operator).await.unwrap().unwrap();
        let limits = RateLimits { default: limit.parse().unwrap(), ..RateLimits::default() };
        let server = Server::new(authy.clone(), HttpConfig { limits, ..HttpConfig::default() });
        tokio::spawn(server.serve(listener, std::future::pending()));
        Self { url, administrator, _authy: authy, _cluster: cluster, folder }
    }

    pub(crate) fn client(&self) -> Client {
        Client::builder(&self.url).build().unwrap()
    }

    /// Returns a client with the token of the administrator.
    pub(crate) async fn administrator(&self) -> Client {
        let (name, password) = &self.administrator;
        let tokens = self.client().login(Credentials::new(name.as_str(), password.clone())).await.unwrap();
        self.client().with_token(tokens.token)
    }

    /// Returns a path in a folder that is removed with the server.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file with one user a line.
    pub(crate) fn users(&self, lines: impl IntoIterator<Item = String>) -> PathBuf {
        let path = self.path("users.csv");
        let lines: Vec<_> = lines.into_iter().collect();
        std::fs::write(&path, format!("username,email,role\n{}\n", lines.join("\n"))).unwrap();
        path
    }

    /// Runs the tool, and returns what it prints.
    pub(crate) async fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> String {
        let output = self.output(arguments).await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the tool, which fails, and returns its errors.
    pub(crate) async fn fail<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> String {
        let output = self.output(arguments).await;
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    async fn output<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Output {
        let (name, password) = &self.administrator;
        Command::new(env!("CARGO_BIN_EXE_authy-example-operations"))
            .args(arguments)
            .env("AUTHY", &self.url)
            .env("ADMIN_USERNAME", name.as_str())
            .env("ADMIN_PASSWORD", password.expose())
            .output()
            .await
            .unwrap()
    }

    /// Returns how many mails of a kind were sent.
    pub(crate) fn mails(&self, kind: &str) -> usize {
        let end = format!(".{kind}.eml");
        let names = std::fs::read_dir(self.path("mail")).unwrap().map(|file| file.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().ends_with(&end)).count()
    }
}

/// Returns the path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
