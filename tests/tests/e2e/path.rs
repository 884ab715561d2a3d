//! The path beyond the uplink tells inside about itself: MTUs, hops, unreachable places.

use std::net::UdpSocket;

use gateway_common::tuple::Family;
use tests::{
    address::{Dual, FAMILIES},
    capture::Link,
    eigw::Hook,
    icmp::{Listener, Pinger},
    netns::Netns,
    packet::Packet,
    socket,
    topology::{GATEWAY, INSIDE, Lab, OUTSIDE, ROUTER, ROUTER_MAC, UPLINK_MAC},
    wait::{self, PATIENCE},
};

use crate::in_every_hook;

in_every_hook!(path_mtu_discovery_works);
in_every_hook!(traceroute_works_with_udp_and_with_ping);

/// The MTU of the path behind the router, in bytes.
const NARROW: u16 = 1400;

/// RFC4890-4.3.1-PTB, RFC6092-REC-18, RFC6092-REC-36, RFC2979-3.1.1, RFC5508-REQ-4: a narrow link
/// behind the router makes itself known to TCP and UDP senders, and the flow goes on.
fn path_mtu_discovery_works(hook: Hook) {
    let lab = Lab::new();
    lab.router.ip(&format!(
        "route add {}/32 dev outside mtu lock {NARROW}\n\
         route add {}/128 dev outside mtu lock {NARROW}\n",
        OUTSIDE.v4, OUTSIDE.v6
    ));
    let _services = FAMILIES.map(|family| {
        let address = OUTSIDE.port(family, 7);
        [socket::tcp_echo(&lab.outside, address), socket::udp_echo(&lab.outside, address)]
    });
    lab.attach(hook);
    for family in FAMILIES {
        let server = OUTSIDE.port(family, 7);
        for host in [&lab.inside, &lab.gateway] {
            let related = lab.packets("in", "related");
            let payload = vec![0x5a; 200_000];
            let echoed = socket::tcp_exchange(host, server, &payload, PATIENCE).expect("TCP");
            assert!(echoed == payload, "the gateway changed what TCP carries");
            assert!(lab.packets("in", "related") > related, "no error was needed");
            let route = host.ip_output(&format!("route get {}", server.ip()));
            assert!(route.contains(&format!("mtu {NARROW}")), "{route}");
            // Datagrams are cut to fit from now on, and come back whole.
            let datagram = vec![0xa5; 1450];
            let echoed = socket::udp_exchange(host, server, &datagram, PATIENCE).expect("UDP");
            assert_eq!(echoed, datagram);
        }
    }
}

/// RFC4890-4.3.1-TE0, RFC4890-4.3.1-DU, RFC5508-REQ-4, RFC4787-REQ-12: each hop's complaint about
/// a probe comes back, in both ways of tracing a route.
fn traceroute_works_with_udp_and_with_ping(hook: Hook) {
    let lab = Lab::new();
    lab.attach(hook);
    for family in FAMILIES {
        // The gateway is the first hop of the hosts behind it, and none of its own.
        trace(&lab.inside, INSIDE, family, 1);
        trace(&lab.gateway, GATEWAY, family, 0);
    }
    // Three errors each, for two hosts in two families.
    assert_eq!(lab.packets("in", "related"), 12);
}

/// Probes the two hops behind the uplink.
fn trace(host: &Netns, from: Dual, family: Family, hops_before: u32) {
    let (exceeded, unreachable, echo_reply) = match family {
        Family::Ipv4 => ((11, 0), (3, 3), 0),
        Family::Ipv6 => ((3, 0), (1, 4), 129),
    };
    let errors = Listener::new(host, family);
    let target = OUTSIDE.port(family, 33_434);
    let probe = host.run(|| UdpSocket::bind(from.port(family, 0))).expect("a socket");
    for (hops, answers, (kind, code)) in [(1, ROUTER, exceeded), (2, OUTSIDE, unreachable)] {
        set_hop_limit(&probe, family, hops_before + hops);
        probe.send_to(b"probe", target).expect("sent");
        let error = errors.expect("the answer to a UDP probe", |message| {
            (message.kind, message.code) == (kind, code)
        });
        assert_eq!(error.from, answers.ip(family));
        assert!(error.body.ends_with(b"probe"), "{error:02x?}");
    }
    let pinger = Pinger::new(host, target.ip()).expect("a ping socket");
    pinger.set_hop_limit(hops_before + 1).expect("a hop limit");
    pinger.send(1).expect("sent");
    let error = errors
        .expect("the answer to a ping probe", |message| (message.kind, message.code) == exceeded);
    assert_eq!(error.from, ROUTER.ip(family));
    pinger.set_hop_limit(hops_before + 2).expect("a hop limit");
    pinger.send(2).expect("sent");
    let reply = errors.expect("the echo reply", |message| message.kind == echo_reply);
    assert_eq!(reply.from, OUTSIDE.ip(family));
}

/// RFC6092-REC-10, RFC2979-3.1.1b, RFC4890-4.1b, E94, E96: an error about something that inside
/// never sent neither passes nor narrows any path.
#[test]
fn errors_about_nothing_are_dropped() {
    let lab = Lab::new();
    let _service = FAMILIES.map(|family| socket::udp_echo(&lab.outside, OUTSIDE.port(family, 7)));
    lab.attach(Hook::Xdp);
    let link = Link::open(&lab.router, "gateway");
    for family in FAMILIES {
        let (inside, outside) = (INSIDE.ip(family), OUTSIDE.ip(family));
        let client = socket::udp_client(&lab.inside, OUTSIDE.port(family, 7), PATIENCE);
        let client = client.expect("a socket");
        client.send(b"a live flow").expect("sent");
        client.recv(&mut [0; 64]).expect("an answer");
        let port = client.local_addr().expect("bound").port();
        let sent = Packet::ip(inside, outside).udp(port, 7).payload(b"a live flow");
        let too_big = |quote: &[u8]| {
            let (kind, code) = if family == Family::Ipv4 { (3, 4) } else { (2, 0) };
            let router = Packet::ip(ROUTER.ip(family), inside).macs(ROUTER_MAC, UPLINK_MAC);
            link.send(&router.icmp_error(kind, code, 1300, quote).frame());
        };
        lab.expect_drops("icmp-unrelated", 1, || {
            too_big(&Packet::ip(inside, outside).udp(port ^ 1, 7).ip_bytes());
        });
        lab.expect_drops("icmp-quote", 1, || too_big(&sent.mirror().ip_bytes()));
        let route = lab.inside.ip_output(&format!("route get {outside}"));
        assert!(!route.contains("mtu"), "a forged error narrowed the path: {route}");

        // The same error about the live flow is believed, so the above was not for other faults.
        let related = lab.packets("in", "related");
        too_big(&sent.ip_bytes());
        wait::until_true("the path's MTU", || {
            lab.inside.ip_output(&format!("route get {outside}")).contains("mtu 1300")
        });
        assert_eq!(lab.packets("in", "related"), related + 1);
        // The socket reports the error once, and the flow lives on.
        wait::until_true("the error to be reported", || client.send(b"after").is_ok());
        client.recv(&mut [0; 64]).expect("an answer");
    }
}

fn set_hop_limit(socket: &UdpSocket, family: Family, hops: u32) {
    let socket = socket2::SockRef::from(socket);
    let set = match family {
        Family::Ipv4 => socket.set_ttl_v4(hops),
        Family::Ipv6 => socket.set_unicast_hops_v6(hops),
    };
    set.expect("a hop limit");
}
