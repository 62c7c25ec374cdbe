//! The connection that a request came in on.

use std::net::IpAddr;

/// Who is at the other end of a connection, and how it is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The address.
    pub(crate) ip: IpAddr,
    /// Whether the connection is encrypted up to this process.
    pub(crate) is_encrypted: bool,
    /// Whether it has shown a certificate of an authority for clients.
    pub(crate) is_certified: bool,
}

impl Peer {
    /// Returns a peer without encryption.
    pub(crate) fn plain(ip: IpAddr) -> Self {
        Self { ip, is_encrypted: false, is_certified: false }
    }
}
