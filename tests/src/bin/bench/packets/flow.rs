//! The packets of conversations.

use std::net::{IpAddr, Ipv6Addr};

use gateway_common::{tuple::Family, verdict::Verdict};
use tests::{
    packet::{Packet, flag},
    prog_run::{Program, Programs},
    topology::{INSIDE, OUTSIDE},
};

const INSIDE_PORT: u16 = 40_000;
const TCP_SERVICE: u16 = 443;
const UDP_SERVICE: u16 = 8443;
/// Where conversations begin to count bytes, inside and outside.
const SEQUENCES: (u32, u32) = (1000, 5000);
const DATA: [u8; 64] = [0x5a; 64];

/// One conversation that inside begins.
pub(super) struct Flow {
    /// Inside opens.
    pub(super) opening: Packet,
    /// Outside answers the opening.
    pub(super) answer: Packet,
    /// Inside goes on.
    pub(super) outbound: Packet,
    /// Outside goes on.
    pub(super) reply: Packet,
}

impl Flow {
    /// TCP: SYN, SYN/ACK, ACK, data.
    pub(super) fn tcp(inside: IpAddr, outside: IpAddr) -> Self {
        let (ours, theirs) = SEQUENCES;
        let out = |flags| Packet::ip(inside, outside).tcp(INSIDE_PORT, TCP_SERVICE, flags);
        let back = |flags| Packet::ip(outside, inside).tcp(TCP_SERVICE, INSIDE_PORT, flags);
        Self {
            opening: out(flag::SYN).sequence(ours),
            answer: back(flag::SYN | flag::ACK).sequence(theirs).acknowledge(ours + 1),
            outbound: out(flag::ACK).sequence(ours + 1).acknowledge(theirs + 1),
            reply: back(flag::ACK).sequence(theirs + 1).acknowledge(ours + 1).payload(&DATA),
        }
    }

    /// UDP: all datagrams are alike.
    pub(super) fn udp(inside: IpAddr, outside: IpAddr) -> Self {
        let outbound = Packet::ip(inside, outside).udp(INSIDE_PORT, UDP_SERVICE).payload(&DATA);
        let reply = outbound.mirror();
        Self { opening: outbound.clone(), answer: reply.clone(), outbound, reply }
    }

    /// Makes the flow an established one.
    pub(super) fn establish(&self, programs: &Programs) {
        self.answered(programs);
        pass(programs, Program::EgressTc, &self.outbound);
    }

    /// Lets inside open the flow and outside answer.
    pub(super) fn answered(&self, programs: &Programs) {
        pass(programs, Program::EgressTc, &self.opening);
        pass(programs, Program::IngressTc, &self.answer);
    }
}

/// The inside host and the outside host of the lab.
pub(super) const fn hosts(family: Family) -> (IpAddr, IpAddr) {
    (INSIDE.ip(family), OUTSIDE.ip(family))
}

/// The inside host and one of many outside hosts.
pub(super) fn hosts_numbered(number: u32) -> (IpAddr, IpAddr) {
    let first = OUTSIDE.v6.to_bits();
    let outside = Ipv6Addr::from_bits(first + (u128::from(number) << 16));
    (INSIDE.v6.into(), outside.into())
}

fn pass(programs: &Programs, program: Program, packet: &Packet) {
    let verdict = programs.run(program, &packet.frame());
    assert_eq!(verdict, Verdict::Pass, "{program:?} on {packet:?}");
}
