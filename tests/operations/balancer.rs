//! HAProxy in front of several servers.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use authy_tests::until_within;
use tokio::net::{TcpListener, TcpStream};

/// HAProxy, which repeats no request.
pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Balancer {
    /// Starts it in front of these servers: `s0`, `s1` and so on in the header `x-served-by`. With the certificate of an
    /// authority it speaks HTTP/2 over TLS to them: the header `x-protocol` says so. Waits until it listens.
    pub(crate) async fn start(servers: &[SocketAddr], authority: Option<&Path>) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let tls = authority.map_or(String::new(), |authority| {
            format!(
                " ssl verify required verifyhost localhost sni str(localhost) alpn h2 check-alpn h2 ca-file {}",
                authority.display()
            )
        });
        let lines: String =
            (0..).zip(servers).map(|(number, at)| format!("    server s{number} {at}{tls}\n")).collect();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("haproxy.cfg");
        let config = format!(
            "defaults\n    mode http\n    retries 0\n    timeout connect 2s\n    timeout client 60s\n    \
             timeout server 60s\nfrontend all\n    bind {address}\n    default_backend authy\nbackend authy\n    \
             balance roundrobin\n    option httpchk\n    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host authy\n    \
             default-server check inter 1s fall 2 rise 2\n    http-response set-header x-served-by %s\n    \
             http-response set-header x-protocol %[ssl_bc_alpn]\n{lines}"
        );
        std::fs::write(&file, config).unwrap();
        let mut haproxy = Command::new("/usr/sbin/haproxy");
        haproxy.arg("-db").arg("-f").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let balancer = Self { address, process: haproxy.spawn().unwrap(), _folder: folder };
        until_within(Duration::from_secs(20), "the balancer listens", || async {
            TcpStream::connect(address).await.is_ok()
        })
        .await;
        balancer
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
