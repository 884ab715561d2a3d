//! From steps to frames, and from captured frames back to the step that they were.

use crate::{
    packet::{Packet, flag},
    topology::{INSIDE, OUTSIDE, STRANGER},
};
use gateway_common::tuple::{Direction, Family};

use crate::exchange::{
    mac, option,
    step::{Checksum, Content, Datagram, IcmpError, Outside, Query, QueryKind, Segment, Step},
};

/// Of the link-layer header.
const LINK_LEN: usize = 14;

/// What a packet carries through a gateway that tells which one it is: the IPv4 identification,
/// or the IPv6 flow label. Nothing between the two ends looks at either.
pub type Marker = u16;

/// The ports of one run of a sequence. No two runs share any, so they cannot meet in a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The first of the inside ports.
    pub inside: u16,
    /// The first of the outside ports.
    pub outside: u16,
}

/// The frame of a step.
#[must_use]
pub fn frame(step: &Step, family: Family, ports: Ports, marker: Marker) -> Vec<u8> {
    let (source, destination) = match step.direction {
        Direction::Inbound => (mac::ROUTER, mac::UPLINK),
        Direction::Outbound => (mac::HOST, mac::INSIDE),
    };
    packet(step, family, ports).marked(marker).macs(source, destination).frame()
}

fn packet(step: &Step, family: Family, ports: Ports) -> Packet {
    let outside = match step.outside {
        Outside::Peer => OUTSIDE,
        Outside::Stranger => STRANGER,
    };
    let inside_port = ports.inside + step.shift.inside;
    let outside_port = ports.outside + step.shift.outside;
    let (source, destination, from, to) = match step.direction {
        Direction::Inbound => (outside, INSIDE, outside_port, inside_port),
        Direction::Outbound => (INSIDE, outside, inside_port, outside_port),
    };
    let packet = Packet::ip(source.ip(family), destination.ip(family));
    match &step.content {
        Content::Tcp(segment) => tcp(packet, segment, from, to),
        Content::Udp(datagram) => udp(packet, datagram, from, to),
        Content::Query(query) => icmp_query(packet, query, inside_port),
        Content::Error(error) => icmp_error(packet, error, family, ports),
    }
}

fn tcp(packet: Packet, segment: &Segment, from: u16, to: u16) -> Packet {
    let packet = packet.tcp(from, to, segment.flags);
    let packet = if segment.options.is_empty() {
        packet
    } else {
        packet.tcp_options(&option::encode(&segment.options))
    };
    let urgent = u16::from(segment.flags & flag::URG != 0);
    let packet = packet
        .sequence(segment.sequence)
        .acknowledge(segment.acknowledgment)
        .window(segment.window)
        .set_transport(18, &urgent.to_be_bytes())
        .payload(&payload(segment.payload_len));
    let packet = match segment.claimed_words {
        Some(words) => {
            let word = u16::from(words) << 12 | segment.flags & 0x0fff;
            packet.set_transport(12, &word.to_be_bytes())
        }
        None => packet,
    };
    checksummed(packet, segment.checksum)
}

fn udp(packet: Packet, datagram: &Datagram, from: u16, to: u16) -> Packet {
    let packet = packet.udp(from, to).payload(&payload(datagram.payload_len));
    let packet = match datagram.claimed_len {
        Some(len) => packet.set_transport(4, &len.to_be_bytes()),
        None => packet,
    };
    checksummed(packet, datagram.checksum)
}

fn icmp_query(packet: Packet, query: &Query, id: u16) -> Packet {
    let kind = match (query.kind, packet.family()) {
        (QueryKind::EchoRequest, Family::Ipv4) => 8,
        (QueryKind::EchoRequest, Family::Ipv6) => 128,
        (QueryKind::EchoReply, Family::Ipv4) => 0,
        (QueryKind::EchoReply, Family::Ipv6) => 129,
        (QueryKind::Other(kind), _) => kind,
    };
    let [id_high, id_low] = id.to_be_bytes();
    let [high, low] = query.sequence.to_be_bytes();
    // Twelve more bytes make timestamp messages whole as well.
    let packet = packet.icmp(kind, query.code, [id_high, id_low, high, low], &[0; 12]);
    checksummed(packet, query.checksum)
}

