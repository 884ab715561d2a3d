//! Which header fields decide: one list for each reason.

use gateway_common::{
    bytes::PacketBytes,
    tuple::{Direction, Family},
    verdict::Reason,
};

use super::{dissection::Dissection, values};

/// A field of a frame's headers, or something else about the frame that can be told in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Bytes in the frame.
    FrameLen,
    /// The ethertype behind all VLAN tags.
    Ethertype,
    /// The third VLAN tag.
    ThirdTag,
    /// The IP version.
    IpVersion,
    /// The length of the IPv4 header.
    HeaderLen,
    /// The length that the IP header announces.
    PacketLen,
    /// The IPv4 header's checksum.
    HeaderChecksum,
    /// The IPv4 options.
    Options,
    /// The upper layer's protocol.
    Protocol,
    /// Time to live or hop limit.
    HopLimit,
    /// The source address.
    Source,
    /// The destination address.
    Destination,
    /// The address on this side of the uplink.
    Inside,
    /// The fragment's place in its datagram.
    FragmentPlace,
    /// The datagram's identification.
    FragmentId,
    /// The IPv6 extension header at which the parser stopped.
    ExtensionHeader,
    /// Bytes behind the network layer.
    UpperLen,
    /// The source port.
    SourcePort,
    /// The destination port.
    DestinationPort,
    /// The port on this side of the uplink.
    InsidePort,
    /// The length of the TCP header.
    TcpHeaderLen,
    /// The TCP flags.
    TcpFlags,
    /// TCP's sequence number.
    TcpSequence,
    /// TCP's acknowledgement number.
    TcpAcknowledgement,
    /// TCP's window.
    TcpWindow,
    /// UDP's length.
    UdpLen,
    /// SCTP's verification tag.
    SctpTag,
    /// The first SCTP chunk.
    SctpChunk,
    /// The ICMP type.
    IcmpType,
    /// The ICMP code.
    IcmpCode,
    /// The identifier of an ICMP query.
    IcmpId,
    /// The source of the packet that an ICMP error quotes.
    QuotedSource,
    /// Its destination.
    QuotedDestination,
    /// Its ports.
    QuotedPorts,
}

/// A field in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Which field it is.
    pub field: Field,
    /// The field's name, such as `tcp.dst_port`.
    pub name: String,
    /// Where it starts in the frame; `None` for what is no field of its own.
    pub offset: Option<usize>,
    /// Bytes that it takes.
    pub len: usize,
    /// What it says.
    pub value: String,
}

/// What identifies a flow.
const TUPLE: &[Field] = &[
    Field::Protocol,
    Field::Source,
    Field::SourcePort,
    Field::Destination,
    Field::DestinationPort,
    Field::IcmpType,
    Field::IcmpId,
];
/// What rules are about.
const RULE: &[Field] =
    &[Field::Protocol, Field::Source, Field::Destination, Field::DestinationPort, Field::IcmpType];
const QUOTE: &[Field] = &[
    Field::IcmpType,
    Field::Destination,
    Field::QuotedSource,
    Field::QuotedDestination,
    Field::QuotedPorts,
];
const DISCOVERY: &[Field] =
    &[Field::IcmpType, Field::IcmpCode, Field::HopLimit, Field::Source, Field::Destination];
const FRAGMENT: &[Field] =
    &[Field::Source, Field::Destination, Field::Protocol, Field::FragmentId, Field::FragmentPlace];

/// The fields that decide when a packet meets `reason`; none when its content does not matter. A
/// packet need not have all of them.
#[must_use]
pub const fn deciding(reason: Reason) -> &'static [Field] {
    match reason {
        Reason::Flow | Reason::FlowCreated | Reason::NoFlow | Reason::FlowExpired => TUPLE,
        Reason::PolicyRevoked | Reason::FlowTableFailed => TUPLE,
        Reason::Related | Reason::IcmpUnrelated | Reason::IcmpQuote => QUOTE,
        Reason::Fragment | Reason::FragmentUnsolicited => FRAGMENT,
        Reason::Stateless => {
            &[Field::Protocol, Field::Destination, Field::TcpFlags, Field::IcmpType]
        }
        Reason::NeighbourDiscovery | Reason::NeighbourDiscoveryInvalid => DISCOVERY,
        Reason::MulticastListener | Reason::MulticastListenerInvalid => DISCOVERY,
        Reason::DhcpClient => {
            &[Field::SourcePort, Field::DestinationPort, Field::Source, Field::Destination]
        }
        Reason::RedirectAllowed | Reason::RedirectRefused | Reason::IcmpType => &[Field::IcmpType],
        Reason::PingAllowed | Reason::PingRefused => &[Field::IcmpType, Field::Destination],
        Reason::RuleAllowed | Reason::RuleDenied | Reason::NoPolicy => RULE,
        Reason::RouteAllowed | Reason::RouteBlocked => &[Field::Inside],
        Reason::Published => {
            &[Field::Protocol, Field::Inside, Field::InsidePort, Field::TcpFlags, Field::IcmpType]
        }
        Reason::EndpointAllowed => {
            &[Field::Protocol, Field::Inside, Field::InsidePort, Field::IcmpId]
        }
        Reason::Arp | Reason::LinkControl => &[Field::Ethertype],
        Reason::EthertypeAllowed | Reason::EthertypeRefused => &[Field::Ethertype],
        Reason::Standby | Reason::NoConfiguration => &[],
        Reason::FrameTruncated => &[Field::FrameLen],
        Reason::VlanDepth => &[Field::ThirdTag],
        Reason::Ipv4Malformed => {
            &[Field::IpVersion, Field::HeaderLen, Field::PacketLen, Field::Options, Field::FrameLen]
        }
        Reason::Ipv4Checksum => &[Field::HeaderChecksum],
        Reason::Ipv4Option => &[Field::Options],
        Reason::SourceRoute => &[Field::Options, Field::ExtensionHeader],
        Reason::Ipv6Malformed => &[Field::IpVersion, Field::PacketLen, Field::FrameLen],
        Reason::ExtensionHeader | Reason::ExtensionDepth => &[Field::ExtensionHeader],
        Reason::NoUpperLayer => &[Field::Protocol],
        Reason::FragmentMalformed => &[Field::FragmentPlace, Field::PacketLen],
        Reason::FragmentTiny => &[Field::FragmentPlace, Field::Protocol, Field::UpperLen],
        Reason::TransportMalformed => &[
            Field::Protocol,
            Field::TcpHeaderLen,
            Field::UdpLen,
            Field::SctpChunk,
            Field::UpperLen,
        ],
        Reason::MulticastSource | Reason::MartianSource => &[Field::Source],
        Reason::MulticastScope | Reason::MartianDestination => &[Field::Destination],
        Reason::Land => &[Field::Source, Field::Destination],
        Reason::TcpFlags | Reason::TcpState => &[Field::TcpFlags],
        Reason::TcpWindow => {
            &[Field::TcpFlags, Field::TcpSequence, Field::TcpAcknowledgement, Field::TcpWindow]
        }
        Reason::SctpChunks | Reason::SctpState => &[Field::SctpChunk],
        Reason::SctpTag => &[Field::SctpTag, Field::SctpChunk],
        Reason::EgressSpoof | Reason::IngressSpoof => &[Field::Source],
        Reason::InsideDestination => &[Field::Destination],
    }
}

