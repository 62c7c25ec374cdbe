//! The listeners of the addresses that the settings name.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

use super::error::BoxError;
use crate::config::ListenAddress;

/// Number of connections that may wait to be accepted. With the usual 128, clients that connect at the same moment wait
/// a second for their next attempt. Linux permits 4096 (`net.core.somaxconn`).
const ACCEPT_QUEUE: u32 = 4096;

/// Listens on every address of a setting, or on none.
///
/// # Errors
/// Which address cannot be listened on, and why.
pub(super) async fn bind(setting: &str, addresses: &[ListenAddress]) -> Result<Vec<TcpListener>, BoxError> {
    let mut listeners = Vec::new();
    for address in addresses {
        let refused = |error: io::Error| format!("cannot listen on {address} ({setting}): {error}");
        match address {
            ListenAddress::Ip(ip) => listeners.push(listen(*ip).map_err(refused)?),
            ListenAddress::Name(..) => {
                let resolved = address.resolve().await.map_err(refused)?;
                listeners.append(&mut bind_name(&resolved).map_err(refused)?);
            }
        }
    }
    Ok(listeners)
}

/// Listens on the addresses of a name, except those of a kind that this machine does not have: `localhost` is often an
/// IPv6 address, too, where IPv6 is turned off.
fn bind_name(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let (mut listeners, mut missing) = (Vec::<TcpListener>::new(), None);
    for address in addresses {
        let mut address = *address;
        // A free port is the same for all of them.
        if let (0, Some(first)) = (address.port(), listeners.first()) {
            address.set_port(first.local_addr()?.port());
        }
        match listen(address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_missing(&error) => missing = Some(error),
            Err(error) => return Err(error),
        }
    }
    match missing.filter(|_| listeners.is_empty()) {
        Some(error) => Err(error),
        None => Ok(listeners),
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As `TcpListener::bind` does: an address whose earlier connections are still closing can be used again.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_QUEUE)
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

#[cfg(test)]
mod tests {
    use std::{net::TcpStream, time::Duration};

    use super::*;

    #[tokio::test]
    async fn hundreds_of_clients_can_connect_at_the_same_moment() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        // Nobody accepts: whom the queue has no room for tries again after a second.
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(900)).unwrap();
        let connected: Vec<_> = (0..500).map(connect).collect();
        assert_eq!(connected.len(), 500);
    }

    fn ip(address: &str) -> ListenAddress {
        ListenAddress::Ip(address.parse().unwrap())
    }

    #[tokio::test]
    async fn every_address_is_listened_on_or_the_one_that_fails_is_named() {
        let listeners = bind("AUTHY_LISTEN", &[ip("127.0.0.1:0"), ip("127.0.0.2:0")]).await.unwrap();
        let taken = listeners[1].local_addr().unwrap();
        assert_eq!(listeners.len(), 2);
        let error = bind("AUTHY_LISTEN", &[ip("127.0.0.1:0"), ListenAddress::Ip(taken)]).await.unwrap_err().to_string();
        assert!(error.contains(&taken.to_string()) && error.contains("AUTHY_LISTEN"), "{error}");
        let unknown = ListenAddress::Name("no-such-host.invalid".to_owned(), 80);
        let error = bind("AUTHY_LISTEN", &[ip("127.0.0.1:0"), unknown]).await.unwrap_err().to_string();
        assert!(error.contains("no-such-host.invalid:80"), "{error}");
    }

    #[tokio::test]
    async fn an_address_that_this_machine_does_not_have_is_left_out_of_a_name() {
        let (here, elsewhere) = ("127.0.0.1:0".parse().unwrap(), "192.0.2.1:0".parse().unwrap());
        assert_eq!(bind_name(&[elsewhere, here]).unwrap().len(), 1);
        assert_eq!(bind_name(&[elsewhere]).unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
        let same = bind_name(&[here, "127.0.0.2:0".parse().unwrap()]).unwrap();
        assert_eq!(same[0].local_addr().unwrap().port(), same[1].local_addr().unwrap().port());
    }
}
