//! Where a frame has a field, and what it says, in words.

use gateway_common::{
    bytes::PacketBytes,
    parse::network::Place,
    tuple::{Address, Direction, Family},
    wire::{ethernet, tcp::flag},
};
use network_types::ip::IpProto;

use super::{
    dissection::Dissection,
    fields::{Field, Located},
};
use crate::protocol;

#[expect(clippy::wildcard_enum_match_arm, reason = "every layer has its own fields")]
impl Field {
    /// Where the frame has this field; `None` where it does not.
    pub(super) fn locate<B: PacketBytes>(
        self,
        direction: Direction,
        bytes: &B,
        dissection: &Dissection,
    ) -> Option<Located> {
        match self {
            Self::Inside => match direction {
                Direction::Inbound => Self::Destination,
                Direction::Outbound => Self::Source,
            }
            .locate(direction, bytes, dissection),
            Self::InsidePort => match direction {
                Direction::Inbound => Self::DestinationPort,
                Direction::Outbound => Self::SourcePort,
            }
            .locate(direction, bytes, dissection),
            _ => {
                let found = self.in_link(bytes, dissection);
                let found = found.or_else(|| self.in_network(bytes, dissection));
                let (offset, len, value) = found.or_else(|| self.in_upper(bytes, dissection))?;
                let name = self.full_name(dissection);
                Some(Located { field: self, name, offset, len, value })
            }
        }
    }

    /// The name with the protocol of this packet.
    fn full_name(self, dissection: &Dissection) -> String {
        let name = self.name();
        let version = match dissection.family() {
            Some(Family::Ipv4) => "ipv4",
            Some(Family::Ipv6) => "ipv6",
            None => "ip",
        };
        match self {
            Self::SourcePort | Self::DestinationPort => {
                let upper = dissection.protocol().map(protocol::name).unwrap_or_default();
                format!("{upper}.{name}")
            }
            Self::Protocol if version == "ipv6" => "ipv6.next_header".to_owned(),
            Self::PacketLen if version == "ipv6" => "ipv6.payload_len".to_owned(),
            Self::HopLimit if version == "ipv4" => "ipv4.ttl".to_owned(),
            _ if version == "ipv6" && name.starts_with("icmp.") => {
                name.replacen("icmp", "icmpv6", 1)
            }
            _ => name
                .strip_prefix("ip.")
                .map_or_else(|| name.to_owned(), |rest| format!("{version}.{rest}")),
        }
    }

    fn in_link<B: PacketBytes>(self, bytes: &B, dissection: &Dissection) -> Option<Found> {
        match self {
            Self::FrameLen => Some((None, 0, format!("{} bytes", dissection.frame_len))),
            Self::Ethertype => {
                let offset = dissection.link?.network_offset - 2;
                Some((Some(offset), 2, ethertype(number16(bytes, offset)?)))
            }
            Self::ThirdTag => {
                let offset = Dissection::third_tag_offset();
                Some((
                    Some(offset),
                    2,
                    (number16(bytes, offset)? & ethernet::VLAN_ID_MASK).to_string(),
                ))
            }
            _ => None,
        }
    }

