//! Floods against the programs in the kernel: what they push out, and what they do not. Needs root.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use gateway_common::{
    config::Config,
    counter::FlowEvent,
    host::HostKey,
    tables::Table,
    tuple::{Address, Family, FlowKey, VlanPath},
    verdict::Verdict,
};
use proptest::{
    prelude::Rng as _,
    test_runner::{RngAlgorithm, TestRng},
};

use tests::{
    address::FAMILIES,
    packet::{Packet, flag},
    prog_run::{Program, Programs},
    state::State,
};

const HALF_OPEN_MAX: u32 = 16_384;
const ESTABLISHED_MAX: u32 = 131_072;
/// No kernel ticks faster, so timeouts are at least as long as they are meant to be.
const TICKS_PER_SEC: u32 = 1000;

/// Flows that are established before a flood.
const FLOWS: u32 = 100_000;

fn programs() -> Programs {
    let config =
        Config::new(TICKS_PER_SEC).with_host_limits(HALF_OPEN_MAX / 8, ESTABLISHED_MAX / 4 * 3);
    Programs::load_sized(&config, HALF_OPEN_MAX, ESTABLISHED_MAX)
}

/// A conversation by number: between one of very many inside hosts and one of more outside hosts,
/// half of them IPv4, a quarter of them TCP over each.
#[derive(Clone, Copy)]
struct Talk {
    inside: IpAddr,
    outside: IpAddr,
    port: u16,
    is_tcp: bool,
}

impl Talk {
    fn new(number: u32) -> Self {
        let [_, high, middle, low] = number.to_be_bytes();
        let family = if number & 1 == 0 { Family::Ipv4 } else { Family::Ipv6 };
        Self {
            inside: inside_host(family, u16::from_be_bytes([0, low])),
            outside: outside_host(family, number),
            port: 1024 + u16::from_be_bytes([high, middle]),
            is_tcp: number & 2 == 0,
        }
    }

    fn from(self, inside: IpAddr) -> Self {
        Self { inside, ..self }
    }

    fn key(self) -> FlowKey {
        FlowKey {
            inside: self.inside.into(),
            outside: self.outside.into(),
            inside_port: self.port,
            outside_port: 443,
            vlan: VlanPath::default(),
            protocol: if self.is_tcp { 6 } else { 17 },
            family: if self.inside.is_ipv4() { 4 } else { 6 },
            zero: 0,
        }
    }

    fn out(self, flags: u16) -> Vec<u8> {
        let packet = Packet::ip(self.inside, self.outside);
        let packet = if self.is_tcp {
            let sequence = if flags == flag::SYN { 1_000 } else { 1_001 };
            packet.tcp(self.port, 443, flags).sequence(sequence).acknowledge(5_001)
        } else {
            packet.udp(self.port, 443)
        };
        packet.frame()
    }

    fn back(self, flags: u16) -> Vec<u8> {
        let packet = Packet::ip(self.outside, self.inside);
        let packet = if self.is_tcp {
            let sequence = if flags & flag::SYN != 0 { 5_000 } else { 5_001 };
            packet.tcp(443, self.port, flags).sequence(sequence).acknowledge(1_001)
        } else {
            packet.udp(443, self.port)
        };
        packet.frame()
    }

    fn open(self, programs: &Programs) {
        assert_eq!(programs.run(Program::EgressTc, &self.out(flag::SYN)), Verdict::Pass);
    }

    fn is_answered(self, programs: &Programs) -> bool {
        let answer = self.back(flag::SYN | flag::ACK);
        programs.run(Program::IngressXdp, &answer) == Verdict::Pass
    }

    fn confirm(self, programs: &Programs) {
        assert_eq!(programs.run(Program::EgressTc, &self.out(flag::ACK)), Verdict::Pass);
    }

    fn establish(self, programs: &Programs) {
        self.open(programs);
        assert!(self.is_answered(programs), "{:?} was opened just now", self.key());
        self.confirm(programs);
    }

    fn still_hears(self, programs: &Programs) -> bool {
        programs.run(Program::IngressXdp, &self.back(flag::ACK)) == Verdict::Pass
    }
}

fn inside_host(family: Family, number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    match family {
        Family::Ipv4 => Ipv4Addr::new(10, 77, high, low).into(),
        Family::Ipv6 => Ipv6Addr::new(0x2a00, 1, 0, 0xa, 0, 0, 1, number).into(),
    }
}

fn outside_host(family: Family, number: u32) -> IpAddr {
    let [a, b, c, d] = number.to_be_bytes();
    match family {
        Family::Ipv4 => Ipv4Addr::new(20 + a, b, c, d).into(),
        Family::Ipv6 => {
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            Ipv6Addr::new(0x2a00, 2, 0, 0, 0, 0, high, low).into()
        }
    }
}

fn event(state: &State, event: FlowEvent) -> u64 {
    state.events[event as usize]
}

fn count(state: &State, table: Table) -> usize {
    state.flows.keys().filter(|(its, _)| *its == table).count()
}

