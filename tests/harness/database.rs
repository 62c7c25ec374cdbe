//! One PostgreSQL for all tests of a process, and a database of its own for each.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use authy_core::{Authy, engine::MasterKeys};
use authy_postgres::Cluster;
use tokio::runtime::Runtime;
use tokio_postgres::{NoTls, config::Host};

struct SharedCluster {
    cluster: Cluster,
    // The cluster is watched over from a runtime of its own: those of the tests end with the tests.
    runtime: Runtime,
    // Gone with the process at the latest; PostgreSQL ends when its parent does.
    _folder: tempfile::TempDir,
}

const TEMPLATE: &str = "authy_template";
const PREFIX: &str = "authy-test-";

/// A new database with the schema in it.
pub async fn fresh() -> tokio_postgres::Config {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let shared = shared();
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let config = shared.cluster.config_for(&name);
    let (create, admin) = (statement(&name, TEMPLATE), shared.cluster.config());
    // On the cluster's runtime, so that no test that ends early leaves a connection to the template behind.
    shared.runtime.spawn(async move { run(&admin, &create).await }).await.unwrap();
    config
}

/// A new database without a schema.
pub async fn empty() -> tokio_postgres::Config {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let shared = shared();
    let name = format!("empty_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    run(&shared.cluster.config(), &statement(&name, "template0")).await;
    shared.cluster.config_for(&name)
}

/// A new database without a schema, with these options of `CREATE DATABASE`.
pub async fn created_with(options: &str) -> tokio_postgres::Config {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let shared = shared();
    let name = format!("options_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    run(&shared.cluster.config(), &format!("CREATE DATABASE {name} {options}")).await;
    shared.cluster.config_for(&name)
}

/// A connection.
pub async fn connect(config: &tokio_postgres::Config) -> tokio_postgres::Client {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Runs a program of the PostgreSQL that a database is in, such as `pg_dump`. Returns what it prints.
///
/// # Panics
/// When it fails.
pub async fn run_program(program: &str, database: &tokio_postgres::Config, arguments: &[&str]) -> String {
    let sql = connect(database).await;
    let programs = sql.query_one("SELECT setting FROM pg_config() WHERE name = 'BINDIR'", &[]).await.unwrap();
    let [Host::Unix(socket)] = database.get_hosts() else { panic!("no socket") };
    let mut command = Command::new(PathBuf::from(programs.get::<_, &str>(0)).join(program));
    command.arg("-h").arg(socket).args(["-U", database.get_user().unwrap(), "-d", database.get_dbname().unwrap()]);
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Ends every connection to a database, and lets nobody connect to it again.
pub async fn close(config: &tokio_postgres::Config) {
    let name = config.get_dbname().unwrap().to_owned();
    run(&shared().cluster.config(), &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    run(&shared().cluster.config(), &end).await;
}

fn statement(name: &str, template: &str) -> String {
    // Copying files is the quicker way where the files are in memory.
    format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
}

async fn run(config: &tokio_postgres::Config, statement: &str) {
    connect(config).await.batch_execute(statement).await.unwrap();
}

fn shared() -> &'static SharedCluster {
    static SHARED: OnceLock<SharedCluster> = OnceLock::new();
    // On a thread of its own: a runtime cannot be entered from within another.
    SHARED.get_or_init(|| std::thread::spawn(start).join().unwrap())
}

fn start() -> SharedCluster {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let folder = folder();
    folder.path().parent().into_iter().for_each(sweep);
    let cluster = runtime.block_on(async {
        let cluster = Cluster::builder(folder.path()).dangerous_volatile().start().await.unwrap();
        run(&cluster.config(), &format!("CREATE DATABASE {TEMPLATE}")).await;
        let template = Authy::builder(cluster.config_for(TEMPLATE))
            .without_background()
            .master_keys(MasterKeys::generate().unwrap());
        template.migrate().await.unwrap();
        cluster
    });
    SharedCluster { cluster, runtime, _folder: folder }
}

/// A folder in memory where there is one, that PostgreSQL's own user can enter.
pub fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { folder_in(memory) } else { folder_on_disk() }
}

/// A folder on disk, that PostgreSQL's own user can enter.
pub fn folder_on_disk() -> tempfile::TempDir {
    folder_in(&std::env::temp_dir())
}

/// Removes what earlier runs left: the cluster of a whole run ends with its process, and its folder stays.
fn sweep(parent: &Path) {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    for folder in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        // A process that uses a cluster holds its lock.
        let lock = File::open(folder.path().join("lock"));
        if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = std::fs::remove_dir_all(folder.path());
        }
    }
}

fn folder_in(parent: &Path) -> tempfile::TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755));
    builder.tempdir_in(parent).unwrap()
}
