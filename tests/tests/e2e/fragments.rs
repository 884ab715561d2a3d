//! Datagrams larger than the link.

use std::net::UdpSocket;

use gateway_common::tuple::Family;
use tests::{
    address::FAMILIES,
    capture::Link,
    eigw::Hook,
    packet::Packet,
    socket::{self, Server},
    topology::{INSIDE, Lab, OUTSIDE, ROUTER_MAC, STRANGER, UPLINK_MAC},
    wait::PATIENCE,
};

use crate::{in_every_hook, traffic::drops};

in_every_hook!(large_datagrams_pass_both_ways);
in_every_hook!(fragments_may_come_in_any_order);

/// RFC4787-REQ-14, RFC8200-4.5-FIRST, E35, E42, E74: datagrams of several fragments go out and
/// come in, one flow each, and no flow without ports.
fn large_datagrams_pass_both_ways(hook: Hook) {
    let lab = Lab::new();
    let _services = FAMILIES.map(|family| socket::udp_echo(&lab.outside, OUTSIDE.port(family, 7)));
    lab.attach(hook);
    for family in FAMILIES {
        let datagram: Vec<u8> = (0..=255).cycle().take(8_000).collect();
        let server = OUTSIDE.port(family, 7);
        for host in [&lab.inside, &lab.gateway] {
            let echoed = socket::udp_exchange(host, server, &datagram, PATIENCE).expect("UDP");
            assert_eq!(echoed, datagram);
        }
    }
    // Six fragments each, of which five carry no ports.
    assert_eq!(lab.packets("in", "fragment"), 4 * 5);
    let flows = lab.flows();
    assert_eq!(flows.len(), 4, "{flows:#?}");
    assert!(flows.iter().all(|flow| flow["remote_port"] == 7), "{flows:#?}");
    assert_eq!(drops(&lab), Vec::<serde_json::Value>::new(), "nothing had to be dropped");
}

/// RFC4787-REQ-14, E36: later fragments may overtake the first.
fn fragments_may_come_in_any_order(hook: Hook) {
    let lab = Lab::new();
    let silent =
        FAMILIES.map(|family| Server::udp(&lab.outside, OUTSIDE.port(family, 7), |_| None));
    lab.attach(hook);
    let link = Link::open(&lab.router, "gateway");
    let payload: Vec<u8> = (0..=255).cycle().take(4_000).collect();
    for (family, service) in FAMILIES.into_iter().zip(&silent) {
        let client = ask(&lab, family);
        tests::wait::until_true("the question to arrive", || service.served() == 1);
        let port = client.local_addr().expect("bound").port();
        let answer = Packet::ip(OUTSIDE.ip(family), INSIDE.ip(family))
            .macs(ROUTER_MAC, UPLINK_MAC)
            .udp(7, port)
            .payload(&payload);
        let orders: [&[usize]; 3] = [&[0, 1, 2], &[2, 1, 0], &[1, 0, 2]];
        for (id, order) in (0x1001..).zip(orders) {
            let fragments = answer.fragments(id, 1400);
            assert_eq!(fragments.len(), order.len());
            for &index in order {
                link.send(&fragments[index].frame());
            }
            let mut received = vec![0; 10_000];
            let len = client.recv(&mut received).expect("the whole answer");
            assert_eq!(received[..len], payload, "in the order {order:?}");
        }
    }
}

/// RFC4787-REQ-14, RFC1858-DIRECT, E37, E39: fragments that nobody asked for do not pass, and
/// neither do the rest of a datagram whose first fragment was refused.
#[test]
fn unsolicited_fragments_are_dropped() {
    let lab = Lab::new();
    let _silent =
        FAMILIES.map(|family| Server::udp(&lab.outside, OUTSIDE.port(family, 7), |_| None));
    lab.attach(Hook::Xdp);
    let link = Link::open(&lab.router, "gateway");
    for family in FAMILIES {
        let client = ask(&lab, family);
        let port = client.local_addr().expect("bound").port();
        let datagram = Packet::ip(STRANGER.ip(family), INSIDE.ip(family))
            .macs(ROUTER_MAC, UPLINK_MAC)
            .udp(7, port)
            .payload(&[0; 2_000]);
        let fragments = datagram.fragments(0x2001, 1400);
        lab.expect_drops("no-flow", 1, || link.send(&fragments[0].frame()));
        lab.expect_drops("fragment-unsolicited", 1, || link.send(&fragments[1].frame()));
        client.set_nonblocking(true).expect("non-blocking");
        let received = client.recv(&mut [0; 4_000]);
        assert!(received.is_err(), "{received:?}");
    }
}

/// Opens a flow to the outside service, which does not answer by itself.
fn ask(lab: &Lab, family: Family) -> UdpSocket {
    let client = socket::udp_client(&lab.inside, OUTSIDE.port(family, 7), PATIENCE);
    let client = client.expect("a socket");
    client.send(b"question").expect("sent");
    client
}
