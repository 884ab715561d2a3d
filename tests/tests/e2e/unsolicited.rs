//! What outside starts is dropped, silently, and leaves no trace.

use std::{io, time::Duration};

use gateway_common::tuple::Family;
use serde_json::Value;
use tests::{
    address::{Dual, FAMILIES},
    capture::Link,
    eigw::Hook,
    icmp::{self, Pinger},
    packet::{Packet, flag},
    socket,
    topology::{GATEWAY, INSIDE, Lab, OUTSIDE, ROUTER_MAC, STRANGER, UPLINK_MAC},
    wait::PATIENCE,
};

use crate::in_every_hook;

/// How long outside waits for what must not come.
const BRIEFLY: Duration = Duration::from_millis(300);

in_every_hook!(what_outside_starts_is_dropped);
in_every_hook!(only_the_peer_may_answer);
in_every_hook!(forged_segments_reach_nobody);

/// RFC6092-REC-50, RFC6092-REC-8, RFC5382-REQ-4, RFC7084-G-2, E124: connections, datagrams and
/// pings from outside get no answer, reach no socket and open no flow, whether they are for a host
/// behind the gateway or for itself.
fn what_outside_starts_is_dropped(hook: Hook) {
    let lab = Lab::new();
    lab.attach(hook);
    for (host, at) in [(&lab.inside, INSIDE), (&lab.gateway, GATEWAY)] {
        for family in FAMILIES {
            let server = at.port(family, 7);
            let services = [socket::tcp_echo(host, server), socket::udp_echo(host, server)];
            lab.expect_drops("no-flow", 1, || {
                let connected = socket::connect(&lab.outside, server, BRIEFLY);
                assert_silence(connected.map(drop));
            });
            lab.expect_drops("no-flow", 1, || {
                let answered = socket::udp_exchange(&lab.outside, server, b"hello?", BRIEFLY);
                assert_silence(answered.map(drop));
            });
            lab.expect_drops("ping-refused", 1, || {
                assert_silence(icmp::ping(&lab.outside, at.ip(family)));
            });
            assert_eq!(services.map(|service| service.served()), [0, 0]);
        }
    }
    assert_eq!(lab.flows(), Vec::<Value>::new(), "outside opened a flow");
    assert_eq!(lab.packets("in", "flow"), 0);
}

/// RFC6092-REC-17, RFC6092-REC-33, RFC6092-REC-11: a flow admits its peer's address and port
/// only, and replies to anybody else's probes stay out.
fn only_the_peer_may_answer(hook: Hook) {
    let lab = Lab::new();
    let _services = FAMILIES.map(|family| socket::udp_echo(&lab.outside, OUTSIDE.port(family, 7)));
    lab.attach(hook);
    let link = Link::open(&lab.router, "gateway");
    for family in FAMILIES {
        let server = OUTSIDE.port(family, 7);
        let client = lab.inside.run(|| std::net::UdpSocket::bind(INSIDE.port(family, 0)));
        let client = client.expect("a socket");
        client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        client.send_to(b"question", server).expect("sent");
        let mut answer = [0; 64];
        let (_, from) = client.recv_from(&mut answer).expect("an answer");
        assert_eq!(from, server);
        let port = client.local_addr().expect("bound").port();
        let to = |from: Dual, source, destination| {
            datagram(family, from, INSIDE).udp(source, destination).payload(b"lie").frame()
        };
        let lies = [
            to(STRANGER, 7, port),
            to(OUTSIDE, 8, port),
            to(OUTSIDE, 7, port.wrapping_add(1)),
            // UDP-Lite has ports of its own (RFC6092-REC-20).
            datagram(family, OUTSIDE, INSIDE).udp_lite(7, port).frame(),
        ];
        lab.expect_drops("no-flow", 4, || lies.iter().for_each(|lie| link.send(lie)));
        client.set_nonblocking(true).expect("non-blocking");
        assert_silence(client.recv_from(&mut answer).map(drop));
        client.set_nonblocking(false).expect("blocking");
        client.send_to(b"again", server).expect("sent");
        client.recv_from(&mut answer).expect("the flow lives on");
        assert_eq!(&answer[..5], b"again");
    }
}

