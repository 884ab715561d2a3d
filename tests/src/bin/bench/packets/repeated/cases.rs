//! The packets that are repeated, and the flows that they belong to.

use std::net::Ipv6Addr;

use gateway_common::{limits::EXTENSION_HEADERS_MAX, tuple::Family, verdict::Reason};
use tests::{
    packet::Packet,
    prog_run::Program,
    topology::{INSIDE, ROUTER},
};

use super::{
    super::{
        flow::{Ends, Flow},
        gateway::Gateway,
        series::{Series, Subject},
    },
    Case,
};
use crate::empty::Hook;

/// IPv6 first, as everywhere.
const FAMILIES: [Family; 2] = [Family::Ipv6, Family::Ipv4];
/// "No operation", as often as the header has room for.
const OPTIONS: [u8; 40] = [1; 40];
const PACKET_TOO_BIG: u8 = 2;
const ARP_REQUEST: u8 = 1;
/// For documentation only (RFC 3849).
const MARTIAN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const MTU_BYTES: u32 = 1400;

/// All cases, with their flows in `gateway`.
pub(super) fn all(gateway: &mut Gateway) -> Vec<Case> {
    let [flow, _] = flows(Family::Ipv6);
    let mut cases = [Hook::Xdp, Hook::Tc]
        .map(|hook| Case {
            series: Series::new("any, the floor", Subject::Empty(hook)),
            frame: flow.reply.frame(),
        })
        .into();
    for family in FAMILIES {
        for flow in flows(family) {
            flow.establish(gateway);
        }
        plain(family, &mut cases);
    }
    stages(gateway, &mut cases);
    tracked(gateway, &mut cases);
    picked_up(gateway, &mut cases);
    opening(gateway, &mut cases);
    related_and_long(&mut cases);
    cases
}

/// The two flows of a family that packets may belong to.
fn flows(family: Family) -> [Flow; 2] {
    let ends = Ends::of(family);
    [Flow::tcp(ends), Flow::udp(ends)]
}

/// Flows of their own for the rows about TCP: the same hosts on another port.
const fn apart(distance: u16) -> Ends {
    let ends = Ends::of(Family::Ipv6);
    Ends { port: ends.port + distance, ..ends }
}

/// A SYN and a datagram that nobody asked for: outside opens what it may not.
fn unsolicited(family: Family) -> [Packet; 2] {
    let ends = Ends::of(family).reversed();
    [Flow::tcp(ends).opening, Flow::udp(ends).opening]
}

/// Everyday packets of a family.
fn plain(family: Family, cases: &mut Vec<Case>) {
    let [tcp, udp] = flows(family);
    let [syn, datagram] = unsolicited(family);
    let named = |what: &str| format!("{what}, IPv{}", family.version());
    cases.extend(ingress(&named("TCP SYN, unsolicited"), &syn, Reason::NoFlow));
    cases.extend(ingress(&named("UDP, unsolicited"), &datagram, Reason::NoFlow));
    cases.extend(ingress(&named("TCP reply"), &tcp.reply, Reason::Flow));
    cases.extend(ingress(&named("UDP reply"), &udp.reply, Reason::Flow));
    cases.push(egress(&named("TCP of a flow"), &tcp.outbound));
    cases.push(egress(&named("UDP of a flow"), &udp.outbound));
}

/// Datagrams from outside that end earlier and later than an unsolicited one does: what lies between
/// their rows is the price of a step.
fn stages(gateway: &Gateway, cases: &mut Vec<Case>) {
    cases.extend(ingress("no IP: an ARP request", &Packet::arp(ARP_REQUEST), Reason::Arp));
    let inside = INSIDE.ip(Family::Ipv6);
    let martian = Ends { inside: MARTIAN.into(), outside: inside, ..apart(5) };
    let datagram = Flow::udp(martian).opening;
    cases.extend(ingress("UDP from a martian, IPv6", &datagram, Reason::MartianSource));
    let datagram = Flow::udp(apart(6).reversed()).opening;
    gateway.note(&datagram);
    let name = "UDP, unsolicited, IPv6, its bit set in the filter";
    cases.extend(ingress(name, &datagram, Reason::NoFlow));
}

