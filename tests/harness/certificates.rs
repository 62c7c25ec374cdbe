//! Certificates of a private authority, made by openssl.

use std::{path::Path, process::Command};

const NEW: &str = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A private authority, and a certificate of its for localhost: `ca.pem`, `server.pem`, `server.key`. Returns the certificate of the
/// authority.
pub fn certify(folder: &Path) -> Vec<u8> {
    openssl(folder, &format!("{NEW} -days 2 -keyout ca.key -out ca.pem -subj /CN=authority"));
    issue(folder, "server", 2);
    std::fs::read(folder.join("ca.pem")).unwrap()
}

/// Another certificate for localhost of the authority in a folder, NAME.pem with NAME.key.
pub fn issue(folder: &Path, name: &str, days: u32) {
    openssl(
        folder,
        &format!(
            "{NEW} -days {days} -keyout {name}.key -out {name}.pem -subj /CN=localhost -CA ca.pem -CAkey ca.key \
             -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE"
        ),
    );
}
