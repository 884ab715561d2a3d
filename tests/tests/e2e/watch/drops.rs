//! `eigw drop watch`.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use gateway_common::tuple::Family;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::{
    capture::Link,
    config::ConfigFile,
    eigw::Hook,
    packet::{Packet, flag},
    socket,
    topology::{GATEWAY, INSIDE, Lab, OUTSIDE, ROUTER_MAC, STRANGER, UPLINK, UPLINK_MAC},
    wait::{self, PATIENCE},
};

use super::{Watcher, inbound, observed, syn};
use crate::in_every_hook;

in_every_hook!(a_dropped_packet_is_shown_with_its_reason);

/// Each field, for a segment of either family; and when the watch is over, nothing is reported any
/// more.
fn a_dropped_packet_is_shown_with_its_reason(hook: Hook) {
    let lab = Lab::new();
    lab.attach(hook);
    let link = Link::open(&lab.router, "gateway");
    let watcher = Watcher::start(&lab, &["-j", "drop", "watch", "--reason", "no-flow"]);
    for (family, bytes) in [(Family::Ipv4, 40), (Family::Ipv6, 60)] {
        lab.expect_drops("no-flow", 1, || link.send(&syn(family, 4_000, 22)));
        let shown = wait::until("the packet", || {
            watcher.documents().into_iter().find(|packet| packet["bytes"] == bytes)
        });
        let expected = [
            ("direction", json!("in")),
            ("uplink", json!(UPLINK)),
            ("verdict", json!("drop")),
            ("reason", json!("no-flow")),
            ("proto", json!("tcp")),
            ("family", json!(if family == Family::Ipv4 { "ipv4" } else { "ipv6" })),
            ("source", json!(OUTSIDE.ip(family).to_string())),
            ("source_port", json!(4_000)),
            ("destination", json!(INSIDE.ip(family).to_string())),
            ("destination_port", json!(22)),
            ("vlan", Value::Null),
            ("tcp_flags", json!(["syn"])),
            ("packets", json!(1)),
            ("rule", Value::Null),
            ("subnet", Value::Null),
        ];
        for (field, value) in expected {
            assert_eq!(shown[field], value, "{field} of {shown}");
        }
    }
    let (shown, missing) = watcher.interrupt();
    assert_eq!(shown.len(), 2);
    assert_eq!(missing, json!({"event": "missing", "reported": 2, "limited": 0, "lost": 0}));
    assert_eq!(observed(&lab), 0);
}

/// Every filter shows what it is for and hides the rest.
#[test]
fn filters_show_and_hide() {
    let lab = Lab::new();
    let _echo = socket::udp_echo(&lab.outside, OUTSIDE.port(Family::Ipv4, 7));
    lab.attach(Hook::Tc);
    let rows: [(&[&str], &[&str]); 17] = [
        (&[], &["syn", "dns", "ping", "nonsense"]),
        (&["--reason", "no-flow"], &["syn", "dns"]),
        (&["--reason", "ping-refused", "--reason", "tcp-flags"], &["ping", "nonsense"]),
        (&["--in"], &["syn", "dns", "ping", "nonsense"]),
        (&["--out"], &[]),
        (&["--out", "--passes"], &["question"]),
        (&["--passes"], &["syn", "dns", "ping", "nonsense", "question", "answer"]),
        (&["--proto", "udp"], &["dns"]),
        (&["--proto", "icmp"], &["ping"]),
        (&["--local", &INSIDE.v4.to_string()], &["dns", "ping", "nonsense"]),
        (&["--local", "2a00:1::/32"], &["syn"]),
        (&["--remote", &STRANGER.v4.to_string()], &["dns"]),
        (&["--remote", "10.77.0.0/16"], &["dns", "ping", "nonsense"]),
        (&["--local-port", "22"], &["syn", "nonsense"]),
        (&["--remote-port", "4001"], &["dns"]),
        (&["--remote-port", "4001", "--proto", "tcp"], &[]),
        (&["--rule", "1"], &[]),
    ];
    for (filter, expected) in rows {
        let command = [&["-j", "drop", "watch", "--rate", "0"], filter].concat();
        let watcher = Watcher::start(&lab, &command);
        send_one_of_each(&lab);
        let (shown, _) = watcher.interrupt();
        let mut names: Vec<_> = shown.iter().filter_map(name_of).collect();
        names.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(names, expected, "{filter:?} showed {shown:#?}");
    }
}

