//! Proxies that ask authy whether a request may pass: the configurations of docs/proxies.md, run as they stand there.

use std::{
    convert::Infallible,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use authy_core::{RoleName, UserId, engine::MasterKeys};
use authy_postgres::Cluster;
use authy_tests::{
    TestApp, credentials, database, new_account, operator, tools, until,
    wire::{Answer, send},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A proxy in front of a service, ended with the test.
struct GuardingProxy {
    name: &'static str,
    address: SocketAddr,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Drop for GuardingProxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl GuardingProxy {
    async fn start(name: &'static str, authy: SocketAddr, service: SocketAddr) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let folder = database::folder();
        let write = |file: &str, language: &str, around: fn(&str) -> String| {
            let block = block(language)
                .replace(":8000", &format!(":{}", address.port()))
                .replace(":8080", &format!(":{}", authy.port()))
                .replace(":3000", &format!(":{}", service.port()));
            std::fs::write(folder.path().join(file), around(&block)).unwrap();
        };
        let program = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).current_dir(folder.path()).env("HOME", folder.path());
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().unwrap_or_else(|error| panic!("{program} ({error}): `make tools` installs it"))
        };
        let process = match name {
            "nginx" => {
                write("nginx.conf", "nginx", |server| {
                    format!(
                        "daemon off; master_process off; pid nginx.pid; error_log stderr; events {{}}\nhttp {{\n\
                         access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
                         uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n{server}}}\n"
                    )
                });
                let prefix = format!("{}/", folder.path().display());
                program("/usr/sbin/nginx", &["-p", &prefix, "-c", "nginx.conf", "-e", "stderr"])
            }
            "caddy" => {
                write("Caddyfile", "caddyfile", |site| format!("{{\n\tadmin off\n}}\n{site}"));
                program("caddy", &["run", "--config", "Caddyfile", "--adapter", "caddyfile"])
            }
            _ => {
                write("haproxy.cfg", "haproxy", str::to_owned);
                write("authy.lua", "lua", str::to_owned);
                program("/usr/sbin/haproxy", &["-db", "-f", "haproxy.cfg"])
            }
        };
        let proxy = Self { name, address, process, _folder: folder };
        until(&format!("{name} listens"), || async { TcpStream::connect(address).await.is_ok() }).await;
        proxy
    }

    async fn ask(&self, request: &str, token: Option<&str>, body: &str) -> Answer {
        let token = token.map(|token| format!("\nauthorization: Bearer {token}")).unwrap_or_default();
        let (line, headers) = request.split_once('\n').unwrap_or((request, ""));
        let headers = if headers.is_empty() { String::new() } else { format!("\n{headers}") };
        send(self.address, &format!("{line} HTTP/1.1{token}{headers}"), body).await
    }
}

/// The first code block of a language in docs/proxies.md.
fn block(language: &str) -> String {
    let page = std::fs::read_to_string(tools::root().join("docs/proxies.md")).unwrap();
    let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap_or_else(|| panic!("no block in {language}"));
    rest.split_once("```").unwrap().0.to_owned()
}

/// A service that knows nothing of tokens: answers with the head and the body of each request that reaches it.
async fn service() -> (SocketAddr, JoinHandle<()>) {
    async fn show(request: Request<Incoming>) -> Result<Response<Full<bytes::Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let mut shown = format!("{} {}\n", head.method, head.uri);
        for (name, value) in &head.headers {
            shown.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
        }
        shown.push_str(&String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes()));
        Ok(Response::new(shown.into()))
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(show)));
        }
    });
    (address, serving)
}

async fn log_in(app: &TestApp, name: &str, roles: &[&str]) -> (UserId, String) {
    let [first, others @ ..] = roles else { panic!("no role") };
    let role = |name: &str| RoleName::existing(name).unwrap();
    let id = app.authy.users().create(&operator(), new_account(name, first)).await.unwrap();
    for other in others {
        app.authy.roles().grant(&operator(), &role(other), id).await.unwrap();
    }
    let tokens = app.anonymous().login(credentials(name)).await.unwrap();
    (id, tokens.token.expose().to_owned())
}

