//! The routes of subnets.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::prelude::*;
use crate::address::Dual;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![one_version_only(), every_link_message()];
    for family in FAMILIES {
        rows.extend([
            egress_only(family),
            internet(family),
            internet_messages(family),
            internet_denied(family),
            internet_fragments(family),
            blocked(family),
            blocked_whatever_rules_say(family),
            blocked_for_pings(family),
            longest_prefix(family),
            default_internet(family),
            default_blocked(family),
            default_of_the_rest(family),
        ]);
    }
    rows
}

/// In the blocked subnet.
const LAB: Dual =
    Dual { v4: Ipv4Addr::new(10, 1, 7, 7), v6: Ipv6Addr::new(0x2a00, 1, 0, 7, 0, 0, 0, 7) };
/// In a part of it that is not.
const PRINTER: Dual =
    Dual { v4: Ipv4Addr::new(10, 1, 7, 9), v6: Ipv6Addr::new(0x2a00, 1, 0, 7, 0, 0, 0, 9) };

/// I may open, I2 both ways, [`LAB`] nothing, and [`PRINTER`] like I.
pub(super) const SUBNETS: &str = r#"
    [[subnet]]
    name = "office-v4"
    prefix = "10.1.0.0/16"
    [[subnet]]
    name = "office-v6"
    prefix = "2a00:1::/32"
    [[subnet]]
    name = "server-v4"
    prefix = "10.1.0.6/32"
    route = "internet"
    [[subnet]]
    name = "server-v6"
    prefix = "2a00:1::6/128"
    route = "internet"
    [[subnet]]
    name = "lab-v4"
    prefix = "10.1.7.0/24"
    route = "blocked"
    [[subnet]]
    name = "lab-v6"
    prefix = "2a00:1:0:7::/64"
    route = "blocked"
    [[subnet]]
    name = "printer-v4"
    prefix = "10.1.7.9/32"
    [[subnet]]
    name = "printer-v6"
    prefix = "2a00:1:0:7::9/128"
"#;

/// The subnet of I in [`SUBNETS`].
pub(super) const fn office(family: Family) -> u32 {
    match family {
        Family::Ipv4 => 0,
        Family::Ipv6 => 1,
    }
}

const fn server(family: Family) -> u32 {
    2 + office(family)
}

const fn lab(family: Family) -> u32 {
    4 + office(family)
}

const fn printer(family: Family) -> u32 {
    6 + office(family)
}

fn routed() -> Expect {
    passed(Reason::RouteAllowed)
}

fn no_flow(subnet: u32) -> Expect {
    refused(Reason::NoFlow).of_subnet(subnet)
}

fn egress_only(family: Family) -> Row {
    let (l, u) = (tcp_flow(family), udp_flow(family));
    let none = || no_flow(office(family));
    row(&[], format!("{family:?}: an egress-only subnet opens, and nobody opens to it"))
        .policy(SUBNETS)
        .inbound(l.segment_back(flag::SYN), none())
        .inbound(u.back(), none())
        .inbound(
            from(STRANGER, INSIDE, family).echo_request(7, 1),
            refused(Reason::PingRefused).of_subnet(office(family)),
        )
        .established(&l)
        .answered(&u)
        .inbound(from(STRANGER, INSIDE, family).udp(5000, 40_001), none())
        .outbound(from(INSIDE, OUTSIDE, family).tcp(22, 50_000, SYN_ACK), passed(Reason::Stateless))
}

fn internet(family: Family) -> Row {
    let w = Flow::tcp(INSIDE_OTHER.ip(family), 22, OUTSIDE.ip(family), 50_000);
    let u = Flow::udp(INSIDE_OTHER.ip(family), 5000, OUTSIDE.ip(family), 40_001);
    let l = Flow::tcp(INSIDE_OTHER.ip(family), 40_000, OUTSIDE.ip(family), 443);
    row(&[], format!("{family:?}: an internet subnet is open both ways"))
        .policy(SUBNETS)
        .established(&l)
        .inbound(w.segment_back(flag::SYN), routed())
        .outbound(w.segment_out(SYN_ACK), passed(Reason::Published))
        .inbound(w.segment_back(flag::ACK), routed())
        .outbound(w.segment_out(flag::ACK).payload(b"SSH"), admits(&w))
        .inbound(w.segment_back(flag::ACK), belongs_to(&w))
        .outbound(w.segment_out(flag::ACK), belongs_to(&w).promoted())
        .inbound(w.segment_back(flag::SYN), routed())
        .outbound(w.segment_out(SYN_ACK), passed(Reason::Published).ending(&w, FlowEvent::Replaced))
        // Most datagrams from inside are questions, so they have flows.
        .inbound(u.back(), routed())
        .outbound(u.out(), opens(&u))
        .inbound(u.back(), belongs_to(&u))
        .outbound(u.out(), belongs_to(&u).promoted())
}

