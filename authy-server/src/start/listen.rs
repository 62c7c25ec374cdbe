//! The listeners of the addresses that the settings name.

use std::{io, net::SocketAddr};

use tokio::net::TcpListener;

use super::error::BoxError;
use crate::config::ListenAddress;

/// Listens on every address, or on none.
///
/// # Errors
/// Which address cannot be listened on, and why.
pub(super) async fn bind(addresses: &[ListenAddress]) -> Result<Vec<TcpListener>, BoxError> {
    let mut listeners = Vec::new();
    for address in addresses {
        let refused = |error: io::Error| format!("cannot listen on {address} (AUTHY_LISTEN): {error}");
        match address {
            ListenAddress::Ip(ip) => listeners.push(TcpListener::bind(ip).await.map_err(refused)?),
            ListenAddress::Name(..) => {
                let resolved = address.resolve().await.map_err(refused)?;
                listeners.append(&mut bind_name(&resolved).await.map_err(refused)?);
            }
        }
    }
    Ok(listeners)
}

/// Listens on the addresses of a name, except those of a kind that this machine does not have: `localhost` is often an
/// IPv6 address, too, where IPv6 is turned off.
async fn bind_name(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let (mut listeners, mut missing) = (Vec::<TcpListener>::new(), None);
    for address in addresses {
        let mut address = *address;
        // A free port is the same for all of them.
        if let (0, Some(first)) = (address.port(), listeners.first()) {
            address.set_port(first.local_addr()?.port());
        }
        match TcpListener::bind(address).await {
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

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(address: &str) -> ListenAddress {
        ListenAddress::Ip(address.parse().unwrap())
    }

    #[tokio::test]
    async fn every_address_is_listened_on_or_the_one_that_fails_is_named() {
        let listeners = bind(&[ip("127.0.0.1:0"), ip("127.0.0.2:0")]).await.unwrap();
        let taken = listeners[1].local_addr().unwrap();
        assert_eq!(listeners.len(), 2);
        let error = bind(&[ip("127.0.0.1:0"), ListenAddress::Ip(taken)]).await.unwrap_err().to_string();
        assert!(error.contains(&taken.to_string()) && error.contains("AUTHY_LISTEN"), "{error}");
        let unknown = ListenAddress::Name("no-such-host.invalid".to_owned(), 80);
        let error = bind(&[ip("127.0.0.1:0"), unknown]).await.unwrap_err().to_string();
        assert!(error.contains("no-such-host.invalid:80"), "{error}");
    }

    #[tokio::test]
    async fn an_address_that_this_machine_does_not_have_is_left_out_of_a_name() {
        let (here, elsewhere) = ("127.0.0.1:0".parse().unwrap(), "192.0.2.1:0".parse().unwrap());
        assert_eq!(bind_name(&[elsewhere, here]).await.unwrap().len(), 1);
        assert_eq!(bind_name(&[elsewhere]).await.unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
        let same = bind_name(&[here, "127.0.0.2:0".parse().unwrap()]).await.unwrap();
        assert_eq!(same[0].local_addr().unwrap().port(), same[1].local_addr().unwrap().port());
    }
}
