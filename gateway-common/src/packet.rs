//! The packet descriptor: what the parser found. Nothing behind it looks at the IP or transport
//! header again.

use network_types::ip::IpProto;

use crate::{
    flow::tcp::Segment,
    parse::network::Network,
    tuple::{Direction, Family, FlowKey, VlanPath},
    wire::{icmp, icmpv6},
};

/// A parsed IP packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// The VLAN it travels in.
    pub vlan: VlanPath,
    /// How many packets it is on the wire.
    pub packets: u32,
    /// How many bytes these have from their IP headers on.
    pub wire_bytes: u64,
    /// The network layer.
    pub network: Network,
    /// The transport layer.
    pub transport: Transport,
}

/// What the transport header says.
///
/// Fields that the protocol does not have are zero. It is not an enum with payload because the
/// compiler leaves such a payload undefined in the other variants, and the kernel's verifier
/// refuses a program that so much as copies an undefined value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transport {
    /// Which of the fields count.
    pub kind: TransportKind,
    /// Who on the two hosts: TCP, and every protocol of kind [`TransportKind::Ports`].
    pub ports: Ports,
    /// TCP's flags octet.
    pub tcp_flags: u8,
    /// ICMP inside IPv4, ICMPv6 inside IPv6.
    pub icmp: IcmpHeader,
}

/// How a packet's upper layer tells flows apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransportKind {
    /// By ports, with a state machine.
    Tcp,
    /// By ports: UDP, UDP-Lite, SCTP and DCCP.
    Ports,
    /// By the identifier of a query, if it is one.
    Icmp,
    /// By addresses and protocol number alone.
    #[default]
    Portless,
    /// There is no upper layer at all (RFC 8200 section 4.7).
    Missing,
    /// A later fragment: the transport header went before.
    LaterFragment,
}

/// Port numbers in host byte order, as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// The sender's.
    pub source: u16,
    /// The receiver's.
    pub destination: u16,
}

/// The part of the ICMP header that both versions share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IcmpHeader {
    /// The type; what it means depends on the IP version.
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// The second word: identifier and sequence number of a query, the MTU of "packet too big".
    pub rest: u32,
    /// The first byte behind the header, 0 when there is none: of neighbour discovery's target
    /// address, which must not be a group.
    pub body: u8,
}

impl IcmpHeader {
    /// The identifier of a query.
    #[must_use]
    #[inline(always)]
    pub const fn id(&self) -> u16 {
        (self.rest >> 16) as u16
    }
}

impl Packet {
    /// The key of the flow that this packet would belong to; `None` for what belongs to no flow.
    #[must_use]
    #[inline(always)]
    pub fn flow_key(&self, direction: Direction) -> Option<FlowKey> {
        let Transport { kind, ports, icmp, .. } = self.transport;
        let (inside_port, outside_port) = match kind {
            TransportKind::Tcp | TransportKind::Ports => match direction {
                Direction::Inbound => (ports.destination, ports.source),
                Direction::Outbound => (ports.source, ports.destination),
            },
            TransportKind::Icmp => {
                (icmp.id(), query_port(self.network.family, direction, icmp.kind)?)
            }
            TransportKind::Portless => (0, 0),
            TransportKind::Missing | TransportKind::LaterFragment => return None,
        };
        Some(key(&self.network, self.vlan, direction, inside_port, outside_port))
    }

    /// What a TCP segment is; `None` for other protocols and for flags that no host sends.
    #[must_use]
    #[inline(always)]
    pub fn segment(&self) -> Option<Segment> {
        match self.transport.kind {
            TransportKind::Tcp => Segment::classify(self.transport.tcp_flags),
            TransportKind::Ports
            | TransportKind::Icmp
            | TransportKind::Portless
            | TransportKind::Missing
            | TransportKind::LaterFragment => None,
        }
    }

    /// Whether this is a TCP segment.
    #[must_use]
    #[inline(always)]
    pub fn is_tcp(&self) -> bool {
        self.transport.kind == TransportKind::Tcp
    }
}

/// The flow key with these ports, oriented by the direction of travel.
#[must_use]
#[inline(always)]
pub(crate) const fn key(
    network: &Network,
    vlan: VlanPath,
    direction: Direction,
    inside_port: u16,
    outside_port: u16,
) -> FlowKey {
    let (inside, outside) = match direction {
        Direction::Inbound => (network.destination, network.source),
        Direction::Outbound => (network.source, network.destination),
    };
    FlowKey {
        inside,
        outside,
        inside_port,
        outside_port,
        vlan,
        protocol: network.protocol,
        family: network.family.version(),
        zero: 0,
    }
}

/// The outside port that stands for an ICMP query in its flow's key, so that an echo and a
/// timestamp exchange with the same identifier are two flows: 0 for echo, else the request's
/// type. `None` when the message is no query in this direction: only inside may ask.
#[must_use]
#[inline(always)]
pub(crate) const fn query_port(family: Family, direction: Direction, kind: u8) -> Option<u16> {
    match (family, direction, kind) {
        (Family::Ipv4, Direction::Outbound, icmp::ECHO_REQUEST)
        | (Family::Ipv4, Direction::Inbound, icmp::ECHO_REPLY)
        | (Family::Ipv6, Direction::Outbound, icmpv6::ECHO_REQUEST)
        | (Family::Ipv6, Direction::Inbound, icmpv6::ECHO_REPLY) => Some(0),
        (Family::Ipv4, Direction::Outbound, icmp::TIMESTAMP_REQUEST)
        | (Family::Ipv4, Direction::Inbound, icmp::TIMESTAMP_REPLY) => {
            Some(icmp::TIMESTAMP_REQUEST as u16)
        }
        _ => None,
    }
}

/// How the transport header of a protocol is laid out, as far as a filter cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Tcp,
    Udp,
    /// Ports first, then a header of at least this many bytes in all.
    Ports(usize),
    Sctp,
    Icmp,
    Portless,
    Missing,
    /// ICMP of the other IP version.
    Impossible,
}

/// The layout of `protocol` inside `family`.
#[inline(always)]
pub(crate) const fn layout(family: Family, protocol: u8) -> Layout {
    const TCP: u8 = IpProto::Tcp as u8;
    const UDP: u8 = IpProto::Udp as u8;
    const UDP_LITE: u8 = IpProto::UdpLite as u8;
    const DCCP: u8 = IpProto::Dccp as u8;
    const SCTP: u8 = IpProto::Sctp as u8;
    const ICMP: u8 = IpProto::Icmp as u8;
    const ICMPV6: u8 = IpProto::Ipv6Icmp as u8;
    const NO_NEXT_HEADER: u8 = IpProto::Ipv6NoNxt as u8;
    match (family, protocol) {
        (_, TCP) => Layout::Tcp,
        (_, UDP) => Layout::Udp,
        (_, UDP_LITE) => Layout::Ports(8),
        (_, DCCP) => Layout::Ports(12),
        (_, SCTP) => Layout::Sctp,
        (Family::Ipv4, ICMP) | (Family::Ipv6, ICMPV6) => Layout::Icmp,
        (Family::Ipv4, ICMPV6) | (Family::Ipv6, ICMP) => Layout::Impossible,
        (Family::Ipv6, NO_NEXT_HEADER) => Layout::Missing,
        _ => Layout::Portless,
    }
}
