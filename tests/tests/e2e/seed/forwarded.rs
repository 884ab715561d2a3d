//! Connections of hosts behind the gateway, which only connection tracking knows.

use std::{net::SocketAddr, process::Command};

use gateway_common::tuple::Family;
use serde_json::Value;
use tests::{
    address::FAMILIES,
    eigw::Hook,
    icmp::Pinger,
    netns::Netns,
    topology::{GATEWAY, INSIDE, Lab, OUTSIDE},
};

use super::pair::{Pair, Side, answer, attach, seeded};
use crate::in_every_hook;

in_every_hook!(forwarded_connections_go_on);

/// RFC6092-REC-32, E136: TCP that either side opened, UDP and a ping.
fn forwarded_connections_go_on(hook: Hook) {
    let lab = Lab::new();
    track(&lab.gateway, "");
    let of_family = |family| {
        let (ssh, web) = (INSIDE.port(family, 22), OUTSIDE.port(family, 443));
        [
            Pair::tcp(&lab.inside, ssh, &lab.outside, ssh, Side::Client),
            Pair::tcp(&lab.outside, web, &lab.inside, web, Side::Server),
            Pair::udp(&lab.outside, web, &lab.inside, Side::Server),
        ]
    };
    let pairs: Vec<Pair> = FAMILIES.into_iter().flat_map(of_family).collect();
    let pingers = FAMILIES.map(|family| {
        let pinger = Pinger::new(&lab.inside, OUTSIDE.ip(family)).expect("a ping socket");
        pinger.ping(1).expect("an echo reply");
        pinger.identifier().expect("an identifier")
    });
    let [sockets, conntrack, skipped] = attach(&lab, hook, &[]);
    assert_eq!((sockets, skipped), (0, 0));
    let flows = lab.flows();
    assert_eq!(flows.len() as u64, conntrack, "{flows:#?}");
    for id in pingers {
        assert!(flows.iter().any(|flow| flow["local_port"] == id), "{id} is not in {flows:#?}");
    }
    for pair in &pairs {
        pair.goes_on(b"after");
    }
    assert_eq!(lab.packets("in", "no-flow"), 0);
}

/// Behind a masquerade, packets on the uplink carry the gateway's own address and perhaps another
/// port; a forwarded port has the gateway's port.
#[test]
fn translated_connections_are_known_by_their_outer_addresses() {
    let lab = Lab::new();
    track(
        &lab.gateway,
        "chain out { type nat hook postrouting priority srcnat;\n\
           oifname uplink meta l4proto { tcp, udp } masquerade to :6000-6999; }\n\
         chain in { type nat hook prerouting priority dstnat;\n\
           iifname uplink tcp dport 2222 meta nfproto ipv4 dnat ip to 10.77.1.2:22;\n\
           iifname uplink tcp dport 2222 meta nfproto ipv6 dnat ip6 to [2a00:1:0:a::2]:22; }\n",
    );
    let of_family = |family| {
        let (web, ssh) = (OUTSIDE.port(family, 443), INSIDE.port(family, 22));
        let forwarded = GATEWAY.port(family, 2222);
        [
            Pair::tcp(&lab.outside, web, &lab.inside, web, Side::Server),
            Pair::udp(&lab.outside, web, &lab.inside, Side::Server),
            Pair::tcp(&lab.inside, ssh, &lab.outside, forwarded, Side::Client),
        ]
    };
    let pairs: Vec<Pair> = FAMILIES.into_iter().flat_map(of_family).collect();
    let [sockets, _, skipped] = attach(&lab, Hook::Xdp, &[]);
    assert_eq!((sockets, skipped), (0, 0));
    let flows = lab.flows();
    for family in FAMILIES {
        let of_gateway = flows.iter().filter(|flow| flow["local"] == ip(family));
        let mut ports: Vec<u64> =
            of_gateway.map(|flow| flow["local_port"].as_u64().expect("a number")).collect();
        ports.sort_unstable();
        assert!(
            matches!(ports[..], [2222, 6000..7000, 6000..7000]),
            "{ports:?} of {family:?} in {flows:#?}"
        );
    }
    for pair in &pairs {
        pair.goes_on(b"after");
    }
    assert_eq!(lab.packets("in", "no-flow"), 0);
}

/// The host's own connections are in both sources, and count once.
#[test]
fn what_both_sources_know_counts_once() {
    let lab = Lab::new();
    track(&lab.gateway, "");
    let ssh = GATEWAY.port(Family::Ipv6, 22);
    let pair = Pair::tcp(&lab.gateway, ssh, &lab.outside, ssh, Side::Client);
    assert_eq!(attach(&lab, Hook::Xdp, &[]), [1, 0, 0]);
    pair.goes_on(b"after");
}

/// What outside sent and nobody answered is not let in by having been there before.
#[test]
fn unanswered_openings_from_outside_are_not_seeded() {
    let lab = Lab::new();
    track(&lab.gateway, "");
    let silent = tests::socket::Server::udp(&lab.inside, INSIDE.port(Family::Ipv4, 9), |_| None);
    let client = tests::socket::udp_client(&lab.outside, silent.address(), tests::wait::PATIENCE);
    client.expect("a socket").send(b"hello?").expect("sent");
    tests::wait::until_true("the datagram to arrive", || silent.served() == 1);
    assert_eq!(attach(&lab, Hook::Xdp, &[]), [0, 0, 0]);
}

/// Nothing tells where connections of other zones belong, so they are not seeded, and a note says so.
#[test]
fn other_zones_are_left_out_with_a_note() {
    let lab = Lab::new();
    track(
        &lab.gateway,
        "chain zone { type filter hook prerouting priority raw; iifname inside ct zone set 7; }\n",
    );
    let web: SocketAddr = OUTSIDE.port(Family::Ipv4, 443);
    let udp = Pair::udp(&lab.outside, web, &lab.inside, Side::Server);
    let answer = answer(&lab, Hook::Xdp, &[]);
    let note = answer["notes"].to_string();
    assert!(note.contains("zones other than the default"), "{note}");
    let flows: Vec<Value> = lab.flows();
    assert_eq!(seeded(&answer)[1], flows.len() as u64, "{flows:#?}");
    drop(udp);
}

fn ip(family: Family) -> String {
    GATEWAY.ip(family).to_string()
}

/// Has the kernel track connections, with further chains of a table for both families.
pub(super) fn track(host: &Netns, chains: &str) {
    let text = format!(
        "table inet t {{\n\
         chain forward {{ type filter hook forward priority filter; ct state invalid counter; }}\n\
         chain input {{ type filter hook input priority filter; ct state invalid counter; }}\n\
         {chains}}}\n"
    );
    let mut command = Command::new("nft");
    let output = host.output(command.arg(&text)).expect("nft (nftables) starts");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "nft refused {text}: {complaint}");
}
