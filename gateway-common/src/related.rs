//! ICMP errors: each quotes the packet it is about, and passes only when that packet belongs to a
//! live flow and was sent by the host that the error now comes to (RFC6092-REC-10, RFC5508-REQ-4),
//! whatever the flow's protocol: UDP (RFC6092-REC-18), TCP (RFC6092-REC-36), ESP (RFC6092-REC-23),
//! SCTP (RFC6092-REC-41). Nothing here gets to write to the flow, so an error never refreshes,
//! changes or ends it (RFC6092-REC-19, RFC6092-REC-37, RFC6092-REC-42, RFC5382-REQ-10,
//! RFC5508-REQ-6, E88, E98), not even one with a wrong checksum (E111).

use crate::{
    bytes::PacketBytes,
    packet::{Layout, Packet, key, layout, query_port},
    parse::network::{self, Network, Scope},
    tuple::{Direction, Family, FlowKey},
    verdict::Reason,
    wire::{icmp, icmpv6},
};

/// The quote follows the eight bytes of the ICMP header.
const QUOTE_OFFSET: usize = 8;
/// No IPv6 link has a smaller MTU; a router that says so is none (RFC8021-4, E99). IPv4 knows no
/// such bound (E100).
const IPV6_MTU_MIN: u32 = 1280;

/// Whether an ICMP message of this type reports an error that may come in at all. Path MTU
/// discovery needs "packet too big" (RFC2979-3.1.1, RFC4890-4.3.1-PTB), traceroute "time exceeded"
/// (RFC4890-4.3.1-TE0, RFC4890-4.3.2-TE1, RFC8200-4.5-TE), and whoever opens a flow wants to hear
/// why it fails, whatever the code (RFC4890-4.3.1-DU, RFC4890-4.3.1-PP12, RFC4890-4.3.2-PP0,
/// RFC4890-4.4.1-ERR, RFC4890-4.4.2). Source quench and redirect are obsolete or dangerous
/// (RFC5508-REQ-10, E105); unassigned errors stay out (RFC4890-4.3.4-UNERR, RFC4890-4.4.4-UNERR,
/// E113).
#[must_use]
#[inline(always)]
pub const fn is_error(family: Family, kind: u8) -> bool {
    match family {
        Family::Ipv4 => {
            matches!(kind, icmp::UNREACHABLE | icmp::TIME_EXCEEDED | icmp::PARAMETER_PROBLEM)
        }
        Family::Ipv6 => matches!(
            kind,
            icmpv6::UNREACHABLE
                | icmpv6::PACKET_TOO_BIG
                | icmpv6::TIME_EXCEEDED
                | icmpv6::PARAMETER_PROBLEM
        ),
    }
}

/// The key of the flow that an inbound ICMP error is about; `quoted` is room for the quote.
///
/// # Errors
///
/// [`Reason::IcmpQuote`] when the quote cannot be a packet of the error's receiver.
// Not inlined: the path is rare and long.
#[inline(never)]
pub fn flow_key<B: PacketBytes>(
    bytes: &B,
    packet: &Packet,
    quoted: &mut Network,
) -> Result<FlowKey, Reason> {
    let (outer, header) = (&packet.network, packet.transport.icmp);
    let too_big = outer.family == Family::Ipv6 && header.kind == icmpv6::PACKET_TOO_BIG;
    if too_big && header.rest < IPV6_MTU_MIN {
        return Err(Reason::IcmpQuote);
    }
    let quote_offset = outer.transport_offset + QUOTE_OFFSET;
    // The quote's options and extension headers are walked through, but its lengths and checksums
    // may be off: it is cut, and NATs on the way have touched it (RFC5508-REQ-3, E91, E101, E102,
    // E103).
    network::parse(bytes, quote_offset, outer.family, Scope::Quoted, quoted)
        .map_err(|_| Reason::IcmpQuote)?;
    // The error goes to whom it concerns: the sender of the quoted packet (RFC4890-4.1b, E94, E95).
    let is_ours = quoted.source == outer.destination;
    // A first fragment names its flow, a later one does not (E92, E93).
    if !is_ours || quoted.fragment.is_later() {
        return Err(Reason::IcmpQuote);
    }
    // Ports are enough (E89), and necessary (E90); what follows the quote is not looked at (E104).
    let read_four = |offset: usize| {
        if offset + 4 > outer.end { None } else { bytes.read::<4>(offset) }
    };
    let (inside_port, outside_port) = match layout(quoted.family, quoted.protocol) {
        Layout::Tcp | Layout::Udp | Layout::Ports(_) | Layout::Sctp => {
            let ports = read_four(quoted.transport_offset).ok_or(Reason::IcmpQuote)?;
            (u16::from_be_bytes([ports[0], ports[1]]), u16::from_be_bytes([ports[2], ports[3]]))
        }
        Layout::Icmp => {
            let kind = read_four(quoted.transport_offset).ok_or(Reason::IcmpQuote)?[0];
            let rest = read_four(quoted.transport_offset + 4).ok_or(Reason::IcmpQuote)?;
            // An error about an error is against the rules (RFC 1122, RFC 4443 section 2.4; E97).
            let port =
                query_port(quoted.family, Direction::Outbound, kind).ok_or(Reason::IcmpQuote)?;
            (u16::from_be_bytes([rest[0], rest[1]]), port)
        }
        Layout::Portless => (0, 0),
        Layout::Missing | Layout::Impossible => return Err(Reason::IcmpQuote),
    };
    Ok(key(quoted, packet.vlan, Direction::Outbound, inside_port, outside_port))
}