#[tokio::test]
async fn a_service_behind_a_proxy_gets_only_requests_that_may_pass_and_learns_who_sent_them() {
    let folder = database::folder();
    let cluster = Cluster::builder(folder.path()).dangerous_volatile().start().await.unwrap();
    let keys = MasterKeys::generate().unwrap();
    let app = TestApp::on(cluster.config(), keys, |config, _| config.max_staleness = Duration::from_secs(1)).await;
    let (service, serving) = service().await;
    let (ada, token) = log_in(&app, "Ада", &["user", "guest"]).await;
    let (_, guest) = log_in(&app, "a-guest", &["guest"]).await;
    let (_, ended) = log_in(&app, "has-left", &["user"]).await;
    app.anonymous().with_token(authy_core::Secret::new(ended.clone())).logout().await.unwrap();

    let mut proxies = Vec::new();
    for name in ["nginx", "caddy", "haproxy"] {
        let proxy = GuardingProxy::start(name, app.address, service).await;
        let forged = "x-authy-level: 0\nX-Authy-Roles: superadmin\nX_Authy_Level: 0\nX-Authy_Level: 0\nX_Authy-Level: 0\n\
                      X.Authy.Level: 0\nx-authy-public-id: me";
        let answer = proxy.ask(&format!("POST /orders?id=7\n{forged}"), Some(&token), "a body").await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        let is_ours = |line: &&str| line.replace(['_', '.'], "-").starts_with("x-authy-");
        let mut seen: Vec<_> = answer.body.lines().filter(is_ours).map(str::to_owned).collect();
        let mut expected = vec![
            format!("x-authy-public-id: {ada}"),
            "x-authy-username: %D0%90%D0%B4%D0%B0".to_owned(),
            "x-authy-level: 10".to_owned(),
            "x-authy-roles: user,guest".to_owned(),
        ];
        seen.sort_unstable();
        expected.sort_unstable();
        assert_eq!(seen, expected, "{name}: {answer:?}");
        assert!(
            answer.body.starts_with("POST /orders?id=7\n") && answer.body.ends_with("a body"),
            "{name}: {answer:?}"
        );

        // A header that the client names there is removed on the way: what is left must not be the client's.
        let hop = format!("GET /orders\nConnection: X-Authy-Level\n{forged}");
        let answer = proxy.ask(&hop, Some(&token), "").await;
        let seen: Vec<_> = answer.body.lines().filter(is_ours).map(str::to_owned).collect();
        assert!(seen.iter().all(|line| expected.contains(line)), "{name}: {seen:?}");

        for method in ["GET", "POST", "OPTIONS", "DELETE"] {
            let answer = proxy.ask(&format!("{method} /orders"), None, "").await;
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"), "{name} {method}");
        }
        for (token, status) in [(&guest, 403), (&ended, 401)] {
            let answer = proxy.ask("GET /orders", Some(token), "").await;
            assert_eq!(answer.status, status, "{name}: {answer:?}");
        }
        proxies.push(proxy);
    }

    cluster.stop().await.unwrap();
    let cannot_tell = || async {
        let head = format!("GET /authy/checkaccess/10 HTTP/1.1\nauthorization: Bearer {token}");
        send(app.address, &head, "").await.status == 503
    };
    until("authy cannot tell", cannot_tell).await;
    for proxy in &proxies {
        let answer = proxy.ask("GET /orders", Some(&token), "").await;
        assert_eq!(answer.status, 503, "{}: {answer:?}", proxy.name);
    }
    let authy = app.address;
    app.stop().await;
    until("authy is gone", || async { TcpStream::connect(authy).await.is_err() }).await;
    for proxy in &proxies {
        let answer = proxy.ask("GET /orders", Some(&token), "").await;
        assert!([502, 503].contains(&answer.status), "{}: {answer:?}", proxy.name);
    }
    serving.abort();
}
