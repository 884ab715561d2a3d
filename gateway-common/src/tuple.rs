//! Who talks to whom: addresses, directions and the flow key both hooks agree on.

use core::{
    cmp::Ordering,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Which way a packet travels across the uplink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// From outside to inside: seen by the ingress hook.
    #[default]
    Inbound = 0,
    /// From inside to outside: seen by the egress hook.
    Outbound = 1,
}

impl Direction {
    /// Both directions, in slot order.
    pub const ALL: [Self; 2] = [Self::Inbound, Self::Outbound];

    /// The other direction.
    #[must_use]
    #[inline(always)]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Inbound => Self::Outbound,
            Self::Outbound => Self::Inbound,
        }
    }

    /// The short name used in output and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbound => "in",
            Self::Outbound => "out",
        }
    }
}

/// The IP version of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Family {
    /// IPv4.
    #[default]
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// The version number, as it stands in the flow key and in the header: 4 or 6.
    #[must_use]
    #[inline(always)]
    pub const fn version(self) -> u8 {
        match self {
            Self::Ipv4 => 4,
            Self::Ipv6 => 6,
        }
    }
}

/// An IP address of either family in network byte order; IPv4 as `::ffff:a.b.c.d`.
///
/// One shape for both families lets everything behind the parser be written once. Native IPv6
/// packets that carry such mapped addresses are refused by the parser, so the two cannot alias.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Address {
    /// Four octets each, as they lie in memory: in words, so that the kernel side moves words
    /// instead of bytes.
    words: [u32; 4],
}

impl Address {
    /// `::`, and the bytes of an address field that is not set.
    pub const UNSPECIFIED: Self = Self { words: [0; 4] };

    /// An IPv4 address in network byte order as a mapped address.
    #[must_use]
    #[inline(always)]
    pub const fn from_ipv4(octets: [u8; 4]) -> Self {
        Self { words: [0, 0, IPV4_MARK, u32::from_ne_bytes(octets)] }
    }

    /// The address of 16 octets in network byte order.
    #[must_use]
    #[inline(always)]
    pub const fn from_octets(octets: [u8; 16]) -> Self {
        let octets = &octets;
        Self { words: [word(octets, 0), word(octets, 4), word(octets, 8), word(octets, 12)] }
    }

    /// The 16 octets in network byte order.
    #[must_use]
    #[inline(always)]
    pub const fn octets(&self) -> [u8; 16] {
        let mut octets = [0; 16];
        let mut at = 0;
        while at < octets.len() {
            octets[at] = self.words[at / 4].to_ne_bytes()[at % 4];
            at += 1;
        }
        octets
    }

    /// The address as a number, of which the first octet has the highest bits.
    #[must_use]
    pub const fn to_bits(self) -> u128 {
        u128::from_be_bytes(self.octets())
    }

    /// The address of such a number.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        Self::from_octets(bits.to_be_bytes())
    }

    /// The address of four words as they lie in memory.
    #[must_use]
    #[inline(always)]
    pub(crate) const fn from_words(words: [u32; 4]) -> Self {
        Self { words }
    }

    /// Whether the address lies in `::ffff:0:0/96`.
    #[must_use]
    #[inline(always)]
    pub const fn is_ipv4_mapped(&self) -> bool {
        matches!(self.words, [0, 0, IPV4_MARK, _])
    }

    /// The last four octets: the IPv4 address of a mapped address.
    #[must_use]
    #[inline(always)]
    pub const fn ipv4_octets(&self) -> [u8; 4] {
        self.words[3].to_ne_bytes()
    }

    /// Multicast: `224.0.0.0/4` or `ff00::/8`.
    #[must_use]
    #[inline(always)]
    pub const fn is_multicast(&self) -> bool {
        if self.is_ipv4_mapped() {
            self.ipv4_octets()[0] & 0xf0 == 224
        } else {
            self.words[0].to_ne_bytes()[0] == 0xff
        }
    }

    /// `255.255.255.255`.
    #[must_use]
    #[inline(always)]
    pub const fn is_ipv4_broadcast(&self) -> bool {
        self.is_ipv4_mapped() && matches!(self.ipv4_octets(), [255, 255, 255, 255])
    }

    /// IPv6 link-local unicast, `fe80::/10`.
    #[must_use]
    #[inline(always)]
    pub const fn is_ipv6_link_local(&self) -> bool {
        matches!(self.words[0].to_ne_bytes(), [0xfe, 0x80..=0xbf, ..])
    }

    /// `::`.
    #[must_use]
    #[inline(always)]
    pub const fn is_unspecified(&self) -> bool {
        matches!(self.words, [0, 0, 0, 0])
    }

    /// The octets as four words as they lie in memory: what the kernel compares fastest.
    #[inline(always)]
    pub(crate) const fn words(&self) -> [u32; 4] {
        self.words
    }

    /// The address as the standard library's type, for people and for JSON.
    #[must_use]
    pub const fn to_ip(self) -> IpAddr {
        if self.is_ipv4_mapped() {
            let [a, b, c, d] = self.ipv4_octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        } else {
            IpAddr::V6(Ipv6Addr::from_octets(self.octets()))
        }
    }
}

