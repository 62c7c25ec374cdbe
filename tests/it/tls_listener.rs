//! TLS and HTTP/2 of the server's own listeners.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use authy_core::tls::Roots;
use authy_server::{
    HttpConfig, Server,
    tls::{Reload, Tls, TlsFiles},
};
use authy_tests::{
    TestApp,
    certificates::{certify, issue},
    unlimited, until, until_within,
    wire::{Answer, KeptConnection, answers, get},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    },
};

mod files;
mod http2;
mod program;

/// A server with a certificate for localhost.
struct TlsServer {
    address: SocketAddr,
    tls: Tls,
    folder: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<std::io::Result<()>>,
}

fn files(folder: &Path) -> TlsFiles {
    let [certificate, key] = ["server.pem", "server.key"].map(|file| folder.join(file));
    TlsFiles { certificate, key, client_authorities: None }
}

impl TlsServer {
    async fn new(app: &TestApp, change: impl FnOnce(&mut HttpConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        certify(folder.path());
        Self::with(app, files(folder.path()), folder, change).await
    }

    async fn with(
        app: &TestApp,
        files: TlsFiles,
        folder: tempfile::TempDir,
        change: impl FnOnce(&mut HttpConfig),
    ) -> Self {
        let mut http = unlimited();
        change(&mut http);
        let tls = Tls::open(files).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::new(app.authy.clone(), http).with_tls(tls.clone());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.serve(listener, async { drop(stopped.await) }));
        Self { address, tls, folder, stop: Some(stop), serving }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The body that curl gets, and the version of HTTP behind it.
    async fn curl(&self, arguments: &[&str], path: &str) -> (String, String) {
        let url = format!("https://localhost:{}{path}", self.address.port());
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-m", "20", "-i", "-w", "\n%{http_version}", "--cacert"]).arg(self.file("ca.pem"));
        let output = curl.args(arguments).arg(&url).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let (answer, version) = text.rsplit_once('\n').unwrap();
        (answer.to_owned(), version.to_owned())
    }

    /// A client that offers these protocols, perhaps with the certificate NAME.pem.
    fn client(&self, protocols: &[&str], certificate: Option<&str>) -> ClientConfig {
        let ca = std::fs::read(self.file("ca.pem")).unwrap();
        let mut config = match certificate {
            None => Roots::only_pem(&ca).unwrap().client_config().unwrap(),
            Some(name) => {
                let chain = CertificateDer::from_pem_file(self.file(&format!("{name}.pem"))).unwrap();
                let key = PrivateKeyDer::from_pem_file(self.file(&format!("{name}.key"))).unwrap();
                let mut store = tokio_rustls::rustls::RootCertStore::empty();
                store.add_parsable_certificates(Roots::only_pem(&ca).unwrap().certificates().unwrap());
                let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
                let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
                builder.unwrap().with_root_certificates(store).with_client_auth_cert(vec![chain], key).unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }

    async fn connect(&self, config: ClientConfig) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    /// Bytes, sent on a connection of HTTP/1.1, and the answers until the server closes.
    async fn raw(&self, config: ClientConfig, bytes: &str) -> Vec<Answer> {
        let mut stream = self.connect(config).await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut received = Vec::new();
        timeout(Duration::from_secs(20), stream.read_to_end(&mut received)).await.expect("it is not closed").unwrap();
        answers(&received)
    }

    /// The certificate that a new connection gets.
    async fn certificate(&self) -> Vec<u8> {
        let stream = self.connect(self.client(&[], None)).await;
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[tokio::test]
async fn http2_and_http1_are_spoken_over_tls() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let server = TlsServer::new(&app, |http| http.require_https = true).await;
    let login = serde_json::to_string(&authy_tests::credentials(&user.username)).unwrap();
    for (flag, expected) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let (answer, version) = server.curl(&[flag], "/authy").await;
        assert!(version == expected && answer.contains("/authy/login"), "{version}: {answer}");
        assert!(answer.to_lowercase().contains("\nstrict-transport-security: max-age=31536000"), "{answer}");
        let json = ["-H", "content-type: application/json", "-d", &login];
        let (answer, _) = server.curl(&[&[flag], &json[..]].concat(), "/authy/login").await;
        assert!(answer.contains("refresh_token"), "{answer}");
        // A program on this machine, which names it.
        let (answer, _) = server.curl(&[flag], "/metrics").await;
        let expiry = answer.lines().find_map(|line| line.strip_prefix("authy_tls_not_after_seconds "));
        let expiry: f64 = expiry.unwrap_or_else(|| panic!("{answer}")).parse().unwrap();
        assert!((expiry - server.tls.not_after().timestamp() as f64).abs() < 1.0);
    }
    // Without encryption there is no HTTP/2, and no such metric.
    let stream = get(app.address, "/metrics").await;
    assert!(!stream.body.contains("\nauthy_tls_not_after_seconds "), "{stream:?}");
    let refused = authy_tests::wire::raw(app.address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(refused.iter().all(|answer| (400..500).contains(&answer.status)), "{refused:?}");
}

#[tokio::test]
async fn a_trusted_proxy_says_how_a_request_came_and_otherwise_the_connection_does() {
    let app = TestApp::new().await;
    let server = TlsServer::new(&app, |http| {
        http.require_https = true;
        http.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    for (lines, status) in
        [(&[][..], 200), (&["-H", "x-forwarded-proto: https"], 200), (&["-H", "x-forwarded-proto: http"], 403)]
    {
        let (answer, _) = server.curl(lines, "/authy").await;
        assert!(answer.starts_with(&format!("HTTP/2 {status}")), "{lines:?}: {answer}");
    }
}

#[tokio::test]
async fn a_head_that_is_refused_gets_a_problem_document_over_tls_too() {
    let app = TestApp::new().await;
    let server = TlsServer::new(&app, |_| ()).await;
    for (request, status) in [
        ("GET /authy HTTP/1.1\r\nhost: a\r\nb ad: x\r\n\r\n".to_owned(), 400),
        (format!("GET /authy HTTP/1.1\r\nhost: a\r\nb: {}\r\n\r\n", "x".repeat(150_000)), 431),
    ] {
        let answer = server.raw(server.client(&["http/1.1"], None), &request).await.remove(0);
        assert_eq!((answer.status, answer.code().as_str()), (status, "malformed_request"));
    }
}

#[tokio::test]
async fn a_connection_that_was_idle_for_a_while_is_answered_over_tls_too() {
    let app = TestApp::new().await;
    let server = TlsServer::new(&app, |http| http.header_timeout = Duration::from_millis(200)).await;
    let mut stream = server.connect(server.client(&["http/1.1"], None)).await;
    for _ in 0..3 {
        stream.write_all(b"GET /authy/status HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 10_000];
        let read = timeout(Duration::from_secs(20), stream.read(&mut answer)).await.expect("no answer").unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_ended_and_plain_http_gets_no_answer() {
    let app = TestApp::new().await;
    let server = TlsServer::new(&app, |http| http.handshake_timeout = Duration::from_millis(300)).await;
    assert_eq!(KeptConnection::open(server.address).await.closed().await, "");
    let mut begun = TcpStream::connect(server.address).await.unwrap();
    // The beginning of a ClientHello.
    begun.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    let mut received = Vec::new();
    drop(timeout(Duration::from_secs(20), begun.read_to_end(&mut received)).await.expect("it is not closed"));
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET /authy/status HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    received.clear();
    drop(timeout(Duration::from_secs(20), plain.read_to_end(&mut received)).await.expect("it is not closed"));
    assert!(!received.starts_with(b"HTTP"), "{received:?}");
    assert!(server.curl(&[], "/authy/status").await.0.contains("version"));
}

#[tokio::test]
async fn a_certificate_of_a_client_makes_it_a_known_follower_and_nothing_more() {
    let app = TestApp::new().await;
    let (folder, strangers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certify(folder.path());
    issue(folder.path(), "service", 2);
    certify(strangers.path());
    for file in ["server.pem", "server.key"] {
        std::fs::copy(strangers.path().join(file), folder.path().join(file.replace("server", "stranger"))).unwrap();
    }
    let files = TlsFiles { client_authorities: Some(folder.path().join("ca.pem")), ..files(folder.path()) };
    let server = TlsServer::with(&app, files, folder, |http| {
        http.streams.anonymous.places = 0;
    })
    .await;
    let follow = async |certificate, line: &str| {
        let mut stream = server.connect(server.client(&["http/1.1"], certificate)).await;
        let head = format!("GET /authy/revocations HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n{line}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        timeout(Duration::from_secs(20), stream.read_exact(&mut status)).await.expect("no answer").unwrap();
        String::from_utf8(status[9..].to_vec()).unwrap()
    };
    assert_eq!(follow(None, "").await, "503", "a stranger");
    assert_eq!(follow(Some("service"), "").await, "200");
    assert_eq!(follow(Some("service"), "x-forwarded-for: 192.0.2.1\r\n").await, "503", "a client of a proxy");
    let without_token = "GET /authy/user HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let refused = server.raw(server.client(&["http/1.1"], Some("service")), without_token).await;
    assert_eq!(refused[0].status, 401, "a certificate is no token");
    // With TLS 1.3 a client learns of it when it reads.
    let stream = TcpStream::connect(server.address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(server.client(&["http/1.1"], Some("stranger"))));
    let refused = async {
        let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
        stream.write_all(without_token.as_bytes()).await?;
        stream.read_u8().await
    };
    let refused = timeout(Duration::from_secs(20), refused).await.expect("it is not closed").unwrap_err();
    assert!(refused.to_string().contains("UnknownCA") || refused.to_string().contains("alert"), "{refused}");
}
