//! The switches that open the gateway as far as RFC 6092's home gateway is.

use std::net::UdpSocket;

use serde_json::Value;
use tests::{
    address::{Dual, FAMILIES},
    capture::Link,
    eigw::Hook,
    icmp,
    packet::Packet,
    socket,
    topology::{INSIDE, Lab, OUTSIDE, ROUTER_MAC, STRANGER, UPLINK_MAC},
    wait::{self, PATIENCE},
};

use super::{BRIEFLY, assert_silence, assert_unreachable, rule};
use crate::in_every_hook;

in_every_hook!(anybody_may_send_to_an_endpoint_that_spoke);
in_every_hook!(ipsec_comes_in_unasked);
in_every_hook!(authenticated_packets_come_in_unasked);
in_every_hook!(a_transparent_gateway_lets_in_what_no_rule_denies);

/// RFC6092-REC-11, RFC6092-REC-17, RFC6092-REC-33: with the switch a stranger may send to an
/// address and port that inside has used, and be answered; without it only who was asked may, as
/// before and after.
fn anybody_may_send_to_an_endpoint_that_spoke(hook: Hook) {
    let lab = Lab::new();
    for (switch, is_open) in [("", false), (ENDPOINTS, true), ("", false)] {
        lab.attach_policy(hook, switch);
        lab.eigw(&["flow", "flush"]).success();
        for family in FAMILIES {
            let _server = socket::udp_echo(&lab.outside, OUTSIDE.port(family, 7));
            let inside = lab.inside.run(|| UdpSocket::bind(INSIDE.port(family, 0)));
            let inside = inside.expect("a socket");
            inside.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            let at = inside.local_addr().expect("bound");
            let stranger = lab.outside.run(|| UdpSocket::bind(STRANGER.port(family, 0)));
            let stranger = stranger.expect("a socket");
            stranger.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            lab.expect_drops("no-flow", 1, || stranger.send_to(b"early", at).expect("sent"));

            inside.send_to(b"question", OUTSIDE.port(family, 7)).expect("sent");
            let mut datagram = [0; 64];
            inside.recv_from(&mut datagram).expect("an answer");
            if is_open {
                stranger.send_to(b"hello", at).expect("sent");
                let (_, from) = inside.recv_from(&mut datagram).expect("a stranger's datagram");
                assert_eq!(&datagram[..5], b"hello");
                assert_eq!(lab.flows_matching(&["--remote", &from.ip().to_string()]).len(), 0);
                inside.send_to(b"who?", from).expect("sent");
                let (len, _) = stranger.recv_from(&mut datagram).expect("inside's answer");
                assert_eq!(&datagram[..len], b"who?");
            } else {
                lab.expect_drops("no-flow", 1, || stranger.send_to(b"hello", at).expect("sent"));
            }
            // The endpoint is one port, in one protocol.
            let other = INSIDE.port(family, at.port() ^ 1);
            lab.expect_drops("no-flow", 1, || stranger.send_to(b"hello", other).expect("sent"));
            lab.expect_drops("no-flow", 1, || assert_unreachable(&lab.outside, at));
        }
    }
}

const ENDPOINTS: &str = "[rfc6092]\nendpoint_independent_filtering = true\n";

/// RFC6092-REC-22, RFC6092-REC-24, RFC6092-REC-26: ESP, HIP and IKE come in with the switch, if no
/// rule denies it, and neighbouring protocols and ports do not.
fn ipsec_comes_in_unasked(hook: Hook) {
    let lab = Lab::new();
    let router = Link::open(&lab.router, "gateway");
    let inside = Link::open(&lab.inside, "gateway");
    let send_all = |packets: &[Packet]| {
        for packet in packets {
            router.send(&packet.frame());
        }
    };
    let switch = "[rfc6092]\nunsolicited_ipsec = true\n";
    let deny = rule("in", "deny", &format!("proto = \"esp\"\nfrom = [{}]", quoted(STRANGER)));
    let with_rule = format!("{deny}{switch}");
    for (policy, is_open) in [("", false), (with_rule.as_str(), true), ("", false)] {
        lab.attach_policy(hook, policy);
        for family in FAMILIES {
            let from = |source: Dual| {
                Packet::ip(source.ip(family), INSIDE.ip(family)).macs(ROUTER_MAC, UPLINK_MAC)
            };
            let security = [&[0, 0, 1, 0, 0, 0, 0, 1], MARK, &[0; 8]].concat();
            let hip = [&[59, 6, 1, 0x21], security.as_slice(), &[0; 20]].concat();
            let unasked = [
                from(OUTSIDE).protocol(50, &security),
                from(OUTSIDE).protocol(139, &hip),
                from(OUTSIDE).udp(500, 500).payload(MARK),
            ];
            _ = inside.heard(|_| true);
            if is_open {
                lab.expect_packets("in", "rule-allowed", 3, || {
                    send_all(&unasked);
                });
                for _ in &unasked {
                    inside.expect("a packet of IPsec", is_marked);
                }
                lab.expect_drops("rule-denied", 1, || {
                    router.send(&from(STRANGER).protocol(50, &security).frame());
                });
            } else {
                lab.expect_drops("no-flow", 3, || {
                    send_all(&unasked);
                });
            }
            lab.expect_drops("no-flow", 2, || {
                router.send(&from(OUTSIDE).udp(500, 4_500).payload(MARK).frame());
                router.send(&from(OUTSIDE).protocol(47, &security).frame());
            });
            assert_eq!(inside.heard(is_marked).len(), 0, "something else came in");
        }
    }
    assert_eq!(lab.packets("in", "no-policy"), 0);
}

