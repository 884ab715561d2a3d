//! What holds for every packet, not only for those in the conformance table.

mod conversations;
mod endpoints;
mod governed;
mod mutation;

use std::collections::HashSet;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use gateway_common::{
    config::Config,
    counter::FlowEvent,
    flow::{FlowEntry, mark},
    gateway::find_packet,
    host::{HostKey, Paid, Span},
    packet::{Packet as Parsed, TransportKind},
    record::FlowRecord,
    tables::Table,
    timeouts::Ticks,
    tuple::{Address, Direction, Family, FlowKey},
    verdict::{Reason, Verdict},
};
use mutation::{Travelling, traffic, travelling};
use proptest::{collection::vec, option, prelude::*, sample::Index};
use tests::{
    model::{Frame, Model},
    packet::Packet,
    rows::{
        check::TICKS_PER_SEC,
        prelude::{INSIDE, OUTSIDE, from},
    },
    state::{Entry, State},
};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes from a bad day, under every kind of offload: a verdict, never a panic, and every
    /// packet is counted.
    #[test]
    fn random_frames_get_a_verdict(
        frames in vec((random_frame(), any::<bool>()), 1..20),
    ) {
        let mut model = model();
        let mut packets = 0;
        for (frame, inbound) in frames {
            packets += u64::from(frame.segments);
            let direction = if inbound { Direction::Inbound } else { Direction::Outbound };
            let outcome = model.run(direction, &frame);
            prop_assert_eq!(outcome.packets, frame.segments);
        }
        prop_assert_eq!(counted(&model.state()), packets);
    }

    /// Frames of the table with changed bytes, through both hooks.
    #[test]
    fn changed_frames_get_a_verdict(frames in vec(travelling(), 1..40)) {
        let mut model = model();
        let mut packets = 0;
        for travelling in frames {
            packets += 2 * u64::from(travelling.frame.segments);
            for direction in Direction::ALL {
                _ = model.run(direction, &travelling.frame);
            }
        }
        prop_assert_eq!(counted(&model.state()), packets);
    }

    /// RFC6092-REC-10, RFC6092-REC-33, RFC6092-REC-50, E124, E150: as long as nothing leaves from
    /// inside, nothing that arrives is remembered, and nothing passes but what the link lives on.
    #[test]
    fn outside_alone_changes_nothing(frames in traffic(60)) {
        let mut model = model();
        let empty = model.state();
        for travelling in frames {
            let outcome = model.run(Direction::Inbound, &travelling.frame);
            if outcome.reason.verdict() == Verdict::Pass {
                let is_for_the_link = matches!(
                    outcome.reason,
                    Reason::Arp
                        | Reason::LinkControl
                        | Reason::NeighbourDiscovery
                        | Reason::MulticastListener
                        | Reason::DhcpClient
                );
                prop_assert!(is_for_the_link, "{:?}", outcome.reason);
            }
        }
        prop_assert_eq!(State { verdicts: empty.verdicts.clone(), ..model.state() }, empty);
    }

    /// What arrives finds flows and writes its half of them; it never opens, moves or ends one.
    /// What leaves never writes the other half.
    #[test]
    fn each_direction_keeps_to_its_half(frames in traffic(60)) {
        let mut model = model();
        let mut before = model.state();
        for travelling in frames {
            let outcome = model.run(travelling.direction, &travelling.frame);
            let after = model.state();
            let change = after.since(&before);
            for flow in &change.flows {
                match (travelling.direction, flow) {
                    (Direction::Inbound, Entry::Changed(_, then, now)) => {
                        prop_assert_eq!(then.outbound, now.outbound);
                        prop_assert_eq!(then.created, now.created);
                    }
                    (Direction::Inbound, Entry::Added(..) | Entry::Removed(..)) => {
                        prop_assert!(false, "{:?}: {flow:?}", outcome.reason);
                    }
                    (Direction::Outbound, Entry::Changed(_, then, now)) => {
                        // Another connection on the same ports begins with an empty half.
                        prop_assert!(
                            then.inbound == now.inbound || now.inbound.packets == 0,
                            "{:?}: {flow:?}", outcome.reason
                        );
                    }
                    (Direction::Outbound, Entry::Added(..) | Entry::Removed(..)) => {}
                }
            }
            if travelling.direction == Direction::Inbound {
                prop_assert_eq!(change.peers, []);
                prop_assert_eq!(change.events, [0; FlowEvent::ALL.len()]);
                prop_assert_eq!((change.openers, change.holders), (vec![], vec![]));
            } else {
                prop_assert_eq!(change.datagrams, []);
            }
            if outcome.reason.verdict() == Verdict::Drop {
                prop_assert_eq!(change.flows, [], "dropped: {:?}", outcome.reason);
            }
            before = after;
        }
    }

    /// A flow is in one table at a time.
    #[test]
    fn no_flow_is_in_both_tables(frames in traffic(60)) {
        let mut model = model();
        for travelling in frames {
            _ = model.run(travelling.direction, &travelling.frame);
        }
        let flows = model.state().flows;
        let keys: HashSet<_> = flows.keys().map(|(_, key)| key).collect();
        prop_assert_eq!(keys.len(), flows.len());
    }

    /// Every flow that was opened is live, has ended or was recycled silently by the table of half
    /// open ones; and every end left one record.
    #[test]
    fn flows_add_up(
        frames in vec((travelling_or_swept(), 0_u64..200_000), 1..200),
        half_open_max in 1_usize..64,
        allowance in 1_u32..6,
    ) {
        let config = Config::new(TICKS_PER_SEC).with_host_limits(allowance, 4);
        let mut model = Model::new(&config, half_open_max, 16);
        for (act, wait) in frames {
            model.advance(Ticks(wait));
            let keys: Vec<_> = model.state().flows.into_keys().map(|(_, key)| key).collect();
            match act {
                Act::Travel(Travelling { direction, frame }) => _ = model.run(direction, &frame),
                Act::Sweep => keys.iter().for_each(|key| _ = model.reclaim(key)),
                Act::Forget(which) if !keys.is_empty() => {
                    prop_assert!(model.forget(which.get(&keys)));
                }
                Act::Forget(_) => {}
            }
            let (state, records) = (model.state(), model.records());
            let count = |event: FlowEvent| state.events[event as usize];
            let ends = FlowEvent::ALL.into_iter().filter(|event| event.is_end());
            let ended: u64 = ends.clone().map(count).sum();
            let live = state.flows.len() as u64;
            prop_assert_eq!(count(FlowEvent::Created), live + ended + model.recycled());
            prop_assert_eq!(records.len() as u64, ended);
            for event in ends {
                let recorded = records.iter().filter(|record| record.event() == Some(event));
                prop_assert_eq!(recorded.count() as u64, count(event), "{:?}", event);
            }
            for (serial, FlowRecord { serial: its, entry, .. }) in (0..).zip(&records) {
                prop_assert_eq!((serial, true), (*its, entry.outbound.has(mark::ENDED)));
            }
        }
    }

    /// RFC6888-REQ-4: no host holds more of the established flows than its share, and what is
    /// counted is what it holds; flows beyond allowances are no more than there are places.
    #[test]
    fn hosts_keep_to_their_limits(frames in traffic(100), half_open in 1_u32..6, share in 1_u32..6) {
        let config = Config::new(TICKS_PER_SEC).with_host_limits(half_open, share);
        let mut model = Model::new(&config, 64, 16);
        for travelling in frames {
            model.advance(Ticks(1));
            _ = model.run(travelling.direction, &travelling.frame);
            let State { flows, holders, openers, .. } = model.state();
            let held_by = |host: &HostKey| {
                let established = flows.keys().filter(|(table, _)| *table == Table::Established);
                established.filter(|(_, key)| HostKey::of(key) == *host).count() as u64
            };
            for (host, held) in &holders {
                prop_assert_eq!(*held, held_by(host), "{:?}", host);
                prop_assert!(*held <= u64::from(share), "{:?}", host);
            }
            for (_, key) in flows.keys() {
                let host = HostKey::of(key);
                prop_assert!(openers.contains_key(&host), "{:?}", host);
                prop_assert!(held_by(&host) == 0 || holders.contains_key(&host), "{:?}", host);
            }
            // What was confirmed but found no room among the established flows has no place to lose.
            let overflow = |((table, _), entry): &(&(Table, FlowKey), &FlowEntry)| {
                let marks = entry.outbound.marks & (mark::OVERFLOW | mark::CONFIRMED);
                *table == Table::HalfOpen && marks == mark::OVERFLOW
            };
            prop_assert!(flows.iter().filter(overflow).count() <= half_open as usize);
            let latest = Span::from(model.now()).0 + config.opening_credit.0;
            for (host, Paid(paid)) in openers {
                prop_assert!(paid <= latest, "{:?}", host);
            }
        }
    }

    /// An independent reader finds the same addresses, protocol and ports in valid packets.
    #[test]
    fn the_parser_agrees_with_etherparse(packet in valid_packet()) {
        let frame = packet.frame();
        let parsed = parse(&frame).expect("the packet is valid");
        let read = SlicedPacket::from_ethernet(&frame).expect("the packet is valid");
        compare(&parsed, &read)?;
    }

    /// The same for packets that were changed, as long as both accept them.
    #[test]
    fn the_parser_agrees_about_changed_packets(travelling in travelling()) {
        let frame = &travelling.frame.bytes;
        if let (Ok(parsed), Ok(read)) = (parse(frame), SlicedPacket::from_ethernet(frame)) {
            compare(&parsed, &read)?;
        }
    }
}

