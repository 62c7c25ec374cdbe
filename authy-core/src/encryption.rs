//! Decides whether a connection may be unencrypted: to this machine always, to another one only when a setting asks for it.

use std::net::IpAddr;

/// What a connection carries, and the settings that decide about its encryption, as the message of a refusal names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// What others on the network could read.
    pub carries: &'static str,
    /// The setting that encrypts it.
    pub encrypted: &'static str,
    /// The setting that permits plain text.
    pub declined: &'static str,
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
    .0.carries, .0.encrypted, .0.declined
)]
pub struct PlainTextRefused(Link);

/// Decides whether a connection to any of these hosts may be made.
///
/// # Errors
/// [`PlainTextRefused`] when one of them is another machine, and encryption was neither required nor declined.
pub fn check<'a>(
    link: Link,
    encryption: Encryption,
    hosts: impl IntoIterator<Item = &'a str>,
) -> Result<(), PlainTextRefused> {
    match encryption {
        Encryption::Required | Encryption::Declined => Ok(()),
        Encryption::Unspecified if hosts.into_iter().all(is_local) => Ok(()),
        Encryption::Unspecified => Err(PlainTextRefused(link)),
    }
}

/// Returns whether a host is this machine: a loopback address, `localhost`, or the path of a unix socket. An IPv6
/// address may have the brackets of a URL.
pub fn is_local(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    // No other name: what resolves to a loopback address now may resolve to another one later.
    host.eq_ignore_ascii_case("localhost")
        || host.starts_with('/')
        || address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Link = Link { carries: "passwords", encrypted: "https://", declined: "tls=none" };

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
    fn another_machine_needs_encryption_or_a_word() {
        let check = |encryption, hosts: &[&str]| check(LINK, encryption, hosts.iter().copied());
        for encryption in [Encryption::Required, Encryption::Declined] {
            assert_eq!(check(encryption, &["db.example"]), Ok(()));
        }
        assert_eq!(check(Encryption::Unspecified, &["localhost", "::1"]), Ok(()));
        // One of several is enough.
        let refused = check(Encryption::Unspecified, &["localhost", "db.example"]).unwrap_err().to_string();
        assert!(refused.contains("passwords") && refused.contains("https://") && refused.contains("tls=none"));
    }
}
