//! The packet descriptor: what the parser found. Nothing behind it looks at the IP or transport
//! header again.

use network_types::ip::IpProto;

use crate::{
    flow::{sctp::Message, tcp::Segment, window::later},
    parse::network::Network,
    tuple::{Direction, Family, FlowKey, VlanPath},
    wire::{icmp, icmpv6, sctp::chunk},
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
    /// Whether it leaves for another host inside; see
    /// [`PacketBytes`](crate::bytes::PacketBytes::is_forwarded).
    pub is_forwarded: bool,
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
    /// Who on the two hosts: TCP, SCTP, and every protocol of kind [`TransportKind::Ports`].
    pub ports: Ports,
    /// TCP.
    pub tcp: TcpHeader,
    /// SCTP.
    pub sctp: SctpHeader,
    /// ICMP inside IPv4, ICMPv6 inside IPv6.
    pub icmp: IcmpHeader,
}

/// How a packet's upper layer tells flows apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransportKind {
    /// By ports, with a state machine.
    Tcp,
    /// By ports, with verification tags.
    Sctp,
    /// By ports: UDP, UDP-Lite and DCCP.
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

/// What counts of a TCP header; numbers in host byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpHeader {
    /// The sequence number of the first byte.
    pub sequence: u32,
    /// The sequence number that the sender expects next.
    pub acknowledgement: u32,
    /// Bytes of data. Of a packet under segmentation offload those of all segments.
    pub payload_len: u32,
    /// The window field, not scaled.
    pub window: u16,
    /// The flags octet.
    pub flags: u8,
    /// Bytes of the header with its options.
    pub header_len: u8,
    /// Whether this is the first fragment only, so that `payload_len` is less than what was sent.
    pub is_partial: bool,
    /// The options, once [`parse::tcp_options`](crate::parse::tcp_options) has looked at them.
    pub options: TcpOptions,
}

/// The TCP options that a filter needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// The highest right edge of the selective acknowledgements (RFC 2018).
    pub sack_edge: u32,
    /// The window scale (RFC 7323), at most 14.
    pub window_scale: u8,
    /// Which options there are.
    pub found: u8,
}

impl TcpOptions {
    /// There is a window scale.
    pub const WINDOW_SCALE: u8 = 1;
    /// Selective acknowledgements are permitted.
    pub const SACK_PERMITTED: u8 = 1 << 1;
    /// There are selective acknowledgements.
    pub const SACK: u8 = 1 << 2;
    /// The options contradict themselves or are too many, so nobody knows what they mean.
    pub const UNREADABLE: u8 = 1 << 3;

    /// Takes in a selective acknowledgement up to `edge`.
    #[inline(always)]
    pub(crate) fn include_sack(&mut self, edge: u32) {
        let known = self.has(Self::SACK);
        self.sack_edge = if known { later(self.sack_edge, edge) } else { edge };
        self.found |= Self::SACK;
    }

    /// Whether `option` was found.
    #[must_use]
    #[inline(always)]
    pub const fn has(self, option: u8) -> bool {
        self.found & option != 0
    }
}

/// What counts of an SCTP packet; numbers in host byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SctpHeader {
    /// The verification tag.
    pub tag: u32,
    /// The chunks, once [`parse::sctp_chunks`](crate::parse::sctp_chunks) has looked at them.
    pub chunks: SctpChunks,
}

/// The chunks of an SCTP packet, as far as a filter needs them. Those behind the first data are
/// not among them: they could only be more data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SctpChunks {
    /// The initiate tag, if the first chunk is an INIT or an INIT ACK; otherwise zero.
    pub initiate_tag: u32,
    /// Which kinds there are; none if they contradict the packet.
    pub found: u16,
    /// How many there are.
    pub count: u8,
    /// Whether the first is an ABORT or a SHUTDOWN COMPLETE that returns the verification tag of
    /// the packet which it answers.
    pub is_reflected: bool,
}

impl SctpChunks {
    /// An INIT.
    pub const INIT: u16 = Self::kind(chunk::INIT);
    /// An INIT ACK.
    pub const INIT_ACK: u16 = Self::kind(chunk::INIT_ACK);
    /// An ABORT.
    pub const ABORT: u16 = Self::kind(chunk::ABORT);
    /// A SHUTDOWN.
    pub const SHUTDOWN: u16 = Self::kind(chunk::SHUTDOWN);
    /// A SHUTDOWN ACK.
    pub const SHUTDOWN_ACK: u16 = Self::kind(chunk::SHUTDOWN_ACK);
    /// An ERROR.
    pub const ERROR: u16 = Self::kind(chunk::ERROR);
    /// A COOKIE ECHO.
    pub const COOKIE_ECHO: u16 = Self::kind(chunk::COOKIE_ECHO);
    /// A COOKIE ACK.
    pub const COOKIE_ACK: u16 = Self::kind(chunk::COOKIE_ACK);
    /// A SHUTDOWN COMPLETE.
    pub const SHUTDOWN_COMPLETE: u16 = Self::kind(chunk::SHUTDOWN_COMPLETE);

    /// The bit in `found` for a chunk type. All types beyond RFC 9260's share one.
    #[must_use]
    #[inline(always)]
    pub const fn kind(chunk_type: u8) -> u16 {
        1 << if chunk_type < 15 { chunk_type } else { 15 }
    }

    /// Whether any of `kinds` is among them.
    #[must_use]
    #[inline(always)]
    pub const fn has(self, kinds: u16) -> bool {
        self.found & kinds != 0
    }
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
            TransportKind::Tcp | TransportKind::Sctp | TransportKind::Ports => match direction {
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

    /// Who on the two sides, as far as that can be told: ports are zero where there are none.
    #[must_use]
    #[inline(always)]
    pub fn parties(&self, direction: Direction) -> FlowKey {
        let Transport { kind, ports, .. } = self.transport;
        let has_ports =
            matches!(kind, TransportKind::Tcp | TransportKind::Sctp | TransportKind::Ports);
        let (inside_port, outside_port) = match (has_ports, direction) {
            (false, _) => (0, 0),
            (true, Direction::Inbound) => (ports.destination, ports.source),
            (true, Direction::Outbound) => (ports.source, ports.destination),
        };
        key(&self.network, self.vlan, direction, inside_port, outside_port)
    }

    /// What a TCP segment is; `None` for other protocols and for flags that no host sends.
    #[must_use]
    #[inline(always)]
    pub fn segment(&self) -> Option<Segment> {
        match self.transport.kind {
            TransportKind::Tcp => Segment::classify(self.transport.tcp.flags),
            TransportKind::Sctp
            | TransportKind::Ports
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

    /// What an SCTP packet, whose chunks were looked at, says; `None` for other protocols and for
    /// what no host sends.
    #[must_use]
    #[inline(always)]
    pub fn message(&self) -> Option<Message> {
        if self.is_sctp() { Message::classify(&self.transport.sctp) } else { None }
    }

    /// Whether this is an SCTP packet.
    #[must_use]
    #[inline(always)]
    pub fn is_sctp(&self) -> bool {
        self.transport.kind == TransportKind::Sctp
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
/// type. `None` when the message is no query in this direction: only inside may ask
/// (RFC5508-REQ-1).
#[must_use]
#[inline(always)]
pub const fn query_port(family: Family, direction: Direction, kind: u8) -> Option<u16> {
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
    /// ICMP of the other IP version (E109).
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
