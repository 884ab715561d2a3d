//! Packets of one flow on several CPUs at the same time. Needs root.

use std::{sync::Barrier, thread};

use gateway_common::{
    config::Config,
    counter::FlowEvent,
    flow::{FlowEntry, mark},
    host::HostKey,
    tables::Table,
    tuple::Family,
    verdict::Verdict,
};
use tests::{
    packet::Packet,
    prog_run::{Program, Programs},
    rows::{
        check::TICKS_PER_SEC,
        prelude::{Flow, SYN_ACK, flag, tcp_flow, udp_flow},
    },
    state::State,
};

/// How often two CPUs meet.
const MEETINGS: u32 = 100;
/// Where inside begins to count, so that the numbers wrap around in the middle.
const FIRST: u32 = 0_u32.wrapping_sub(10_000);
const SEGMENT_BYTES: u32 = 1_000;
const SEGMENTS: u32 = 20;

/// E151: the first packets of a flow may leave on several CPUs at once. They make one flow, which
/// counts them all.
#[test]
fn first_packets_on_several_cpus_make_one_flow() {
    const FLOWS: u16 = 100;
    const PACKETS: u64 = 20;
    let programs = Programs::load(&Config::new(TICKS_PER_SEC));
    for number in 0..FLOWS {
        let question = udp_flow(Family::Ipv6).out().set_transport(0, &number.to_be_bytes()).frame();
        let ask = || {
            for _ in 0..PACKETS {
                assert_eq!(programs.run(Program::EgressTc, &question), Verdict::Pass);
            }
        };
        at_once([&ask, &ask]);
    }
    let State { flows, verdicts, .. } = programs.state();
    assert_eq!(flows.len(), usize::from(FLOWS), "{flows:#?}");
    for ((table, _), entry) in &flows {
        assert_eq!((*table, entry.outbound.packets), (Table::HalfOpen, 2 * PACKETS), "{entry:?}");
    }
    let passed: u64 = verdicts.iter().map(|(_, _, counter)| counter.packets).sum();
    assert_eq!(passed, u64::from(FLOWS) * 2 * PACKETS);
}

/// Two CPUs send the segments of one side: the records tell the latest of them, and every segment
/// is counted.
#[test]
fn the_latest_numbers_stand() {
    let mut programs = Programs::load(&Config::new(TICKS_PER_SEC));
    let l = tcp_flow(Family::Ipv6);
    for meeting in 0..MEETINGS {
        programs.clear();
        open(&programs, &l);
        pass(&programs, Program::EgressTc, &acknowledgement(&l));
        let send = |parity: u32| {
            for number in (0..SEGMENTS).filter(|number| number % 2 == parity) {
                pass(&programs, Program::EgressTc, &segment_out(&l, number));
            }
        };
        let ingress = Program::INGRESS[meeting as usize % 2];
        let answer = |parity: u32| {
            for number in (0..SEGMENTS).filter(|number| number % 2 == parity) {
                pass(&programs, ingress, &segment_back(&l, number));
            }
        };
        at_once([&|| send(0), &|| send(1), &|| answer(0), &|| answer(1)]);
        let FlowEntry { outbound, inbound, .. } = established(&programs, &l);
        let stream_bytes = SEGMENTS * SEGMENT_BYTES;
        assert_eq!(outbound.sent.end(), FIRST.wrapping_add(1 + stream_bytes), "{outbound:?}");
        assert_eq!(inbound.sent.end(), 1 + stream_bytes, "{inbound:?}");
        assert_eq!(inbound.granted.edge(), FIRST.wrapping_add(1 + 0xffff), "{inbound:?}");
        assert_eq!((outbound.packets, inbound.packets), (2 + 20, 1 + 20));
        assert_eq!((outbound.marks | inbound.marks) & mark::UNCHECKED, 0);
    }
}

/// The last packet of a handshake leaves on two CPUs: the flow moves once, and its inside host
/// holds one flow more and has its opening back.
#[test]
fn a_flow_moves_once() {
    let config = Config::new(TICKS_PER_SEC).with_host_limits(1_000, 1_000);
    let mut programs = Programs::load(&config);
    let l = tcp_flow(Family::Ipv4);
    for _ in 0..MEETINGS {
        programs.clear();
        let promoted_before = programs.state().events[FlowEvent::Promoted as usize];
        open(&programs, &l);
        let opener = HostKey::of(&l.key);
        let charged = programs.state().openers[&opener];
        let acknowledge = || pass(&programs, Program::EgressTc, &acknowledgement(&l));
        at_once([&acknowledge, &acknowledge]);
        // Neither hides the other.
        assert!(established(&programs, &l).outbound.has(mark::CONFIRMED));
        let State { events, holders, openers, .. } = programs.state();
        assert_eq!(events[FlowEvent::Promoted as usize], promoted_before + 1);
        assert_eq!(holders[&opener], 1);
        assert_eq!(openers[&opener], charged.refund(&config));
    }
}

/// While one CPU moves a flow another one may still find it where it was.
#[test]
fn no_packet_goes_uncounted_while_its_flow_moves() {
    let mut programs = Programs::load(&Config::new(TICKS_PER_SEC));
    let l = tcp_flow(Family::Ipv4);
    let mut uncounted = Vec::new();
    for meeting in 0..MEETINGS {
        programs.clear();
        open(&programs, &l);
        let acknowledge = || pass(&programs, Program::EgressTc, &acknowledgement(&l));
        at_once([&acknowledge, &acknowledge]);
        let packets = established(&programs, &l).outbound.packets;
        if packets != 3 {
            uncounted.push((meeting, packets));
        }
    }
    assert_eq!(uncounted, [], "packets of three that each of these flows counted");
}

/// Runs these at the same time, each on a thread of its own.
fn at_once<const N: usize>(tasks: [&(dyn Fn() + Sync); N]) {
    let barrier = Barrier::new(N);
    thread::scope(|scope| {
        for task in tasks {
            scope.spawn(|| {
                barrier.wait();
                task();
            });
        }
    });
}

/// Inside opens and outside answers.
fn open(programs: &Programs, l: &Flow) {
    pass(programs, Program::EgressTc, &l.segment_out(flag::SYN).sequence(FIRST));
    let answer = l.segment_back(SYN_ACK).sequence(0).acknowledge(FIRST.wrapping_add(1));
    pass(programs, Program::IngressXdp, &answer);
}

fn acknowledgement(l: &Flow) -> Packet {
    l.segment_out(flag::ACK).sequence(FIRST.wrapping_add(1)).acknowledge(1)
}

fn segment_out(l: &Flow, number: u32) -> Packet {
    let sequence = FIRST.wrapping_add(1 + number * SEGMENT_BYTES);
    l.segment_out(flag::ACK).sequence(sequence).acknowledge(1).payload(&data())
}

fn segment_back(l: &Flow, number: u32) -> Packet {
    let acknowledgement = FIRST.wrapping_add(1);
    let segment = l.segment_back(flag::ACK).sequence(1 + number * SEGMENT_BYTES);
    segment.acknowledge(acknowledgement).payload(&data())
}

fn data() -> Vec<u8> {
    vec![0x5a; SEGMENT_BYTES as usize]
}

/// The one flow there is, which must be an established one.
fn established(programs: &Programs, l: &Flow) -> FlowEntry {
    let flows = programs.state().flows;
    assert_eq!(flows.len(), 1, "{flows:#?}");
    flows[&(Table::Established, l.key)]
}

fn pass(programs: &Programs, program: Program, packet: &Packet) {
    assert_eq!(programs.run(program, &packet.frame()), Verdict::Pass, "{program:?}: {packet:?}");
}