/// Where a frame has the fields that decided.
pub(super) fn locate<B: PacketBytes>(
    reason: Reason,
    direction: Direction,
    bytes: &B,
    dissection: &Dissection,
) -> Vec<Located> {
    let fields = deciding(reason);
    let is_contradictory = matches!(reason, Reason::Ipv4Malformed | Reason::Ipv6Malformed);
    let suspect =
        |field: &&Field| !is_contradictory || is_contradiction(**field, bytes, dissection);
    let narrowed: Vec<Field> = fields.iter().filter(suspect).copied().collect();
    // What contradicts is somewhere else: in the options, or what follows is missing.
    let chosen = if narrowed.is_empty() { fields.to_vec() } else { narrowed };
    chosen.into_iter().filter_map(|field| field.locate(direction, bytes, dissection)).collect()
}

/// Whether this field of an IP header contradicts the others or the frame.
fn is_contradiction<B: PacketBytes>(field: Field, bytes: &B, dissection: &Dissection) -> bool {
    let Some(network) = dissection.network else { return false };
    let Some([first]) = bytes.read::<1>(network.offset) else { return field == Field::FrameLen };
    let available = dissection.frame_len.saturating_sub(network.offset);
    let header_len = match network.family {
        Family::Ipv4 => usize::from(first & 0x0f) * 4,
        Family::Ipv6 => 40,
    };
    let announced = values::announced_len(bytes, network.offset, network.family);
    let is_beyond = announced.is_some_and(|announced| announced > available);
    if field == Field::IpVersion {
        first >> 4 != network.family.version()
    } else if field == Field::HeaderLen {
        network.family == Family::Ipv4 && header_len < 20
    } else if field == Field::PacketLen {
        is_beyond || announced.is_some_and(|announced| announced < header_len)
    } else {
        field == Field::FrameLen && (is_beyond || available < header_len)
    }
}

impl Field {
    /// The field's name without the protocol before it, as the documentation has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FrameLen => "frame.len",
            Self::Ethertype => "eth.type",
            Self::ThirdTag => "vlan.tag",
            Self::IpVersion => "ip.version",
            Self::HeaderLen => "ip.header_len",
            Self::PacketLen => "ip.len",
            Self::HeaderChecksum => "ip.checksum",
            Self::Options => "ip.options",
            Self::Protocol => "ip.protocol",
            Self::HopLimit => "ip.hop_limit",
            Self::Source => "ip.src",
            Self::Destination => "ip.dst",
            Self::Inside => "ip.inside",
            Self::FragmentPlace => "ip.fragment",
            Self::FragmentId => "ip.id",
            Self::ExtensionHeader => "ip.extension",
            Self::UpperLen => "ip.payload_len",
            Self::SourcePort => "src_port",
            Self::DestinationPort => "dst_port",
            Self::InsidePort => "inside_port",
            Self::TcpHeaderLen => "tcp.header_len",
            Self::TcpFlags => "tcp.flags",
            Self::TcpSequence => "tcp.seq",
            Self::TcpAcknowledgement => "tcp.ack",
            Self::TcpWindow => "tcp.window",
            Self::UdpLen => "udp.len",
            Self::SctpTag => "sctp.tag",
            Self::SctpChunk => "sctp.chunk",
            Self::IcmpType => "icmp.type",
            Self::IcmpCode => "icmp.code",
            Self::IcmpId => "icmp.id",
            Self::QuotedSource => "icmp.quote.src",
            Self::QuotedDestination => "icmp.quote.dst",
            Self::QuotedPorts => "icmp.quote.ports",
        }
    }
}
