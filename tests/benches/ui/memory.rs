//! The memory of an idle server, with the pages and without them.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use authy_core::{Authy, engine::MasterKeys};
use authy_postgres::Cluster;
use authy_tests::{cheap, database, wire};
use tokio_postgres::config::Host;

/// Says that this process is to be the server.
const ROLE: &str = "UI_ROLE";

const ISSUER: &str = "http://authy.test";

/// Number of servers that are compared; the smallest of each kind counts, because nothing else makes it smaller.
const TIMES: usize = 3;

/// Maximum growth of an idle server by the pages, in MB.
const MAX_GROWTH: f64 = 2.0;

/// Becomes the server, where the benchmark has started this process as one.
pub(crate) fn run_as_server() {
    if std::env::var_os(ROLE).is_some() {
        authy_server::cli::main();
        std::process::exit(0);
    }
}

/// Returns the resident memory of a process in MB.
pub(crate) fn resident_of(process: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1e3
}

/// Prints the memory of servers that answer nothing, and of such that have shown each page without a query once.
pub(crate) async fn compare() {
    let folder = database::folder_on_disk();
    let cluster = Cluster::builder(folder.path().join("postgres")).dangerous_volatile().start().await.unwrap();
    let keys = MasterKeys::generate().unwrap();
    let mut config = cheap();
    config.issuer = Some(ISSUER.to_owned());
    let builder = Authy::builder(cluster.config()).without_background().master_keys(keys.clone()).config(config);
    drop(builder.start().await.unwrap());
    let mut smallest = [f64::MAX; 3];
    for _ in 0..TIMES {
        for ui in [false, true] {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.env(ROLE, "authy").env("AUTHY_UI", ui.to_string()).env("AUTHY_ISSUER", ISSUER);
            command.env("AUTHY_DATABASE_URL", url(&cluster)).env("AUTHY_LISTEN", "127.0.0.1:0");
            command.env("AUTHY_MASTER_KEY", &**keys.to_base64()).env("AUTHY_DATA_DIR", folder.path().join("data"));
            let (mut child, address) = listening(command.env("AUTHY_LOG", "error"));
            let process = child.id().to_string();
            wire::get(address, "/authy/status").await;
            let index = usize::from(ui);
            smallest[index] = smallest[index].min(resident_of(&process));
            if ui {
                for path in ["/authy/ui/login", "/authy/ui/signup", "/authy/docs", "/authy/docs/events"] {
                    assert_eq!(wire::get(address, path).await.status, 200, "{path}");
                }
                smallest[2] = smallest[2].min(resident_of(&process));
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    let [without, with, used] = smallest;
    let growth =
        |with: f64| format!("{:+.1} MB{}", with - without, if with - without > MAX_GROWTH { "  over" } else { "" });
    println!("an idle server: {without:.1} MB without pages, {with:.1} MB with them: {}", growth(with));
    println!("after each of four pages was shown: {used:.1} MB: {}", growth(used));
    cluster.stop().await.unwrap();
}

/// Starts a server, and waits until it says where it listens.
fn listening(command: &mut Command) -> (Child, SocketAddr) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.filter_map(|line| line.strip_prefix("listening on http://")?.parse().ok()).next();
    (child, address.expect("the server does not listen"))
}

fn url(cluster: &Cluster) -> String {
    let config = cluster.config();
    let [Host::Unix(folder)] = config.get_hosts() else { panic!("no socket") };
    let folder = folder.to_str().unwrap().replace('/', "%2F");
    format!("postgresql://{}@{folder}/{}", config.get_user().unwrap(), config.get_dbname().unwrap())
}
