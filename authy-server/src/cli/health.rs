//! `authy-server health`: checks whether the server is ready for requests, in a container without curl for example.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    time::Duration,
};

use bytes::Bytes;
use clap::ArgMatches;
use http::{Request, StatusCode, header::HOST};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use super::arguments::{print, print_json};
use crate::{
    config::Settings,
    operations::{READINESS, ReadinessReport},
    start::{self, BoxError},
};

#[cfg(feature = "tls")]
mod tls;

/// Maximum time for the answer. A server that is busy hashing answers in milliseconds.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

/// Maximum size of the answer in bytes; a report has some hundred.
const MAX_REPORT_BYTES: usize = 64 * 1024;

pub(super) async fn run(matches: &ArgMatches, settings: &Settings) -> Result<(), BoxError> {
    let (named, setting) = match (settings.admin_listen.0.first(), settings.listen.0.first()) {
        (Some(admin), _) => (admin, "AUTHY_ADMIN_LISTEN"),
        (None, Some(address)) => (address, "AUTHY_LISTEN"),
        (None, None) => return Err("AUTHY_LISTEN names no address".into()),
    };
    let resolved = named.resolve().await;
    let resolved = resolved.map_err(|error| format!("{named} ({setting}) cannot be resolved: {error}"))?;
    let first = resolved.first().ok_or_else(|| format!("{named} ({setting}) has no address"))?;
    let address = reachable(*first, setting)?;
    let asked = timeout(HEALTH_TIMEOUT, connect_and_ask(address, start::speaks_tls(settings))).await;
    let (status, body) = asked.map_err(|_| format!("{address} did not answer in time"))??;
    let report = serde_json::from_slice::<ReadinessReport>(&body);
    // Also of a server that is not ready: then the reason is on standard error, too.
    if let (true, Ok(report)) = (matches.get_flag("json"), &report) {
        print_json(report)?;
    }
    match (status, report) {
        (StatusCode::OK, Ok(_)) if matches.get_flag("json") => Ok(()),
        (StatusCode::OK, Err(_)) if matches.get_flag("json") => {
            Err(format!("{address} answered without a report").into())
        }
        (StatusCode::OK, _) => print(&format!("{address} answers")),
        (_, Ok(report)) => Err(format!("{address} is not ready: {report}").into()),
        (_, Err(_)) => Err(format!("{address} answered {status}").into()),
    }
}

/// Returns the address at which a server with this listen address is reached from this machine.
fn reachable(listen: SocketAddr, setting: &str) -> Result<SocketAddr, BoxError> {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    match listen.port() {
        0 => Err(format!("{setting} has port 0: where the server listens is not known").into()),
        port => Ok(SocketAddr::new(ip, port)),
    }
}

async fn connect_and_ask(address: SocketAddr, speaks_tls: bool) -> Result<(StatusCode, Bytes), BoxError> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("{address} cannot be reached: {error}"))?;
    match speaks_tls {
        #[cfg(feature = "tls")]
        true => ask(address, tls::connect(address, stream).await?).await,
        _ => ask(address, stream).await,
    }
}

async fn ask<S>(address: SocketAddr, stream: S) -> Result<(StatusCode, Bytes), BoxError>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(READINESS).header(HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    let mut answer = pin!(async {
        let answer = sender.send_request(request).await?;
        Ok((answer.status(), Limited::new(answer.into_body(), MAX_REPORT_BYTES).collect().await?.to_bytes()))
    });
    // The connection must be polled while the answer is awaited; the answer may arrive together with its end.
    tokio::select! {
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_reached_by_loopback() {
        for (listen, reached) in
            [("0.0.0.0:8080", "127.0.0.1:8080"), ("[::]:8080", "[::1]:8080"), ("10.0.0.1:80", "10.0.0.1:80")]
        {
            assert_eq!(reachable(listen.parse().unwrap(), "AUTHY_LISTEN").unwrap(), reached.parse().unwrap());
        }
        assert!(reachable("127.0.0.1:0".parse().unwrap(), "AUTHY_LISTEN").is_err());
    }
}
