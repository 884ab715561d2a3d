//! Subnets and their routes.

use tests::{
    address::{Dual, FAMILIES},
    capture::Link,
    eigw::Hook,
    icmp,
    packet::Packet,
    socket,
    topology::{GATEWAY, INSIDE, Lab, OUTSIDE, ROUTER, ROUTER_MAC, STRANGER, UPLINK_MAC},
    wait::{self, PATIENCE},
};

use super::{BRIEFLY, assert_silence, assert_unreachable, rule, subnets};
use crate::in_every_hook;

in_every_hook!(internet_is_open_both_ways);
in_every_hook!(blocked_is_closed_both_ways);
in_every_hook!(the_longest_prefix_decides);
in_every_hook!(a_blocked_default_leaves_the_link_alive);

/// Another address of the inside host.
const NEIGHBOUR: Dual = Dual {
    v4: std::net::Ipv4Addr::new(10, 77, 1, 3),
    v6: std::net::Ipv6Addr::new(0x2a00, 1, 0, 0xa, 0, 0, 0, 3),
};

/// Either side may open, unless a rule denies it.
fn internet_is_open_both_ways(hook: Hook) {
    let lab = Lab::new();
    let deny = rule("in", "deny", "proto = \"tcp\"\nports = 25");
    lab.attach_policy(hook, &format!("{}{deny}", subnets("internet")));
    for family in FAMILIES {
        for (client, host, at) in
            [(&lab.inside, &lab.outside, OUTSIDE), (&lab.outside, &lab.inside, INSIDE)]
        {
            let server = at.port(family, 7);
            let _services = [socket::tcp_echo(host, server), socket::udp_echo(host, server)];
            let payload = vec![7; 100_000];
            let echoed = socket::tcp_exchange(client, server, &payload, PATIENCE);
            assert!(echoed.expect("TCP") == payload, "the gateway changed what TCP carries");
            let echoed = socket::udp_exchange(client, server, &payload[..5_000], PATIENCE);
            assert!(echoed.expect("UDP") == payload[..5_000], "the gateway changed a datagram");
            icmp::ping(client, at.ip(family)).expect("ping");
        }
        let denied = INSIDE.port(family, 25);
        lab.expect_drops("rule-denied", 1, || assert_unreachable(&lab.outside, denied));
        // The gateway's own addresses are in no subnet.
        let own = GATEWAY.port(family, 7);
        lab.expect_drops("no-flow", 1, || assert_unreachable(&lab.outside, own));
    }
}

/// Nobody opens anything, whatever rules say; both refusals are counted for the subnet.
fn blocked_is_closed_both_ways(hook: Hook) {
    let lab = Lab::new();
    let allow = [rule("in", "allow", ""), rule("out", "allow", "")].concat();
    lab.attach_policy(hook, &format!("{}{allow}", subnets("blocked")));
    for (family, subnet) in FAMILIES.into_iter().zip(["v4", "v6"]) {
        let refused = || {
            let rows = lab.eigw_json(&["subnet", "show"]);
            let mut rows = rows.as_array().expect("an array").iter();
            let row = rows.find(|row| row["name"] == subnet).expect("the subnet's row");
            row["dropped_packets"].as_u64().expect("a number")
        };
        let before = refused();
        lab.expect_packets("out", "route-blocked", 2, || {
            assert_unreachable(&lab.inside, OUTSIDE.port(family, 7));
            assert_silence(icmp::ping(&lab.inside, OUTSIDE.ip(family)));
        });
        lab.expect_drops("route-blocked", 2, || {
            assert_unreachable(&lab.outside, INSIDE.port(family, 7));
            assert_silence(icmp::ping(&lab.outside, INSIDE.ip(family)));
        });
        assert!(refused() >= before + 4, "the subnet's drops are counted");
        icmp::ping(&lab.gateway, OUTSIDE.ip(family)).expect("others are not concerned");
    }
}

