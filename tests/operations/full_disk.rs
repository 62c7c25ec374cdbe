//! A PostgreSQL of the program's own on a disk that is full. Mounting the disk needs root.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
};

use authy_postgres::{Cluster, Error};

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

    fn path(&self) -> &Path {
        self.0.path()
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
    let folder = disk.path().join("data");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    Cluster::builder(&folder).start().await.unwrap().stop().await.unwrap();
    disk.fill();
    let error = Cluster::builder(&folder).start().await.unwrap_err();
    assert!(matches!(&error, Error::Ended { log } if log.contains("No space left on device")), "{error}");
    // With room again, everything is there.
    fs::remove_file(disk.path().join("filler")).unwrap();
    Cluster::builder(&folder).start().await.unwrap().stop().await.unwrap();
}
