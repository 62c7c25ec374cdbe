//! From settings to a server that runs.

use std::{net::SocketAddr, time::Duration};

use authy_core::{Authy, http_url::HttpUrl};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    access_log::AccessLog,
    config::{Pause, Settings},
    http_config::HttpConfig,
    limit::RateLimits,
    link_template::LinkTemplate,
    server::Server,
    traces::Exporter,
};

mod database;
mod error;
mod finish;
mod listen;
#[cfg(feature = "ui")]
mod pages;
mod reached_at;
mod signals;
mod sinks;
mod systemd;
#[cfg(feature = "tls")]
mod tls;

pub(crate) use database::{Database, NO_MASTER_KEY, Sharing, engine_config, explain};
pub(crate) use error::BoxError;
pub(crate) use reached_at::ReachedAt;
use signals::Signals;
pub(crate) use sinks::problems as sink_problems;
#[cfg(feature = "tls")]
pub(crate) use tls::open as open_tls;

/// Two or three health checks of a load balancer.
const STOP_DELAY: Duration = Duration::from_secs(5);

fn http_config(settings: &Settings, reached_at: &ReachedAt) -> HttpConfig {
    #[cfg(not(feature = "ui"))]
    let _ = reached_at;
    HttpConfig {
        #[cfg(feature = "ui")]
        pages: pages::pages(settings, reached_at),
        trusted_proxies: settings.trusted_proxies.0.clone(),
        follower_networks: settings.follower_networks.0.clone(),
        require_https: settings.require_https,
        cors_origins: settings.cors_origins.0.iter().map(|origin| origin.0.clone()).collect(),
        compat: settings.compat,
        access_log: settings.access_log.then_some(AccessLog { sample: settings.access_log_sample.0 }),
        limits: RateLimits {
            login: settings.limit_login.clone(),
            register: settings.limit_register.clone(),
            validate: settings.limit_validate.clone(),
            forgot: settings.limit_forgot.clone(),
            default: settings.limit_default.clone(),
        },
        keep_alive: settings.keep_alive,
        stop_delay: settings.stop_delay.map_or_else(default_stop_delay, |Pause(delay)| delay),
        max_connections: settings.max_connections,
        ..HttpConfig::default()
    }
}

/// Returns whether the listeners speak TLS.
#[cfg(feature = "tls")]
pub(crate) fn speaks_tls(settings: &Settings) -> bool {
    settings.tls_cert.is_some()
}

/// Returns whether the listeners speak TLS: never, in a program that was built without it.
#[cfg(not(feature = "tls"))]
pub(crate) fn speaks_tls(_: &Settings) -> bool {
    false
}

/// Returns the scheme of the URLs of the listeners.
pub(crate) fn scheme(settings: &Settings) -> &'static str {
    if speaks_tls(settings) { "https" } else { "http" }
}

/// Returns the URL of an address, from this machine when it stands for all addresses.
pub(crate) fn url_of(settings: &Settings, address: SocketAddr) -> String {
    let scheme = scheme(settings);
    match address.ip().is_unspecified() {
        true => format!("{scheme}://localhost:{}", address.port()),
        false => format!("{scheme}://{address}"),
    }
}

/// Warns when the tokens name another URL than the one at which users reach this server.
fn check_issuer(settings: &Settings, authy: &Authy) {
    let (issuer, public_url) = (authy.metadata().issuer, settings.public_url.as_ref().map(|url| url.0.as_str()));
    if settings.issuer.is_none() && public_url.is_some_and(|url| url != issuer) {
        tracing::warn!(
            issuer,
            public_url,
            "the issuer of the tokens is not AUTHY_PUBLIC_URL, which services that verify tokens expect: replace it with \
             `authy-server issuer set`, or keep it with AUTHY_ISSUER"
        );
    }
}

/// Returns the time for which a server that stops still accepts connections. Nobody has to be informed of the end of one
/// that was started by hand, and Control-C should end it at once.
fn default_stop_delay() -> Duration {
    if signals::is_interactive() { Duration::ZERO } else { STOP_DELAY }
}

/// Returns the URL at which users reach this server: as configured, or the issuer, or the address it listens on.
pub(crate) fn public_url(settings: &Settings, listening: &str) -> String {
    let configured = settings.public_url.as_ref().map(|url| url.0.clone());
    let issuer = || HttpUrl::parse_base(settings.issuer.as_deref()?).ok();
    configured.or_else(issuer).map_or_else(|| listening.to_owned(), |url| url.as_str().to_owned())
}

/// Returns the link that resets a password, as a command prints it: as configured, or to the page of the server. `None` when
/// there is no page.
pub(crate) async fn reset_link(settings: &Settings) -> Option<LinkTemplate> {
    #[cfg(feature = "ui")]
    let page = pages::reset_link(settings).await;
    #[cfg(not(feature = "ui"))]
    let page = None;
    settings.reset_url.clone().or(page)
}

