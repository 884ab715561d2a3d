//! Addresses that cannot exist on the other side of an uplink, without looking at any flow.

use crate::{
    config::Config,
    packet::Packet,
    tuple::{Address, Direction},
    verdict::Reason,
};

/// Judges a packet by its addresses alone; `None` when they say nothing against it.
// Not inlined, so that what it compares does not stay on its caller's stack.
#[must_use]
#[inline(never)]
pub fn judge(packet: &Packet, direction: Direction, config: &Config) -> Option<Reason> {
    let (source, destination) = (&packet.network.source, &packet.network.destination);
    // A group is never a source (RFC6092-REC-1, E52).
    if source.is_multicast() {
        return Some(Reason::MulticastSource);
    }
    // Nobody sends to itself across an uplink (E22, E53).
    if source == destination {
        return Some(Reason::Land);
    }
    if config.martians_enabled == 0 {
        return None;
    }
    if is_martian(source) && !config.excepts(source) {
        return Some(Reason::MartianSource);
    }
    if is_martian(destination) && !config.excepts(destination) {
        return Some(Reason::MartianDestination);
    }
    // What comes in has to match a flow anyway, and none goes to a group.
    (direction == Direction::Outbound && crosses_boundary(destination))
        .then_some(Reason::MulticastScope)
}

/// The special-purpose registry (RFC 6890) as far as nothing legitimate uses it across an
/// uplink, as source or destination (RFC7084-4.5-MARTIAN): private and carrier-grade space is
/// normal there (E25), as is the link-local metadata service of a cloud (E26).
#[inline(always)]
fn is_martian(address: &Address) -> bool {
    if address.is_ipv4_mapped() {
        is_martian_ipv4(address.ipv4_octets())
    } else {
        is_martian_ipv6(address)
    }
}

#[inline(always)]
const fn is_martian_ipv4(octets: [u8; 4]) -> bool {
    match octets {
        // "This network", loopback, class E and the limited broadcast (E23, E24).
        [0 | 127 | 240.., ..] => true,
        // IETF assignments, of which the first eight addresses serve DS-Lite (RFC 6333).
        [192, 0, 0, last] => last >= 8,
        // Documentation (RFC 5737).
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        _ => false,
    }
}

/// RFC6092-REC-3, RFC6092-REC-7, RFC7084-ULA-4; mapped addresses the parser has refused already.
#[inline(always)]
const fn is_martian_ipv6(address: &Address) -> bool {
    let [first, second, third, _] = address.words();
    match first.to_ne_bytes() {
        // Documentation (RFC 3849) and ORCHID (RFC 4843) (E49).
        [0x20, 0x01, 0x0d, 0xb8] | [0x20, 0x01, 0x00, 0x10..=0x1f] => true,
        // The rest of 2000::/3, where nearly all traffic is, 6to4 among it (E51): no further looks.
        [0x20..=0x3f, ..] => false,
        // Unspecified, loopback and IPv4-compatible addresses (E48, E49).
        [0, 0, 0, 0] => second == 0 && third == 0,
        // Discard-only, 100::/64 (RFC 6666).
        [0x01, 0, 0, 0] => second == 0,
        // Unique local (RFC 4193), and site-local (RFC 3879).
        [0xfc | 0xfd, ..] | [0xfe, 0xc0..=0xff, ..] => true,
        // Among others hosts behind NAT64 (E50), and on the link, where a resolver may be (E55).
        _ => false,
    }
}

/// Whether a multicast group's scope ends at or below the organization (RFC6092-REC-2,
/// RFC 2365), but above the link, whose own groups never get further.
#[inline(always)]
const fn crosses_boundary(destination: &Address) -> bool {
    if destination.is_ipv4_mapped() {
        destination.ipv4_octets()[0] == 239
    } else {
        let [first, scope, ..] = destination.octets();
        first == 0xff && matches!(scope & 0x0f, 3..=8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::IpAddr;

    fn martian(text: &str) -> bool {
        is_martian(&text.parse::<IpAddr>().expect("valid address").into())
    }

    /// RFC6092-REC-3, RFC6092-REC-7, RFC7084-ULA-4, E23, E24, E48, E49.
    #[test]
    fn special_purpose_addresses_are_martians() {
        for text in [
            "0.1.2.3",
            "127.0.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.51.100.255",
            "203.0.113.0",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::192.0.2.1",
            "100::1",
            "2001:db8::1",
            "2001:10::1",
            "2001:1f:ffff::1",
            "fc00::1",
            "fdff::1",
            "fec0::1",
            "feff::1",
        ] {
            assert!(martian(text), "{text}");
        }
    }

    /// E25, E26, E50, E51, E55.
    #[test]
    fn neighbours_of_special_blocks_are_not() {
        for text in [
            "1.0.0.1",
            "10.0.0.5",
            "100.64.0.1",
            "126.255.255.255",
            "128.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.0.1.1",
            "192.0.3.1",
            "192.168.1.1",
            "198.18.0.1",
            "223.255.255.255",
            "64:ff9b::c000:201",
            "100:0:0:1::1",
            "2001::1",
            "2001:20::1",
            "2001:db7::1",
            "2001:db9::1",
            "2002:a00:1::1",
            "2a00:1::5",
            "3fff::1",
            "fe80::1",
            "fbff::1",
            "::1:0:0:0",
        ] {
            assert!(!martian(text), "{text}");
        }
    }

    /// RFC6092-REC-2.
    #[test]
    fn multicast_boundary_is_the_organization() {
        let crosses =
            |text: &str| crosses_boundary(&text.parse::<IpAddr>().expect("valid address").into());
        assert!(crosses("ff05::1:3") && crosses("ff08::1") && crosses("239.255.255.250"));
        assert!(!crosses("ff02::1") && !crosses("ff0e::1") && !crosses("224.0.0.251"));
        assert!(!crosses("2a00::1") && !crosses("10.0.0.1"));
    }
}