fn internet_messages(family: Family) -> Row {
    let to_server = || from(OUTSIDE, INSIDE_OTHER, family);
    let answer = from(INSIDE_OTHER, OUTSIDE, family).echo_reply(7, 1);
    // A question for a timestamp, or for a node's names.
    let kind = if family == Family::Ipv4 { 13 } else { 139 };
    let quote = from(INSIDE_OTHER, OUTSIDE, family).tcp(22, 50_000, SYN_ACK).ip_bytes();
    let (unreachable, code) = if family == Family::Ipv4 { (3, 3) } else { (1, 4) };
    row(
        &["RFC4890-4.3.5-NI", "RFC5508-REQ-11"],
        format!("{family:?}: an open route is no reason for ICMP that must not come in"),
    )
    .policy(SUBNETS)
    .inbound(to_server().echo_request(7, 1), routed())
    .outbound(answer, passed(Reason::Stateless))
    .inbound(
        to_server().icmp(kind, 0, [0; 4], &[0; 16]),
        refused(Reason::IcmpType).of_subnet(server(family)),
    )
    .inbound(to_server().icmp_error(unreachable, code, 0, &quote), related())
    .inbound(to_server().protocol(253, &[0; 8]), routed())
}

fn internet_denied(family: Family) -> Row {
    let to_server = |port| from(STRANGER, INSIDE_OTHER, family).tcp(50_000, port, flag::SYN);
    let from_server = |port| from(INSIDE_OTHER, STRANGER, family).tcp(port, 50_000, SYN_ACK);
    let denials = r#"
        [[rule]]
        direction = "in"
        action = "deny"
        proto = "tcp"
        ports = 22
        [[rule]]
        direction = "out"
        action = "deny"
        proto = "tcp"
        ports = 50000"#;
    let denied = |rule| refused(Reason::RuleDenied).by_rule(rule).of_subnet(server(family));
    row(&[], format!("{family:?}: rules may deny what the route of an internet subnet allows"))
        .policy([denials, SUBNETS].concat())
        .inbound(to_server(22), denied(0))
        .outbound(from_server(22), denied(1))
        .inbound(to_server(80), routed())
        .outbound(from_server(80), passed(Reason::Published))
}

fn internet_fragments(family: Family) -> Row {
    const ID: u32 = 7;
    let datagram = from(OUTSIDE, INSIDE_OTHER, family).udp(40_001, 5000).payload(&[0x5a; 2_000]);
    let u = Flow::udp(INSIDE_OTHER.ip(family), 5000, OUTSIDE.ip(family), 40_001);
    let [first, second] = datagram.fragments(ID, 1_480).try_into().expect("two fragments");
    row(&["E36"], format!("{family:?}: fragments to an internet subnet, in either order"))
        .policy(SUBNETS)
        .inbound(second.clone(), routed())
        .inbound(first, routed().admitting(u.datagram(ID)))
        .inbound(second, passed(Reason::Fragment))
}