/// Raises the limit of open files, which is that of connections, to the maximum: many systems start at 1024 and allow
/// more.
fn raise_file_limit() {
    let allowed = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: allowed.maximum, ..allowed }) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}

/// Serves until the process gets SIGINT or SIGTERM.
pub(crate) async fn serve(settings: &Settings) -> Result<(), BoxError> {
    let exporter = Exporter::start(&settings.roots())?;
    let served = serve_with(settings, &exporter).await;
    exporter.stop().await;
    served
}

async fn serve_with(settings: &Settings, exporter: &Exporter) -> Result<(), BoxError> {
    sinks::check(settings)?;
    #[cfg(feature = "tls")]
    let tls = tls::open(settings)?;
    raise_file_limit();
    // First: when the address is in use, nothing else has been started.
    let listeners = listen::bind("AUTHY_LISTEN", &settings.listen.0).await?;
    let admin = listen::bind("AUTHY_ADMIN_LISTEN", &settings.admin_listen.0).await?;
    let addresses: Vec<_> = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    let url = url_of(settings, *addresses.first().ok_or("AUTHY_LISTEN names no address")?);
    let mut signals = Signals::new()?;

    // Both may wait long for the database.
    let database = tokio::select! {
        opened = Database::open(settings, Sharing::Alone) => opened?,
        () = signals.stop(|| ()) => return Ok(()),
    };
    let served = async {
        let public_url = public_url(settings, &url);
        let reached_at = ReachedAt::new(settings, &public_url, &addresses);
        let engine = sinks::add(database.server_engine(settings, &reached_at), settings, &reached_at)?;
        let authy = tokio::select! {
            started = engine.start() => started.map_err(explain)?,
            () = signals.stop(|| ()) => return Ok(()),
        };
        check_issuer(settings, &authy);
        if settings.legacy_hs512_secret.is_some() {
            tracing::warn!(
                "tokens of an earlier system are accepted, and anyone who knows their secret can forge a token of any \
                 user: leave out AUTHY_LEGACY_HS512_SECRET once the last of them has expired"
            );
        }
        let administrator = tokio::select! {
            finished = finish::finish(settings, &authy) => finished.map_err(explain)?,
            () = signals.stop(|| ()) => return Ok(()),
        };
        println!("authy {}", env!("CARGO_PKG_VERSION"));
        if settings.database_url.is_none() {
            println!("data folder: {}", settings.data_dir.display());
        }
        if let Some(folder) = sinks::mail_folder(settings) {
            println!("mails are files in {}", folder.display());
        }
        if let Some((name, password)) = administrator {
            println!("first administrator: {name}, password (shown this once): {}", password.expose());
        }
        for listener in &admin {
            println!("admin listener on {}", url_of(settings, listener.local_addr()?));
        }
        #[cfg(feature = "ui")]
        if let Some(first) = admin.first().filter(|_| settings.ui) {
            println!("administration at {}{}", url_of(settings, first.local_addr()?), crate::ui::CONSOLE);
        }
        #[cfg(feature = "ui")]
        if let Some(url) = pages::page_url(settings, &reached_at, "") {
            println!("open {url}");
        }
        #[cfg(feature = "ui")]
        if let Some(url) = pages::reference_url(settings, &reached_at) {
            println!("API reference at {url}");
        }
        // The last lines, so that programs can wait for the first of them.
        for address in &addresses {
            println!("listening on {}", url_of(settings, *address));
        }
        let http = exporter.configure(http_config(settings, &reached_at));
        let delay = http.stop_delay;
        let (stop, stopped) = oneshot::channel::<()>();
        let mut server = Server::new(authy.clone(), http);
        for listener in admin {
            server = server.with_admin_listener(listener);
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = &tls {
            server = server.with_tls(tls.clone());
        }
        let reload = || {
            #[cfg(feature = "tls")]
            if let Some(tls) = &tls {
                tls::reload(tls);
            }
            #[cfg(feature = "ui")]
            let has_looks = pages::reload(settings);
            #[cfg(not(feature = "ui"))]
            let has_looks = false;
            sinks::reload(settings, has_looks || speaks_tls(settings));
        };
        let mut serving = tokio::spawn(server.serve_all(listeners, async { drop(stopped.await) }));
        systemd::ready();
        // Until the process ends.
        tokio::spawn(systemd::give_signs_of_life());
        tokio::select! {
            ended = &mut serving => return Ok::<_, BoxError>(ended??),
            () = signals.stop(reload) => {}
        }
        tracing::info!(?delay, "stopping: after the delay, the requests under way are answered");
        systemd::stopping();
        drop(stop);
        let stopped = async {
            let ended = (&mut serving).await;
            tracing::info!("stopping: finishing the deliveries under way");
            authy.stop().await;
            Ok(ended??)
        };
        tokio::select! {
            ended = stopped => return ended,
            // A second signal: stop at once.
            () = signals.stop(|| ()) => {}
        }
        serving.abort();
        Ok(())
    };
    let result = served.await;
    let closed = database.close().await;
    result.and(closed)
}
