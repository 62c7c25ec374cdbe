//! What the examples share: a PostgreSQL to run on, and the code of the README and of the pages in docs, compiled.

use std::{env, error::Error};

use authy_postgres::Cluster;

/// Compiles the code of a page as a doctest. A test fails when a page with Rust code is missing here and in
/// `examples/pages`, which has the pages for services.
macro_rules! pages {
    ($($name:ident = $path:literal;)+) => { $(
        #[cfg(doctest)]
        #[doc = include_str!($path)]
        pub struct $name;
    )+ };
}

pages! {
    Readme = "../README.md";
    Accounts = "../docs/accounts.md";
    Axum = "../docs/axum.md";
    Embedding = "../docs/embedding.md";
    EventsAndSinks = "../docs/events-and-sinks.md";
    Testing = "../docs/testing.md";
    Ui = "../docs/ui.md";
}

/// What an example may fail with.
pub type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// The database that `DATABASE_URL` names, or else one of the example's own, which is gone when the example ends.
pub struct ExampleDatabase {
    config: tokio_postgres::Config,
    _own: Option<(Cluster, tempfile::TempDir)>,
}

impl ExampleDatabase {
    /// Opens or creates it.
    ///
    /// # Errors
    /// When `DATABASE_URL` cannot be read, or PostgreSQL is not installed.
    pub async fn open() -> Result<Self> {
        if let Ok(url) = env::var("DATABASE_URL") {
            return Ok(Self { config: url.parse()?, _own: None });
        }
        let folder = tempfile::Builder::new().prefix("authy-example-").tempdir()?;
        // PostgreSQL runs as a user of its own when the example is started by root, and has to get in.
        #[cfg(unix)]
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let cluster = Cluster::builder(folder.path()).start().await?;
        Ok(Self { config: cluster.config(), _own: Some((cluster, folder)) })
    }

    /// How to connect.
    pub fn config(&self) -> tokio_postgres::Config {
        self.config.clone()
    }
}
