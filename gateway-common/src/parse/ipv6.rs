//! The IPv6 header and its extension headers (RFC 8200).

use network_types::ip::{IpProto, Ipv6Hdr};

use super::network::{Fragment, Network, Place, Scope, packet_end};
use crate::{
    bytes::PacketBytes,
    limits::{EXTENSION_HEADERS_MAX, HEADER_OFFSET_MAX},
    tuple::Address,
    verdict::Reason,
};

const HOP_BY_HOP: u8 = IpProto::HopOpt as u8;
const ROUTING: u8 = IpProto::Ipv6Route as u8;
const FRAGMENT: u8 = IpProto::Ipv6Frag as u8;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = IpProto::Ipv6Opts as u8;
const SHIM6: u8 = IpProto::Shim6 as u8;

const FRAGMENT_HEADER_LEN: usize = 8;

#[inline(always)]
pub(super) fn parse<B: PacketBytes>(
    bytes: &B,
    offset: usize,
    scope: Scope,
    network: &mut Network,
) -> Result<(), Reason> {
    let header = bytes.read_words::<{ Ipv6Hdr::LEN / 4 }>(offset).ok_or(Reason::Ipv6Malformed)?;
    let [label, rest, s0, s1, s2, s3, d0, d1, d2, d3] = header;
    // The ethertype may say what it will (E10).
    if label.to_ne_bytes()[0] >> 4 != 6 {
        return Err(Reason::Ipv6Malformed);
    }
    network.source = Address::from_words([s0, s1, s2, s3]);
    network.destination = Address::from_words([d0, d1, d2, d3]);
    // On the wire a mapped address is a forgery (RFC6092-REC-3, E49); in our keys it means IPv4.
    if network.source.is_ipv4_mapped() || network.destination.is_ipv4_mapped() {
        return Err(Reason::MartianSource);
    }
    let [len_high, len_low, next_header, hop_limit] = rest.to_ne_bytes();
    let announced = match u16::from_be_bytes([len_high, len_low]) {
        // A packet under segmentation offload may be larger than the field can say (E47). In any
        // other a zero means that nothing follows (E45): no jumbo payload comes across an uplink
        // (E46).
        0 if bytes.segments() > 1 => bytes.len().saturating_sub(offset),
        payload_len => Ipv6Hdr::LEN + usize::from(payload_len),
    };
    network.end = packet_end(bytes, offset, announced, scope).ok_or(Reason::Ipv6Malformed)?;
    network.protocol = next_header;
    // Only discovery asks for it; forwarding is the router's business (E59).
    network.hop_limit = hop_limit;
    network.transport_offset = offset + Ipv6Hdr::LEN;
    walk(bytes, network)
}

/// Walks the extension headers: `protocol` and `transport_offset` name the header at hand and, in
/// the end, the upper layer. They are taken in the order in which they come, whatever it is
/// (RFC8200-4.0, RFC8200-4.1, E61), as far as the parser follows (E62), so that no header hides
/// what is behind it (E67, E69, E71).
#[inline(always)]
fn walk<B: PacketBytes>(bytes: &B, network: &mut Network) -> Result<(), Reason> {
    for index in 0..=EXTENSION_HEADERS_MAX {
        let len = match step(bytes, network, index == 0)? {
            0 => return Ok(()),
            len => len,
        };
        let next_offset = network.transport_offset + len;
        // Also of a first fragment, which has to hold them all (RFC7112-5a, E63, E72).
        if next_offset > network.end {
            return Err(Reason::ExtensionHeader);
        }
        if next_offset > HEADER_OFFSET_MAX {
            return Err(Reason::ExtensionDepth);
        }
        network.transport_offset = bytes.forget(next_offset);
        if network.fragment.is_later() {
            return Ok(());
        }
    }
    Err(Reason::ExtensionDepth)
}

/// Takes in the header at hand: its length and, in `protocol`, what follows it. Every standard one
/// is known, and its options are the end node's (RFC7045-2.1a, RFC8200-4.2, E60).
///
/// The length is 0 when it is the upper layer. ESP, Mobility, HIP and unknown numbers are upper
/// layers to a filter, and their flows pairs of hosts (RFC6092-REC-22, RFC6092-REC-25,
/// RFC7045-2.1c, E79, E82).
#[inline(always)]
fn step<B: PacketBytes>(bytes: &B, network: &mut Network, is_first: bool) -> Result<usize, Reason> {
    let kind = network.protocol;
    if !matches!(
        kind,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS | SHIM6
    ) {
        return Ok(0);
    }
    let header = bytes.read::<8>(network.transport_offset).ok_or(Reason::ExtensionHeader)?;
    let units = usize::from(header[1]);
    let len = match kind {
        FRAGMENT => {
            network.fragment = fragment(&header, network)?;
            FRAGMENT_HEADER_LEN
        }
        // Counted in words of four bytes, less two (RFC 4302 section 2.2); the flow is that of what
        // it authenticates (RFC6092-REC-21, E68).
        AUTHENTICATION => {
            network.is_authenticated = true;
            (units + 2) * 4
        }
        // Only with the P bit does more follow (E81); otherwise it is a control message (RFC 5533),
        // which has to be all there: what was read may lie behind the packet.
        SHIM6 if header[2] & 0x80 == 0 && network.payload_len() < header.len() => {
            return Err(Reason::ExtensionHeader);
        }
        SHIM6 if header[2] & 0x80 == 0 => return Ok(0),
        // Directly behind the IPv6 header or not at all (RFC8200-4.0, E64).
        HOP_BY_HOP if !is_first => return Err(Reason::ExtensionHeader),
        HOP_BY_HOP => {
            network.router_alert = is_router_alert(&header);
            (units + 1) * 8
        }
        // Types 0 and 1 are deprecated source routes (RFC6092-REC-4, RFC5095-4.2, E65). All others
        // pass (RFC7045-2.1d, RFC8200-4.4, E66).
        ROUTING if header[2] <= 1 => return Err(Reason::SourceRoute),
        _ => (units + 1) * 8,
    };
    network.protocol = header[0];
    Ok(len)
}

/// Places the packet in its datagram (RFC 8200 section 4.5).
#[inline(always)]
fn fragment(header: &[u8; 8], network: &Network) -> Result<Fragment, Reason> {
    // A fragment inside a fragment has no legal sender (E77).
    if network.fragment.place != Place::Whole {
        return Err(Reason::FragmentMalformed);
    }
    let field = u16::from_be_bytes([header[2], header[3]]);
    let more = field & 1 != 0;
    let first_byte = usize::from(field & 0xfff8);
    // A packet by itself, whatever else has its identification (RFC6946-4, E70).
    if first_byte == 0 && !more {
        return Ok(Fragment { place: Place::Atomic, ..Fragment::default() });
    }
    let payload_len = network.payload_len().saturating_sub(FRAGMENT_HEADER_LEN);
    let id = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    Fragment::place(first_byte, payload_len, more, header[0], id)
}

/// Whether a hop-by-hop header is the eight bytes that multicast listener discovery sends: a
/// router alert option with two bytes of padding, before or after it (RFC 2711, RFC 3810).
#[inline(always)]
fn is_router_alert(header: &[u8; 8]) -> bool {
    const ROUTER_ALERT: [u8; 2] = [5, 2];
    const PAD_TWO: [u8; 2] = [1, 0];
    [header[2], header[3]] == ROUTER_ALERT
        || ([header[2], header[3]] == PAD_TWO && [header[4], header[5]] == ROUTER_ALERT)
}