/// TCP as hosts speak it today, with windows checked.
fn tracked(gateway: &mut Gateway, cases: &mut Vec<Case>) {
    let ends = apart(1);
    let flow = Flow::tcp_with_options(ends);
    flow.establish(gateway);
    let [data, selective] = flow.with_losses();
    gateway.judge(Program::EgressTc, &data, Reason::Flow);
    cases.extend(ingress("TCP reply, timestamp", &flow.reply, Reason::Flow));
    let name = "TCP reply, timestamp and 3 SACK blocks";
    cases.extend(ingress(name, &selective, Reason::Flow));
    cases.push(egress("TCP of a flow, timestamp", &flow.outbound));
    let reset = Flow::stray_reset(ends);
    cases.extend(ingress("TCP RST outside the window", &reset, Reason::TcpWindow));
}

/// The same without windows to check.
fn picked_up(gateway: &mut Gateway, cases: &mut Vec<Case>) {
    let flow = Flow::tcp_picked_up(apart(2));
    flow.establish(gateway);
    let name = "TCP reply, timestamp, picked up in mid-stream";
    cases.extend(ingress(name, &flow.reply, Reason::Flow));
    let name = "TCP of a flow, timestamp, picked up in mid-stream";
    cases.push(egress(name, &flow.outbound));
}

/// SYNs that are sent again; opening a flow happens once only.
fn opening(gateway: &mut Gateway, cases: &mut Vec<Case>) {
    let plain = Flow::tcp(apart(3));
    plain.open(gateway);
    cases.push(egress("TCP SYN, sent again", &plain.opening));
    let usual = Flow::tcp_with_options(apart(4));
    usual.open(gateway);
    cases.push(egress("TCP SYN, sent again, the usual options", &usual.opening));
}

/// What takes the parser longest.
fn related_and_long(cases: &mut Vec<Case>) {
    let [flow, _] = flows(Family::Ipv6);
    let error = Packet::ip(ROUTER.v6, INSIDE.v6).icmp_error(
        PACKET_TOO_BIG,
        0,
        MTU_BYTES,
        &flow.outbound.ip_bytes(),
    );
    let chain = |packet: Packet| {
        (1..EXTENSION_HEADERS_MAX)
            .fold(packet.hop_by_hop(), |packet, _| packet.destination_options())
    };
    let [syn, _] = unsolicited(Family::Ipv6);
    let long = format!("{EXTENSION_HEADERS_MAX} extension headers");
    cases.extend(ingress("ICMPv6 packet too big about a flow", &error, Reason::Related));
    cases.extend(ingress(&format!("TCP SYN, {long}"), &chain(syn), Reason::NoFlow));
    cases.extend(ingress(&format!("TCP reply, {long}"), &chain(flow.reply), Reason::Flow));

    let [flow, _] = flows(Family::Ipv4);
    let [syn, _] = unsolicited(Family::Ipv4);
    let syn = syn.options(&OPTIONS);
    cases.extend(ingress("TCP SYN, 40 bytes of IPv4 options", &syn, Reason::NoFlow));
    let reply = flow.reply.options(&OPTIONS);
    cases.extend(ingress("TCP reply, 40 bytes of IPv4 options", &reply, Reason::Flow));
}

/// A packet from outside, judged by both programs that can.
fn ingress(what: &str, packet: &Packet, reason: Reason) -> [Case; 2] {
    Program::INGRESS.map(|program| case(what, program, packet, reason))
}

fn egress(what: &str, packet: &Packet) -> Case {
    case(what, Program::EgressTc, packet, Reason::Flow)
}

fn case(what: &str, program: Program, packet: &Packet, reason: Reason) -> Case {
    Case { series: Series::new(what, Subject::Gateway(program, reason)), frame: packet.frame() }
}