/// The third word of a mapped address.
const IPV4_MARK: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

/// Four of an address's octets as they lie in memory.
#[inline(always)]
const fn word(octets: &[u8; 16], at: usize) -> u32 {
    u32::from_ne_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_ip(), f)
    }
}

impl Ord for Address {
    /// By octets, as the numbers of their networks.
    fn cmp(&self, other: &Self) -> Ordering {
        self.octets().cmp(&other.octets())
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::from_ipv4(v4.octets()),
            IpAddr::V6(v6) => Self::from_octets(v6.octets()),
        }
    }
}

/// VLAN identifiers of a frame from the outer tag to the inner one, 0 where there is no tag.
/// Priority tags (VID 0) count as untagged, as the kernel treats them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct VlanPath {
    /// The outer tag's VID.
    pub outer: u16,
    /// The inner tag's VID of a double-tagged frame.
    pub inner: u16,
}

/// What identifies a flow, oriented inside→outside so that both hooks build the same key.
/// Every byte is part of the key: the kernel hashes memory, so there is no padding. Hop limits,
/// traffic classes and flow labels may differ from packet to packet, so they are not (E58).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FlowKey {
    /// The address on this side of the uplink.
    pub inside: Address,
    /// The address on the other side.
    pub outside: Address,
    /// Host byte order; the inside port, the ICMP query identifier, or 0. Port 0 is a port like any
    /// other (E141).
    pub inside_port: u16,
    /// Host byte order; the outside port, or 0.
    pub outside_port: u16,
    /// The VLAN the flow runs in.
    pub vlan: VlanPath,
    /// IP protocol number: a flow of one protocol admits no other on its ports, UDP-Lite no UDP
    /// (RFC7857-5, RFC7857-6, RFC6092-REC-20, E145).
    pub protocol: u8,
    /// A [`Family::version`], 4 or 6: addresses alone tell the families apart only because the parser
    /// refuses native IPv6 packets with mapped addresses; the key does not rely on it.
    pub family: u8,
    /// Zero. The kernel's hash is fastest on multiples of four bytes.
    pub zero: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().expect("valid address").into()
    }

    #[test]
    fn mapped_addresses_read_back_as_ipv4() {
        assert_eq!(address("192.0.2.7").to_ip().to_string(), "192.0.2.7");
        assert!(address("192.0.2.7").is_ipv4_mapped());
        assert!(!address("2a00:1::5").is_ipv4_mapped());
        assert_eq!(address("2a00:1::5").to_ip().to_string(), "2a00:1::5");
    }

    #[test]
    fn kinds_of_addresses() {
        assert!(address("ff02::1").is_multicast() && address("239.1.2.3").is_multicast());
        assert!(!address("2a00::1").is_multicast() && !address("10.0.0.1").is_multicast());
        assert!(address("fe80::1").is_ipv6_link_local() && address("febf::1").is_ipv6_link_local());
        assert!(!address("fec0::1").is_ipv6_link_local());
        assert!(Address::UNSPECIFIED.is_unspecified() && !address("::1").is_unspecified());
    }
}
