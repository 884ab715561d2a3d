//! Forged sources (BCP 38), with hosts that forward.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use gateway_common::tuple::Family;
use tests::{
    address::{Dual, FAMILIES},
    capture::Link,
    eigw::Hook,
    icmp,
    netns::Netns,
    packet::Packet,
    socket,
    topology::{GATEWAY, INSIDE, Lab, OUTSIDE, ROUTER, ROUTER_MAC, UPLINK_MAC},
    wait::PATIENCE,
};

use crate::in_every_hook;

in_every_hook!(forged_sources_stop_at_the_gateway);
in_every_hook!(no_rule_lets_a_forged_answer_out);

/// An address of the inside host that no subnet covers.
const FOREIGN: Dual =
    Dual { v4: Ipv4Addr::new(11, 9, 9, 9), v6: Ipv6Addr::new(0x2a01, 9, 0, 0, 0, 0, 0, 9) };
/// Addresses that a subnet covers although no link inside has them.
const NOWHERE: Dual =
    Dual { v4: Ipv4Addr::new(10, 77, 0, 9), v6: Ipv6Addr::new(0x2a00, 1, 0, 0xb, 0, 0, 0, 9) };

/// Twice as wide as the link.
const SUBNETS: &str = "[[subnet]]\nname = \"v4\"\nprefix = \"10.77.0.0/23\"\n\
    [[subnet]]\nname = \"v6\"\nprefix = \"2a00:1:0:a::/63\"\n";

/// RFC6092-REC-5, RFC6092-REC-6: what an inside host sends in somebody else's name does not leave,
/// and what claims to come from inside does not come in; neither where rules allow everything. What
/// would leave for inside does not, whoever sends it. The gateway itself may use any address of its
/// own.
fn forged_sources_stop_at_the_gateway(hook: Hook) {
    let lab = Lab::new();
    lab.inside.ip(&format!(
        "address add {}/32 dev lo\naddress add {}/128 dev lo nodad\n",
        FOREIGN.v4, FOREIGN.v6
    ));
    // Neither says anything about forged sources.
    let inbound = super::rule("in", "allow", "proto = \"udp\"\nports = 9");
    lab.attach_policy(hook, &format!("{SUBNETS}{inbound}{}", super::rule("out", "allow", "")));
    let link = Link::open(&lab.router, "gateway");
    for family in FAMILIES {
        let echo = socket::udp_echo(&lab.outside, OUTSIDE.port(family, 7));
        for (host, from, to, reason) in [
            (&lab.inside, FOREIGN, OUTSIDE, "egress-spoof"),
            (&lab.inside, INSIDE, NOWHERE, "inside-destination"),
            (&lab.gateway, GATEWAY, NOWHERE, "inside-destination"),
        ] {
            lab.expect_packets("out", reason, 1, || {
                send(host, from.ip(family), to.port(family, 7));
            });
        }
        assert_eq!(echo.served(), 0);
        // The same hosts with addresses that they may use.
        for host in [&lab.inside, &lab.gateway] {
            let echoed = socket::udp_exchange(host, echo.address(), b"hello", PATIENCE);
            assert_eq!(echoed.expect("an answer"), b"hello");
        }
        icmp::ping(&lab.gateway, ROUTER.ip(family)).expect("no subnet covers the gateway");

        let private = socket::udp_echo(&lab.inside, INSIDE.port(family, 9));
        lab.expect_drops("ingress-spoof", 2, || {
            for source in [INSIDE_NEIGHBOUR, NOWHERE] {
                link.send(&arriving(family, source).frame());
            }
        });
        assert_eq!(private.served(), 0);
        // The rule lets others in.
        link.send(&arriving(family, OUTSIDE).frame());
        tests::wait::until_true("an honest datagram", || private.served() == 1);
    }
    let refused = |name: &str| {
        let rows = lab.eigw_json(&["subnet", "show"]);
        let mut rows = rows.as_array().expect("an array").iter();
        rows.find(|row| row["name"] == name).map(|row| row["dropped_packets"].clone())
    };
    // One that left for inside and two that came from there, to and from covered addresses; the
    // others' inside addresses are in no subnet.
    assert_eq!(refused("v4"), Some(3.into()));
    assert_eq!(refused("v6"), Some(3.into()));
    assert_eq!(refused("(other)"), Some(4.into()));
}

/// RFC6092-REC-5: a rule that lets somebody in does not make an answer of what an inside host sends
/// in somebody else's name.
fn no_rule_lets_a_forged_answer_out(hook: Hook) {
    let lab = Lab::new();
    lab.inside.ip(&format!(
        "address add {}/32 dev lo\naddress add {}/128 dev lo nodad\n",
        FOREIGN.v4, FOREIGN.v6
    ));
    let dns = super::rule("in", "allow", "proto = \"udp\"\nports = 53");
    lab.attach_policy(hook, &format!("{SUBNETS}{dns}"));
    for family in FAMILIES {
        let victim = socket::udp_echo(&lab.outside, OUTSIDE.port(family, 7));
        lab.expect_packets("out", "egress-spoof", 1, || {
            let from = FOREIGN.port(family, 53);
            let socket = lab.inside.run(|| UdpSocket::bind(from)).expect("the host has it");
            socket.send_to(b"amplified", victim.address()).expect("sent");
        });
        assert_eq!(victim.served(), 0);
    }
}

/// Another address of the inside host's link.
const INSIDE_NEIGHBOUR: Dual =
    Dual { v4: Ipv4Addr::new(10, 77, 1, 200), v6: Ipv6Addr::new(0x2a00, 1, 0, 0xa, 0, 0, 0, 200) };

/// A datagram for the inside host as the router forwards it.
fn arriving(family: Family, source: Dual) -> Packet {
    let packet = Packet::ip(source.ip(family), INSIDE.ip(family));
    packet.macs(ROUTER_MAC, UPLINK_MAC).udp(40_000, 9).payload(b"hello")
}

fn send(host: &Netns, from: IpAddr, to: SocketAddr) {
    let socket = host.run(|| UdpSocket::bind((from, 0))).expect("the host has the address");
    // Of what it sends itself a host may learn at once that it was dropped.
    _ = socket.send_to(b"hello", to);
}