/// RFC6092-REC-12, RFC6092-REC-14, RFC6092-REC-35, RFC6888-REQ-11, RFC4787-REQ-11: 100,000
/// established flows, none of which says a word meanwhile, and ten times as many openings as
/// there is room for, of TCP and UDP and both IP versions, from many hosts and from one.
#[test]
fn established_flows_survive_a_flood_of_openings() {
    let programs = programs();
    let flows: Vec<_> = (0..FLOWS).map(Talk::new).collect();
    for flow in &flows {
        flow.establish(&programs);
    }
    let before = programs.state();
    assert_eq!(count(&before, Table::Established), FLOWS as usize);

    let flood = FLOWS..FLOWS + 10 * HALF_OPEN_MAX;
    for number in flood.clone() {
        let opening = Talk::new(number);
        let scanner = inside_host(if number & 1 == 0 { Family::Ipv4 } else { Family::Ipv6 }, 999);
        let is_scan = number & 4 == 0;
        if is_scan { opening.from(scanner) } else { opening }.open(&programs);
    }
    let after = programs.state();
    let opened = event(&after, FlowEvent::Created) - event(&before, FlowEvent::Created);
    assert_eq!(opened, u64::from(10 * HALF_OPEN_MAX), "openings of the flood");
    assert!(count(&after, Table::HalfOpen) <= HALF_OPEN_MAX as usize);

    for flow in &flows {
        let place = (Table::Established, flow.key());
        assert_eq!(after.flows.get(&place), before.flows.get(&place), "{place:?}");
        assert!(flow.still_hears(&programs), "{place:?}");
    }
}

/// RFC6888-REQ-4, RFC6888-REQ-5: hosts that open a few connections complete them although
/// another one scans, ten times as much as there is room for.
#[test]
fn a_scanning_host_does_not_starve_handshakes() {
    let programs = programs();
    let handshakes: Vec<_> = (0..1_000).map(Talk::new).collect();
    for (number, handshake) in (0..).zip(&handshakes) {
        handshake.open(&programs);
        for probe in 0..10 * HALF_OPEN_MAX / 1_000 {
            let scanner = inside_host(Family::Ipv6, 999);
            Talk::new((number * 1_000 + probe) * 2 + 1_000_001).from(scanner).open(&programs);
        }
    }
    for handshake in &handshakes {
        assert!(handshake.is_answered(&programs), "{:?} was pushed out", handshake.key());
        handshake.confirm(&programs);
    }
    let state = programs.state();
    let allowance = HALF_OPEN_MAX as usize / 8;
    let address = Address::from(inside_host(Family::Ipv6, 999));
    let held = state.flows.keys().filter(|(_, key)| key.inside == address).count();
    // Its allowance, what time gave back of it meanwhile, and as many places beyond.
    assert!((2 * allowance..3 * allowance).contains(&held), "the scanning host holds {held}");
    let beyond = event(&state, FlowEvent::HostOverflow);
    assert_eq!(event(&state, FlowEvent::HostRecycled), beyond - allowance as u64);
    assert_eq!(event(&state, FlowEvent::Promoted), 1_000);
}

/// RFC6888-REQ-5: a host with very many connections leaves room for those of the others, and its
/// own go on working.
#[test]
fn one_host_does_not_take_all_established_flows() {
    let share = 1_000;
    let config = Config::new(TICKS_PER_SEC).with_host_limits(HALF_OPEN_MAX / 8, share);
    let programs = Programs::load_sized(&config, HALF_OPEN_MAX, 2 * share);
    let greedy = inside_host(Family::Ipv4, 999);
    let its: Vec<_> = (0..3 * share).map(|number| Talk::new(number * 2).from(greedy)).collect();
    for flow in &its {
        flow.establish(&programs);
    }
    let of_another = Talk::new(1_000_000);
    of_another.establish(&programs);
    let state = programs.state();
    assert_eq!(count(&state, Table::Established), share as usize + 1);
    assert!(state.flows.contains_key(&(Table::Established, of_another.key())));
    assert_eq!(event(&state, FlowEvent::HostShareFull), u64::from(2 * share));
    let host = HostKey { address: greedy.into(), vlan: VlanPath::default() };
    assert_eq!(state.holders.get(&host), Some(&u64::from(share)));
    assert!(its.iter().all(|flow| flow.still_hears(&programs)), "all of them work");
}

/// E150, RFC6092-REC-11: whatever outside sends at random, it changes no table and no entry.
#[test]
fn a_flood_from_outside_changes_nothing() {
    let programs = programs();
    for number in 0..1_000 {
        Talk::new(number).establish(&programs);
        Talk::new(number + 1_000_000).open(&programs);
    }
    let before = programs.state();
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    for round in 0..100_000 {
        let family = FAMILIES[round & 1];
        let number = random.next_u32();
        let packet = Packet::ip(
            outside_host(family, number & 0x7fff_ffff),
            inside_host(family, random_u16(&mut random)),
        );
        let (port, own) = (random_u16(&mut random), random_u16(&mut random));
        let packet = match random.next_u32() % 4 {
            0 => packet.udp(port, own),
            1 => packet.tcp(port, own, flag::SYN),
            2 => packet.tcp(port, own, flag::SYN | flag::ACK).sequence(number),
            _ => packet.tcp(port, own, flag::ACK).sequence(number).acknowledge(!number),
        };
        let ingress = Program::INGRESS[round >> 1 & 1];
        assert_eq!(programs.run(ingress, &packet.frame()), Verdict::Drop, "{packet:?}");
    }
    let after = programs.state();
    assert_eq!(State { verdicts: before.verdicts.clone(), ..after }, before);
}

fn random_u16(random: &mut TestRng) -> u16 {
    let [high, low, ..] = random.next_u32().to_be_bytes();
    u16::from_be_bytes([high, low])
}