/// RFC6092-REC-21: what an authentication header vouches for comes in with the switch, whatever it
/// is, and only then.
fn authenticated_packets_come_in_unasked(hook: Hook) {
    let lab = Lab::new();
    let router = Link::open(&lab.router, "gateway");
    let inside = Link::open(&lab.inside, "gateway");
    for family in FAMILIES {
        // In front of a datagram; the header is four words of four bytes, less two.
        let (source, destination) = (OUTSIDE.ip(family), INSIDE.ip(family));
        let plain = Packet::ip(source, destination).udp(4_000, 4_000).payload(MARK).ip_bytes();
        let datagram = &plain[plain.len() - MARK.len() - 8..];
        let header = [17, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
        let authenticated = [header.as_slice(), &[0; 12], datagram].concat();
        let packet = Packet::ip(source, destination).macs(ROUTER_MAC, UPLINK_MAC);
        let packet = packet.protocol(51, &authenticated);
        lab.attach_policy(hook, "");
        lab.expect_drops("no-flow", 1, || router.send(&packet.frame()));
        lab.attach_policy(hook, "[rfc6092]\nunsolicited_ipsec = true\n");
        lab.expect_packets("in", "rule-allowed", 1, || router.send(&packet.frame()));
        inside.expect("an authenticated packet", is_marked);
    }
}

/// What the packets of this test carry.
const MARK: &[u8] = b"eigw-ipsec-mark";

/// Whether the frame is for the inside host, whose complaints about such packets quote them.
fn is_marked(frame: &[u8]) -> bool {
    frame.starts_with(&INSIDE_MAC) && frame.windows(MARK.len()).any(|window| window == MARK)
}

/// The link-layer address of the inside host.
const INSIDE_MAC: [u8; 6] = [0x02, 0x77, 0, 0, 0, 0x11];

fn quoted(dual: Dual) -> String {
    format!("\"{}\", \"{}\"", dual.v4, dual.v6)
}

/// RFC6092-REC-49: everything comes in and is answered, but for what a rule denies and for what a
/// blocked subnet has.
fn a_transparent_gateway_lets_in_what_no_rule_denies(hook: Hook) {
    let lab = Lab::new();
    let deny = rule("in", "deny", "proto = \"tcp\"\nports = 25");
    let blocked = "[[subnet]]\nname = \"cut\"\nprefix = \"10.77.1.128/25\"\nroute = \"blocked\"\n\
        [[subnet]]\nname = \"cut6\"\nprefix = \"2a00:1:0:a:8000::/65\"\nroute = \"blocked\"\n";
    lab.inside.ip("address add 10.77.1.129/24 dev gateway\n\
         address add 2a00:1:0:a:8000::1/64 dev gateway nodad\n");
    let cut = Dual {
        v4: std::net::Ipv4Addr::new(10, 77, 1, 129),
        v6: std::net::Ipv6Addr::new(0x2a00, 1, 0, 0xa, 0x8000, 0, 0, 1),
    };
    let transparent = "[rfc6092]\ntransparent = true\n";
    lab.attach_policy(hook, &format!("{deny}{blocked}{transparent}"));
    for family in FAMILIES {
        let server = INSIDE.port(family, 7);
        let _services =
            [socket::tcp_echo(&lab.inside, server), socket::udp_echo(&lab.inside, server)];
        socket::tcp_exchange(&lab.outside, server, b"hello", PATIENCE).expect("TCP comes in");
        socket::udp_exchange(&lab.outside, server, b"hello", PATIENCE).expect("UDP comes in");
        icmp::ping(&lab.outside, INSIDE.ip(family)).expect("ping comes in");
        lab.expect_drops("rule-denied", 1, || {
            assert_unreachable(&lab.outside, INSIDE.port(family, 25));
        });
        lab.expect_drops("route-blocked", 1, || {
            assert_unreachable(&lab.outside, cut.port(family, 7));
        });
        let from = cut.port(family, 0);
        lab.expect_packets("out", "route-blocked", 1, || {
            let to = OUTSIDE.port(family, 7);
            let connected = socket::connect_from(&lab.inside, from, to, BRIEFLY);
            assert_silence(connected.map(drop));
        });
    }
    let shown = lab.eigw_json(&["subnet", "show"]);
    let routes: Vec<&Value> =
        shown.as_array().expect("an array").iter().map(|row| &row["route"]).collect();
    assert_eq!(routes, ["blocked", "blocked", "internet"]);
    // Without the switch it is egress-only again, and a connection that came in ends.
    let server = socket::tcp_echo(&lab.inside, INSIDE.port(FAMILIES[1], 7));
    let client = socket::connect(&lab.outside, server.address(), PATIENCE).expect("comes in");
    socket::exchange(&client, b"hello").expect("an echo");
    lab.attach_policy(hook, "");
    lab.expect_drops("policy-revoked", 1, || {
        std::io::Write::write_all(&mut &client, b"still there?").expect("the socket takes it");
    });
    wait::until_true("the service to hear nothing", || server.served() == 1);
}