const SHIM6: u8 = 140;

/// What happens to flows: packets, the sweeper, and operators.
#[derive(Clone, Debug)]
enum Act {
    Travel(Travelling),
    Sweep,
    Forget(Index),
}

fn travelling_or_swept() -> impl Strategy<Value = Act> {
    prop_oneof![
        16 => travelling().prop_map(Act::Travel),
        1 => Just(Act::Sweep),
        1 => any::<Index>().prop_map(Act::Forget),
    ]
}

fn model() -> Model {
    Model::new(&Config::new(TICKS_PER_SEC), 64, 16)
}

fn counted(state: &State) -> u64 {
    state.verdicts.iter().map(|(_, _, counter)| counter.packets).sum()
}

/// Random bytes, half of them behind an ethertype and version that make them look like IP.
fn random_frame() -> impl Strategy<Value = Frame> {
    let looks = option::of(prop_oneof![Just((0x0800, 0x45)), Just((0x86dd_u16, 0x60_u8))]);
    let tag = option::weighted(0.2, any::<u16>());
    (vec(any::<u8>(), 0..200), looks, 1_u32..50, tag).prop_map(
        |(mut bytes, looks, segments, offloaded_vlan)| {
            if let Some((ethertype, version)) = looks
                && bytes.len() > 14
            {
                bytes[12..14].copy_from_slice(&ethertype.to_be_bytes());
                bytes[14] = version;
            }
            Frame { bytes, segments, offloaded_vlan, is_forwarded: false }
        },
    )
}

