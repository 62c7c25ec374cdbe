//! Runs a private PostgreSQL cluster in a folder, for the lifetime of the program that needs it.
//!
//! It uses the installed server programs, listens on a unix socket that no other user can reach, is restarted when it
//! is killed, and ends when its parent ends, also by SIGKILL.
//!
//! ```no_run
//! # async fn start() -> Result<(), authy_postgres::Error> {
//! let cluster = authy_postgres::Cluster::builder("./data").start().await?;
//! let (client, connection) = cluster.config().connect(tokio_postgres::NoTls).await.unwrap();
//! # drop((client, connection));
//! cluster.stop().await
//! # }
//! ```
//!
//! A [`TestDatabase`] is a database for one test.

// docs.rs compiles with nightly and shows which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod cluster;
mod durability;
mod error;
mod folder;
mod os_user;
mod postmaster;
mod programs;
mod server_log;
mod test_database;
mod watchdog;

pub use cluster::{Cluster, ClusterBuilder, running};
pub use error::Error;
pub use test_database::TestDatabase;