/// Whatever the limit holds back is counted, and so is what the reader is too slow for: together
/// with what was shown that is every packet that was dropped meanwhile.
#[test]
fn what_is_not_shown_in_a_flood_is_counted() {
    const PACKETS: u64 = 30_000;
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    let link = Link::open(&lab.router, "gateway");
    let frame = syn(Family::Ipv6, 4_000, 22);
    let flood = || (0..PACKETS).for_each(|_| link.send(&frame));
    let number = |missing: &Value, field: &str| missing[field].as_u64().expect("a number");
    let command = |rate| ["-j", "drop", "watch", "--reason", "no-flow", "--rate", rate];

    let watcher = Watcher::start(&lab, &command("100/s"));
    let before = lab.packets("in", "no-flow");
    lab.expect_drops("no-flow", PACKETS, flood);
    let (shown, missing) = watcher.interrupt();
    let dropped = lab.packets("in", "no-flow") - before;
    let [reported, limited, lost] = ["reported", "limited", "lost"].map(|it| number(&missing, it));
    assert_eq!((reported + limited + lost, lost), (dropped, 0), "{missing}");
    assert_eq!(shown.len() as u64, reported);
    assert!(limited > PACKETS / 2, "{missing}");

    let mut watcher = Watcher::start(&lab, &command("0"));
    // It does not take anything while it stands still.
    watcher.send(Signal::SIGSTOP);
    let before = lab.packets("in", "no-flow");
    lab.expect_drops("no-flow", PACKETS, flood);
    watcher.send(Signal::SIGCONT);
    let status = watcher.end(Signal::SIGTERM);
    assert_eq!(status.code(), Some(0), "{}", watcher.stderr());
    let (shown, missing) = watcher.ended();
    let dropped = lab.packets("in", "no-flow") - before;
    let [reported, limited, lost] = ["reported", "limited", "lost"].map(|it| number(&missing, it));
    assert_eq!((reported + limited + lost, limited), (dropped, 0), "{missing}");
    assert_eq!(shown.len() as u64, reported);
    assert!(lost > PACKETS / 2 && reported > 1_000, "{missing}");
}

/// The rules of a policy, by number, by name, and by their wish to be logged.
#[test]
fn what_a_rule_decided_is_shown_with_the_rule() {
    let lab = Lab::new();
    let rules = ConfigFile::of_lab(
        "[[rule]]\nname = 'dns'\ndirection = 'in'\naction = 'allow'\nproto = 'udp'\nports = 53\n\
         [[rule]]\nname = 'ssh'\ndirection = 'in'\naction = 'deny'\nproto = 'tcp'\nports = 22\n\
         log = true\n\
         [[rule]]\nname = 'web'\ndirection = 'in'\naction = 'allow'\nproto = 'tcp'\nports = 443\n\
         log = true\n\
         [[rule]]\ndirection = 'out'\naction = 'allow'\nproto = 'udp'\nports = 7\nlog = true\n",
    );
    lab.attach_file(Hook::Xdp, &rules);
    let _echo = socket::udp_echo(&lab.outside, OUTSIDE.port(Family::Ipv4, 7));
    let link = Link::open(&lab.router, "gateway");
    let rows: [(&[&str], &[u64]); 6] = [
        (&["--logged"], &[2, 3, 4]),
        (&["--logged", "--in"], &[2, 3]),
        (&["--rule", "ssh"], &[2]),
        (&["--rule", "1"], &[1]),
        (&["--rule", "web", "--logged"], &[3]),
        (&["--rule", "nobody"], &[]),
    ];
    for (filter, expected) in rows {
        let watcher = Watcher::start(&lab, &[&["-j", "drop", "watch"], filter].concat());
        lab.expect_drops("rule-denied", 1, || link.send(&syn(Family::Ipv4, 4_000, 22)));
        let udp = inbound(Family::Ipv4).udp(4_001, 53).payload(b"?").frame();
        lab.expect_packets("in", "rule-allowed", 2, || {
            link.send(&syn(Family::Ipv4, 4_000, 443));
            link.send(&udp);
        });
        socket::udp_exchange(&lab.inside, OUTSIDE.port(Family::Ipv4, 7), b"?", PATIENCE)
            .expect("an answer");
        let (shown, _) = watcher.interrupt();
        // Inside's answers to what a rule let in are that rule's as well.
        let rules: BTreeSet<_> =
            shown.iter().map(|packet| packet["rule"]["number"].as_u64().expect("a rule")).collect();
        assert!(rules.iter().eq(expected), "{filter:?} showed {shown:#?}");
    }
    let check = lab.eigw(&["check", "-c", rules.path()]).success();
    assert!(!check.contains("log of what"), "{check}");
}

