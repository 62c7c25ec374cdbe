//! Servers with a certificate of a private authority: recognized when it was named, and not talked to otherwise.

use std::{
    net::{SocketAddr, TcpListener as Listener},
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use authy_client::{BuildError, Client};
use authy_core::{
    Authy,
    api::event::EventQuery,
    engine::{MasterKeys, Sink as _},
    tls::{Roots, TlsError},
};
use authy_postgres::Cluster;
use authy_server::sink::Amqp;
use authy_tests::{TestApp, certificates::certify, cheap, credentials, database, rabbit, until};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What speaks TLS in front of a server, with the certificate in a folder. Returns its port.
async fn in_front_of(server: SocketAddr, folder: &Path) -> (u16, AbortOnDrop) {
    let read = |file: &str| std::fs::read(folder.join(file)).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(&read("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(&read("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut outside = acceptor.accept(stream).await?;
                let mut inside = TcpStream::connect(server).await?;
                tokio::io::copy_bidirectional(&mut outside, &mut inside).await
            });
        }
    });
    (port, AbortOnDrop(proxy))
}

struct Postgres(Child);

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_database_is_recognized_by_a_private_authority_and_by_nothing_less() {
    let folder = database::folder();
    // Makes the cluster; one that listens for TLS takes its place.
    Cluster::builder(folder.path()).dangerous_volatile().start().await.unwrap().stop().await.unwrap();
    let (cluster, run) = (folder.path().join("postgres"), folder.path().join("run"));
    let ca = certify(folder.path());
    let owner = std::fs::metadata(&cluster).unwrap();
    for file in ["server.pem", "server.key"] {
        std::fs::rename(folder.path().join(file), cluster.join(file)).unwrap();
        std::os::unix::fs::chown(cluster.join(file), Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let port = Listener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let installed = std::fs::read_dir("/usr/lib/postgresql").unwrap().next().unwrap().unwrap().path();
    let mut postgres = Command::new(installed.join("bin/postgres"));
    postgres.arg("-D").arg(&cluster).arg("-k").arg(&run).args(["-p", &port.to_string()]).current_dir("/");
    for setting in ["listen_addresses=127.0.0.1", "ssl=on", "ssl_cert_file=server.pem", "ssl_key_file=server.key"] {
        postgres.args(["-c", setting]);
    }
    postgres.uid(owner.uid()).gid(owner.gid()).stdout(Stdio::null()).stderr(Stdio::null());
    let _postgres = Postgres(postgres.spawn().unwrap());
    let mut local = tokio_postgres::Config::new();
    local.host_path(&run).port(port).user("authy").dbname("authy");
    until("it listens", || async { local.connect(tokio_postgres::NoTls).await.is_ok() }).await;

    let url =
        |host: &str| format!("host={host} hostaddr=127.0.0.1 port={port} user=authy dbname=authy sslmode=require");
    let start = async |host: &str, roots: Roots| {
        let builder = Authy::builder(url(host).parse().unwrap())
            .without_background()
            .master_keys(MasterKeys::generate().unwrap())
            // A certificate that is not trusted is not waited for.
            .start_timeout(Duration::from_secs(3600));
        builder.config(cheap()).roots(roots).start().await
    };
    let private = Roots::platform().with_pem(&ca).unwrap();
    for (host, roots) in [("localhost", Roots::platform()), ("another.example", private.clone())] {
        let refused = start(host, roots).await.err().unwrap();
        assert!(refused.is_unavailable(), "{refused:?}");
        assert!(format!("{refused:?}").contains("InvalidCertificate"), "{refused:?}");
    }
    let authy = start("localhost", private).await.unwrap();
    authy.ping().await.unwrap();
    let encrypted = "SELECT count(*), bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                     WHERE application_name = 'authy'";
    let row = database::connect(&local).await.query_one(encrypted, &[]).await.unwrap();
    assert!(row.get::<_, i64>(0) > 0 && row.get::<_, bool>(1));
    // No pooler is suspected because of the encryption.
    let connection = authy.pool().get().await.unwrap();
    let limit = connection.query_one("SELECT current_setting('statement_timeout')", &[]).await.unwrap();
    assert_eq!(limit.get::<_, &str>(0), "1min", "the connection has a session with the settings of the engine");
}

#[tokio::test]
async fn a_client_recognizes_the_server_by_a_private_authority_and_by_nothing_less() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let folder = tempfile::tempdir().unwrap();
    let ca = certify(folder.path());
    let (port, _proxy) = in_front_of(app.address, folder.path()).await;
    let builder = || Client::builder(&format!("https://localhost:{port}")).retries(0);
    let refused = builder().build().unwrap().login(credentials(&user.username)).await.unwrap_err();
    assert!(refused.is_unavailable() && !refused.may_have_been_sent(), "{refused:?}");
    let config = Roots::platform().with_pem(&ca).unwrap().client_config().unwrap();
    for client in [builder().root_certificate_pem(ca), builder().tls(config)] {
        client.build().unwrap().login(credentials(&user.username)).await.unwrap();
    }
    let wrong = builder().root_certificate_pem("no certificate").build().unwrap_err();
    assert_eq!(wrong, BuildError::Tls(TlsError::NoCertificate));
}

#[tokio::test]
async fn a_broker_is_recognized_by_a_private_authority_and_by_nothing_less() {
    let app = TestApp::new().await;
    app.user().await;
    let query = EventQuery::default();
    let event = app.authy.events().list(&query).await.unwrap().events.remove(0);
    let folder = tempfile::tempdir().unwrap();
    let private = Roots::platform().with_pem(&certify(folder.path())).unwrap();
    let (node, host) = (rabbit::shared().await, rabbit::fresh_host());
    let (port, _proxy) = in_front_of(node.address(), folder.path()).await;

    let sink = |broker: &str| {
        let url = format!("amqps://authy:{}@{broker}:{port}/{host}", rabbit::PASSWORD);
        Amqp::new(url.parse().unwrap())
    };
    for (broker, roots) in [("localhost", Roots::platform()), ("127.0.0.1", private.clone())] {
        let refused = sink(broker).with_roots(roots).deliver(&event).await.unwrap_err();
        assert!(format!("{refused:?}").contains("invalid peer certificate"), "{refused:?}");
    }
    sink("localhost").with_roots(private).deliver(&event).await.unwrap();
    let received = rabbit::take_all(&node.url(&host), "authy.audit").await;
    assert_eq!(received.len(), 1, "what was refused has not arrived");
    assert!(String::from_utf8_lossy(&received[0].data).contains(&event.event_id.to_string()));
}