    fn in_network<B: PacketBytes>(self, bytes: &B, dissection: &Dissection) -> Option<Found> {
        let start = dissection.network_offset()?;
        let is_v4 = dissection.family()? == Family::Ipv4;
        let octet = |offset: usize| bytes.read::<1>(offset).map(|[byte]| byte);
        let at = |v4: usize, v6: usize| start + if is_v4 { v4 } else { v6 };
        let address = |offset: usize, len, address: Address| {
            Some((Some(offset), len, address.to_ip().to_string()))
        };
        let address_len = if is_v4 { 4 } else { 16 };
        match self {
            Self::IpVersion => Some((Some(start), 1, (octet(start)? >> 4).to_string())),
            Self::HeaderLen if is_v4 => {
                Some((Some(start), 1, format!("{} bytes", usize::from(octet(start)? & 0x0f) * 4)))
            }
            Self::PacketLen => {
                let offset = at(2, 4);
                let available = dissection.frame_len.saturating_sub(start);
                let len = number16(bytes, offset)?;
                Some((
                    Some(offset),
                    2,
                    format!("{len}, where the frame has {available} bytes from the IP header on"),
                ))
            }
            Self::HeaderChecksum if is_v4 => {
                let (found, right) = checksum(bytes, start)?;
                Some((Some(start + 10), 2, format!("{found:#06x}, where {right:#06x} is right")))
            }
            Self::Options if is_v4 => options(bytes, start),
            Self::Protocol => {
                let offset = dissection.protocol_offset()?;
                let number = octet(offset)?;
                Some((Some(offset), 1, named(number, &protocol::name(number))))
            }
            Self::HopLimit => Some((Some(at(8, 7)), 1, octet(at(8, 7))?.to_string())),
            Self::Source => address(at(12, 8), address_len, dissection.addresses?.0),
            Self::Destination => address(at(16, 24), address_len, dissection.addresses?.1),
            Self::FragmentPlace => {
                let offset = dissection.fragment_offset()?;
                Some((Some(offset), 2, fragment(number16(bytes, offset)?, is_v4)))
            }
            Self::FragmentId => {
                let field = dissection.fragment_offset()?;
                if is_v4 {
                    return Some((Some(start + 4), 2, number16(bytes, start + 4)?.to_string()));
                }
                Some((Some(field + 2), 4, number32(bytes, field + 2)?.to_string()))
            }
            Self::ExtensionHeader if !is_v4 => extension(bytes, dissection),
            Self::UpperLen => {
                let network = dissection.network.filter(|_| dissection.is_network_valid)?;
                Some((None, 0, format!("{} bytes", network.payload_len())))
            }
            _ => None,
        }
    }

    fn in_upper<B: PacketBytes>(self, bytes: &B, dissection: &Dissection) -> Option<Found> {
        let start = dissection.transport_offset()?;
        let is = |number: IpProto| dissection.protocol() == Some(number as u8);
        let word = |offset: usize| Some((Some(offset), 4, number32(bytes, offset)?.to_string()));
        let half = |offset: usize| Some((Some(offset), 2, number16(bytes, offset)?.to_string()));
        let octet = |offset: usize| bytes.read::<1>(offset).map(|[byte]| byte);
        match self {
            Self::SourcePort if dissection.has_ports() => half(start),
            Self::DestinationPort if dissection.has_ports() => half(start + 2),
            Self::TcpSequence if is(IpProto::Tcp) => word(start + 4),
            Self::TcpAcknowledgement if is(IpProto::Tcp) => word(start + 8),
            Self::TcpWindow if is(IpProto::Tcp) => half(start + 14),
            Self::TcpFlags if is(IpProto::Tcp) => {
                Some((Some(start + 13), 1, tcp_flags(octet(start + 13)?)))
            }
            Self::TcpHeaderLen if is(IpProto::Tcp) => {
                let len = usize::from(octet(start + 12)? >> 4) * 4;
                Some((Some(start + 12), 1, format!("{len} bytes")))
            }
            Self::UdpLen if is(IpProto::Udp) => half(start + 4),
            Self::SctpTag if is(IpProto::Sctp) => {
                Some((Some(start + 4), 4, format!("{:#010x}", number32(bytes, start + 4)?)))
            }
            Self::SctpChunk if is(IpProto::Sctp) => {
                let kind = octet(start + 12)?;
                Some((Some(start + 12), 1, named(kind, sctp_chunk(kind))))
            }
            Self::IcmpType if dissection.is_icmp() => {
                let kind = octet(start)?;
                Some((Some(start), 1, named(kind, icmp_type(dissection.family()?, kind))))
            }
            Self::IcmpCode if dissection.is_icmp() => {
                Some((Some(start + 1), 1, octet(start + 1)?.to_string()))
            }
            Self::IcmpId if dissection.is_icmp() => half(start + 4),
            Self::QuotedSource | Self::QuotedDestination | Self::QuotedPorts
                if dissection.is_icmp() =>
            {
                self.in_quote(bytes, dissection, start + 8)
            }
            _ => None,
        }
    }

