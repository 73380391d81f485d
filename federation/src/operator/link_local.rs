//! Addresses that mean the machine an operator runs on, or what serves that machine its own
//! credentials. No member cluster is there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services of clouds outside the link-local ranges: Alibaba Cloud, Azure, Oracle Cloud.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// Those of AWS and of Google Cloud.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// Names that clouds resolve to them.
const METADATA_NAMES: [&str; 5] = [
    "metadata",
    "metadata.goog",
    "metadata.google.internal",
    "instance-data",
    "instance-data.ec2.internal",
];

/// Whether an address is link-local, unspecified, or one of a cloud's metadata service; also where
/// an IPv6 address stands for such an IPv4 address.
pub fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_link_local() || address.is_unspecified() || METADATA_V4.contains(&address)
        }
        IpAddr::V6(address) => {
            address.is_unicast_link_local()
                || address.is_unspecified()
                || METADATA_V6.contains(&address)
                || embedded(address).is_some_and(|address| is_link_local(address.into()))
        }
    }
}

/// Whether the host of a URL is such an address or a name of one. What a name resolves to shows only
/// when a connection is made.
pub fn names_link_local(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    literal.parse().is_ok_and(is_link_local) || METADATA_NAMES.contains(&host.as_str())
}

/// The IPv4 address in an IPv4-mapped, IPv4-compatible or NAT64 (RFC 6052) one.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d] = address.octets()[12..] else {
        return None;
    };
    let is_embedded = matches!(
        address.segments()[..6],
        [0, 0, 0, 0, 0, 0 | 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0]
    );
    // `::1` is the loopback address, and not 0.0.0.1.
    (is_embedded && !address.is_loopback()).then(|| Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_machine_and_of_metadata_services_are_link_local() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "0.0.0.0",
            "::",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "::ffff:0.0.0.0",
            "100.100.100.200",
            "168.63.129.16",
        ] {
            assert!(is_link_local(address.parse().unwrap()), "{address}");
        }
        for address in [
            "127.0.0.1",
            "::1",
            "10.0.0.1",
            "192.168.1.1",
            "169.253.255.255",
            "fec0::1",
            "fd00:ec2::253",
            "2001:db8::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(!is_link_local(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn names_of_metadata_services_are_link_local() {
        for host in [
            "metadata.google.internal",
            "Metadata.Google.Internal.",
            "[fe80::1]",
            "169.254.169.254",
        ] {
            assert!(names_link_local(host), "{host}");
        }
        for host in ["edge1.example", "localhost", "127.0.0.1", "[::1]"] {
            assert!(!names_link_local(host), "{host}");
        }
    }
}
