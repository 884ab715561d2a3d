//! A frame taken apart for people: how far its headers could be read, and where they stand.

use gateway_common::{
    bytes::PacketBytes,
    limits::EXTENSION_HEADERS_MAX,
    packet::{Packet, TransportKind},
    parse::{
        self,
        link::{self, Link},
        network::{self, Network, Scope},
    },
    tuple::{Address, Family},
    wire::ethernet,
};
use network_types::{eth::EthHdr, ip::IpProto};

/// The number of the authentication header, which network-types does not know as one.
const AUTHENTICATION: u8 = 51;

/// An IPv6 extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionHeader {
    /// Its number.
    pub kind: u8,
    /// Where it starts in the frame.
    pub offset: usize,
}

/// What is known of a frame. What could not be read is missing.
#[derive(Clone, Debug, Default)]
pub struct Dissection {
    /// Bytes in the frame.
    pub frame_len: usize,
    /// The link layer.
    pub link: Option<Link>,
    /// The network layer as far as it was read; whole if `is_whole`.
    pub network: Option<Network>,
    /// Whether the network layer is valid.
    pub is_network_valid: bool,
    /// Source and destination, where the header is long enough for them.
    pub addresses: Option<(Address, Address)>,
    /// IPv6 extension headers, in order.
    pub extensions: Vec<ExtensionHeader>,
    /// The whole packet, if it is a valid one.
    pub packet: Option<Packet>,
}

impl Dissection {
    /// Takes a frame apart.
    pub fn new<B: PacketBytes>(bytes: &B) -> Self {
        let mut this = Self { frame_len: bytes.len(), ..Self::default() };
        let Ok(link) = link::parse(bytes) else { return this };
        this.link = Some(link);
        if !matches!(link.ethertype, ethernet::IPV4 | ethernet::IPV6) {
            return this;
        }
        let (offset, family) = (link.network_offset, link.family());
        let mut network = Network::default();
        let parsed = network::parse(bytes, offset, family, Scope::Whole, &mut network);
        this.is_network_valid = parsed.is_ok();
        this.network = Some(network);
        this.addresses = addresses(bytes, offset, family);
        if family == Family::Ipv6 {
            this.extensions = extensions(bytes, offset);
        }
        let mut packet = Packet::default();
        if parse::packet(bytes, &link, &mut packet).is_ok() {
            parse::what_states_need(bytes, &mut packet);
            this.packet = Some(packet);
        }
        this
    }

    /// Where the IP header starts.
    #[must_use]
    pub fn network_offset(&self) -> Option<usize> {
        self.network.map(|network| network.offset)
    }

    /// The IP version that the frame announces.
    #[must_use]
    pub fn family(&self) -> Option<Family> {
        self.network.map(|network| network.family)
    }

    /// Where the upper layer starts, if there is one in this packet.
    #[must_use]
    pub fn transport_offset(&self) -> Option<usize> {
        let network = self.network.filter(|_| self.is_network_valid)?;
        let is_missing =
            self.packet.is_some_and(|packet| packet.transport.kind == TransportKind::Missing);
        (!network.fragment.is_later() && !is_missing).then_some(network.transport_offset)
    }

    /// The upper-layer protocol, as far as it is known.
    #[must_use]
    pub fn protocol(&self) -> Option<u8> {
        self.network.filter(|_| self.is_network_valid).map(|network| network.protocol)
    }

    /// Whether the upper layer begins with ports.
    #[must_use]
    pub fn has_ports(&self) -> bool {
        const WITH_PORTS: [u8; 5] = [
            IpProto::Tcp as u8,
            IpProto::Udp as u8,
            IpProto::Sctp as u8,
            IpProto::UdpLite as u8,
            IpProto::Dccp as u8,
        ];
        self.protocol().is_some_and(|protocol| WITH_PORTS.contains(&protocol))
    }

    /// Whether the upper layer is the ICMP of its IP version.
    #[must_use]
    pub fn is_icmp(&self) -> bool {
        const ICMP: u8 = IpProto::Icmp as u8;
        const ICMPV6: u8 = IpProto::Ipv6Icmp as u8;
        matches!(
            (self.family(), self.protocol()),
            (Some(Family::Ipv4), Some(ICMP)) | (Some(Family::Ipv6), Some(ICMPV6))
        )
    }

    /// Where the field stands that names the upper layer's protocol.
    #[must_use]
    pub fn protocol_offset(&self) -> Option<usize> {
        let network = self.network?;
        Some(match (network.family, self.extensions.last()) {
            (Family::Ipv4, _) => network.offset + 9,
            (Family::Ipv6, None) => network.offset + 6,
            (Family::Ipv6, Some(header)) => header.offset,
        })
    }

    /// Where the fragment offset's field stands, if there is one.
    #[must_use]
    pub fn fragment_offset(&self) -> Option<usize> {
        let network = self.network?;
        match network.family {
            Family::Ipv4 => Some(network.offset + 6),
            Family::Ipv6 => self
                .extensions
                .iter()
                .find(|header| header.kind == IpProto::Ipv6Frag as u8)
                .map(|header| header.offset + 2),
        }
    }

    /// Where the last VLAN tag stands that nobody looks behind.
    #[must_use]
    pub const fn third_tag_offset() -> usize {
        EthHdr::LEN + 2 * 4
    }
}

fn addresses<B: PacketBytes>(
    bytes: &B,
    offset: usize,
    family: Family,
) -> Option<(Address, Address)> {
    match family {
        Family::Ipv4 => {
            let source = Address::from_ipv4(bytes.read::<4>(offset + 12)?);
            Some((source, Address::from_ipv4(bytes.read::<4>(offset + 16)?)))
        }
        Family::Ipv6 => {
            let source = Address::from_octets(bytes.read::<16>(offset + 8)?);
            Some((source, Address::from_octets(bytes.read::<16>(offset + 24)?)))
        }
    }
}

/// The extension headers that can be walked along, one more than the parser follows.
fn extensions<B: PacketBytes>(bytes: &B, network_offset: usize) -> Vec<ExtensionHeader> {
    const HOP_BY_HOP: u8 = IpProto::HopOpt as u8;
    const ROUTING: u8 = IpProto::Ipv6Route as u8;
    const FRAGMENT: u8 = IpProto::Ipv6Frag as u8;
    const OPTIONS: u8 = IpProto::Ipv6Opts as u8;
    const SHIM6: u8 = IpProto::Shim6 as u8;
    let mut found = Vec::new();
    let Some([mut kind]) = bytes.read::<1>(network_offset + 6) else { return found };
    let mut offset = network_offset + 40;
    while found.len() <= EXTENSION_HEADERS_MAX {
        let Some([next, units, third, fourth]) = bytes.read::<4>(offset) else { break };
        let len = match kind {
            FRAGMENT => 8,
            AUTHENTICATION => (usize::from(units) + 2) * 4,
            SHIM6 if third & 0x80 == 0 => break,
            HOP_BY_HOP | ROUTING | OPTIONS | SHIM6 => (usize::from(units) + 1) * 8,
            _ => break,
        };
        found.push(ExtensionHeader { kind, offset });
        let is_later_fragment =
            kind == FRAGMENT && u16::from_be_bytes([third, fourth]) & 0xfff8 != 0;
        if is_later_fragment {
            break;
        }
        (kind, offset) = (next, offset + len);
    }
    found
}
