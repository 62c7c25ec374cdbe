//! The networks that count as one client, or as one network. All limits per address use them, so that they agree.

use std::net::IpAddr;

use ipnet::IpNet;

/// Returns the network of one client: an IPv4 address, or the /64 of an IPv6 address.
pub fn of_client(address: IpAddr) -> IpAddr {
    prefix(address, 32, 64)
}

/// Returns the smallest network that is routed separately: the /24 of an IPv4 address, or the /48 of an IPv6 address.
/// Wider networks belong to many customers of a provider.
pub fn routed(address: IpAddr) -> IpAddr {
    prefix(address, 24, 48)
}

/// Returns an address without the bits behind a prefix. An IPv4 address in IPv6 form (`::ffff:192.0.2.1`) is an IPv4
/// address.
pub fn prefix(address: IpAddr, ipv4_bits: u8, ipv6_bits: u8) -> IpAddr {
    let address = address.to_canonical();
    let bits = if address.is_ipv4() { ipv4_bits } else { ipv6_bits };
    // Longer than the address, it is the whole address.
    IpNet::new(address, bits).map_or(address, |network| network.network())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_64() {
        for (address, client, network) in [
            ("192.0.2.129", "192.0.2.129", "192.0.2.0"),
            ("::ffff:192.0.2.129", "192.0.2.129", "192.0.2.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", "2001:db8:1::"),
            ("::1", "::", "::"),
        ] {
            let [address, client, network] = [address, client, network].map(|text| text.parse::<IpAddr>().unwrap());
            assert_eq!((of_client(address), routed(address)), (client, network), "{address}");
        }
    }

    #[test]
    fn a_prefix_may_be_empty_or_longer_than_the_address() {
        for address in ["192.0.2.129", "2001:db8::1"] {
            let address: IpAddr = address.parse().unwrap();
            assert!(prefix(address, 0, 0).is_unspecified());
            assert_eq!(prefix(address, 200, 200), address);
        }
    }
}
