//! Server programs that fail, and clusters that cannot be read: each refusal says why, and nothing is left half made.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use authy_postgres::{Cluster, Error};
use rustix::process::{Pid, Signal, kill_process};

/// A folder that PostgreSQL's user can enter when the tests run as root.
fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("authy-pg-").permissions(Permissions::from_mode(0o755)).tempdir().unwrap()
}

/// A folder with server programs that are scripts.
fn scripts(postgres: &str, initdb: &str) -> tempfile::TempDir {
    let folder = folder();
    let version = "[ \"$1\" = --version ] && echo 'postgres (PostgreSQL) 15.0' && exit";
    for (program, script) in [("postgres", format!("{version}\n{postgres}")), ("initdb", initdb.to_owned())] {
        // By another process: a program that is started at the same moment would inherit the open file, which could not
        // be run until then (ETXTBSY).
        let mut write = Command::new("sh");
        write.args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod 755 \"$1\"", "sh"]);
        assert!(write.arg(folder.path().join(program)).arg(script).status().unwrap().success());
    }
    folder
}

/// Creates what looks like a cluster of version 15. Its folder is the second argument of `initdb`.
const INITDB: &str = "echo 15 > \"$2/PG_VERSION\"";

async fn start(folder: &Path, programs: &Path) -> Result<Cluster, Error> {
    Cluster::builder(folder).programs(programs).dangerous_volatile().start().await
}

/// The installed programs, as links that a test can remove.
fn links() -> tempfile::TempDir {
    let folder = folder();
    for program in ["postgres", "initdb"] {
        symlink(installed().join(program), folder.path().join(program)).unwrap();
    }
    folder
}

fn installed() -> PathBuf {
    fs::read_dir("/usr/lib/postgresql").unwrap().next().unwrap().unwrap().path().join("bin")
}

fn kill(cluster: &Cluster) {
    kill_process(Pid::from_raw(cluster.pid().unwrap().cast_signed()).unwrap(), Signal::KILL).unwrap();
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_initdb_that_fails_is_quoted_and_leaves_no_cluster() {
    let (folder, programs) = (folder(), scripts("exit 1", "echo 'no space left' >&2; exit 1"));
    let refused = start(folder.path(), programs.path()).await.unwrap_err();
    assert!(matches!(&refused, Error::Initdb { output } if output == "no space left"), "{refused}");
    assert!(!folder.path().join("postgres").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_be_started_is_named() {
    let (folder, programs) = (folder(), scripts("exit 1", INITDB));
    fs::set_permissions(programs.path().join("initdb"), Permissions::from_mode(0o644)).unwrap();
    let refused = start(folder.path(), programs.path()).await.unwrap_err();
    assert!(matches!(&refused, Error::Spawn { program, .. } if program.ends_with("initdb")), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_ends_while_it_starts_is_quoted() {
    let (folder, programs) = (folder(), scripts("echo 'FATAL:  a setting is wrong' >&2; exit 1", INITDB));
    let refused = start(folder.path(), programs.path()).await.unwrap_err();
    assert!(matches!(&refused, Error::Ended { log } if log.contains("a setting is wrong")), "{refused}");
    // The folder is free again.
    let refused = start(folder.path(), programs.path()).await.unwrap_err();
    assert!(matches!(refused, Error::Ended { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_version_cannot_be_read_is_refused_and_left_alone() {
    let (folder, programs) = (folder(), scripts("exit 1", "exit 1"));
    let version = folder.path().join("postgres/PG_VERSION");
    fs::create_dir(folder.path().join("postgres")).unwrap();
    fs::write(&version, "fifteen\n").unwrap();
    let refused = start(folder.path(), programs.path()).await.unwrap_err();
    assert!(matches!(&refused, Error::Unwritable { .. }) && refused.to_string().contains("no version"), "{refused}");
    assert_eq!(fs::read_to_string(&version).unwrap(), "fifteen\n");
    fs::remove_file(&version).unwrap();
    fs::create_dir(&version).unwrap();
    let refused = start(folder.path(), programs.path()).await.unwrap_err();
    assert!(matches!(&refused, Error::Unwritable { path, .. } if path.ends_with("PG_VERSION")), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_place_of_a_folder_is_refused_and_left_alone() {
    let programs = scripts("exit 1", INITDB);
    for name in ["postgres.new", "run", "lock"] {
        let folder = folder();
        let path = folder.path().join(name);
        match name {
            "lock" => fs::create_dir(&path).unwrap(),
            _ => fs::write(&path, "mine").unwrap(),
        }
        let refused = start(folder.path(), programs.path()).await.unwrap_err();
        assert!(matches!(&refused, Error::Unwritable { path: named, .. } if *named == path), "{name}: {refused}");
        assert!(name == "lock" || fs::read_to_string(&path).unwrap() == "mine");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_its_program_is_missing_it_comes_back_with_the_program() {
    let (folder, programs) = (folder(), links());
    let cluster = start(folder.path(), programs.path()).await.unwrap();
    let (program, aside) = (programs.path().join("postgres"), programs.path().join("aside"));
    fs::rename(&program, &aside).unwrap();
    kill(&cluster);
    until("it has ended", async || cluster.pid().is_none()).await;
    fs::rename(&aside, &program).unwrap();
    until("it is back", async || cluster.config().connect(tokio_postgres::NoTls).await.is_ok()).await;
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_cannot_be_restarted_can_be_stopped() {
    let (folder, programs) = (folder(), links());
    let cluster = start(folder.path(), programs.path()).await.unwrap();
    fs::remove_file(programs.path().join("postgres")).unwrap();
    kill(&cluster);
    until("it has ended", async || cluster.pid().is_none()).await;
    cluster.stop().await.unwrap();
    // Another program can use the folder.
    let again = Cluster::builder(folder.path()).dangerous_volatile().start().await.unwrap();
    again.stop().await.unwrap();
}
