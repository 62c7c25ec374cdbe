//! A PostgreSQL of the program's own on a disk that is full. Mounting the disk needs root.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::Command,
    time::Duration,
};

use authy_core::{
    Authy, ClientInfo,
    engine::{Caller, MasterKeys},
};
use authy_postgres::{Cluster, Error};
use authy_server::Server;
use authy_tests::{cheap, credentials, fresh_name, new_user, unlimited, until_within, wire::get};
use tokio::net::TcpListener;

/// A small disk in memory.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount() -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=128m,mode=755", "tmpfs"]).arg(disk.0.path()));
        disk
    }

    /// Takes what is left of it.
    fn fill(&self) {
        let mut file = File::create(self.0.path().join("filler")).unwrap();
        let full = loop {
            if let Err(error) = file.write_all(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    }

    /// Gives that back.
    fn make_room(&self) {
        fs::remove_file(self.0.path().join("filler")).unwrap();
    }

    /// Returns a folder for a cluster.
    fn folder(&self) -> PathBuf {
        let folder = self.0.path().join("data");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        folder
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
#[ignore = "operations: make test-operations"]
async fn a_full_disk_is_named_by_the_error_of_a_start_although_the_log_is_on_it() {
    let disk = Disk::mount();
    let folder = disk.folder();
    Cluster::builder(&folder).start().await.unwrap().stop().await.unwrap();
    disk.fill();
    let error = Cluster::builder(&folder).start().await.unwrap_err();
    assert!(matches!(&error, Error::Ended { log } if log.contains("No space left on device")), "{error}");
    // With room again, everything is there.
    disk.make_room();
    Cluster::builder(&folder).start().await.unwrap().stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "operations: make test-operations"]
async fn a_server_whose_database_has_a_full_disk_is_not_ready_and_loses_nothing() {
    let disk = Disk::mount();
    let cluster = Cluster::builder(disk.folder()).start().await.unwrap();
    let start = Authy::builder(cluster.config()).master_keys(MasterKeys::generate().unwrap()).config(cheap());
    let authy = start.start().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(Server::new(authy.clone(), unlimited()).serve(listener, std::future::pending()));
    let anonymous = Caller::anonymous(ClientInfo::default());
    // Signs somebody up; the name, when it was acknowledged.
    let sign_up = async || {
        let name = fresh_name("ada");
        match authy.users().register(&anonymous, new_user(&name)).await {
            Ok(_) => Some(name),
            Err(error) if error.is_unavailable() => None,
            Err(error) => panic!("{error}"),
        }
    };
    let mut acknowledged = vec![sign_up().await.unwrap()];
    assert_eq!(get(address, "/readyz").await.status, 200);

    disk.fill();
    let mut is_ready = true;
    // What is written goes into files that have room for a while.
    for _ in 0..3000 {
        acknowledged.extend(sign_up().await);
        is_ready = get(address, "/readyz").await.status == 200;
        if !is_ready {
            break;
        }
    }
    assert!(!is_ready, "{} users were signed up on a full disk", acknowledged.len());
    // The server itself goes on.
    assert_eq!(get(address, "/livez").await.status, 200);

    disk.make_room();
    until_within(Duration::from_secs(60), "it is ready again", || async {
        get(address, "/readyz").await.status == 200
    })
    .await;
    acknowledged.push(sign_up().await.unwrap());
    for name in &acknowledged {
        authy.sessions().login(&anonymous, credentials(name)).await.unwrap();
    }
    server.abort();
    drop(authy);
    cluster.stop().await.unwrap();
}