    /// In the packet that an ICMP error quotes at `start`.
    fn in_quote<B: PacketBytes>(
        self,
        bytes: &B,
        dissection: &Dissection,
        start: usize,
    ) -> Option<Found> {
        let [first] = bytes.read::<1>(start)?;
        let (first_address, len, ports) = match dissection.family()? {
            Family::Ipv4 => (start + 12, 4, start + usize::from(first & 0x0f) * 4),
            Family::Ipv6 => (start + 8, 16, start + 40),
        };
        let address = |offset: usize| {
            let address = if len == 4 {
                Address::from_ipv4(bytes.read::<4>(offset)?)
            } else {
                Address::from_octets(bytes.read::<16>(offset)?)
            };
            Some((Some(offset), len, address.to_ip().to_string()))
        };
        match self {
            Self::QuotedSource => address(first_address),
            Self::QuotedDestination => address(first_address + len),
            Self::QuotedPorts => {
                let (source, destination) = (number16(bytes, ports)?, number16(bytes, ports + 2)?);
                Some((Some(ports), 4, format!("{source} and {destination}")))
            }
            _ => None,
        }
    }
}

/// Where a field starts, if it is one; the bytes that it takes; and what it says.
type Found = (Option<usize>, usize, String);

fn number16<B: PacketBytes>(bytes: &B, offset: usize) -> Option<u16> {
    bytes.read::<2>(offset).map(u16::from_be_bytes)
}

fn number32<B: PacketBytes>(bytes: &B, offset: usize) -> Option<u32> {
    bytes.read::<4>(offset).map(u32::from_be_bytes)
}

/// A number with its name, unless that is the same.
fn named(number: u8, name: &str) -> String {
    if name.is_empty() || name == number.to_string() {
        number.to_string()
    } else {
        format!("{number} ({name})")
    }
}

fn ethertype(number: u16) -> String {
    let name = match number {
        ethernet::IPV4 => " (IPv4)",
        ethernet::IPV6 => " (IPv6)",
        ethernet::ARP => " (ARP)",
        ethernet::SLOW_PROTOCOLS => " (slow protocols)",
        ethernet::EAPOL => " (EAPOL)",
        ethernet::LLDP => " (LLDP)",
        0..=ethernet::LLC_LENGTH_MAX => " (a length: LLC)",
        _ => "",
    };
    format!("{number:#06x}{name}")
}

/// The length that an IP header announces for the packet, itself included.
pub(super) fn announced_len<B: PacketBytes>(
    bytes: &B,
    start: usize,
    family: Family,
) -> Option<usize> {
    match family {
        Family::Ipv4 => Some(usize::from(number16(bytes, start + 2)?)),
        Family::Ipv6 => Some(40 + usize::from(number16(bytes, start + 4)?)),
    }
}

/// The IPv4 header's checksum and the one that it should have.
fn checksum<B: PacketBytes>(bytes: &B, start: usize) -> Option<(u16, u16)> {
    let [first] = bytes.read::<1>(start)?;
    let mut sum = 0;
    for word in 0..usize::from(first & 0x0f) * 2 {
        if word != 5 {
            sum += u32::from(number16(bytes, start + 2 * word)?);
        }
    }
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    // Two words of 16 bits are left after folding twice at most.
    Some((number16(bytes, start + 10)?, !u16::try_from(folded & 0xffff).unwrap_or(0)))
}

/// The kinds of the IPv4 options.
fn options<B: PacketBytes>(bytes: &B, start: usize) -> Option<Found> {
    let [first] = bytes.read::<1>(start)?;
    let end = start + usize::from(first & 0x0f) * 4;
    let mut offset = start + 20;
    let mut kinds = Vec::new();
    while offset < end {
        let [kind] = bytes.read::<1>(offset)?;
        kinds.push(kind.to_string());
        offset += match kind {
            0 => break,
            1 => 1,
            // What is shorter than its own header ends the walk, as it does for the parser.
            _ => match bytes.read::<1>(offset + 1)? {
                [0 | 1] => break,
                [len] => usize::from(len),
            },
        };
    }
    let first_option = start + 20;
    (!kinds.is_empty())
        .then(|| (Some(first_option), end - first_option, format!("kinds {}", kinds.join(", "))))
}

