//! Rules that restrict what leaves.

use serde_json::Value;
use tests::{
    address::FAMILIES,
    eigw::Hook,
    icmp, socket,
    topology::{INSIDE, Lab, OUTSIDE},
    wait::{self, PATIENCE},
};

use super::{BRIEFLY, assert_silence, assert_unreachable, rule, subnets};
use crate::{in_every_hook, traffic::drops};

in_every_hook!(a_denied_port_is_closed_and_others_work);
in_every_hook!(published_services_answer_where_nothing_may_leave);
in_every_hook!(an_open_route_answers_where_nothing_may_leave);

/// A rule closes a port outside to hosts behind the gateway and to itself, and nothing else.
fn a_denied_port_is_closed_and_others_work(hook: Hook) {
    let lab = Lab::new();
    let deny = "name = \"no-mail\"\nproto = [\"tcp\", \"udp\"]\nports = [25, \"400-500\"]";
    lab.attach_policy(hook, &rule("out", "deny", deny));
    for family in FAMILIES {
        let services = [24, 25, 26, 399, 400, 500, 501].map(|port| {
            let at = OUTSIDE.port(family, port);
            (socket::tcp_echo(&lab.outside, at), socket::udp_echo(&lab.outside, at))
        });
        for (tcp, udp) in &services {
            let server = tcp.address();
            let is_denied = [25, 400, 500].contains(&server.port());
            for host in [&lab.inside, &lab.gateway] {
                if is_denied {
                    let refused = lab.hits("no-mail");
                    lab.expect_packets("out", "rule-denied", 2, || {
                        assert_unreachable(host, server);
                        let answer = socket::udp_exchange(host, server, b"?", BRIEFLY);
                        assert_silence(answer.map(drop));
                    });
                    assert!(lab.hits("no-mail") >= refused + 2);
                } else {
                    socket::tcp_exchange(host, server, b"hello", PATIENCE).expect("TCP works");
                    socket::udp_exchange(host, server, b"hello", PATIENCE).expect("UDP works");
                }
            }
            let expected = if is_denied { 0 } else { 2 };
            let counts = || (tcp.served(), udp.served());
            // An answer may be back before it is counted.
            wait::until_true(&format!("{expected} served at {server}"), || {
                counts() == (expected, expected)
            });
        }
        icmp::ping(&lab.inside, OUTSIDE.ip(family)).expect("ping has no ports");
    }
    let denied = lab.packets("out", "rule-denied");
    let all: u64 = drops(&lab).iter().filter_map(|row| row["packets"].as_u64()).sum();
    assert_eq!(all, denied, "something else was dropped");
    assert_eq!(lab.hits("no-mail"), denied);
}

/// Where everything that inside opens is denied, answers to what rules let in still leave.
fn published_services_answer_where_nothing_may_leave(hook: Hook) {
    let lab = Lab::new();
    let policy = [
        rule("in", "allow", "proto = [\"tcp\", \"udp\"]\nports = 443"),
        rule("in", "allow", "proto = [\"icmp\"]\nicmp_types = 8"),
        rule("in", "allow", "proto = [\"icmpv6\"]\nicmp_types = 128"),
        rule("out", "deny", "name = \"all\""),
    ];
    lab.attach_policy(hook, &policy.concat());
    for family in FAMILIES {
        let at = INSIDE.port(family, 443);
        let _services = [socket::tcp_echo(&lab.inside, at), socket::udp_echo(&lab.inside, at)];
        let payload: Vec<u8> = (0..=250).cycle().take(300_000).collect();
        let echoed = socket::tcp_exchange(&lab.outside, at, &payload, PATIENCE).expect("TCP");
        assert!(echoed == payload, "the gateway changed what TCP carries");
        let echoed = socket::udp_exchange(&lab.outside, at, &payload[..5_000], PATIENCE);
        assert!(echoed.expect("UDP") == payload[..5_000], "the gateway changed a datagram");
        icmp::ping(&lab.outside, INSIDE.ip(family)).expect("ping");
    }
    assert_eq!(drops(&lab), Vec::<Value>::new(), "nothing had to be dropped");
    for family in FAMILIES {
        let outside = OUTSIDE.port(family, 7);
        let service = [socket::tcp_echo(&lab.outside, outside)];
        lab.expect_packets("out", "rule-denied", 2, || {
            assert_unreachable(&lab.inside, outside);
            assert_silence(icmp::ping(&lab.inside, OUTSIDE.ip(family)));
        });
        assert_eq!(service[0].served(), 0);
        // Nor is a published port a way out.
        let from = INSIDE.port(family, 443);
        lab.expect_packets("out", "rule-denied", 1, || {
            let connected = socket::connect_from(&lab.inside, from, outside, BRIEFLY);
            assert_silence(connected.map(drop));
        });
    }
}

/// A shadow rule is counted where it would have decided, in either direction, and decides nothing.
#[test]
fn a_shadow_rule_is_counted_and_has_no_effect() {
    let lab = Lab::new();
    let policy = [
        rule("out", "deny", "name = \"no-web\"\nproto = \"tcp\"\nports = 80\nshadow = true"),
        rule("in", "allow", "name = \"ssh\"\nproto = \"tcp\"\nports = 22\nshadow = true"),
    ];
    lab.attach_policy(Hook::Xdp, &policy.concat());
    for (round, family) in (1..).zip(FAMILIES) {
        let server = socket::tcp_echo(&lab.outside, OUTSIDE.port(family, 80));
        socket::tcp_exchange(&lab.inside, server.address(), b"hello", PATIENCE).expect("TCP");
        assert_eq!(lab.hits("no-web"), round, "the opening, and nothing else");
        let closed = INSIDE.port(family, 22);
        let before = lab.hits("ssh");
        lab.expect_drops("no-flow", 1, || assert_unreachable(&lab.outside, closed));
        assert!(lab.hits("ssh") > before);
    }
    assert_eq!(lab.packets("out", "rule-denied") + lab.packets("in", "rule-allowed"), 0);
}

/// The same where no rule but the route lets them in: what can only be an answer needs no rule. A
/// datagram can be a question as well, so it takes a rule that publishes the service.
fn an_open_route_answers_where_nothing_may_leave(hook: Hook) {
    let lab = Lab::new();
    let policy = format!("{}{}", subnets("internet"), rule("out", "deny", ""));
    lab.attach_policy(hook, &policy);
    let exchange = |family| {
        socket::udp_exchange(&lab.outside, INSIDE.port(family, 443), b"hello", BRIEFLY).map(drop)
    };
    let servers = FAMILIES.map(|family| {
        let at = INSIDE.port(family, 443);
        let servers = [socket::tcp_echo(&lab.inside, at), socket::udp_echo(&lab.inside, at)];
        let echoed = socket::tcp_exchange(&lab.outside, at, b"hello", PATIENCE).expect("TCP");
        assert_eq!(echoed, b"hello");
        icmp::ping(&lab.outside, INSIDE.ip(family)).expect("ping");
        servers
    });
    assert_eq!(drops(&lab), Vec::<Value>::new(), "nothing had to be dropped");
    for family in FAMILIES {
        lab.expect_packets("out", "rule-denied", 1, || assert_silence(exchange(family)));
    }
    let published = "name = \"quic\"\nproto = \"udp\"\nports = 443";
    lab.attach_policy(hook, &format!("{}{policy}", rule("in", "allow", published)));
    for family in FAMILIES {
        exchange(family).expect("published");
    }
    drop(servers);
}
