//! Networks: an address with a prefix, or one address.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Length of the prefix of IPv4 addresses in IPv6 form (RFC 4291, section 2.5.5.2).
const MAPPED_PREFIX: u8 = 96;

/// Reads a network. An address alone is a network of one. Digits behind the prefix are refused, because nobody can tell
/// whether the network or the address was meant.
pub(super) fn read(text: &str) -> Result<IpNet, String> {
    const EXPECTED: &str = "must be a network or an address, such as 10.0.0.0/8, 10.0.0.5 or 2001:db8::/32";
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let network: IpNet = text.parse().map_err(|_| EXPECTED)?;
    if network.addr() != network.network() {
        let (whole, address) = (network.trunc(), network.addr());
        return Err(format!("must be {whole} for the network, or {address} for the address"));
    }
    Ok(canonical(network))
}

/// Returns the IPv4 network of one in IPv6 form: the addresses of clients are compared in IPv4 form.
fn canonical(network: IpNet) -> IpNet {
    let mapped = |network: Ipv6Net| {
        let address = network.addr().to_ipv4_mapped()?;
        Ipv4Net::new(address, network.prefix_len().checked_sub(MAPPED_PREFIX)?).ok()
    };
    match network {
        IpNet::V6(network) => mapped(network).map_or(network.into(), IpNet::V4),
        IpNet::V4(_) => network,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_a_network_of_one() {
        for (text, network) in [
            ("10.0.0.5", "10.0.0.5/32"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("::ffff:10.0.0.5", "10.0.0.5/32"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(read(text).unwrap().to_string(), network, "{text}");
        }
    }

    #[test]
    fn an_address_with_a_prefix_is_refused_with_both_that_may_be_meant() {
        for (text, network, address) in [
            ("10.0.0.5/8", "10.0.0.0/8 for", "10.0.0.5 for"),
            ("2001:db8::1/32", "2001:db8::/32 for", "2001:db8::1 for"),
        ] {
            let why = read(text).unwrap_err();
            assert!(why.contains(network) && why.contains(address), "{why}");
        }
        for text in ["", "proxy", "10.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.1-10.0.0.9", "[::1]"] {
            assert!(read(text).unwrap_err().starts_with("must be a network or an address"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_network_or_refused(text in "\\PC*|[0-9.:a-f/]{0,20}") {
            if let Ok(network) = read(&text) {
                prop_assert_eq!(network.addr(), network.network());
                prop_assert_eq!(read(&network.to_string()), Ok(network));
            }
        }
    }
}