/// A valid packet with tags, options or extension headers, and any transport.
fn valid_packet() -> impl Strategy<Value = Packet> {
    let family = prop_oneof![Just(Family::Ipv4), Just(Family::Ipv6)];
    let hosts = (any::<u8>(), any::<u8>());
    let tags = vec(0_u16..4096, 0..3);
    let payload = vec(any::<u8>(), 0..64);
    let headers = (vec(0_u8..4, 0..5), any::<bool>());
    (family, hosts, tags, headers, 0_u8..6, any::<(u16, u16)>(), payload).prop_map(
        |(family, hosts, tags, (headers, is_atomic_fragment), transport, ports, payload)| {
            let packet = tags.into_iter().fold(addressed(family, hosts), Packet::vlan);
            let packet = match family {
                Family::Ipv4 => packet.options(&vec![1; headers.len() * 4]),
                Family::Ipv6 if is_atomic_fragment => {
                    headers.into_iter().fold(packet.fragment(0, false), extended)
                }
                Family::Ipv6 => headers.into_iter().fold(packet, extended),
            };
            transported(packet, transport, ports).payload(&payload)
        },
    )
}

fn addressed(family: Family, (source, destination): (u8, u8)) -> Packet {
    let packet = from(OUTSIDE, INSIDE, family);
    match family {
        Family::Ipv4 => packet.set_network(15, &[source]).set_network(19, &[destination]),
        Family::Ipv6 => packet.set_network(23, &[source]).set_network(39, &[destination]),
    }
}

