//! Certificates that are replaced while the server runs.

use std::os::unix::fs::symlink;

use super::*;

#[tokio::test]
async fn a_pair_that_does_not_match_is_kept_out_until_it_does() {
    let app = TestApp::new().await;
    let server = TlsServer::new(&app, |_| ()).await;
    let before = server.certificate().await;
    let mut kept = server.connect(server.client(&["http/1.1"], None)).await;
    assert_eq!(server.tls.reload().unwrap(), Reload::Unchanged);
    issue(server.folder.path(), "next", 40);
    std::fs::rename(server.file("next.pem"), server.file("server.pem")).unwrap();
    let refused = server.tls.reload().unwrap_err().to_string();
    assert!(refused.contains("is not that of the first certificate"), "{refused}");
    assert_eq!(server.certificate().await, before);
    std::fs::rename(server.file("next.key"), server.file("server.key")).unwrap();
    assert_eq!(server.tls.reload().unwrap(), Reload::Replaced);
    assert_ne!(server.certificate().await, before);
    // The metrics know the new one, and a connection that was open goes on.
    let (metrics, _) = server.curl(&[], "/metrics").await;
    let expiry = format!("authy_tls_not_after_seconds {}", server.tls.not_after().timestamp());
    assert!(metrics.contains(&expiry), "{metrics}");
    kept.write_all(b"GET /authy/status HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut received = Vec::new();
    timeout(Duration::from_secs(20), kept.read_to_end(&mut received)).await.expect("no answer").unwrap();
    assert_eq!(answers(&received)[0].status, 200);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let path = |name: &str| folder.path().join(name);
    let error = |files: TlsFiles| authy_core::error::chain(&Tls::open(files).unwrap_err()).to_string();
    std::fs::write(path("empty.pem"), "").unwrap();
    std::fs::set_permissions(path("empty.pem"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for (certificate, key, expected) in [
        ("missing.pem", "server.key", "missing.pem"),
        ("server.pem", "missing.key", "missing.key"),
        ("empty.pem", "server.key", "empty.pem contains no certificate"),
        ("server.pem", "empty.pem", "empty.pem contains no unencrypted private key"),
        ("ca.pem", "server.key", "is not that of the first certificate"),
    ] {
        let found = error(TlsFiles { certificate: path(certificate), key: path(key), client_authorities: None });
        assert!(found.contains(expected), "{found}");
    }
    let found = error(TlsFiles { client_authorities: Some(path("empty.pem")), ..files(folder.path()) });
    assert!(found.contains("empty.pem contains no certificate"), "{found}");
    // A key that everybody can read.
    std::fs::set_permissions(path("server.key"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert!(error(files(folder.path())).contains("can be read by other users"));
}

#[tokio::test]
async fn a_folder_that_is_swapped_by_a_symbolic_link_is_noticed() {
    let app = TestApp::new().await;
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    issue(folder.path(), "next", 40);
    // As Kubernetes mounts a secret: the files are links into a folder that is a link.
    for (version, name) in [("v1", "server"), ("v2", "next")] {
        std::fs::create_dir(folder.path().join(version)).unwrap();
        for end in ["pem", "key"] {
            let to = folder.path().join(version).join(format!("server.{end}"));
            std::fs::rename(folder.path().join(format!("{name}.{end}")), to).unwrap();
        }
    }
    symlink("v1", folder.path().join("data")).unwrap();
    for end in ["pem", "key"] {
        symlink(format!("data/server.{end}"), folder.path().join(format!("server.{end}"))).unwrap();
    }
    let server = TlsServer::with(&app, files(folder.path()), folder, |_| ()).await;
    let before = server.certificate().await;
    symlink("v2", server.file("new")).unwrap();
    std::fs::rename(server.file("new"), server.file("data")).unwrap();
    // The server looks every ten seconds.
    until_within(Duration::from_secs(30), "the certificate is replaced", || async {
        server.certificate().await != before
    })
    .await;
}
