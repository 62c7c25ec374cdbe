//! A real PostgreSQL, started, killed, orphaned, refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use std::{
    fs::{self, Permissions},
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use authy_postgres::{Cluster, Error, running};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio_postgres::{Client, NoTls};

/// A folder that PostgreSQL's user can enter when the tests run as root.
fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("authy-pg-").permissions(Permissions::from_mode(0o755)).tempdir().unwrap()
}

async fn start(folder: &Path) -> Result<Cluster, Error> {
    Cluster::builder(folder).dangerous_volatile().start().await
}

async fn connect(config: &tokio_postgres::Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn note(config: &tokio_postgres::Config, number: i32) {
    let client = connect(config).await.unwrap();
    client.batch_execute("CREATE TABLE IF NOT EXISTS note (number int)").await.unwrap();
    client.execute("INSERT INTO note VALUES ($1)", &[&number]).await.unwrap();
}

async fn notes(config: &tokio_postgres::Config) -> Vec<i32> {
    let rows = connect(config).await.unwrap().query("SELECT number FROM note ORDER BY number", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.cast_signed()).unwrap()
}

/// Returns whether it runs: without an init process, a zombie keeps its number.
fn is_alive(number: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
    test_kill_process(pid(number)).is_ok() && !stat.contains(") Z ")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_there_after_a_stop_and_a_start() {
    let folder = folder();
    let cluster = Cluster::builder(folder.path()).start().await.unwrap();
    note(&cluster.config(), 1).await;
    let postmaster = cluster.pid().unwrap();
    cluster.stop().await.unwrap();
    assert!(!is_alive(postmaster));
    assert!(running(folder.path()).is_none());
    let cluster = Cluster::builder(folder.path()).start().await.unwrap();
    assert_eq!(notes(&cluster.config()).await, [1]);
    assert_eq!(notes(&running(folder.path()).unwrap()).await, [1]);
    // Dropped, it stops as well.
    let postmaster = cluster.pid().unwrap();
    drop(cluster);
    assert!(!is_alive(postmaster));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_about_to_end_is_let_end_and_another_does_not_hold_up_a_stop() {
    let folder = folder();
    let cluster = Cluster::builder(folder.path()).start().await.unwrap();
    let (ending, idle) = (connect(&cluster.config()).await.unwrap(), connect(&cluster.config()).await.unwrap());
    let last = tokio::spawn(async move { ending.execute("SELECT pg_sleep(0.3)", &[]).await });
    let asleep = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    until("it sleeps", async || !idle.query(asleep, &[]).await.unwrap().is_empty()).await;
    let begun = Instant::now();
    cluster.stop().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "stopped after {:?}", begun.elapsed());
    last.await.unwrap().unwrap();
    idle.execute("SELECT", &[]).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_it_comes_back_with_what_was_committed() {
    let folder = folder();
    let cluster = Cluster::builder(folder.path()).start().await.unwrap();
    note(&cluster.config(), 7).await;
    let killed = cluster.pid().unwrap();
    kill_process(pid(killed), Signal::KILL).unwrap();
    until("it is back", async || {
        cluster.pid().is_some_and(|now| now != killed) && connect(&cluster.config()).await.is_ok()
    })
    .await;
    assert_eq!(notes(&cluster.config()).await, [7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_back_without_its_watchdog() {
    let folder = folder();
    let cluster = Cluster::builder(folder.path()).start().await.unwrap();
    let killed = cluster.pid().unwrap();
    for number in watchdogs(folder.path()).into_iter().chain([killed]) {
        kill_process(pid(number), Signal::KILL).unwrap();
    }
    until("it is back", async || {
        cluster.pid().is_some_and(|now| now != killed) && connect(&cluster.config()).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_takes_connections_and_does_not_answer_ends_the_start_with_its_last_words() {
    let folder = folder();
    start(folder.path()).await.unwrap().stop().await.unwrap();
    let settings = folder.path().join("postgres/postgresql.auto.conf");
    // Longer than the start asks each time.
    fs::write(settings, "pre_auth_delay = 4\n").unwrap();
    let slow = Cluster::builder(folder.path()).start_timeout(Duration::from_secs(1));
    match slow.start().await {
        Err(Error::Unreachable { source, log }) => {
            assert!(source.to_string().contains("no answer within 2 s"), "{source}");
            assert!(log.contains("ready to accept connections"), "{log}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_use_is_refused() {
    let folder = folder();
    let cluster = start(folder.path()).await.unwrap();
    let refused = start(folder.path()).await.unwrap_err();
    assert!(matches!(refused, Error::InUse { .. }), "{refused}");
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_another_version_is_refused_by_both_their_names() {
    let folder = folder();
    start(folder.path()).await.unwrap().stop().await.unwrap();
    fs::write(folder.path().join("postgres/PG_VERSION"), "9\n").unwrap();
    let refused = start(folder.path()).await.unwrap_err();
    assert!(matches!(refused, Error::OtherVersion { cluster: 9, .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_programs_it_says_so() {
    let (folder, empty) = (folder(), folder());
    let refused = Cluster::builder(folder.path()).programs(empty.path()).start().await.unwrap_err();
    assert!(matches!(refused, Error::NoProgramsIn { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_is_refused() {
    let refused = start(Path::new("/proc/authy")).await.unwrap_err();
    assert!(matches!(refused, Error::Unwritable { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn as_root_a_folder_that_no_other_user_can_enter_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = folder();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    let refused = start(&folder.path().join("data")).await.unwrap_err();
    assert!(matches!(refused, Error::NotTraversable { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_was_half_made_is_made_again() {
    let folder = folder();
    fs::create_dir(folder.path().join("postgres.new")).unwrap();
    fs::write(folder.path().join("postgres.new/PG_VERSION"), "15\n").unwrap();
    let cluster = start(folder.path()).await.unwrap();
    assert!(!folder.path().join("postgres.new").exists());
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_path_is_no_trouble() {
    let folder = folder();
    let deep = folder.path().join("d".repeat(60)).join("e".repeat(60));
    let cluster = start(&deep).await.unwrap();
    note(&cluster.config(), 1).await;
    assert_eq!(notes(&running(&deep).unwrap()).await, [1]);
    cluster.stop().await.unwrap();
}

/// A program that starts a cluster and does nothing more: this test binary again.
fn parent(folder: &Path, change: impl FnOnce(&mut Command)) -> (Child, u32) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "plays_the_parent", "--nocapture"]).env("AUTHY_TEST_PARENT", folder);
    change(command.stdout(Stdio::piped()).stderr(Stdio::null()));
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = lines.map_while(Result::ok).find_map(|line| line.split("postmaster ").nth(1)?.parse().ok());
    (child, said.expect("the parent started no PostgreSQL"))
}

#[tokio::test(flavor = "multi_thread")]
async fn plays_the_parent() {
    let Some(folder) = std::env::var_os("AUTHY_TEST_PARENT") else { return };
    let cluster = Cluster::builder(folder).start().await.unwrap();
    note(&cluster.config(), 42).await;
    println!("postmaster {}", cluster.pid().unwrap());
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_with_its_parent_however_that_ends_and_loses_nothing() {
    let folder = folder();
    let (mut parent, postmaster) = parent(folder.path(), |_| ());
    parent.kill().unwrap();
    parent.wait().unwrap();
    // Started at once, while the orphan may still run.
    let cluster = Cluster::builder(folder.path()).start().await.unwrap();
    assert!(!is_alive(postmaster));
    assert_eq!(notes(&cluster.config()).await, [42]);
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_ends_by_itself() {
    let folder = folder();
    let (mut parent, postmaster) = parent(folder.path(), |_| ());
    parent.kill().unwrap();
    parent.wait().unwrap();
    until("the orphan has ended", async || !is_alive(postmaster)).await;
}

/// The watchdogs of a folder that run.
fn watchdogs(folder: &Path) -> Vec<u32> {
    let processes =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_one = |number: &u32| {
        let line = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains("authy-watchdog") && line.contains(folder.to_str().unwrap()) && is_alive(*number)
    };
    processes.filter(is_one).collect()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_of_a_killed_program_leaves_the_next_one_alone() {
    let folder = folder();
    let (mut parent, _) = parent(folder.path(), |_| ());
    let [of_the_killed] = watchdogs(folder.path())[..] else { panic!("one watchdog was expected") };
    parent.kill().unwrap();
    parent.wait().unwrap();
    let cluster = Cluster::builder(folder.path()).start().await.unwrap();
    let postmaster = cluster.pid().unwrap();
    until("its watchdog has ended", async || !watchdogs(folder.path()).contains(&of_the_killed)).await;
    assert_eq!(cluster.pid(), Some(postmaster), "it was not restarted");
    assert!(is_alive(postmaster));
    assert_eq!(notes(&cluster.config()).await, [42]);
    assert_eq!(watchdogs(folder.path()).len(), 1);
    cluster.stop().await.unwrap();
}

/// A program that is killed before its PostgreSQL has a number.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_watchdog_that_was_told_no_number_ends_nothing() {
    let folder = folder();
    let first = start(folder.path()).await.unwrap();
    let [watchdog] = watchdogs(folder.path())[..] else { panic!("one watchdog was expected") };
    let line = fs::read_to_string(format!("/proc/{watchdog}/cmdline")).unwrap();
    let mut words = line.trim_end_matches('\0').split('\0');
    let mut command = Command::new(words.next().unwrap());
    let mut of_the_killed = command.args(words).stdin(Stdio::piped()).spawn().unwrap();
    first.stop().await.unwrap();
    of_the_killed.stdin.take().unwrap().write_all(b"starting\n").unwrap();
    let cluster = start(folder.path()).await.unwrap();
    let postmaster = cluster.pid();
    let ended = tokio::task::spawn_blocking(move || of_the_killed.wait()).await.unwrap();
    assert!(ended.unwrap().success());
    assert!(cluster.pid() == postmaster && is_alive(postmaster.unwrap()), "it was ended");
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_user_can_start_it() {
    if !rustix::process::geteuid().is_root() {
        // Then every other test shows it.
        return;
    }
    let nobody = uzers::get_user_by_name("nobody").unwrap();
    let folder = folder();
    std::os::unix::fs::chown(folder.path(), Some(nobody.uid()), Some(nobody.primary_group_id())).unwrap();
    // A copy that every user can read: the build folder may be closed to others.
    let program = folder.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = Command::new(&program);
    command.args(["--exact", "plays_the_ordinary_user"]).env("AUTHY_TEST_USER", folder.path().join("data"));
    let output = command.uid(nobody.uid()).gid(nobody.primary_group_id()).current_dir("/").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(folder.path().join("data/postgres/PG_VERSION").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn plays_the_ordinary_user() {
    let Some(folder) = std::env::var_os("AUTHY_TEST_USER") else { return };
    let cluster = start(Path::new(&folder)).await.unwrap();
    note(&cluster.config(), 1).await;
    cluster.stop().await.unwrap();
}
