//! The listeners of the program.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

use super::error::BoxError;

/// Number of connections that may wait to be accepted. With the usual 128, clients that connect at the same moment wait
/// a second for their next attempt. Linux permits 4096 (`net.core.somaxconn`).
const ACCEPT_QUEUE: u32 = 4096;

/// Listens on an address.
///
/// # Errors
/// With the setting that the address comes from.
pub(super) fn bind(address: SocketAddr, setting: &str) -> Result<TcpListener, BoxError> {
    Ok(listen(address).map_err(|error| format!("cannot listen on {address} ({setting}): {error}"))?)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As `TcpListener::bind` does: an address whose earlier connections are still closing can be used again.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_QUEUE)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpStream, time::Duration};

    use super::*;

    #[tokio::test]
    async fn hundreds_of_clients_can_connect_at_the_same_moment() {
        let listener = bind("127.0.0.1:0".parse().unwrap(), "AUTHY_LISTEN").unwrap();
        let address = listener.local_addr().unwrap();
        // Nobody accepts: whom the queue has no room for tries again after a second.
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(900)).unwrap();
        let connected: Vec<_> = (0..500).map(connect).collect();
        assert_eq!(connected.len(), 500);
    }
}