fn fragment(field: u16, is_v4: bool) -> String {
    let (first_byte, more) = if is_v4 {
        (u32::from(field & 0x1fff) * 8, field & 0x2000 != 0)
    } else {
        (u32::from(field & 0xfff8), field & 1 != 0)
    };
    format!("from byte {first_byte} on, {}", if more { "more to come" } else { "the last" })
}

/// The extension header at which the parser stopped, or the last one.
fn extension<B: PacketBytes>(bytes: &B, dissection: &Dissection) -> Option<Found> {
    let network = dissection.network?;
    let (kind, offset) = if dissection.is_network_valid {
        let last = dissection.extensions.last()?;
        (last.kind, last.offset)
    } else {
        (network.protocol, network.transport_offset)
    };
    let name = extension_name(kind);
    if offset >= dissection.frame_len {
        return Some((None, 0, format!("{}, which is missing", named(kind, name))));
    }
    let routing = bytes.read::<1>(offset + 2).filter(|_| kind == IpProto::Ipv6Route as u8);
    let detail = routing.map_or_else(String::new, |[kind]| format!(", type {kind}"));
    Some((Some(offset), 8, format!("{}{detail}", named(kind, name))))
}

/// What an extension header is called.
pub(crate) fn extension_name(kind: u8) -> &'static str {
    match kind {
        0 => "hop-by-hop",
        43 => "routing",
        44 => "fragment",
        51 => "authentication",
        60 => "destination options",
        140 => "shim6",
        _ => "",
    }
}

/// The names of the flags that are set.
pub(crate) fn tcp_flags(flags: u8) -> String {
    let names = [
        (flag::SYN, "syn"),
        (flag::FIN, "fin"),
        (flag::RST, "rst"),
        (flag::PSH, "psh"),
        (flag::ACK, "ack"),
        (flag::URG, "urg"),
    ];
    let set: Vec<_> =
        names.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
    if set.is_empty() { "none".to_owned() } else { set.join(",") }
}

fn sctp_chunk(kind: u8) -> &'static str {
    match kind {
        0 => "DATA",
        1 => "INIT",
        2 => "INIT ACK",
        3 => "SACK",
        4 => "HEARTBEAT",
        5 => "HEARTBEAT ACK",
        6 => "ABORT",
        7 => "SHUTDOWN",
        8 => "SHUTDOWN ACK",
        9 => "ERROR",
        10 => "COOKIE ECHO",
        11 => "COOKIE ACK",
        14 => "SHUTDOWN COMPLETE",
        64 => "I-DATA",
        _ => "",
    }
}

/// What an ICMP type is called.
fn icmp_type(family: Family, kind: u8) -> &'static str {
    match (family, kind) {
        (Family::Ipv4, 0) | (Family::Ipv6, 129) => "echo reply",
        (Family::Ipv4, 3) | (Family::Ipv6, 1) => "destination unreachable",
        (Family::Ipv4, 5) | (Family::Ipv6, 137) => "redirect",
        (Family::Ipv4, 8) | (Family::Ipv6, 128) => "echo request",
        (Family::Ipv4, 11) | (Family::Ipv6, 3) => "time exceeded",
        (Family::Ipv4, 12) | (Family::Ipv6, 4) => "parameter problem",
        (Family::Ipv4, 13) => "timestamp request",
        (Family::Ipv4, 14) => "timestamp reply",
        (Family::Ipv6, 2) => "packet too big",
        (Family::Ipv6, 130) => "listener query",
        (Family::Ipv6, 131 | 143) => "listener report",
        (Family::Ipv6, 132) => "listener done",
        (Family::Ipv6, 133) => "router solicitation",
        (Family::Ipv6, 134) => "router advertisement",
        (Family::Ipv6, 135) => "neighbour solicitation",
        (Family::Ipv6, 136) => "neighbour advertisement",
        _ => "",
    }
}

/// What a packet is in its datagram, for people; `None` for one that is whole.
pub(crate) fn place(place: Place) -> Option<&'static str> {
    match place {
        Place::Whole => None,
        Place::Atomic => Some("atomic fragment"),
        Place::First => Some("first fragment"),
        Place::Later => Some("later fragment"),
    }
}