/// `--count` ends the watch, and people get lines with headings.
#[test]
fn people_get_lines() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    let link = Link::open(&lab.router, "gateway");
    let mut watcher =
        Watcher::start(&lab, &["drop", "watch", "--reason", "no-flow", "--count", "2"]);
    lab.expect_drops("no-flow", 2, || {
        link.send(&syn(Family::Ipv6, 4_000, 22));
        link.send(&inbound(Family::Ipv4).udp(4_001, 53).frame());
    });
    assert_eq!(watcher.wait().code(), Some(0));
    let text = watcher.stdout();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("TIME ") && lines[0].ends_with(" DETAILS"), "{text}");
    let ends = format!("[{}]:4000 > [{}]:22", OUTSIDE.v6, INSIDE.v6);
    assert!(lines[1].contains(&ends) && lines[1].ends_with(" syn"), "{text}");
    assert!(lines[2].contains("no-flow") && lines[2].contains("udp"), "{text}");
    assert_eq!(watcher.stderr(), "eigw: packets shown: 2\n");
}

/// Whoever reads has seen enough, as with `| head`.
#[test]
fn a_reader_that_leaves_ends_the_watch() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    let link = Link::open(&lab.router, "gateway");
    let mut command = lab.eigw_command(&["drop", "watch"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("eigw starts");
    let mut reader = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut headings = String::new();
    reader.read_line(&mut headings).expect("the headings");
    assert!(headings.starts_with("TIME "), "{headings}");
    drop(reader);
    link.send(&syn(Family::Ipv6, 4_000, 22));
    let status = wait::until("the watch to end", || child.try_wait().expect("it is our child"));
    assert_eq!(status.code(), Some(0));
    assert_eq!(observed(&lab), 0);
}

/// When the gateway goes away there is nothing to watch; new programs for it are no reason to end.
#[test]
fn a_watch_ends_with_its_gateway() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    let link = Link::open(&lab.router, "gateway");
    let mut watcher = Watcher::start(&lab, &["-j", "drop", "watch", "--reason", "no-flow"]);
    lab.attach(Hook::Tc);
    lab.expect_drops("no-flow", 1, || link.send(&syn(Family::Ipv4, 4_000, 22)));
    wait::until_true("the packet", || watcher.documents().len() == 1);
    lab.detach();
    assert_eq!(watcher.wait().code(), Some(1));
    assert!(watcher.stderr().contains("gateway wan was detached"), "{}", watcher.stderr());
    assert_eq!(watcher.ended().0.len(), 1);
    let refused = lab.eigw(&["drop", "watch"]).failure(1);
    assert!(refused.contains("no gateway is attached"), "{refused}");
}

/// Sends one packet of each kind that the filters are tried with, and waits until all are judged.
fn send_one_of_each(lab: &Lab) {
    let link = Link::open(&lab.router, "gateway");
    let v4 = |from: std::net::Ipv4Addr| Packet::ip(from, INSIDE.v4).macs(ROUTER_MAC, UPLINK_MAC);
    lab.expect_drops("no-flow", 2, || {
        link.send(&syn(Family::Ipv6, 4_000, 22));
        link.send(&v4(STRANGER.v4).udp(4_001, 53).payload(b"?").frame());
    });
    lab.expect_drops("ping-refused", 1, || link.send(&v4(OUTSIDE.v4).echo_request(9, 1).frame()));
    lab.expect_drops("tcp-flags", 1, || {
        link.send(&v4(OUTSIDE.v4).tcp(4_002, 22, flag::SYN | flag::FIN).frame());
    });
    let server = OUTSIDE.port(Family::Ipv4, 7);
    let local = GATEWAY.port(Family::Ipv4, 0);
    let client = socket::udp_client_from(&lab.gateway, local, server).expect("a socket");
    client.send(b"question").expect("sent");
    client.recv(&mut [0; 64]).expect("an answer");
}

/// Which of these packets that was; what hosts say by themselves is none.
fn name_of(packet: &Value) -> Option<&'static str> {
    let reason = packet["reason"].as_str().expect("a name");
    let is_udp = packet["proto"] == "udp";
    match reason {
        "no-flow" if packet["proto"] == "tcp" => Some("syn"),
        "no-flow" if is_udp => Some("dns"),
        "ping-refused" => Some("ping"),
        "tcp-flags" => Some("nonsense"),
        "flow-created" if is_udp => Some("question"),
        "flow" if is_udp => Some("answer"),
        _ => None,
    }
}
