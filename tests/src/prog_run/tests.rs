//! The fixture itself, on packets whose effects are beyond doubt.

use super::*;
use crate::{
    packet::{Packet, flag},
    state::Entry,
};
use gateway_common::{config::Config, flow::FlowState};

/// Any rate does for tests that do not wait.
const TICKS_PER_SEC: u32 = 250;

#[test]
fn every_effect_of_a_packet_is_seen() {
    let programs = Programs::load(&Config::new(TICKS_PER_SEC));
    let syn = Packet::ip("2a00:1::5", "2a00:2::1").tcp(40_000, 443, flag::SYN);
    let reply = syn.mirror().tcp(443, 40_000, flag::SYN | flag::ACK).acknowledge(1);
    let empty = programs.state();
    for (count, program) in (1..).zip(Program::INGRESS) {
        assert_eq!(programs.run(program, &reply.frame()), Verdict::Drop);
        let change = programs.state().since(&empty);
        let counter = Counter { packets: count, bytes: count * reply.ip_len() };
        assert_eq!(change.verdicts, [(Direction::Inbound, Reason::NoFlow, counter)]);
        assert_eq!((change.flows.len(), change.peers.len()), (0, 0));
        assert_eq!(change.events, [0; FlowEvent::ALL.len()]);
    }
    let before = programs.state();
    assert_eq!(programs.run(Program::EgressTc, &syn.frame()), Verdict::Pass);
    let change = programs.state().since(&before);
    let counter = Counter { packets: 1, bytes: syn.ip_len() };
    assert_eq!(change.verdicts, [(Direction::Outbound, Reason::FlowCreated, counter)]);
    let [Entry::Added((Table::HalfOpen, key), entry)] = change.flows[..] else {
        panic!("{change:?}");
    };
    assert_eq!((key.inside_port, key.outside_port), (40_000, 443));
    assert_eq!((entry.state(&key), entry.outbound.packets), (FlowState::SynSent, 1));
    for program in Program::INGRESS {
        assert_eq!(programs.run(program, &reply.frame()), Verdict::Pass);
    }
    let change = programs.state().since(&before);
    let [Entry::Added(_, entry)] = change.flows[..] else { panic!("{change:?}") };
    assert_eq!((entry.inbound.packets, entry.state(&key)), (2, FlowState::SynReceived));
}

#[test]
fn the_clock_advances_with_the_kernel() {
    let programs = Programs::load(&Config::new(TICKS_PER_SEC));
    let start = programs.now();
    crate::wait::until_true("a tick", || programs.now() > start);
}

#[test]
fn offload_packets_count_as_what_they_become() {
    let programs = Programs::load(&Config::new(TICKS_PER_SEC));
    let packet =
        Packet::ip("10.1.0.5", "10.2.0.1").tcp(40_000, 443, flag::ACK).payload(&[0; 3_000]);
    assert_eq!(programs.run_gso(Program::EgressTc, &packet.frame(), 3, 1_000), Verdict::Pass);
    // Two more segments, each with the headers of the first.
    let counter = Counter { packets: 3, bytes: packet.ip_len() + 2 * 40 };
    let state = programs.state();
    assert_eq!(state.verdicts, [(Direction::Outbound, Reason::FlowCreated, counter)]);
}

#[test]
fn stored_entries_are_found_and_forgotten() {
    let mut programs = Programs::load(&Config::new(TICKS_PER_SEC));
    let syn = Packet::ip("2a00:1::5", "2a00:2::1").tcp(40_000, 443, flag::SYN);
    _ = programs.run(Program::EgressTc, &syn.frame());
    let flows: Vec<_> = programs.state().flows.into_iter().collect();
    let [((Table::HalfOpen, key), entry)] = flows[..] else { panic!("{flows:?}") };
    programs.clear();
    assert!(programs.state().flows.is_empty() && programs.state().peers.is_empty());
    programs.insert(Table::Established, &key, &entry);
    assert_eq!(programs.state().flows[&(Table::Established, key)], entry);
}

/// Small changes can make the verifier's work grow by factors. Kernels refuse a program at a million
/// instructions, and older ones walk more of them.
#[test]
fn the_verifier_has_room() {
    const INSTRUCTIONS_MAX: u32 = 300_000;
    let programs = Programs::load(&Config::new(250));
    for (name, program) in programs.ebpf.programs() {
        let info = program.info().expect("the kernel tells about a loaded program");
        let walked = info.verified_instruction_count().expect("kernels tell since 5.16");
        assert!(walked < INSTRUCTIONS_MAX, "{name}: the verifier walked {walked} instructions");
    }
}
