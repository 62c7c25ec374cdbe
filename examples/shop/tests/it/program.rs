//! The program, from its start to Control-C.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio, time::Duration};

use authy_core::engine::MasterKeys;
use authy_server::test_util::TestDatabase;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::TcpStream,
    process::{ChildStdout, Command},
    time,
};
use tokio_postgres::config::Host;

/// Waits for a line of the output, and returns what follows its beginning.
async fn line_after(lines: &mut Lines<BufReader<ChildStdout>>, beginning: &str) -> String {
    let found = async {
        loop {
            let line = lines.next_line().await.unwrap().expect("the program ended");
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.to_owned();
            }
        }
    };
    time::timeout(Duration::from_secs(60), found).await.expect(beginning)
}

#[tokio::test]
async fn control_c_stops_the_program_though_a_service_follows_revocations() {
    let folder = tempfile::tempdir().unwrap();
    let test_database = TestDatabase::create().await.unwrap();
    let config = test_database.config();
    let Some(Host::Unix(socket)) = config.get_hosts().first() else { panic!("{config:?}") };
    let (user, database) = (config.get_user().unwrap(), config.get_dbname().unwrap());
    let key = folder.path().join("master.key");
    fs::write(&key, MasterKeys::generate().unwrap().to_base64().as_bytes()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();

    let mut program = Command::new(env!("CARGO_BIN_EXE_authy-example-shop"))
        .current_dir(folder.path())
        .env("DATABASE_URL", format!("host={} user={user} dbname={database}", socket.display()))
        .env("SHOP_LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    assert!(line_after(&mut lines, "administrator: ").await.starts_with("admin "));
    let address = line_after(&mut lines, "listening on http://").await;

    let mut follower = TcpStream::connect(&address).await.unwrap();
    let request = format!("GET /authy/revocations HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n\r\n");
    follower.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    follower.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");

    let id = program.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    let ended = time::timeout(Duration::from_secs(30), program.wait()).await.expect("it does not stop").unwrap();
    assert!(ended.success(), "{ended}");
}