/// RFC5961-4.2, E124, E125, E131: no segment of an unknown or a live connection that outside
/// forges is answered, and the live connection does not notice.
fn forged_segments_reach_nobody(hook: Hook) {
    let lab = Lab::new();
    let _services = FAMILIES.map(|family| socket::tcp_echo(&lab.outside, OUTSIDE.port(family, 7)));
    lab.attach(hook);
    let link = Link::open(&lab.router, "gateway");
    for family in FAMILIES {
        let stream = socket::connect(&lab.inside, OUTSIDE.port(family, 7), PATIENCE);
        let stream = stream.expect("a connection");
        let port = stream.local_addr().expect("connected").port();
        let unknown =
            [flag::SYN, flag::SYN | flag::ACK, flag::ACK, flag::FIN | flag::ACK, flag::RST];
        lab.expect_drops("no-flow", 5, || {
            for flags in unknown {
                link.send(&datagram(family, OUTSIDE, INSIDE).tcp(7, 1, flags).frame());
            }
        });
        let nonsense = [0, flag::FIN, flag::SYN | flag::FIN, flag::SYN | flag::RST];
        lab.expect_drops("tcp-flags", 4, || {
            for flags in nonsense {
                link.send(&datagram(family, OUTSIDE, INSIDE).tcp(7, port, flags).frame());
            }
        });
        lab.expect_drops("tcp-state", 1, || {
            link.send(&datagram(family, OUTSIDE, INSIDE).tcp(7, port, flag::SYN).frame());
        });
        let echoed = socket::exchange(&stream, b"still here").expect("the connection lives on");
        assert_eq!(echoed, b"still here");
    }
}

/// E107, RFC5508-REQ-1: an echo reply passes only to the identifier and from the host that was
/// asked.
#[test]
fn only_the_host_that_was_pinged_may_reply() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    let link = Link::open(&lab.router, "gateway");
    for family in FAMILIES {
        let pinger = Pinger::new(&lab.inside, OUTSIDE.ip(family)).expect("a ping socket");
        pinger.ping(1).expect("an echo reply");
        let id = pinger.identifier().expect("an identifier");
        lab.expect_drops("no-flow", 2, || {
            link.send(&datagram(family, STRANGER, INSIDE).echo_reply(id, 1).frame());
            link.send(&datagram(family, OUTSIDE, INSIDE).echo_reply(id ^ 1, 1).frame());
        });
    }
}

/// RFC6092-REC-22, RFC6092-REC-38, E79, E82, E86: protocols without sockets here are dropped as
/// well, and answers to those that inside sent pass.
#[test]
fn other_protocols_follow_the_same_rule() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    let (router, gateway) =
        (Link::open(&lab.router, "gateway"), Link::open(&lab.gateway, "uplink"));
    for family in FAMILIES {
        let data = [0, 3, 0, 17, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0];
        let from = |source: Dual, destination: Dual| {
            let packet = || datagram(family, source, destination);
            [
                packet().protocol(50, &[7; 24]),
                packet().protocol(253, b"experiment"),
                packet().protocol(47, &[0, 0, 0x86, 0xdd, 0, 0, 0, 0]),
                packet().sctp(5000, 5000, 1, &data),
            ]
        };
        lab.expect_drops("no-flow", 4, || {
            for packet in from(OUTSIDE, GATEWAY) {
                router.send(&packet.frame());
            }
        });
        let created = lab.packets("out", "flow-created");
        for packet in from(GATEWAY, OUTSIDE) {
            gateway.send(&packet.macs(UPLINK_MAC, ROUTER_MAC).frame());
        }
        assert_eq!(lab.packets("out", "flow-created"), created + 4);
        let passed = lab.packets("in", "flow");
        for packet in from(OUTSIDE, GATEWAY) {
            router.send(&packet.frame());
        }
        tests::wait::until_true("the answers", || lab.packets("in", "flow") == passed + 4);
    }
}

/// A packet that the router forwards to the gateway.
fn datagram(family: Family, source: Dual, destination: Dual) -> Packet {
    Packet::ip(source.ip(family), destination.ip(family)).macs(ROUTER_MAC, UPLINK_MAC)
}

#[track_caller]
fn assert_silence(outcome: io::Result<()>) {
    let error = outcome.expect_err("somebody answered");
    let silent = matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock);
    assert!(silent, "refused instead of ignored: {error}");
}
