//! The networks that count as one client, or as one network. All limits per address use them, so that they agree.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let host_bits = u32::BITS.saturating_sub(ipv4_bits.into());
            let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let host_bits = u128::BITS.saturating_sub(ipv6_bits.into());
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
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