fn blocked(family: Family) -> Row {
    let u = Flow::udp(LAB.ip(family), 40_001, OUTSIDE.ip(family), 5000);
    let [_, second]: [Packet; 2] =
        u.out().payload(&[0x5a; 2_000]).fragments(7, 1_480).try_into().expect("two fragments");
    let (kind, code) = if family == Family::Ipv4 { (3, 3) } else { (1, 4) };
    let unreachable = from(LAB, OUTSIDE, family).icmp_error(kind, code, 0, &u.back().ip_bytes());
    let group = if family == Family::Ipv4 { "224.0.1.1" } else { "ff0e::1" };
    let row =
        row(&[], format!("{family:?}: nothing leaves or enters a blocked subnet")).policy(SUBNETS);
    let blocked = || refused(Reason::RouteBlocked).of_subnet(lab(family));
    [
        u.out(),
        second,
        unreachable,
        from(LAB, OUTSIDE, family).tcp(40_000, 443, flag::SYN),
        from(LAB, OUTSIDE, family).tcp(22, 50_000, SYN_ACK),
        from(LAB, OUTSIDE, family).echo_request(7, 1),
        from(LAB, OUTSIDE, family).echo_reply(7, 1),
        Packet::ip(LAB.ip(family), group).udp(40_001, 5000),
    ]
    .into_iter()
    .fold(row, |row, packet| row.outbound(packet, blocked()))
    .inbound(u.back(), blocked())
    .inbound(from(OUTSIDE, LAB, family).tcp(50_000, 22, flag::SYN), blocked())
    .inbound(from(OUTSIDE, LAB, family).echo_request(7, 1), blocked())
    .inbound(from(OUTSIDE, LAB, family).protocol(253, &[0; 8]), blocked())
}

fn blocked_whatever_rules_say(family: Family) -> Row {
    let everything = r#"
        [[rule]]
        direction = "in"
        action = "allow"
        [[rule]]
        direction = "out"
        action = "allow""#;
    let blocked = || refused(Reason::RouteBlocked).of_subnet(lab(family));
    let u = Flow::udp(PRINTER.ip(family), 40_001, OUTSIDE.ip(family), 5000);
    row(&[], format!("{family:?}: no rule opens a blocked subnet"))
        .policy([everything, SUBNETS].concat())
        .inbound(from(OUTSIDE, LAB, family).tcp(50_000, 22, flag::SYN), blocked())
        .outbound(from(LAB, OUTSIDE, family).tcp(40_000, 443, flag::SYN), blocked())
        .outbound(from(LAB, OUTSIDE, family).udp(40_000, 443), blocked())
        .inbound(u.back(), passed(Reason::RuleAllowed).by_rule(0))
        .outbound(u.out(), passed(Reason::Published))
}

fn blocked_for_pings(family: Family) -> Row {
    let ping = |host| from(OUTSIDE, host, family).echo_request(7, 1);
    row(&[], format!("{family:?}: nor does `[allow] ping`"))
        .config(|config| config.allow_ping = 1)
        .policy(SUBNETS)
        .inbound(ping(INSIDE), passed(Reason::PingAllowed))
        .inbound(ping(LAB), refused(Reason::RouteBlocked).of_subnet(lab(family)))
}

fn longest_prefix(family: Family) -> Row {
    let u = Flow::udp(PRINTER.ip(family), 40_001, OUTSIDE.ip(family), 5000);
    let beside = from(OUTSIDE, PRINTER, family).udp(5000, 40_001);
    let beside = beside.set_network(if family == Family::Ipv4 { 19 } else { 39 }, &[8]);
    row(&[], format!("{family:?}: the subnet with the longest prefix counts"))
        .policy(SUBNETS)
        .inbound(u.back(), no_flow(printer(family)))
        .answered(&u)
        .inbound(beside, refused(Reason::RouteBlocked).of_subnet(lab(family)))
}

fn default_internet(family: Family) -> Row {
    let w = Flow::tcp(INSIDE.ip(family), 22, OUTSIDE.ip(family), 50_000);
    let u = udp_flow(family);
    row(&["RFC6092-REC-49"], format!("{family:?}: `default_route = \"internet\"` opens both ways"))
        .policy("[gateway]\ndefault_route = 'internet'")
        .inbound(w.segment_back(flag::SYN), routed())
        .outbound(w.segment_out(SYN_ACK), passed(Reason::Published))
        .inbound(w.segment_back(flag::ACK), routed())
        .outbound(w.segment_out(flag::ACK).payload(b"SSH"), admits(&w))
        .inbound(from(STRANGER, INSIDE, family).echo_request(7, 1), routed())
        .inbound(u.back(), routed())
        .asked(&u)
        .inbound(u.back(), belongs_to(&u))
}

fn default_blocked(family: Family) -> Row {
    let (l, u) = (tcp_flow(family), udp_flow(family));
    let blocked = || refused(Reason::RouteBlocked).of_no_subnet();
    row(&[], format!("{family:?}: `default_route = \"blocked\"` closes both ways"))
        .policy("[gateway]\ndefault_route = 'blocked'")
        .outbound(l.segment_out(flag::SYN), blocked())
        .inbound(l.segment_back(SYN_ACK), blocked())
        .outbound(l.segment_out(flag::ACK), blocked())
        .outbound(u.out(), blocked())
        .inbound(u.back(), blocked())
}

