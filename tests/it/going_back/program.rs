//! `authy-server export`, and what the program says about the hashes that are kept.

use std::{ffi::OsStr, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    time::timeout,
};
use tokio_postgres::config::Host;

use super::*;

/// The program, on the database of an app.
fn program(app: &TestApp, arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authy-server-program"));
    command.env_clear().args(arguments).envs([
        ("AUTHY_DATABASE_URL", url(&app.database).as_str()),
        ("AUTHY_MASTER_KEY", &app.master_keys.to_base64()),
        ("AUTHY_LISTEN", "127.0.0.1:0"),
        ("AUTHY_ARGON2", "m=8,t=1,p=1"),
        ("AUTHY_UI", "false"),
        ("AUTHY_SMTP_URL", "smtp://localhost:1"),
        ("AUTHY_MAIL_FROM", "authy@example.org"),
    ]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn url(config: &tokio_postgres::Config) -> String {
    let [Host::Unix(socket)] = config.get_hosts() else { panic!("no socket") };
    let (user, name) = (config.get_user().unwrap(), config.get_dbname().unwrap());
    format!("postgresql:///{name}?user={user}&host={}", socket.display())
}

/// The details of the events whose kinds begin so.
async fn events(app: &TestApp, kind: &str) -> Vec<serde_json::Value> {
    let query = "SELECT detail::text FROM authy.event WHERE starts_with(kind, $1) ORDER BY happened, event_id";
    let rows = app.sql().await.query(query, &[&kind]).await.unwrap();
    rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect()
}

/// Runs it; returns the exit code, standard output and standard error.
async fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn an_export_says_what_it_does_and_whether_anything_was_not_written() {
    let users: Vec<_> = cheap_users().into_iter().take(10).collect();
    let old = old_database::create(&users).await;
    let app = TestApp::new().await;
    import(&app.authy, &old).await;
    let new = app.authy.users().register(&operator(), new_user("newcomer")).await.unwrap();
    let before = rows(&old).await;
    let to = url(&old);
    let zone = ["--app-time-zone", "Europe/Berlin"];
    let (code, report, progress) =
        run(&mut program(&app, &[&["export", "--to", &to, "--dry-run"], &zone[..]].concat())).await;
    assert_eq!(code, Some(0), "{report}{progress}");
    assert!(report.starts_with("dry run") && report.contains("1 created"), "{report}");
    assert!(report.contains("1 users have to reset") && report.contains(&format!("must_reset {new}")), "{report}");
    assert!(progress.contains("11 of 11 users"), "{progress}");
    // A misspelt role is named before anything is written.
    for (mapped, part) in [("mega gest=guest", "mega gest"), ("mega guest=gest", "gest")] {
        let misspelt = [&["export", "--to", &to, "--map-role", mapped], &zone[..]].concat();
        let (code, report, said) = run(&mut program(&app, &misspelt)).await;
        assert!(code == Some(1) && said.contains(&format!("{part:?}")), "{report}{said}");
    }
    assert_eq!(rows(&old).await, before);
    assert!(events(&app, "export.").await.is_empty(), "a dry run writes nothing");

    // Somebody there takes the name of one who signs up here.
    app.authy.users().register(&operator(), new_user("night-owl")).await.unwrap();
    let taken = "INSERT INTO users (public_id, username, password, created) VALUES ('x', 'night-owl', '', now())";
    database::connect(&old).await.execute(taken, &[]).await.unwrap();
    let (code, report, _) =
        run(program(&app, &[&["export", "--json"], &zone[..]].concat()).env("AUTHY_EXPORT_TO", &to)).await;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!((code, &report["created"], &report["refused"]), (Some(3), &1.into(), &1.into()), "{report}");
    assert_eq!(report["counts"]["username_taken"], 1, "{report}");
    assert_eq!(there(&old, new).await["username"], "newcomer");
    // The audit trail says where to, and how many, and no password.
    let [started, finished] = events(&app, "export.").await.try_into().unwrap();
    let (database, host) = (old.get_dbname().unwrap(), database::connect(&old).await);
    let socket = host.query_one("SHOW unix_socket_directories", &[]).await.unwrap().get::<_, String>(0);
    assert_eq!(started, serde_json::json!({ "source": "authy-1", "host": socket, "database": database }));
    assert_eq!(
        (&finished["database"], &finished["created"], &finished["refused"]),
        (&database.into(), &1.into(), &1.into())
    );

    for (arguments, part) in [
        (&["export"][..], "AUTHY_EXPORT_TO"),
        (&["export", "--to", "postgresql://authy:hunter2@127.0.0.1:1/old"], "cannot be opened"),
        (&["export", "--to", "postgresql://authy:hunter2@db.example/old"], "without encryption"),
    ] {
        let (code, report, said) = run(&mut program(&app, arguments)).await;
        assert!(code == Some(1) && said.contains(part), "{arguments:?}: {code:?} {report}{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[tokio::test]
async fn the_program_warns_of_kept_hashes_until_they_are_forgotten() {
    let old = old_database::create(&cheap_users()[..10]).await;
    let app = keeping(&old).await;
    log_in(&app, "root", "password of 1").await;
    assert_eq!(app.authy.count_fallback_hashes().await.unwrap(), 1);
    for arguments in [&["--compat", "poptape"][..], &[]] {
        let mut server = program(&app, arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
        let warned = async {
            while let Some(line) = log.next_line().await.unwrap() {
                if line.contains("authy-server export --forget") && line.contains("WARN") && line.contains('1') {
                    return true;
                }
            }
            false
        };
        assert!(timeout(Duration::from_secs(60), warned).await.expect("no warning"), "{arguments:?}");
        server.kill().await.unwrap();
        let (_, findings, _) = run(&mut program(&app, &[&["doctor", "--json"], arguments].concat())).await;
        assert!(findings.contains("1 password hashes for the first authy are"), "{findings}");
    }
    let (code, said, _) = run(&mut program(&app, &["export", "--forget"])).await;
    assert!(code == Some(0) && said.contains("deleted: 1"), "{said}");
    assert_eq!(events(&app, "fallback_hashes.").await, [serde_json::json!({ "hashes": 1 })]);
    let (_, findings, _) = run(&mut program(&app, &["doctor", "--json"])).await;
    assert!(!findings.contains("hashes for the first authy"), "{findings}");
}
