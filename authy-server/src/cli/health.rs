//! `authy-server health`: checks whether the server answers, in a container without curl for example.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    time::Duration,
};

use authy_core::api::{Endpoint as _, system::GetStatus};
use bytes::Bytes;
use http::{Request, StatusCode, header::HOST};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use super::arguments::print;
use crate::{config::Settings, start::BoxError};

/// Maximum time for the answer. A server that is busy hashing answers in milliseconds.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) async fn run(settings: &Settings) -> Result<(), BoxError> {
    let named = settings.listen.0.first().ok_or("AUTHY_LISTEN names no address")?;
    let resolved =
        named.resolve().await.map_err(|error| format!("{named} (AUTHY_LISTEN) cannot be resolved: {error}"))?;
    let address = reachable(*resolved.first().ok_or_else(|| format!("{named} (AUTHY_LISTEN) has no address"))?)?;
    let asked = timeout(HEALTH_TIMEOUT, ask(address)).await;
    match asked.map_err(|_| format!("{address} did not answer in time"))?? {
        StatusCode::OK => print(&format!("{address} answers")),
        status => Err(format!("{address} answered {status}").into()),
    }
}

/// Returns the address at which a server with this listen address is reached from this machine.
fn reachable(listen: SocketAddr) -> Result<SocketAddr, BoxError> {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    match listen.port() {
        0 => Err("AUTHY_LISTEN has port 0: where the server listens is not known".into()),
        port => Ok(SocketAddr::new(ip, port)),
    }
}

async fn ask(address: SocketAddr) -> Result<StatusCode, BoxError> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("{address} cannot be reached: {error}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(GetStatus::INFO.path).header(HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    // The connection must be polled while the answer is awaited; the answer may arrive together with its end.
    let mut answer = pin!(sender.send_request(request));
    tokio::select! {
        answer = &mut answer => Ok(answer?.status()),
        _ = connection => Ok(answer.await?.status()),
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
            assert_eq!(reachable(listen.parse().unwrap()).unwrap(), reached.parse().unwrap());
        }
        assert!(reachable("127.0.0.1:0".parse().unwrap()).is_err());
    }
}
