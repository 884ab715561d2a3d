//! Tables of the programs in the kernel at their limits: who talks goes on talking. Flow tables
//! that are full are in `flood.rs`, records without room in `ends.rs`. Needs root.

use std::net::{IpAddr, Ipv6Addr};

use gateway_common::{
    config::Config,
    counter::FlowEvent,
    limits::{DATAGRAMS_MAX, ENDPOINTS_MAX, HOSTS_MAX, PEERS_MAX},
    tables::Table,
    tuple::Family,
    verdict::Verdict,
};
use tests::{
    packet::Packet,
    prog_run::{Program, Programs},
    rows::{check::TICKS_PER_SEC, prelude::udp_flow},
};

const ESTABLISHED_MAX: u32 = 131_072;
/// More than any table has room for.
const HOSTS: u32 = HOSTS_MAX + 4_096;

/// More hosts hold flows, open flows and talk to somebody than can be remembered, and send from
/// more places than can be kept open: no flow is lost, and whoever is new gets what is due.
#[test]
fn more_hosts_than_there_is_room_for_lose_no_flow() {
    const { assert!(HOSTS > PEERS_MAX && HOSTS > ENDPOINTS_MAX && HOSTS < ESTABLISHED_MAX) };
    for endpoint_independent in [0, 1] {
        let config = Config::new(TICKS_PER_SEC).with_host_limits(ESTABLISHED_MAX, ESTABLISHED_MAX);
        let config = Config { endpoint_independent, ..config };
        let programs = Programs::load_sized(&config, ESTABLISHED_MAX, ESTABLISHED_MAX);
        let talks = || (0..HOSTS).map(Talk);
        talks().for_each(|talk| talk.establish(&programs));
        for talk in talks() {
            assert!(talk.hears(&programs), "flow {} of {HOSTS} is cut", talk.0);
            assert!(talk.speaks(&programs), "flow {} of {HOSTS} is cut", talk.0);
        }
        let flows = programs.tables().flows(Table::Established).expect("they can be read");
        assert_eq!(flows.len(), HOSTS as usize);
        let state = programs.state();
        for (table, len, max) in [
            ("OPENERS", state.openers.len(), HOSTS_MAX),
            ("HOLDERS", state.holders.len(), HOSTS_MAX),
            ("PEERS", state.peers.len(), PEERS_MAX),
        ] {
            // The kernel evicts some at a time, so that a full table has a little room.
            assert!(len <= max as usize && len > max as usize / 2, "{table} has {len} entries");
        }
        assert_eq!(state.events[FlowEvent::HostShareFull as usize], 0);
        let stranger = Packet::ip(Talk(HOSTS).outside(), Talk(HOSTS - 1).inside()).udp(9, 40_000);
        let is_open = programs.run(Program::IngressXdp, &stranger.frame()) == Verdict::Pass;
        assert_eq!(is_open, endpoint_independent == 1, "the endpoint that was used last");
    }
}

/// More fragmented answers are under way than can be remembered: those that came last are whole,
/// whole packets pass, and what nobody asked for does not.
#[test]
fn more_datagrams_than_there_is_room_for_cut_only_the_oldest() {
    const DATAGRAMS: u32 = 2 * DATAGRAMS_MAX;
    for family in [Family::Ipv4, Family::Ipv6] {
        let programs = Programs::load(&Config::new(TICKS_PER_SEC));
        let flow = udp_flow(family);
        let pass = |program, packet: &Packet| programs.run(program, &packet.frame());
        assert_eq!(pass(Program::EgressTc, &flow.out()), Verdict::Pass);
        let answer = |id| -> [Packet; 2] {
            let fragments = flow.back().payload(&[0x5a; 2_000]).fragments(id, 1_480);
            fragments.try_into().expect("two fragments")
        };
        for id in 1..=DATAGRAMS {
            let [first, _] = answer(id);
            assert_eq!(pass(Program::IngressXdp, &first), Verdict::Pass, "{family:?} {id}");
        }
        let len = programs.state().datagrams.len();
        let max = DATAGRAMS_MAX as usize;
        assert!(len <= max && len > max / 2, "{len} datagrams of {max}");
        let [first, rest] = answer(DATAGRAMS + 1);
        assert_eq!(pass(Program::IngressXdp, &first), Verdict::Pass);
        assert_eq!(pass(Program::IngressXdp, &rest), Verdict::Pass, "{family:?}");
        assert_eq!(pass(Program::IngressXdp, &flow.back()), Verdict::Pass, "{family:?}");
        let stranger = Packet::ip(Talk(7).outside(), Talk(7).inside()).udp(9, 9);
        let [_, rest] = stranger.payload(&[0x5a; 2_000]).fragments(1, 1_480).try_into().expect("2");
        assert_eq!(pass(Program::IngressXdp, &rest), Verdict::Drop, "{family:?}");
    }
}

/// A conversation between two hosts that talk to nobody else.
#[derive(Clone, Copy)]
struct Talk(u32);

impl Talk {
    fn inside(self) -> IpAddr {
        let [high, low] = self.halves();
        Ipv6Addr::new(0x2a00, 1, 0, 0xa, 0, 1, high, low).into()
    }

    fn outside(self) -> IpAddr {
        let [high, low] = self.halves();
        Ipv6Addr::new(0x2a00, 2, 0, 0xb, 0, 1, high, low).into()
    }

    fn halves(self) -> [u16; 2] {
        let [a, b, c, d] = self.0.to_be_bytes();
        [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]
    }

    fn speaks(self, programs: &Programs) -> bool {
        let packet = Packet::ip(self.inside(), self.outside()).udp(40_000, 443);
        programs.run(Program::EgressTc, &packet.frame()) == Verdict::Pass
    }

    fn hears(self, programs: &Programs) -> bool {
        let packet = Packet::ip(self.outside(), self.inside()).udp(443, 40_000);
        programs.run(Program::IngressXdp, &packet.frame()) == Verdict::Pass
    }

    fn establish(self, programs: &Programs) {
        assert!(self.speaks(programs) && self.hears(programs) && self.speaks(programs));
    }
}
