//! What keeps the uplink itself alive.

use gateway_common::tuple::Family;
use tests::{
    address::FAMILIES,
    capture::Link,
    eigw::Hook,
    icmp,
    packet::{Packet, link::NEIGHBOUR_SOLICITATION},
    topology::{GATEWAY, INSIDE, Lab, OUTSIDE, ROUTER, ROUTER_MAC, UPLINK_MAC},
    wait,
};

use crate::{in_every_hook, traffic::drops};

in_every_hook!(neighbours_find_each_other);
in_every_hook!(router_advertisements_configure_the_uplink);

/// The router's link-local address, from its link-layer address.
const ROUTER_LINK_LOCAL: &str = "fe80::77:ff:fe00:22";
/// All nodes on the link, as the link layer addresses them.
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

/// RFC4890-4.4.1-ND, RFC4861-OUT, E2, E116: neighbour entries that are lost on either side are
/// found again, by ARP and by neighbour discovery.
fn neighbours_find_each_other(hook: Hook) {
    let lab = Lab::new();
    lab.attach(hook);
    for family in FAMILIES {
        for (host, interface) in [(&lab.gateway, "uplink"), (&lab.router, "gateway")] {
            host.ip(&format!("neigh flush dev {interface}\n"));
            icmp::ping(&lab.inside, OUTSIDE.ip(family)).expect("an echo reply");
        }
    }
    for (reason, direction) in [("arp", "in"), ("arp", "out")] {
        assert!(lab.packets(direction, reason) > 0, "{reason} {direction}");
    }
    for direction in ["in", "out"] {
        assert!(lab.packets(direction, "neighbour-discovery") > 0, "{direction}");
    }
    assert_eq!(drops(&lab), Vec::<serde_json::Value>::new(), "nothing had to be dropped");
}

/// RFC4890-4.4.1-ND, RFC4861-HL255, RFC4861-RA-SRC, E114: the router's advertisement gives the
/// uplink its default route; one from further away does not.
fn router_advertisements_configure_the_uplink(hook: Hook) {
    let lab = Lab::new();
    lab.gateway.sysctl(&[("net/ipv6/conf/uplink/accept_ra", "2")]);
    lab.attach(hook);
    let link = Link::open(&lab.router, "gateway");
    let from = |source: &str| {
        Packet::ip(source, "ff02::1").macs(ROUTER_MAC, ALL_NODES_MAC).router_advertisement()
    };
    let learned = || lab.gateway.ip_output("-6 route show default proto ra");
    lab.expect_drops("neighbour-discovery-invalid", 3, || {
        link.send(&from(ROUTER_LINK_LOCAL).hop_limit(254).frame());
        link.send(&from("2a00:2:0:b::2").frame());
        link.send(&from(ROUTER_LINK_LOCAL).fragment(0, false).frame());
    });
    assert_eq!(learned(), "", "a forged advertisement was believed");
    link.send(&from(ROUTER_LINK_LOCAL).frame());
    wait::until_true("the advertised default route", || learned().contains(ROUTER_LINK_LOCAL));
}

/// RFC4861-HL255, RFC4861-CODE0, E117: solicitations that crossed a router get no answer; a
/// neighbour's does.
#[test]
fn only_neighbours_are_told_the_link_layer_address() {
    let lab = Lab::new();
    lab.attach(Hook::Tc);
    let link = Link::open(&lab.router, "gateway");
    let ask = || {
        Packet::ip(ROUTER.v6, GATEWAY.v6)
            .macs(ROUTER_MAC, UPLINK_MAC)
            .neighbour_solicitation(GATEWAY.v6)
    };
    let is_answer = |frame: &[u8]| frame.get(20) == Some(&58) && frame.get(54) == Some(&136);
    lab.expect_drops("neighbour-discovery-invalid", 2, || {
        link.send(&ask().hop_limit(64).frame());
        let wrong_code = ask().set_transport(1, &[1]);
        link.send(&wrong_code.frame());
    });
    assert_eq!(link.heard(is_answer), Vec::<Vec<u8>>::new());
    link.send(&ask().frame());
    link.expect("the advertisement", is_answer);
    assert_eq!(ask().frame()[54], NEIGHBOUR_SOLICITATION);
}

/// RFC4890-4.4.1-MLD, E120: a listener query of the link is answered; one from afar is not.
#[test]
fn listener_queries_are_answered() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    let link = Link::open(&lab.router, "gateway");
    let query = |source: &str| {
        Packet::ip(source, "ff02::1").macs(ROUTER_MAC, ALL_NODES_MAC).listener_query()
    };
    lab.expect_drops("multicast-listener-invalid", 2, || {
        link.send(&query(ROUTER_LINK_LOCAL).hop_limit(64).frame());
        link.send(&query("2a00:2:0:b::2").frame());
    });
    let passed = lab.packets("in", "multicast-listener");
    link.send(&query(ROUTER_LINK_LOCAL).frame());
    wait::until_true("the query to pass", || lab.packets("in", "multicast-listener") > passed);
    // A report follows the hop-by-hop header: version 1 or 2, as the query was.
    link.expect("the report", |frame| {
        frame.get(20) == Some(&0) && matches!(frame.get(62), Some(131 | 143))
    });
}

/// E3, E4: link control passes; what carries IP without being parsed does not.
#[test]
fn link_control_passes_and_unknown_ethertypes_do_not() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    let link = Link::open(&lab.router, "gateway");
    let passed = lab.packets("in", "link-control");
    let syn = Packet::ip(OUTSIDE.v6, INSIDE.v6).tcp(1, 7, tests::packet::flag::SYN).ip_bytes();
    for ethertype in [0x88cc, 0x888e, 0x8809] {
        link.send(&Packet::ethertype(ethertype, &[0; 46]).frame());
    }
    link.send(&Packet::llc(&[0x42; 46]).frame());
    wait::until_true("link control", || lab.packets("in", "link-control") == passed + 4);
    lab.expect_drops("ethertype-refused", 2, || {
        for ethertype in [0x8864, 0x8847] {
            link.send(&Packet::ethertype(ethertype, &syn).frame());
        }
    });
}

/// RFC6092-REC-1, RFC6092-REC-3, RFC6092-REC-7, E23, E49: addresses that cannot be on the other
/// side of an uplink stay there, even when inside would talk to them.
#[test]
fn martians_do_not_land() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    let link = Link::open(&lab.router, "gateway");
    let sources: [(Family, &[&str]); 2] = [
        (Family::Ipv4, &["127.0.0.1", "0.1.2.3", "240.0.0.1", "192.0.2.1"]),
        (Family::Ipv6, &["::1", "2001:db8::1", "fd00::1", "fec0::1"]),
    ];
    for (family, sources) in sources {
        lab.expect_drops("martian-source", sources.len() as u64, || {
            for source in sources {
                let packet = Packet::ip(source, INSIDE.ip(family)).macs(ROUTER_MAC, UPLINK_MAC);
                link.send(&packet.udp(7, 7).frame());
            }
        });
    }
}
