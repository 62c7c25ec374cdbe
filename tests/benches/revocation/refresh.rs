//! What a refresh costs, against `pgbench` with one indexed update and one insert a transaction on the same cluster.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use authy_core::{
    ClientInfo,
    api::session::RefreshToken,
    engine::{Caller, MasterKeys},
};
use authy_postgres::Cluster;
use authy_tests::{TestApp, database::folder_on_disk};
use tokio::{process::Command, task::JoinSet};

const CLIENTS: u32 = 16;
const DURATION: Duration = Duration::from_secs(6);

pub(crate) async fn measure() {
    let folder = folder_on_disk();
    let cluster = Cluster::builder(folder.path()).start().await.unwrap();
    let app = TestApp::on(cluster.config(), MasterKeys::generate().unwrap(), |config, _| {
        config.connections = CLIENTS as usize;
    });
    let app = app.await;
    println!("\nrefreshes a second, {CLIENTS} at a time, on a cluster that keeps what it commits:");
    let Some(limit) = pgbench(&app, folder.path().join("run")).await else {
        println!("  pgbench is not installed");
        return;
    };
    println!("  pgbench, one indexed update and one insert a transaction: {limit:.0}");
    for over_http in [false, true] {
        let rate = refreshes(&app, over_http).await;
        let name = if over_http { "over HTTP" } else { "in process" };
        println!("  {name}: {rate:.0}, {:.2} of pgbench", rate / limit);
    }
    app.stop().await;
}

async fn refreshes(app: &TestApp, over_http: bool) -> f64 {
    let mut sessions = JoinSet::new();
    for _ in 0..CLIENTS {
        let user = app.user().await;
        let (authy, client) = (app.authy.clone(), app.anonymous());
        sessions.spawn(async move {
            let caller = Caller::anonymous(ClientInfo::default());
            let mut refresh_token = user.refresh_token;
            let (begun, mut count) = (Instant::now(), 0);
            while begun.elapsed() < DURATION {
                let request = RefreshToken { refresh_token };
                refresh_token = match over_http {
                    true => client.refresh(request).await.unwrap().refresh_token,
                    false => authy.sessions().refresh(&caller, request).await.unwrap().refresh_token,
                };
                count += 1;
            }
            f64::from(count) / begun.elapsed().as_secs_f64()
        });
    }
    sessions.join_all().await.into_iter().sum()
}

async fn pgbench(app: &TestApp, socket: PathBuf) -> Option<f64> {
    let sql = app.sql().await;
    sql.batch_execute(
        "CREATE TABLE bench_row (id int PRIMARY KEY, count int NOT NULL);
         INSERT INTO bench_row SELECT n, 0 FROM generate_series(1, 10000) n;
         CREATE TABLE bench_log (id int NOT NULL, at timestamptz NOT NULL DEFAULT now());",
    )
    .await
    .unwrap();
    let script = tempfile::NamedTempFile::new().unwrap();
    let transaction = "\\set id random(1, 10000)\nBEGIN;\nUPDATE bench_row SET count = count + 1 WHERE id = :id;\n\
                       INSERT INTO bench_log (id) VALUES (:id);\nCOMMIT;\n";
    std::fs::write(script.path(), transaction).unwrap();
    let program = ["pgbench".into()]
        .into_iter()
        .chain(installed())
        .find(|program: &PathBuf| std::process::Command::new(program).arg("--version").output().is_ok())?;
    let mut command = Command::new(program);
    command.args(["-n", "-j", "2", "-c", &CLIENTS.to_string(), "-T", &DURATION.as_secs().to_string()]);
    command.arg("-h").arg(socket).args(["-U", "authy", "-f"]).arg(script.path()).arg("authy");
    let output = command.output().await.ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said.lines().find_map(|line| line.strip_prefix("tps = "));
    assert!(line.is_some(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    line?.split_whitespace().next()?.parse().ok()
}

/// Debian's versioned folders.
fn installed() -> Vec<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.map(|version| version.path().join("bin/pgbench")).collect()
}
