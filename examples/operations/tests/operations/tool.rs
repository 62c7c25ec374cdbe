//! The tool as an operator runs it, for a server of authy.

use std::{
    path::{Path, PathBuf},
    process::Output,
};

use authy_client::Client;
use authy_server::test_util::TestServer;
use tempfile::TempDir;
use tokio::process::Command;

pub(crate) struct Tool {
    pub(crate) authy: TestServer,
    folder: TempDir,
}

impl Tool {
    pub(crate) async fn new() -> Self {
        Self::of(TestServer::start().await)
    }

    pub(crate) fn of(authy: TestServer) -> Self {
        Self { authy, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn client(&self) -> Client {
        Client::builder(self.authy.url()).build().unwrap()
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
        self.command(arguments).output().await.unwrap()
    }

    /// Returns the tool as a command that runs it against the server.
    pub(crate) fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let administrator = &self.authy.administrator().credentials;
        let mut command = Command::new(env!("CARGO_BIN_EXE_authy-example-operations"));
        command
            .args(arguments)
            .env("AUTHY", self.authy.url())
            .env("ADMIN_USERNAME", &administrator.username)
            .env("ADMIN_PASSWORD", administrator.password.expose())
            .env("ADMIN_DEVICE_FILE", self.path("device"));
        command
    }
}

/// Returns the path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
