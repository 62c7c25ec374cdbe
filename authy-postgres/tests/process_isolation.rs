//! What other processes and users of the machine can see of a cluster, and what they can make root start.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails panics")]

use std::{
    fs::{self, Permissions},
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use authy_postgres::{Cluster, Error};
use tokio_postgres::NoTls;

const SECRET: &str = "hunter2-of-the-master-key";

/// A folder that PostgreSQL's user can enter when the tests run as root.
fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("authy-pg-").permissions(Permissions::from_mode(0o755)).tempdir().unwrap()
}

/// The environments of all processes whose command line names a folder.
fn environments(folder: &Path) -> Vec<(String, String)> {
    let processes = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let read =
            |file: &str| fs::read(entry.path().join(file)).map(|text| String::from_utf8_lossy(&text).into_owned());
        let (command, environment) = (read("cmdline").ok()?, read("environ").ok()?);
        Some((command.replace('\0', " "), environment))
    });
    let folder = folder.to_str().unwrap();
    processes.filter(|(command, _)| command.contains(folder)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_child_has_the_environment_of_its_parent() {
    if !Path::new("/proc/self/environ").exists() {
        return;
    }
    let folder = folder();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "plays_the_parent", "--nocapture"]).env("AUTHY_TEST_PARENT", folder.path());
    command.env("AUTHY_MASTER_KEY", SECRET).env("PGPASSWORD", SECRET).env("LD_BIND_NOW", "1");
    let mut parent = command.stdout(Stdio::piped()).stdin(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("is ready")), "the parent started no PostgreSQL");
    let found = environments(&folder.path().canonicalize().unwrap());
    drop(parent.stdin.take());
    assert!(parent.wait().unwrap().success());
    for program in ["/postgres -D", "authy-watchdog"] {
        assert!(found.iter().any(|(command, _)| command.contains(program)), "{program} is missing from {found:?}");
    }
    for (command, environment) in found {
        // What is there is known, so that nothing else can be.
        let names = environment.split('\0').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name);
        let unknown: Vec<_> = names
            .filter(|name| {
                !["LC_ALL", "PATH", "TZ", "PGLOCALEDIR", "PGSYSCONFDIR", "PWD", "OLDPWD", "_", "SHLVL"].contains(name)
            })
            .collect();
        assert!(!environment.contains(SECRET) && unknown.is_empty(), "{command} has {unknown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plays_the_parent() {
    let Some(folder) = std::env::var_os("AUTHY_TEST_PARENT") else { return };
    let cluster = Cluster::builder(folder).dangerous_volatile().start().await.unwrap();
    println!("is ready");
    // Until the other side has looked.
    let _ = std::io::stdin().lines().next();
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_private_and_repeats_nothing_of_a_statement() {
    let folder = folder();
    // As an earlier version left it.
    let log = folder.path().join("postgres.log");
    fs::write(&log, "earlier").unwrap();
    fs::set_permissions(&log, Permissions::from_mode(0o644)).unwrap();
    let cluster = Cluster::builder(folder.path()).dangerous_volatile().start().await.unwrap();
    let (client, connection) = cluster.config().connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("CREATE TABLE account (name text PRIMARY KEY CHECK (name <> 'hunter2-row'))").await.unwrap();
    let insert = "INSERT INTO account VALUES ($1)";
    client.execute(insert, &[&"hunter2-key"]).await.unwrap();
    for value in ["hunter2-key", "hunter2-row"] {
        client.execute(insert, &[&value]).await.unwrap_err();
    }
    for statement in
        ["SELECT 'hunter2-number'::int", "SELECT hunter2_syntax syntax error", "SELECT * FROM hunter2_table"]
    {
        client.batch_execute(statement).await.unwrap_err();
    }
    client.batch_execute("DO $$ BEGIN RAISE WARNING 'hunter2-warning'; END $$").await.unwrap();
    // A backend that is killed has its statement in the details of the message.
    let killed = client.batch_execute("SELECT pg_terminate_backend(pg_backend_pid()), 'hunter2-killed'").await;
    killed.unwrap_err();
    let earlier = log.with_extension("log.1");
    for file in [&log, &earlier] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    cluster.stop().await.unwrap();
    let said = fs::read_to_string(&log).unwrap();
    assert!(said.contains("ready to accept connections"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

/// The programs that are installed, as links in a folder.
fn links(folder: &Path) -> PathBuf {
    let installed = fs::read_dir("/usr/lib/postgresql").unwrap().next().unwrap().unwrap().path().join("bin");
    for program in ["postgres", "initdb"] {
        std::os::unix::fs::symlink(installed.join(program), folder.join(program)).unwrap();
    }
    folder.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn root_starts_no_program_that_others_can_write_and_asks_none_for_its_version_as_root() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (folder, programs) = (folder(), folder());
    // A program of another user that records the user it runs as.
    let noted = programs.path().join("noted");
    fs::write(&noted, "").unwrap();
    fs::set_permissions(&noted, Permissions::from_mode(0o666)).unwrap();
    let script = format!("#!/bin/sh\nid -u >> {}\necho 'postgres (PostgreSQL) 15.0'\n", noted.display());
    for program in ["postgres", "initdb"] {
        let file = programs.path().join(program);
        fs::write(&file, &script).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o777)).unwrap();
    }
    let start = async |programs: &Path| Cluster::builder(folder.path().join("data")).programs(programs).start().await;
    let refused = start(programs.path()).await.unwrap_err();
    assert!(matches!(refused, Error::UnsafePrograms { .. }), "{refused}");
    assert_eq!(fs::read_to_string(&noted).unwrap(), "", "it was started");
    // No other user can write it, and still root does not run it.
    for program in ["postgres", "initdb"] {
        fs::set_permissions(programs.path().join(program), Permissions::from_mode(0o755)).unwrap();
    }
    start(programs.path()).await.unwrap_err();
    let noted = fs::read_to_string(&noted).unwrap();
    assert!(!noted.is_empty() && noted.lines().all(|uid| uid != "0"), "{noted}");
    // Links to good programs, in a folder in which another user can replace them.
    let open = tempfile::tempdir().unwrap();
    fs::set_permissions(open.path(), Permissions::from_mode(0o777)).unwrap();
    let refused = start(&links(open.path())).await.unwrap_err();
    assert!(matches!(refused, Error::UnsafePrograms { .. }), "{refused}");
}
