//! The packets of conversations.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use gateway_common::{
    tuple::{Family, FlowKey, VlanPath},
    verdict::Reason,
};
use tests::{
    packet::{Packet, flag},
    prog_run::Program,
    topology::{INSIDE, OUTSIDE},
};

use super::gateway::Gateway;

const INSIDE_PORT: u16 = 40_000;
const TCP_SERVICE: u16 = 443;
const UDP_SERVICE: u16 = 8443;
const TCP: u8 = 6;
/// Where conversations begin to count bytes, inside and outside.
const SEQUENCES: (u32, u32) = (1000, 5000);
const DATA: [u8; 64] = [0x5a; 64];

/// What hosts of today announce in their SYNs: segment size, selective acknowledgements,
/// timestamps, and windows in units of 128 bytes.
const OPENING_OPTIONS: [u8; 20] =
    [2, 4, 0x05, 0xa0, 4, 2, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0, 1, 3, 3, 7];
/// What their other segments carry: a timestamp behind two no-operations.
const TIMESTAMP: [u8; 12] = [1, 1, 8, 10, 0, 0, 1, 0, 0, 0, 2, 0];
/// The head of three blocks of selective acknowledgements, behind two no-operations.
const SACK_HEAD: [u8; 4] = [1, 1, 5, 26];

/// Who talks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) inside: IpAddr,
    pub(crate) outside: IpAddr,
    /// The port that inside uses.
    pub(crate) port: u16,
}

impl Ends {
    /// The inside host and the outside host of the lab.
    pub(crate) const fn of(family: Family) -> Self {
        Self { inside: INSIDE.ip(family), outside: OUTSIDE.ip(family), port: INSIDE_PORT }
    }

    /// One of many inside hosts, and one of many outside hosts.
    pub(crate) fn numbered(family: Family, inside: u32, outside: u32) -> Self {
        Self {
            inside: inside_host(family, inside),
            outside: outside_host(family, outside),
            port: INSIDE_PORT,
        }
    }

    /// The same hosts in each other's place: outside opens what it may not.
    pub(crate) const fn reversed(self) -> Self {
        Self { inside: self.outside, outside: self.inside, ..self }
    }

    /// What the gateway calls the TCP flow between these.
    pub(crate) fn tcp_key(self) -> FlowKey {
        FlowKey {
            inside: self.inside.into(),
            outside: self.outside.into(),
            inside_port: self.port,
            outside_port: TCP_SERVICE,
            vlan: VlanPath::default(),
            protocol: TCP,
            family: if self.inside.is_ipv4() { 4 } else { 6 },
            zero: 0,
        }
    }
}

fn inside_host(family: Family, number: u32) -> IpAddr {
    match family {
        // The lab's own inside network is its neighbour.
        Family::Ipv4 => Ipv4Addr::from_bits(0x0a80_0000 + number).into(),
        Family::Ipv6 => {
            Ipv6Addr::from_bits(INSIDE.v6.to_bits() + (u128::from(number) << 16)).into()
        }
    }
}

fn outside_host(family: Family, number: u32) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::from_bits(0x1400_0000 + number).into(),
        Family::Ipv6 => {
            Ipv6Addr::from_bits(OUTSIDE.v6.to_bits() + (u128::from(number) << 16)).into()
        }
    }
}

/// One conversation that inside begins.
pub(crate) struct Flow {
    /// Inside opens.
    pub(crate) opening: Packet,
    /// Outside answers the opening.
    pub(crate) answer: Packet,
    /// Inside goes on.
    pub(crate) outbound: Packet,
    /// Outside goes on.
    pub(crate) reply: Packet,
}

impl Flow {
    /// TCP without options: SYN, SYN/ACK, ACK, data.
    pub(crate) fn tcp(ends: Ends) -> Self {
        Self::segments(ends, &[], &[])
    }

    /// The same with the options that hosts of today use.
    pub(crate) fn tcp_with_options(ends: Ends) -> Self {
        Self::segments(ends, &OPENING_OPTIONS, &TIMESTAMP)
    }

    /// TCP that the gateway sees from its middle on only, as after a restart: there are no
    /// windows to check.
    pub(crate) fn tcp_picked_up(ends: Ends) -> Self {
        let Self { outbound, reply, .. } = Self::tcp_with_options(ends);
        Self { opening: outbound.clone(), answer: reply.clone(), outbound, reply }
    }

    fn segments(ends: Ends, opening: &[u8], other: &[u8]) -> Self {
        let (ours, theirs) = SEQUENCES;
        let Ends { inside, outside, port } = ends;
        let out = |flags, options| {
            Packet::ip(inside, outside).tcp(port, TCP_SERVICE, flags).tcp_options(options)
        };
        let back = |flags, options| {
            Packet::ip(outside, inside).tcp(TCP_SERVICE, port, flags).tcp_options(options)
        };
        let answer = back(flag::SYN | flag::ACK, opening);
        let reply = back(flag::ACK, other).payload(&DATA);
        Self {
            opening: out(flag::SYN, opening).sequence(ours),
            answer: answer.sequence(theirs).acknowledge(ours + 1),
            outbound: out(flag::ACK, other).sequence(ours + 1).acknowledge(theirs + 1),
            reply: reply.sequence(theirs + 1).acknowledge(ours + 1),
        }
    }

    /// UDP: all datagrams are alike.
    pub(crate) fn udp(ends: Ends) -> Self {
        let outbound = Packet::ip(ends.inside, ends.outside).udp(ends.port, UDP_SERVICE);
        let outbound = outbound.payload(&DATA);
        let reply = outbound.mirror();
        Self { opening: outbound.clone(), answer: reply.clone(), outbound, reply }
    }

    /// TCP: the reply, so many replies later.
    pub(crate) fn later_reply(&self, replies: u32) -> Packet {
        let len = u32::try_from(DATA.len()).expect("64 bytes");
        self.reply.clone().sequence(SEQUENCES.1 + 1 + replies * len)
    }

    /// TCP: inside sends 600 bytes and outside has three parts of them, as its reply says. Both
    /// packets.
    pub(crate) fn with_losses(&self) -> [Packet; 2] {
        let first = SEQUENCES.0 + 1;
        let data = self.outbound.clone().payload(&[0x5a; 600]);
        let mut options = [&TIMESTAMP[..], &SACK_HEAD[..]].concat();
        for start in [100, 300, 500] {
            options.extend((first + start).to_be_bytes());
            options.extend((first + start + 100).to_be_bytes());
        }
        [data, self.reply.clone().tcp_options(&options)]
    }

    /// TCP: a reset from outside that is far beyond every window.
    pub(crate) fn stray_reset(ends: Ends) -> Packet {
        let reset = Packet::ip(ends.outside, ends.inside).tcp(TCP_SERVICE, ends.port, flag::RST);
        reset.sequence(SEQUENCES.1 + (1 << 30))
    }

    /// Makes the flow an established one.
    pub(crate) fn establish(&self, gateway: &mut Gateway) {
        self.answered(gateway);
        gateway.judge(Program::EgressTc, &self.outbound, Reason::Flow);
    }

    /// Lets inside open the flow and outside answer.
    pub(crate) fn answered(&self, gateway: &mut Gateway) {
        self.open(gateway);
        gateway.judge(Program::IngressTc, &self.answer, Reason::Flow);
    }

    /// Lets inside open the flow.
    pub(crate) fn open(&self, gateway: &mut Gateway) {
        gateway.judge(Program::EgressTc, &self.opening, Reason::FlowCreated);
    }
}
