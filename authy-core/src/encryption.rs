//! Decides whether a connection may be unencrypted: to this machine always, to another one only when a setting asks for
//! it.

use std::net::IpAddr;

/// What a kind of connection carries, and the settings for its encryption. The message of a refusal names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionKind {
    /// What others on the network could read.
    pub carries: &'static str,
    /// The setting that encrypts it.
    pub encrypt_with: &'static str,
    /// The setting that permits plain text.
    pub permit_plain_text_with: &'static str,
}

/// What the settings require of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Encryption; without it there is no connection.
    Required,
    /// Nothing, or encryption only when the other side offers it: an attacker on the network can remove the offer.
    Unspecified,
    /// Plain text, explicitly.
    Declined,
}

/// The refusal of a connection that would be unencrypted although no setting permits that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "would send {} to another machine without encryption: use {}, or, on a network where nobody else can listen, {}",
    .0.carries, .0.encrypt_with, .0.permit_plain_text_with
)]
pub struct PlainTextRefused(ConnectionKind);

/// Permits or refuses a connection to these hosts.
///
/// # Errors
/// [`PlainTextRefused`] when one of them is another machine, and encryption was neither required nor declined.
pub fn check<'a>(
    kind: ConnectionKind,
    encryption: Encryption,
    hosts: impl IntoIterator<Item = &'a str>,
) -> Result<(), PlainTextRefused> {
    match encryption {
        Encryption::Required | Encryption::Declined => Ok(()),
        Encryption::Unspecified if hosts.into_iter().all(is_local) => Ok(()),
        Encryption::Unspecified => Err(PlainTextRefused(kind)),
    }
}

/// Returns whether a host is this machine: a loopback address, `localhost`, or the path of a unix socket. An IPv6
/// address may have the brackets of a URL.
pub fn is_local(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    // No other name: one that resolves to a loopback address now may resolve to another address later.
    host.eq_ignore_ascii_case("localhost")
        || host.starts_with('/')
        || address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: ConnectionKind =
        ConnectionKind { carries: "passwords", encrypt_with: "https://", permit_plain_text_with: "tls=none" };

    #[test]
    fn this_machine_is_known_by_name_address_and_socket() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1", "/run/x"] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "db",
            "localhost.example",
            "127.0.0.1.example",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "[::1",
            "2001:db8::1",
            "::ffff:10.0.0.1",
            "run/x",
            "127.1",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn another_machine_needs_encryption_or_an_explicit_permission() {
        let check = |encryption, hosts: &[&str]| check(KIND, encryption, hosts.iter().copied());
        for encryption in [Encryption::Required, Encryption::Declined] {
            assert_eq!(check(encryption, &["db.example"]), Ok(()));
        }
        assert_eq!(check(Encryption::Unspecified, &["localhost", "::1"]), Ok(()));
        // One remote host is enough.
        let refused = check(Encryption::Unspecified, &["localhost", "db.example"]).unwrap_err().to_string();
        assert!(refused.contains("passwords") && refused.contains("https://") && refused.contains("tls=none"));
    }
}
