//! From settings to a server that runs.

use std::sync::Arc;

use authy_core::{ClientInfo, engine::Caller, http_url::HttpUrl};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{access_log::AccessLog, config::Settings, http_config::HttpConfig, limit::RateLimits, server::Server};

mod database;
mod error;
mod sinks;

pub(crate) use database::{Database, Sharing};
pub(crate) use error::BoxError;

fn http_config(settings: &Settings) -> HttpConfig {
    HttpConfig {
        trusted_proxies: settings.trusted_proxies.0.clone(),
        follower_networks: settings.follower_networks.0.clone(),
        require_https: settings.require_https,
        cors_origins: settings.cors_origins.0.iter().map(|origin| origin.0.clone()).collect(),
        access_log: settings.access_log.then_some(AccessLog { sample: settings.access_log_sample.0 }),
        limits: RateLimits {
            login: settings.limit_login.clone(),
            register: settings.limit_register.clone(),
            validate: settings.limit_validate.clone(),
            forgot: settings.limit_forgot.clone(),
            default: settings.limit_default.clone(),
        },
        ..HttpConfig::default()
    }
}

/// Returns the URL at which users reach this server: as configured, or the issuer, or the address it listens on.
fn public_url(settings: &Settings, listening: &str) -> String {
    let configured = settings.public_url.as_ref().map(|url| url.0.clone());
    let issuer = || HttpUrl::parse_base(settings.issuer.as_deref()?).ok();
    configured.or_else(issuer).map_or_else(|| listening.to_owned(), |url| url.as_str().to_owned())
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
    sinks::check(settings)?;
    raise_file_limit();
    // First: when the address is in use, nothing else has been started.
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|error| format!("cannot listen on {} (AUTHY_LISTEN): {error}", settings.listen))?;
    let url = format!("http://{}", listener.local_addr()?);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;

    let database = Database::open(settings, Sharing::Alone).await?;
    let served = async {
        let engine = database.engine(settings, settings.issuer.as_deref().unwrap_or(&url));
        let authy = sinks::add(engine, settings, &public_url(settings, &url))?.start().await?;
        println!("authy {}", env!("CARGO_PKG_VERSION"));
        if settings.database_url.is_none() {
            println!("data folder: {}", settings.data_dir.display());
        }
        if let Some((name, password)) =
            authy.users().create_first_administrator(&Caller::operator(ClientInfo::default())).await?
        {
            println!("first administrator: {name}, password (shown this once): {}", password.expose());
        }
        // The last line, so that programs can wait for it.
        println!("listening on {url}");
        let stopping = Arc::new(tokio::sync::Notify::new());
        let stop = {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        };
        let mut serving = tokio::spawn(Server::new(authy.clone(), http_config(settings)).serve(listener, stop));
        tokio::select! {
            ended = &mut serving => return Ok::<_, BoxError>(ended??),
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: answering the requests under way first");
        stopping.notify_one();
        let stopped = async {
            let ended = (&mut serving).await;
            tracing::info!("stopping: finishing the deliveries under way");
            authy.stop().await;
            Ok(ended??)
        };
        tokio::select! {
            ended = stopped => return ended,
            // A second signal: stop at once.
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        serving.abort();
        Ok(())
    };
    let result = served.await;
    let closed = database.close().await;
    result.and(closed)
}