/// An address goes by the narrowest of the subnets that hold it, in both directions of nesting.
fn the_longest_prefix_decides(hook: Hook) {
    let lab = Lab::new();
    lab.inside.ip(&format!(
        "address add {}/24 dev gateway\naddress add {}/64 dev gateway nodad\n",
        NEIGHBOUR.v4, NEIGHBOUR.v6
    ));
    for (wide, narrow) in [("internet", "blocked"), ("blocked", "internet")] {
        let narrower = format!(
            "[[subnet]]\nname = \"n4\"\nprefix = \"{}/32\"\nroute = \"{narrow}\"\n\
             [[subnet]]\nname = \"n6\"\nprefix = \"{}/128\"\nroute = \"{narrow}\"\n",
            NEIGHBOUR.v4, NEIGHBOUR.v6
        );
        lab.attach_policy(hook, &format!("{}{narrower}", subnets(wide)));
        for family in FAMILIES {
            for (at, route) in [(INSIDE, wide), (NEIGHBOUR, narrow)] {
                let server = at.port(family, 7);
                let _service = socket::udp_echo(&lab.inside, server);
                let inbound = || socket::udp_exchange(&lab.outside, server, b"in", BRIEFLY);
                if route == "internet" {
                    inbound().expect("this address is open");
                } else {
                    lab.expect_drops("route-blocked", 1, || assert_silence(inbound().map(drop)));
                }
                let service = socket::tcp_echo(&lab.outside, OUTSIDE.port(family, 7));
                let from = at.port(family, 0);
                let outbound =
                    |patience| socket::connect_from(&lab.inside, from, service.address(), patience);
                if route == "internet" {
                    outbound(PATIENCE).expect("this address is open");
                } else {
                    lab.expect_packets("out", "route-blocked", 1, || {
                        assert_silence(outbound(BRIEFLY).map(drop));
                    });
                }
            }
        }
    }
}

/// The gateway's own traffic is refused with `default_route = "blocked"`, but what keeps the link
/// alive is not: neighbours are found in either direction, and a DHCP client gets its answers.
fn a_blocked_default_leaves_the_link_alive(hook: Hook) {
    let lab = Lab::new();
    let _services = FAMILIES.map(|family| socket::udp_echo(&lab.outside, OUTSIDE.port(family, 7)));
    lab.attach_policy(hook, &format!("default_route = \"blocked\"\n{}", subnets("egress-only")));
    for family in FAMILIES {
        // Whom the gateway or the router does not know it has to ask for, over the uplink.
        lab.gateway.ip("neigh flush dev uplink\n");
        lab.router.ip("neigh flush dev gateway\n");
        let server = OUTSIDE.port(family, 7);
        socket::udp_exchange(&lab.inside, server, b"hello", PATIENCE).expect("inside works");
        lab.expect_packets("out", "route-blocked", 1, || {
            icmp::ping(&lab.gateway, ROUTER.ip(family)).expect_err("the gateway is blocked");
        });
        lab.expect_drops("route-blocked", 1, || {
            assert_silence(icmp::ping(&lab.router, GATEWAY.ip(family)));
        });
        lab.expect_drops("no-flow", 1, || {
            assert_unreachable(&lab.outside, INSIDE.port(family, 22));
        });
        lab.expect_drops("no-flow", 1, || {
            let link = Link::open(&lab.router, "gateway");
            let stranger = Packet::ip(STRANGER.ip(family), INSIDE.ip(family));
            link.send(&stranger.macs(ROUTER_MAC, UPLINK_MAC).udp(7, 7).frame());
        });
    }
    assert!(lab.packets("out", "arp") > 0 && lab.packets("in", "arp") > 0);
    assert!(lab.packets("out", "neighbour-discovery") > 0);
    assert!(lab.packets("in", "neighbour-discovery") > 0);

    let dhcp = lab.packets("in", "dhcp-client");
    let offer = Packet::ip(ROUTER.v4, GATEWAY.v4).macs(ROUTER_MAC, UPLINK_MAC).dhcpv4(2);
    Link::open(&lab.router, "gateway").send(&offer.frame());
    wait::until_true("the DHCP answer", || lab.packets("in", "dhcp-client") == dhcp + 1);
    let request = Packet::ip(GATEWAY.v4, ROUTER.v4).macs(UPLINK_MAC, ROUTER_MAC).dhcpv4(1);
    lab.expect_packets("out", "dhcp-client", 1, || {
        Link::open(&lab.gateway, "uplink").send(&request.frame());
    });
}
