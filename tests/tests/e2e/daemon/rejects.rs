//! The errors of `delayed_reject`.

use std::{
    cell::RefCell,
    io,
    time::{Duration, Instant},
};

use gateway_common::tuple::Family;
use tests::{
    address::FAMILIES,
    capture::Link,
    eigw::Hook,
    icmp,
    packet::{Packet, flag},
    socket,
    topology::{INSIDE, Lab, OUTSIDE, ROUTER_MAC, UPLINK_MAC},
    wait::PATIENCE,
};

use super::{Daemon, Home};
use crate::in_every_hook;

in_every_hook!(openings_from_outside_are_rejected_late);

/// RFC6092-REC-34, RFC6092-REC-39: whoever opens a connection from outside learns after six
/// seconds that it is refused. Nobody does who was denied it or said anything else, nor if inside
/// opens the same meanwhile.
fn openings_from_outside_are_rejected_late(hook: Hook) {
    const DENIED: u16 = 1;
    const MUTUAL: u16 = 2;
    const ANSWERED: u16 = 3;
    const DATAGRAM: u16 = 4;
    const TCP: u16 = 5;
    const SCTP: u16 = 6;
    const INIT: [u8; 20] = [1, 0, 0, 20, 0, 0, 0, 9, 0, 0, 16, 0, 0, 1, 0, 1, 0, 0, 0, 7];
    let lab = Lab::new();
    let home = Home::new();
    home.configure(&format!(
        "hook = \"{}\"\n[rfc6092]\ndelayed_reject = true\n[[rule]]\ndirection = \"in\"\n\
         action = \"deny\"\nproto = \"tcp\"\nports = {DENIED}\n",
        hook.name()
    ));
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    let link = Link::open(&lab.router, "gateway");
    for family in FAMILIES {
        let listener = icmp::Listener::new(&lab.outside, family);
        let _service = socket::tcp_echo(&lab.outside, OUTSIDE.port(family, 7));
        let packet =
            || Packet::ip(OUTSIDE.ip(family), INSIDE.ip(family)).macs(ROUTER_MAC, UPLINK_MAC);
        let begin = Instant::now();
        lab.expect_drops("rule-denied", 1, || {
            link.send(&packet().tcp(7, DENIED, flag::SYN).frame());
        });
        lab.expect_drops("no-flow", 5, || {
            link.send(&packet().tcp(7, MUTUAL, flag::SYN).frame());
            link.send(&packet().tcp(7, ANSWERED, flag::SYN | flag::ACK).frame());
            link.send(&packet().udp(7, DATAGRAM).frame());
            link.send(&packet().tcp(7, TCP, flag::SYN).frame());
            link.send(&packet().sctp(7, SCTP, 0, &INIT).frame());
        });
        let (local, remote) = (INSIDE.port(family, MUTUAL), OUTSIDE.port(family, 7));
        let mutual = socket::connect_from(&lab.inside, local, remote, PATIENCE);
        let mutual = mutual.expect("inside opens the same");
        let rejected = RefCell::new(Vec::new());
        listener.expect("the last opening's error", |message| {
            let (kind, code, ports) = match family {
                Family::Ipv4 => (3, 13, 20),
                Family::Ipv6 => (1, 1, 40),
            };
            if (message.kind, message.code) != (kind, code) {
                return false;
            }
            assert!(begin.elapsed() >= Duration::from_secs(6), "too early: {message:?}");
            let port = u16::from_be_bytes([message.body[ports + 2], message.body[ports + 3]]);
            rejected.borrow_mut().push(port);
            port == SCTP
        });
        assert_eq!(rejected.into_inner(), [TCP, SCTP]);
        assert_eq!(socket::exchange(&mutual, b"still").expect("the flow lives"), b"still");
    }
}

/// Without a process that sends them there are no errors, and the operator is told so.
#[test]
fn delayed_rejects_without_a_daemon_are_worth_a_note() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("[rfc6092]\ndelayed_reject = true\n");
    let said = lab.eigw(&["attach", "-c", home.file()]).success();
    assert!(said.contains("note: 'delayed_reject' needs a process"), "{said}");
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    assert!(!daemon.stdout().contains("delayed_reject"), "{}", daemon.stdout());
    for command in ["attach", "reload"] {
        let said = lab.eigw(&[command, "-c", home.file()]).success();
        assert!(!said.contains("delayed_reject"), "{said}");
    }
}

/// A gateway that was detached and attached again, as changing the sizes of its tables takes, has
/// the services that the one before had.
#[test]
fn a_gateway_that_is_attached_anew_rejects_as_well() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("[rfc6092]\ndelayed_reject = true\n");
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    lab.detach();
    lab.eigw(&["attach", "-c", home.file()]).success();
    daemon.expect_stderr("the gateway was attached anew");
    let refused = socket::connect(&lab.outside, INSIDE.port(Family::Ipv4, 9), PATIENCE);
    let error = refused.expect_err("what outside opens is dropped");
    assert_eq!(error.kind(), io::ErrorKind::HostUnreachable, "{error}: {}", daemon.stderr());
}