fn extended(packet: Packet, header: u8) -> Packet {
    match header {
        0 => packet.authentication(),
        1 => packet.routing(2, 1),
        _ => packet.destination_options(),
    }
}

fn transported(packet: Packet, transport: u8, (source, destination): (u16, u16)) -> Packet {
    match transport {
        0 => packet.tcp(source, destination, 0x10),
        1 => packet.tcp(source, destination, 2).tcp_options(&[2, 4, 5, 0xb4, 1, 3, 3, 7]),
        2 => packet.udp(source, destination),
        3 => packet.echo_request(source, destination),
        4 => packet.protocol(50, &[1; 16]),
        _ => packet.protocol(253, &[]),
    }
}

fn parse(frame: &[u8]) -> Result<Parsed, Reason> {
    let mut parsed = Parsed::default();
    find_packet(&frame, &Config::new(TICKS_PER_SEC), &mut parsed).map(|()| parsed)
}

fn compare(parsed: &Parsed, read: &SlicedPacket<'_>) -> Result<(), TestCaseError> {
    let (source, destination, protocol) = match read.net.as_ref() {
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
        other => return Err(TestCaseError::fail(format!("{parsed:?} and {other:?}"))),
    };
    prop_assert_eq!(parsed.network.source, source);
    prop_assert_eq!(parsed.network.destination, destination);
    if parsed.transport.kind == TransportKind::LaterFragment {
        return Ok(());
    }
    // Shim6 headers are nothing that the other reader knows.
    if protocol == SHIM6 {
        return Ok(());
    }
    prop_assert_eq!(parsed.network.protocol, protocol);
    let ports = parsed.transport.ports;
    match &read.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            prop_assert_eq!(parsed.transport.kind, TransportKind::Tcp);
            prop_assert_eq!(ports.source, tcp.source_port());
            prop_assert_eq!(ports.destination, tcp.destination_port());
            prop_assert_eq!(parsed.transport.tcp.flags, tcp.slice()[13]);
        }
        Some(TransportSlice::Udp(udp)) => {
            prop_assert_eq!(parsed.transport.kind, TransportKind::Ports);
            prop_assert_eq!(ports.source, udp.source_port());
            prop_assert_eq!(ports.destination, udp.destination_port());
        }
        Some(TransportSlice::Icmpv4(icmp)) => {
            prop_assert_eq!(parsed.transport.icmp.kind, icmp.type_u8());
            prop_assert_eq!(parsed.transport.icmp.code, icmp.code_u8());
        }
        Some(TransportSlice::Icmpv6(icmp)) => {
            prop_assert_eq!(parsed.transport.icmp.kind, icmp.type_u8());
            prop_assert_eq!(parsed.transport.icmp.code, icmp.code_u8());
        }
        Some(TransportSlice::Igmp(_)) => {
            prop_assert_eq!(parsed.transport.kind, TransportKind::Portless);
        }
        // A first fragment's transport header is more than the other reader reads.
        None => {}
    }
    Ok(())
}