fn default_of_the_rest(family: Family) -> Row {
    let (l, u) = (tcp_flow(family), udp_flow(family));
    let elsewhere = || from(OUTSIDE, STRANGER, family).tcp(50_000, 22, flag::SYN);
    row(&[], format!("{family:?}: the default route is that of addresses that no subnet covers"))
        .policy(["[gateway]\ndefault_route = 'blocked'\n", SUBNETS].concat())
        .established(&l)
        .inbound(elsewhere(), refused(Reason::RouteBlocked).of_no_subnet())
        .outbound(elsewhere().mirror(), refused(Reason::RouteBlocked).of_no_subnet())
        .policy(["[gateway]\ndefault_route = 'internet'\n", SUBNETS].concat())
        .inbound(elsewhere(), routed())
        .answered(&u)
        .inbound(l.segment_back(flag::SYN), refused(Reason::TcpState).of_subnet(office(family)))
}

fn one_version_only() -> Row {
    let (u4, u6) = (udp_flow(Family::Ipv4), udp_flow(Family::Ipv6));
    row(&[], "subnets of one IP version say nothing about the other")
        .policy("[[subnet]]\nname = 'all'\nprefix = '2a00:1::/32'\nroute = 'blocked'")
        .outbound(u6.out(), refused(Reason::RouteBlocked).of_subnet(0))
        .answered(&u4)
        .inbound(
            from(STRANGER, INSIDE, Family::Ipv4).udp(1, 2),
            refused(Reason::NoFlow).of_no_subnet(),
        )
        .outbound(
            from(STRANGER, OUTSIDE, Family::Ipv6).udp(1, 2),
            refused(Reason::EgressSpoof).of_no_subnet(),
        )
        .forwarded()
        .outbound(
            from(INSIDE_OTHER, OUTSIDE, Family::Ipv4).echo_reply(1, 2),
            passed(Reason::Stateless),
        )
        .forwarded()
}

fn every_link_message() -> Row {
    const GATEWAY: &str = "fe80::a";
    const ME: &str = "fe80::5";
    let closed = r#"
        [gateway]
        default_route = "blocked"
        [[rule]]
        direction = "in"
        action = "deny"
        [[rule]]
        direction = "out"
        action = "deny"
        [[subnet]]
        name = "link-v6"
        prefix = "fe80::/64"
        route = "blocked"
        [[subnet]]
        name = "link-v4"
        prefix = "10.1.0.0/16"
        route = "blocked"
    "#;
    let discovery = || passed(Reason::NeighbourDiscovery);
    let listeners = || passed(Reason::MulticastListener);
    let dhcp = || passed(Reason::DhcpClient);
    row(
        &["RFC4890-4.4.1-ND", "RFC4890-4.4.1-MLD", "E27", "E28", "E114"],
        "what the link lives on passes under any route and any rule",
    )
    .policy(closed)
    .both_ways(&Packet::arp(1), &passed(Reason::Arp))
    .inbound(Packet::ip(GATEWAY, "ff02::1").router_advertisement(), discovery())
    .inbound(Packet::ip(GATEWAY, ME).neighbour_solicitation(ME), discovery())
    .outbound(Packet::ip(ME, GATEWAY).neighbour_advertisement(ME), discovery())
    .outbound(Packet::ip(ME, "ff02::2").router_solicitation(), discovery())
    .inbound(Packet::ip(GATEWAY, "ff02::1").listener_query(), listeners())
    .outbound(Packet::ip(ME, "ff02::16").listener_report_v2("ff02::1:ff00:5"), listeners())
    .outbound(Packet::ip("0.0.0.0", "255.255.255.255").dhcpv4(1), dhcp())
    .inbound(Packet::ip("10.1.0.1", "255.255.255.255").dhcpv4(2), dhcp())
    .outbound(Packet::ip(ME, "ff02::1:2").dhcpv6(1, 546, 547), dhcp())
    .inbound(Packet::ip(GATEWAY, ME).dhcpv6(2, 547, 546), dhcp())
}
