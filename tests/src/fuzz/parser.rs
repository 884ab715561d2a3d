//! Frames.
//!
//! The first byte says what is beside the frame: 1 a VLAN tag (two bytes that follow it), 2 that
//! another host sent it, 4 that it is three segments.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use gateway_common::{
    config::Config,
    gateway::find_packet,
    packet::{Packet, TransportKind},
    parse,
    tuple::{Address, Direction},
    verdict::Reason,
};

use super::{some, stories::FRAMES};
use crate::{model::Frame, rows::check::TICKS_PER_SEC};

/// A header that nothing but the parser knows.
const SHIM6: u8 = 140;
/// Ethernet without tags.
const LINK_LEN: usize = 14;

pub(super) fn run(data: &[u8]) {
    let Some(frame) = read(data) else { return };
    let parsed = parse(&frame);
    check_independence(&frame, &parsed);
    let Ok(packet) = parsed else { return };
    check_offsets(&frame, &packet);
    check_cuts(&frame, &packet);
    if let Ok(other) = SlicedPacket::from_ethernet(&frame.bytes) {
        check_against(&packet, &other);
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = FRAMES
        .iter()
        .map(|travelling| {
            let Frame { bytes, segments, offloaded_vlan, is_forwarded } = &travelling.frame;
            let head = u8::from(offloaded_vlan.is_some())
                | u8::from(*is_forwarded) << 1
                | u8::from(*segments > 1) << 2;
            let tag = offloaded_vlan.map(u16::to_le_bytes);
            [vec![head], tag.into_iter().flatten().collect(), bytes.clone()].concat()
        })
        .filter(|seed| seed.len() < 300)
        .collect();
    seeds.sort_by_key(Vec::len);
    seeds.dedup();
    some(seeds, 40)
}

fn read(data: &[u8]) -> Option<Frame> {
    let (head, mut bytes) = data.split_first()?;
    let mut offloaded_vlan = None;
    if head & 1 != 0 {
        let (tag, rest) = bytes.split_first_chunk()?;
        (offloaded_vlan, bytes) = (Some(u16::from_le_bytes(*tag)), rest);
    }
    let segments = if head & 4 == 0 { 1 } else { 3 };
    Some(Frame { bytes: bytes.to_vec(), segments, offloaded_vlan, is_forwarded: head & 2 != 0 })
}

fn parse(frame: &Frame) -> Result<Packet, Reason> {
    let mut packet = Packet::default();
    find_packet(frame, &Config::new(TICKS_PER_SEC), &mut packet)?;
    parse::what_states_need(frame, &mut packet);
    Ok(packet)
}

/// What went before in the same memory changes nothing; no more do MAC addresses.
fn check_independence(frame: &Frame, parsed: &Result<Packet, Reason>) {
    let mut used = Packet::default();
    for earlier in FRAMES.iter().step_by(400) {
        if find_packet(&earlier.frame, &Config::new(TICKS_PER_SEC), &mut used).is_ok() {
            parse::what_states_need(&earlier.frame, &mut used);
        }
    }
    let again = find_packet(frame, &Config::new(TICKS_PER_SEC), &mut used);
    let again = again.map(|()| {
        parse::what_states_need(frame, &mut used);
        used
    });
    assert_eq!(again, *parsed, "after other packets");
    let mut elsewhere = frame.clone();
    for byte in elsewhere.bytes.iter_mut().take(12) {
        *byte = !*byte;
    }
    assert_eq!(parse(&elsewhere), *parsed, "with other MAC addresses");
}

fn check_offsets(frame: &Frame, packet: &Packet) {
    let (network, transport) = (&packet.network, &packet.transport);
    assert!(network.offset >= LINK_LEN, "{packet:?}");
    assert!(network.offset < network.transport_offset, "{packet:?}");
    assert!(network.transport_offset <= network.end, "{packet:?}");
    assert!(network.end <= frame.bytes.len(), "{packet:?}");
    assert_eq!((packet.packets, packet.is_forwarded), (frame.segments, frame.is_forwarded));
    let ip_bytes = (network.end - network.offset) as u64;
    assert!(packet.wire_bytes >= ip_bytes, "{packet:?}");
    assert!(packet.wire_bytes <= ip_bytes * u64::from(frame.segments), "{packet:?}");
    let upper = &frame.bytes[network.transport_offset..network.end];
    let has_ports =
        matches!(transport.kind, TransportKind::Tcp | TransportKind::Ports | TransportKind::Sctp);
    if has_ports {
        let ports = [upper[0], upper[1], upper[2], upper[3]];
        let [source, destination] = [transport.ports.source, transport.ports.destination];
        assert_eq!([source.to_be_bytes(), destination.to_be_bytes()].as_flattened(), ports);
    }
    if transport.kind == TransportKind::Tcp {
        let tcp = &transport.tcp;
        let data_len = upper.len() - usize::from(tcp.header_len);
        assert!((20..=60).contains(&tcp.header_len), "{packet:?}");
        assert!(tcp.payload_len as usize >= data_len, "{packet:?}");
        assert_eq!(tcp.sequence.to_be_bytes(), upper[4..8]);
        assert!(tcp.options.window_scale <= 14, "{packet:?}");
    }
    for direction in Direction::ALL {
        let Some(key) = packet.flow_key(direction) else { continue };
        let [inside, outside] = match direction {
            Direction::Inbound => [network.destination, network.source],
            Direction::Outbound => [network.source, network.destination],
        };
        assert_eq!((key.inside, key.outside), (inside, outside));
        assert_eq!((key.protocol, key.family), (network.protocol, network.family.version()));
    }
}

/// Whatever is behind the packet does not matter; without its last byte it is none.
fn check_cuts(frame: &Frame, packet: &Packet) {
    let end = packet.network.end;
    let mut exact = frame.clone();
    exact.bytes.truncate(end);
    assert_eq!(parse(&exact), Ok(*packet), "without what follows");
    // Under segmentation offload a length of zero means the whole frame.
    if frame.segments == 1 {
        exact.bytes.extend([0xff; 7]);
        assert_eq!(parse(&exact), Ok(*packet), "with a trailer");
    }
    let offsets = [0, LINK_LEN, packet.network.offset, packet.network.transport_offset, end - 1];
    for len in offsets.into_iter().filter(|len| *len < end) {
        let mut cut = frame.clone();
        cut.bytes.truncate(len);
        let is_less = parse(&cut).is_ok_and(|less| less == *packet);
        assert!(!is_less, "{len} of {end} bytes");
        assert!(frame.segments > 1 || parse(&cut).is_err(), "{len} of {end} bytes");
    }
}

fn check_against(packet: &Packet, other: &SlicedPacket<'_>) {
    let (source, destination, protocol) = match &other.net {
        Some(NetSlice::Ipv4(ip)) => (
            Address::from_ipv4(ip.header().source()),
            Address::from_ipv4(ip.header().destination()),
            ip.payload().ip_number.0,
        ),
        Some(NetSlice::Ipv6(ip)) => (
            Address::from_octets(ip.header().source()),
            Address::from_octets(ip.header().destination()),
            ip.payload().ip_number.0,
        ),
        other => panic!("{packet:?} and {other:?}"),
    };
    assert_eq!((packet.network.source, packet.network.destination), (source, destination));
    if packet.transport.kind == TransportKind::LaterFragment || protocol == SHIM6 {
        return;
    }
    assert_eq!(packet.network.protocol, protocol);
    let ports = (packet.transport.ports.source, packet.transport.ports.destination);
    let icmp = (packet.transport.icmp.kind, packet.transport.icmp.code);
    match &other.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            assert_eq!(packet.transport.kind, TransportKind::Tcp);
            assert_eq!(ports, (tcp.source_port(), tcp.destination_port()));
            let read = &packet.transport.tcp;
            assert_eq!((read.flags, read.window), (tcp.slice()[13], tcp.window_size()));
            assert_eq!(usize::from(read.header_len), tcp.header_slice().len());
            assert_eq!(read.acknowledgement, tcp.acknowledgment_number());
        }
        Some(TransportSlice::Udp(udp)) => {
            assert_eq!(packet.transport.kind, TransportKind::Ports);
            assert_eq!(ports, (udp.source_port(), udp.destination_port()));
        }
        Some(TransportSlice::Icmpv4(message)) => {
            assert_eq!(icmp, (message.type_u8(), message.code_u8()));
        }
        Some(TransportSlice::Icmpv6(message)) => {
            assert_eq!(icmp, (message.type_u8(), message.code_u8()));
        }
        Some(TransportSlice::Igmp(_)) => {
            assert_eq!(packet.transport.kind, TransportKind::Portless);
        }
        // A first fragment's transport header is more than the other reader reads.
        None => {}
    }
}