fn icmp_error(packet: Packet, error: &IcmpError, family: Family, ports: Ports) -> Packet {
    let header_len = match family {
        Family::Ipv4 => 20,
        Family::Ipv6 => 40,
    };
    let quoted = self::packet(&error.quoted, family, ports);
    let quote = quoted.quote(header_len + usize::from(error.quoted_len));
    packet.icmp_error(error.kind, error.code, error.value, &quote)
}

fn payload(len: u16) -> Vec<u8> {
    vec![b'.'; usize::from(len)]
}

fn checksummed(packet: Packet, checksum: Checksum) -> Packet {
    match checksum {
        Checksum::Right => packet,
        Checksum::Wrong => packet.bad_checksum(),
        Checksum::Absent => packet.no_checksum(),
    }
}

/// Writing a marker into a packet.
trait Marked {
    fn marked(self, marker: Marker) -> Self;
}

impl Marked for Packet {
    fn marked(self, marker: Marker) -> Self {
        match self.family() {
            Family::Ipv4 => self.identification(u32::from(marker)),
            Family::Ipv6 => self.flow_label(u32::from(marker)),
        }
    }
}

/// What is read out of a captured frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Which packet it is.
    pub marker: Marker,
    /// The upper six bits of its traffic class, into which the reference writes.
    pub service: u8,
}

/// Reads a frame; `None` if it is no IP packet.
#[must_use]
pub fn sight(frame: &[u8]) -> Option<Sighting> {
    let ip = frame.get(LINK_LEN..)?;
    let (class, marker) = match ip.first()? >> 4 {
        4 => (*ip.get(1)?, [*ip.get(4)?, *ip.get(5)?]),
        6 => (ip[0] << 4 | ip.get(1)? >> 4, [*ip.get(2)?, *ip.get(3)?]),
        _ => return None,
    };
    Some(Sighting { marker: Marker::from_be_bytes(marker), service: class >> 2 })
}

/// Whether a captured frame is the one that was sent: all the same but for what forwarding and
/// the reference change, that is the link layer, the hop limit, the traffic class and the IPv4
/// header's checksum.
#[must_use]
pub fn is_same(captured: &[u8], sent: &[u8]) -> bool {
    forwarded(captured) == forwarded(sent)
}

fn forwarded(frame: &[u8]) -> Vec<u8> {
    let mut ip = frame.get(LINK_LEN..).unwrap_or_default().to_vec();
    match ip.first().map(|first| first >> 4) {
        Some(4) if ip.len() >= 20 => {
            for at in [1, 8, 10, 11] {
                ip[at] = 0;
            }
        }
        Some(6) if ip.len() >= 40 => {
            ip[0] &= 0xf0;
            ip[1] &= 0x0f;
            ip[7] = 0;
        }
        _ => {}
    }
    ip
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::FAMILIES;

    const PORTS: Ports = Ports { inside: 2000, outside: 3000 };

    fn step() -> Step {
        let datagram = Datagram { payload_len: 5, claimed_len: None, checksum: Checksum::Right };
        Step::new(Direction::Outbound, "request", Content::Udp(datagram))
    }

    #[test]
    fn a_marker_is_found_again() {
        for family in FAMILIES {
            let sighting = sight(&frame(&step(), family, PORTS, 0xbeef));
            assert_eq!(sighting, Some(Sighting { marker: 0xbeef, service: 0 }));
        }
    }

    #[test]
    fn forwarding_is_no_change_and_another_payload_is() {
        for family in FAMILIES {
            let sent = frame(&step(), family, PORTS, 7);
            let forwarded = packet(&step(), family, PORTS).marked(7).hop_limit(63).class(0x0c);
            assert!(is_same(&forwarded.frame(), &sent), "{family:?}");
            assert_eq!(sight(&forwarded.frame()).map(|sighting| sighting.service), Some(3));
            let mut other = forwarded.frame();
            *other.last_mut().expect("a frame has bytes") ^= 1;
            assert!(!is_same(&other, &sent), "{family:?}");
        }
    }
}
